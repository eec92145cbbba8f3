"""Every path of a folder in which an entry list is built; no other module knows a file name of one.

    OUT/
    ├── metadata.parquet     the list: entry, source, score and rank
    ├── manifest.json        what it was made of, and by which recipe
    ├── counts/              words and pairs of words of all texts, with their counts
    ├── views/               titles and their views
    ├── inputs.json          checksums of files, so that each is read for that once
    └── .work/               what is under way

``counts/`` and ``views/`` are kept, so that a list with other limits takes moments; with the list made, they may be deleted.
"""

from __future__ import annotations

from pathlib import Path

from tallyclip.run.layout import StageFolder


class CountsFolder(StageFolder):
    """Counts under way or done: sorted runs while there are texts to count, then buckets, merged and in order."""

    def run_words(self, run: str) -> Path:
        return self.path / "_runs" / f"{run}.words.arrow"

    def run_pairs(self, run: str) -> Path:
        return self.path / "_runs" / f"{run}.pairs.arrow"

    def run_places(self, run: str) -> Path:
        return self.path / "_runs" / f"{run}.places.npy"

    @property
    def run_names(self) -> Path:
        return self.runs / "names.json"

    def has_runs(self, part: str, number: int) -> bool:
        """Are the runs of a part that is done still there?"""
        return all(self.run_words(f"{part}.{i}").exists() and self.run_pairs(f"{part}.{i}").exists() for i in range(number))

    @property
    def runs(self) -> Path:
        return self.path / "_runs"

    def words(self, bucket: int) -> Path:
        return self.path / "words" / f"{bucket:05d}.arrow"

    def pairs(self, bucket: int) -> Path:
        return self.path / "pairs" / f"{bucket:05d}.arrow"


class BuildLayout:
    """The paths of one build."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.metadata = root / "metadata.parquet"
        self.manifest = root / "manifest.json"
        self.checksums = root / "inputs.json"
        self.lock = root / ".lock"
        self.work = root / ".work"
        self.names = {path.name for path in (self.metadata, self.manifest, self.checksums, self.lock, self.work)} | {"counts", "views"}

    def is_own(self, path: Path) -> bool:
        """Is a file one of the build's own?"""
        if not path.is_relative_to(self.root):
            return False
        return path.relative_to(self.root).parts[0] in self.names

    def counts(self, name: str) -> CountsFolder:
        return CountsFolder(self.root / name)

    def under_way(self, name: str) -> CountsFolder:
        return CountsFolder(self.work / name)
