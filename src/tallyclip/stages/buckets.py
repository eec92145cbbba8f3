"""Buckets of keys, and what is done in each: finding the rows that are duplicates, or boilerplate, and writing down their places.

Keys are hashes, and a bucket has those with the same leading bits. It is a slice of each file of sorted keys, or of each group of files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import UInt64

from tallyclip.core.duplicates import frequent, resolve, shard_places, without
from tallyclip.core.sorting import bucket_slice
from tallyclip.io.arrays import map_array, write_array
from tallyclip.io.mirror import fetch_all, fetched
from tallyclip.io.slices import read_slices
from tallyclip.run.items import Report
from tallyclip.stages.key_groups import GROUPS, KeyGroupsFolder, write_found

ROWS_PER_BUCKET = 4_000_000  # 128 MB of records, and some copies of them
COLUMNS = {"pairs": 4, "sites": 4, "known": 2}  # of the records of the pool, by site too, and of the keys of earlier pools
SITES = "sites-"  # prefix of the keys of boilerplate buckets
REMOVED, EXCLUDED = "removed", "excluded"  # what is found of rows


class DuplicatesFolder(KeyGroupsFolder):
    """For each bucket of keys, or each group of files, the places of the rows to remove; and the list of key files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.runs = path / "_runs.json"

    def group_runs(self, kind: str) -> Path:
        """The list of the files of groups."""
        return self.path / GROUPS / f"_{kind}.json"

    def removed(self, key: str) -> Path:
        """The file with the places of the rows that are duplicates, or boilerplate, for the key of a bucket."""
        return self.path / f"{key}.removed.npy"

    def excluded(self, key: str) -> Path:
        """The file with the places of the rows that are in earlier pools."""
        return self.path / f"{key}.excluded.npy"

    def outputs_of(self, key: str) -> Iterable[Path]:
        of_groups = (self.group(key), self.found(key, REMOVED), self.found(key, EXCLUDED), self.places(key))
        return self.removed(key), self.excluded(key), *of_groups


class BucketJob(msgspec.Struct, frozen=True):
    """What is the same for all buckets.

    Attributes:
        bits: number of leading bits of a key that choose its bucket.
        runs: the file that lists the files of keys, in the order of the shards; or those of their groups.
        before: files of places of rows that are removed already; they do not cause the removal of others.
        site_limit: most distinct images with the same caption on one host.
        groups: the positions of the first file of each group; None if files are not merged.
    """

    bits: int
    runs: str
    before: list[str] = []
    site_limit: int = 0
    groups: list[int] | None = None


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
    runs = _slices(job, item, "sites")
    rows = sum(map(len, runs))
    tick(rows)
    removed = frequent(runs, job.site_limit)
    _write(job, folder, bucket_key(item.number, SITES), {REMOVED: removed})
    return BucketReport(rows=rows, removed=len(removed))


def find_repeats(job: BucketJob, item: Bucket, folder: DuplicatesFolder, tick: Callable[[int], None]) -> BucketReport:
    """Find the duplicate pairs of a bucket, and write the places of their rows."""
    runs = _slices(job, item, "pairs")
    rows = sum(map(len, runs))
    tick(rows)
    for path in job.before:
        removed = map_array(path)
        runs = [without(run, removed) for run in runs]
    repeated, excluded = resolve(runs, _slices(job, item, "known"))
    _write(job, folder, bucket_key(item.number), {REMOVED: repeated, EXCLUDED: excluded})
    return BucketReport(rows=rows, removed=len(repeated), excluded=len(excluded))


def _slices(job: BucketJob, bucket: Bucket, kind: str) -> list[UInt64[np.ndarray, "_ K"]]:
    """The records of a bucket, from each file or group that has any: with places that include the file, or of earlier pools keys alone."""
    paths, columns = key_files(job.runs)[kind], COLUMNS[kind]
    if job.groups is not None:
        return read_slices(map(Path, paths), bucket.number, columns)
    runs: list[UInt64[np.ndarray, "_ K"]] = []
    fetch_all(map(Path, paths))
    for shard, path in enumerate(paths):
        records = map_array(path)
        part = np.array(records[bucket_slice(records[:, 0], bucket.number, job.bits)])
        if len(part):
            if columns == COLUMNS["pairs"]:
                part[:, 3] = shard_places(shard, part[:, 3])
            runs.append(part)
    return runs


def _write(job: BucketJob, folder: DuplicatesFolder, key: str, found: Mapping[str, UInt64[np.ndarray, " _"]]) -> None:
    """Write the places that were found in a bucket: for later stages, or to be collected for each group."""
    direct = {REMOVED: folder.removed(key), EXCLUDED: folder.excluded(key)}
    for kind, places in found.items():
        if job.groups is None:
            write_array(direct[kind], places)
        else:
            write_found(folder.found(key, kind), places, job.groups)


@lru_cache(maxsize=1)
def key_files(path: str) -> dict[str, list[str]]:
    """The files of keys, by their kind, that a stage has listed for its buckets; read once by each worker."""
    return json.loads(fetched(Path(path)).read_text(encoding="utf-8"))


def bucket_key(number: int, kind: str = "") -> str:
    """What a bucket is known by."""
    return f"{kind}{number:05d}"


def buckets_of(bits: int, rows: int, kind: str = "") -> dict[str, Bucket]:
    """The buckets that some leading bits choose, of about so many rows together."""
    return {bucket_key(number, kind): Bucket(number, rows >> bits) for number in range(1 << bits)}
