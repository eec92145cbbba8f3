"""The stage duplicates: finds duplicate pairs across all files. It waits for all files, and works on buckets of sorted keys.

Boilerplate captions are found first, so that a pair removed as boilerplate does not cause the removal of its duplicates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import UInt64

from tallyclip.core.duplicates import MOST_ROWS, ROW_BITS, bucket_bits, frequent, resolve, shard_places, without
from tallyclip.core.sorting import bucket_slice
from tallyclip.errors import OptionError
from tallyclip.io.arrays import map_array, write_array
from tallyclip.io.files import write_json
from tallyclip.io.mirror import fetch_all, fetched, is_there
from tallyclip.readers.ledger import BOILERPLATE as BOILERPLATE_CAPTION
from tallyclip.readers.ledger import IN_EARLIER_POOL, REPEATED_IN_POOL
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.manifest import read_manifest
from tallyclip.run.record import check_layout
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.gather import GATHER, PoolOptions
from tallyclip.wording import plural

ROWS_PER_BUCKET = 4_000_000  # 128 MB of records, and some copies of them
SITES = "sites-"  # prefix of the keys of boilerplate buckets


class DuplicatesFolder(StageFolder):
    """For each bucket of keys, the places of the rows to remove; and the list of key files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.runs = path / "_runs.json"

    def removed(self, key: str) -> Path:
        """The file with the places of the rows that are duplicates, or boilerplate, for the key of a bucket."""
        return self.path / f"{key}.removed.npy"

    def excluded(self, key: str) -> Path:
        """The file with the places of the rows that are in earlier pools."""
        return self.path / f"{key}.excluded.npy"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return self.removed(key), self.excluded(key)


class BucketJob(msgspec.Struct, frozen=True):
    """What is the same for all buckets.

    Attributes:
        bits: number of leading bits of a key that choose its bucket.
        runs: the file that lists the files of keys, in the order of the shards.
        excluded: files of keys of earlier pools.
        before: files of places of rows that are removed already; they do not cause the removal of others.
        site_limit: most distinct images with the same caption on one host.
    """

    bits: int
    runs: str
    excluded: list[str] = []
    before: list[str] = []
    site_limit: int = 0


class Bucket(msgspec.Struct, frozen=True):
    """A slice of all keys, by their leading bits. ``rows`` is an estimate."""

    number: int
    rows: int


class BucketReport(Report):
    """How many rows are removed as duplicates or boilerplate, and how many because their key is in an earlier pool."""

    removed: int
    excluded: int = 0


def find_boilerplate(job: BucketJob, item: Bucket, folder: DuplicatesFolder, tick: Callable[[int], None]) -> BucketReport:
    """Find the boilerplate captions of a bucket, and write the places of their rows."""
    runs, rows = _slices(job, item, "sites")
    tick(rows)
    removed = frequent(runs, job.site_limit)
    write_array(folder.removed(_key(item.number, SITES)), removed)
    return BucketReport(rows=rows, removed=len(removed))


def find_repeats(job: BucketJob, item: Bucket, folder: DuplicatesFolder, tick: Callable[[int], None]) -> BucketReport:
    """Find the duplicate pairs of a bucket, and write the places of their rows."""
    runs, rows = _slices(job, item, "pairs")
    tick(rows)
    excluded: list[np.ndarray] = []
    for path in job.excluded:
        keys = map_array(path)
        excluded.append(keys[bucket_slice(keys[:, 0], item.number, job.bits)])
    for path in job.before:
        removed = map_array(path)
        runs = [without(run, removed) for run in runs]
    repeated, of_excluded = resolve(runs, excluded)
    write_array(folder.removed(_key(item.number)), repeated)
    write_array(folder.excluded(_key(item.number)), of_excluded)
    return BucketReport(rows=rows, removed=len(repeated), excluded=len(of_excluded))


