"""Every path of a run folder; no other module knows a file name of a run.

    RUN/
    ├── run.json                     what was asked for, and with which versions
    ├── crawl.json                   of a crawl by its name: which of its files were chosen
    ├── parse/                       of crawl files: their pairs, and the keys of these
    ├── duplicates/                  of crawl files: which pairs repeat others
    ├── pool/*.parquet               of crawl files: the pool they become, and in _index/ the keys of its pairs
    ├── metadata/                    the entry list and the matcher's tables
    ├── match/                       which pairs name which entries, a file a shard
    ├── counts/                      how often each entry is named in the frozen set of shards
    ├── plan/                        t against expected size, tail share, head entries and matches
    ├── balance/                     the manifest of the results below
    ├── probabilities/*.parquet      uid, place and keep probability of every matched pair
    ├── curated/*.parquet            the pairs that stay
    ├── uids.npy                     their uids, sorted, each once
    ├── entry_counts.json            entry → count in the pool
    ├── entry_counts_curated.json    entry → count in the curated set
    ├── card/                        the data card
    └── .work/                       stages under way, each under its fingerprint; gone when they are done

A stage's folder holds its outputs, ``_done/<shard>.json`` for each shard that is finished, ``_failed/<shard>.json`` for each that
failed, and, once the stage is whole, ``_manifest.json``; those of parsing and matching also the files they are made from,
``_pool.json``. It is built under ``.work`` and renamed into place. Names with an underscore are skipped by readers of Parquet folders.
"""

from __future__ import annotations

from pathlib import Path

MANIFEST = "_manifest.json"
DONE = "_done"
FAILED = "_failed"


class StageFolder:
    """The files of one stage, under way or done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = path / MANIFEST

    def done(self, shard: str) -> Path:
        return self.path / DONE / f"{shard}.json"

    def failed(self, shard: str) -> Path:
        return self.path / FAILED / f"{shard}.json"


class FilesFolder(StageFolder):
    """A stage that reads files from outside; ``_pool.json`` says which."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.pool = path / "_pool.json"

    def outputs_of(self, shard: str) -> list[Path]:
        raise NotImplementedError


class ParseFolder(FilesFolder):
    """Per crawl file its pairs, their keys in ascending order, and the rows that repeat others of the file; if asked, keys by site."""

    def pairs(self, shard: str) -> Path:
        return self.path / f"{shard}.parquet"

    def keys(self, shard: str) -> Path:
        return self.path / f"{shard}.keys.npy"

    def repeats(self, shard: str) -> Path:
        return self.path / f"{shard}.repeats.npy"

    def outputs_of(self, shard: str) -> list[Path]:
        return [self.pairs(shard), self.keys(shard), self.repeats(shard), self.sites(shard)]

    def sites(self, shard: str) -> Path:
        return self.path / f"{shard}.sites.npy"


class DuplicatesFolder(StageFolder):
    """Per bucket of keys the places of the rows that go; and which files have the keys."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.runs = path / "_runs.json"

    def losers(self, bucket: int) -> Path:
        return self.path / f"{bucket:05d}.losers.npy"

    def site_losers(self, bucket: int) -> Path:
        return self.path / f"{bucket:05d}.site-losers.npy"


class PoolFolder(StageFolder):
    """The pool that crawl files become, and per file the keys of its pairs in ascending order."""

    def pairs(self, shard: str) -> Path:
        return self.path / f"{shard}.parquet"

    def index(self, shard: str) -> Path:
        return self.path / "_index" / f"{shard}.npy"


class MatchFolder(FilesFolder):
    def outputs_of(self, shard: str) -> list[Path]:
        return [self.matches(shard), self.counts(shard)]

    def matches(self, shard: str) -> Path:
        return self.path / f"{shard}.arrow"

    def counts(self, shard: str) -> Path:
        return self.path / f"{shard}.counts.npz"


class CountsFolder(StageFolder):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.counts = path / "counts.npy"
        self.entry_counts = path / "entry_counts.json"


class PlanFolder(StageFolder):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.table = path / "plan.json"
        self.curve = path / "plan.svg"


class BalanceFolder(StageFolder):
    """Under way it holds the results; once they are in place, its manifest, its marks and the counts."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entry_probability = path / "entry_probability.npy"
        self.counts_curated = path / "counts_curated.npy"
        self.uid_runs = path / "uid_runs"
        self.shard_counts = path / "shard_counts"
        self.probabilities = path / "probabilities"
        self.curated = path / "curated"
        self.uids = path / "uids.npy"
        self.entry_counts_curated = path / "entry_counts_curated.json"

    def probabilities_of(self, shard: str) -> Path:
        return self.probabilities / f"{shard}.parquet"

    def curated_of(self, shard: str) -> Path:
        return self.curated / f"{shard}.parquet"

    def counts_of(self, shard: str) -> Path:
        return self.shard_counts / f"{shard}.npz"


class CardFolder(StageFolder):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.markdown = path / "card.md"
        self.json = path / "card.json"
        self.html = path / "card.html"


class MetadataFolder(StageFolder):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entries = path / "entries.parquet"
        self.matcher = path / "matcher"


class RunLayout:
    """The paths of one run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.record = root / "run.json"
        self.crawl = root / "crawl.json"
        self.lock = root / ".lock"
        self.work = root / ".work"
        self.trash = self.work / "trash"
        self.downloads = self.work / "downloads"
        self.parse = ParseFolder(root / "parse")
        self.duplicates = DuplicatesFolder(root / "duplicates")
        self.pool = PoolFolder(root / "pool")
        self.metadata = MetadataFolder(root / "metadata")
        self.match = MatchFolder(root / "match")
        self.counts = CountsFolder(root / "counts")
        self.plan = PlanFolder(root / "plan")
        self.balance = BalanceFolder(root / "balance")
        self.card = CardFolder(root / "card")
        self.entry_counts = root / "entry_counts.json"
        self.probabilities = root / "probabilities"
        self.curated = root / "curated"
        self.uids = root / "uids.npy"
        self.entry_counts_curated = root / "entry_counts_curated.json"

    def under_way(self, stage: str, fingerprint: str) -> Path:
        return self.work / f"{stage}-{fingerprint[:16]}"

    def attempts(self, stage: str) -> list[Path]:
        """The folders in which a stage is, or was, under way."""
        return sorted(self.work.glob(f"{stage}-*"))
