"""Sorted keys of very many files, merged in groups of files, so that a bucket of keys is a slice of each group and not of each file.

A pool of 10^10 pairs has 10^4 files and 10^3 buckets: 10^7 slices of a few kilobytes, which no file system and no store likes to read. A
group of files is one file with all buckets one after the other (``io/slices.py``), and what is found in buckets goes back to the files the
same way. Where slices are fewer, or longer (``are_many``), merging would take longer than it saves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import UInt64

from tallyclip.core.duplicates import MOST_ROWS, bucket_bits, shard_places, without
from tallyclip.core.sorting import bucket_slice, sort_rows
from tallyclip.io.arrays import map_array
from tallyclip.io.mirror import fetch_all
from tallyclip.io.slices import read_slice, read_slices, write_slices
from tallyclip.run.items import Report, StageFolder

MOST_SLICES = 1 << 16  # that are read without groups, however few rows they have
ROWS_OF_A_SLICE = 1000  # to open a file takes about as long as to merge so many rows
FILES_OF_A_GROUP = 256
ROWS_AT_ONCE = 4_000_000  # in memory: 128 MB, and some copies of them
GROUPS = "_groups"  # the folder of what only the making of a stage needs


class KeyGroupsFolder(StageFolder):
    """The files of groups, by the keys of pieces of work."""

    def group(self, key: str) -> Path:
        """The merged keys of a group of files, with a slice for each bucket."""
        return self.path / GROUPS / f"{key}.slices"

    def found(self, key: str, kind: str) -> Path:
        """The places of the rows that were found in a bucket, with a slice for each group."""
        return self.path / GROUPS / f"{key}.{kind}.slices"

    def places(self, key: str) -> Path:
        """The rows that were found in the files of a group, with a slice for each file."""
        return self.path / f"{key}.slices"


class Places(msgspec.Struct, frozen=True):
    """Rows that were found in files: a file for each group of ``size`` files that were searched."""

    paths: list[str]
    size: int

    def of_file(self, number: int) -> UInt64[np.ndarray, " R"]:
        """The rows of one file, ascending."""
        return read_slice(Path(self.paths[number // self.size]), number % self.size, 1)[:, 0]


class KeyGroup(msgspec.Struct, frozen=True):
    """Files that are merged: of which kind, the positions of the group and of the first file, the paths, and how many rows, about."""

    kind: str
    number: int
    first: int
    paths: list[str]
    rows: int


class GroupsJob(msgspec.Struct, frozen=True):
    """What is the same for all groups.

    Attributes:
        bits: number of leading bits of a key that choose its bucket.
        columns: of the records, by the kind of files. The last of four is a row's place.
        removed: by the kind of files, rows that are left out.
    """

    bits: int
    columns: dict[str, int]
    removed: dict[str, Places] = {}


class PlaceGroup(msgspec.Struct, frozen=True):
    """A group of files, and of which kind are the rows that were found in them: the positions of the group and of the first file."""

    kind: str
    number: int
    first: int
    files: int


class PlacesJob(msgspec.Struct, frozen=True):
    """What was found in each bucket, by kind."""

    found: dict[str, list[str]]


def are_many(files: int, bits: int, rows: int) -> bool:
    """Do files of so many rows together have so many and so short slices that it is faster to merge them?"""
    slices = files << bits
    return slices > MOST_SLICES and rows < slices * ROWS_OF_A_SLICE


def group_key(kind: str, number: int) -> str:
    """What the piece of work of a group is known by."""
    return f"{kind}-group-{number:05d}"


def groups_of(kind: str, paths: Sequence[str], rows: int) -> dict[str, KeyGroup]:
    """The groups of some files, which have about so many rows together, by key."""
    groups: dict[str, KeyGroup] = {}
    for number, start in enumerate(range(0, len(paths), FILES_OF_A_GROUP)):
        some = [*paths[start : start + FILES_OF_A_GROUP]]
        groups[group_key(kind, number)] = KeyGroup(kind, number, start, some, rows * len(some) // len(paths))
    return groups


def places_of(kind: str, files: int) -> dict[str, PlaceGroup]:
    """The same groups, for the rows of one kind that are found in their files."""
    starts = range(0, files, FILES_OF_A_GROUP)
    groups = (PlaceGroup(kind, number, start, min(FILES_OF_A_GROUP, files - start)) for number, start in enumerate(starts))
    return {group_key(kind, group.number): group for group in groups}


def merge_keys(job: GroupsJob, item: KeyGroup, folder: KeyGroupsFolder, tick: Callable[[int], None]) -> Report:
    """Merge the keys of a group of files."""
    columns = job.columns[item.kind]
    fetch_all(map(Path, item.paths))
    files = [map_array(path) for path in item.paths]
    removed = job.removed.get(item.kind)
    gone = [] if removed is None else [removed.of_file(item.first + position) for position in range(len(files))]
    coarse = min(job.bits, bucket_bits(sum(map(len, files)), ROWS_AT_ONCE))

    def buckets() -> Iterator[UInt64[np.ndarray, "_ K"]]:
        for number in range(1 << coarse):
            parts = [np.zeros((0, columns), np.uint64)]
            for position, file in enumerate(files):
                part = np.array(file[bucket_slice(file[:, 0], number, coarse)])
                part = without(part, gone[position]) if gone else part
                if columns == 4:
                    part[:, 3] = shard_places(item.first + position, part[:, 3])
                parts.append(part)
            rows = sort_rows(np.concatenate(parts))
            tick(len(rows))
            finer = job.bits - coarse
            yield from (rows[bucket_slice(rows[:, 0], bucket, job.bits)] for bucket in range(number << finer, (number + 1) << finer))

    return Report(rows=write_slices(folder.group(group_key(item.kind, item.number)), buckets(), 1 << job.bits))


def write_found(path: Path, places: UInt64[np.ndarray, " P"], starts: Sequence[int]) -> None:
    """Write places that were found in a bucket, for groups that begin with the files at these positions."""
    write_slices(path, _cut(places, starts), len(starts))


def collect_places(job: PlacesJob, item: PlaceGroup, folder: KeyGroupsFolder, tick: Callable[[int], None]) -> Report:
    """Collect the rows that were found in the files of a group, from all buckets."""
    parts = read_slices(map(Path, job.found[item.kind]), item.number, 1)
    places = np.sort(np.concatenate([np.zeros((0, 1), np.uint64), *parts])[:, 0])
    rows = (some & np.uint64(MOST_ROWS - 1) for some in _cut(places, range(item.first, item.first + item.files)))
    write_slices(folder.places(group_key(item.kind, item.number)), rows, item.files)
    tick(len(places))
    return Report(rows=len(places))


def _cut(places: UInt64[np.ndarray, " P"], starts: Sequence[int]) -> Iterable[UInt64[np.ndarray, " _"]]:
    """Ascending places, cut where those of the files at some positions begin."""
    firsts = [int(shard_places(start, np.zeros(1, np.uint64))[0]) for start in starts[1:]]
    return np.split(places, np.searchsorted(places, np.array(firsts, np.uint64)))