def _slices(job: BucketJob, bucket: Bucket, kind: str) -> tuple[list[np.ndarray], int]:
    """The records of a bucket from each file, with places that include the file; and their number."""
    runs: list[np.ndarray] = []
    fetch_all(map(Path, key_files(job.runs)[kind]))
    for shard, path in enumerate(key_files(job.runs)[kind]):
        records = map_array(path)
        part = np.array(records[bucket_slice(records[:, 0], bucket.number, job.bits)])
        if len(part):
            part[:, 3] = shard_places(shard, part[:, 3])
            runs.append(part)
    return runs, sum(map(len, runs))


@lru_cache(maxsize=1)
def key_files(path: str) -> dict[str, list[str]]:
    """The files of keys, by their kind, that a stage has listed for its buckets; read once by each worker."""
    return json.loads(fetched(Path(path)).read_text(encoding="utf-8"))


def _key(number: int, kind: str = "") -> str:
    return f"{kind}{number:05d}"


class Removed(msgspec.Struct, frozen=True):
    """What is removed of gathered files: for each reason, files of places."""

    places: dict[str, list[str]]

    def of_file(self, number: int, repeats: UInt64[np.ndarray, " _"]) -> dict[str, UInt64[np.ndarray, " _"]]:
        """For each reason the rows of one file to remove, ascending.

        Args:
            number: the position of the file among all that were gathered.
            repeats: the rows that are duplicates of others in the same file.
        """
        own = {REPEATED_IN_POOL: [repeats]}
        none = np.zeros(0, np.uint64)
        return {
            reason: np.sort(np.concatenate([none, *own.get(reason, []), *_places(number, paths)])) for reason, paths in self.places.items()
        }


def removed_of(run: Workspace) -> Removed:
    """What the stage in place has found."""
    folder, found = run.folder(DUPLICATES), run.required(DUPLICATES).result
    buckets = [_key(number) for number in range(found["buckets"])]
    return Removed(
        {
            REPEATED_IN_POOL: [str(folder.removed(key)) for key in buckets],
            IN_EARLIER_POOL: [str(folder.excluded(key)) for key in buckets],
            BOILERPLATE_CAPTION: [str(folder.removed(_key(number, SITES))) for number in range(found["site_buckets"])],
        }
    )


def _places(number: int, paths: Iterable[str]) -> Iterator[UInt64[np.ndarray, " _"]]:
    """The rows of one file, from files of places of all files' rows; one array for each."""
    first = np.uint64(number << ROW_BITS)
    paths = list(paths)
    fetch_all(map(Path, paths))
    for path in paths:
        places = map_array(path)
        low, high = np.searchsorted(places, first), np.searchsorted(places, first + np.uint64(MOST_ROWS))
        yield places[low:high] - first


def earlier_pool(run: Workspace, folder: Path, duplicates: str) -> tuple[str, list[str]]:
    """The fingerprint of an earlier pool, and the files of its keys.

    Raises:
        OptionError: it is this run, not a pool, incomplete, or has keys of another kind or version.
    """
    root = folder.resolve()
    if root == run.root:
        raise OptionError(f"--exclude-pool {folder} is the run itself", "give the run folder of an earlier pool")
    try:
        check_layout(run.kind, root)
    except OptionError as error:
        hint = "make that pool again with this version, into a new --out, and name it here"
        raise OptionError(f"--exclude-pool {error.what}", hint) from error
    pool = run.stages["kept" if is_there(root / "kept" / "_manifest.json") else "pool"]
    manifest, found = read_manifest(pool.folder(root / pool.name)), read_manifest(DUPLICATES.folder(root / DUPLICATES.name))
    if manifest is None or found is None:
        raise OptionError(f"{folder}: there is no pool in this folder", "give --exclude-pool a run folder of 'tallyclip pool'")
    if found.options["duplicates"] != duplicates or duplicates == "off":
        raise OptionError(
            f"{folder} was made with --duplicates {found.options['duplicates']}, this run uses {duplicates}",
            "use the same --duplicates, pair or url, for both",
        )
    if found.options["gathered_by"] != GATHER.version:
        raise OptionError(
            f"--exclude-pool {folder} was made by another version of tallyclip, which writes URLs differently",
            "make that pool again with this version in a new --out, and give that folder here",
        )
    index: Any = pool.folder(root / pool.name)
    paths: list[Path] = [index.index(shard) for shard in manifest.pieces]
    gone = next((path for path in paths if not is_there(path)), None)
    if gone is not None:
        raise OptionError(f"{gone} is missing: the pool is incomplete", "run the command that made the pool again")
    return manifest.fingerprint, list(map(str, paths))


def _asked(run: Workspace, options: PoolOptions) -> dict[str, Any]:
    return {
        "duplicates": options.key,
        "excluded": [earlier_pool(run, Path(folder), options.key)[0] for folder in options.exclude],
        "max_site_repeats": options.max_site_repeats,
        "gathered_by": GATHER.version,
    }


def _cut_sites(making: Making[DuplicatesFolder, PoolOptions]) -> Work:
    limit = making.options.max_site_repeats
    if limit is None:
        return Work({})
    pairs = making.run.required(GATHER).result["pairs"]
    bits = bucket_bits(pairs, ROWS_PER_BUCKET)
    return Work(buckets_of(bits, pairs, SITES), BucketJob(bits, _write_runs(making), site_limit=limit))


def _cut_pairs(making: Making[DuplicatesFolder, PoolOptions]) -> Work:
    run, options = making.run, making.options
    gathered = run.required(GATHER).result
    rows = gathered["pairs"] - gathered["repeats"] if options.key != "off" else 0
    bits = bucket_bits(rows, ROWS_PER_BUCKET)
    excluded = [path for folder in options.exclude for path in earlier_pool(run, Path(folder), options.key)[1]]
    before = [str(making.folder.removed(key)) for key in making.keys[BOILERPLATE.name]]
    return Work(buckets_of(bits, rows), BucketJob(bits, _write_runs(making), excluded, before))


def buckets_of(bits: int, rows: int, kind: str = "") -> dict[str, Bucket]:
    """The buckets that some leading bits choose, of about so many rows together."""
    return {_key(number, kind): Bucket(number, rows >> bits) for number in range(1 << bits)}


def _write_runs(making: Making[DuplicatesFolder, PoolOptions]) -> str:
    gathered = making.run.folder(GATHER)
    keys = making.run.required(GATHER).pieces
    runs = {"pairs": [str(gathered.keys(key)) for key in keys], "sites": [str(gathered.sites(key)) for key in keys]}
    write_json(making.folder.runs, runs)
    return str(making.folder.runs)


def _finish(making: Making[DuplicatesFolder, PoolOptions]) -> Finished:
    gathered = making.run.required(GATHER).result
    reports: dict[str, BucketReport] = making.reports(REPEATS)
    removed = gathered["repeats"] + sum(report.removed for report in reports.values())
    excluded = sum(report.excluded for report in reports.values())
    result = {
        "pairs": gathered["pairs"],
        "repeats": removed,
        "excluded": excluded,
        "buckets": len(making.keys[REPEATS.name]),
        "site_buckets": len(making.keys[BOILERPLATE.name]),
    }
    summary = f"{removed + excluded:,} of {plural(gathered['pairs'], 'pair')} are duplicates" if making.options.key != "off" else "kept"
    return Finished(result, summary, (making.folder.runs,))


BOILERPLATE = Section(_cut_sites, find_boilerplate, "sites", rows=lambda _, bucket: bucket.rows, said="boilerplate captions found")
REPEATS = Section(_cut_pairs, find_repeats, "pairs", rows=lambda _, bucket: bucket.rows)
DUPLICATES = Stage(
    name="duplicates",
    version=2,
    command="tallyclip pool CRAWL... --out RUN",
    needs=("gather",),
    sections=(BOILERPLATE, REPEATS),
    folder=DuplicatesFolder,
    asked=_asked,
    finish=_finish,
    optional=True,
)
