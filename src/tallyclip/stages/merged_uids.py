"""Merging the sorted uids of shards into one file: by this process, or where there are many by workers, and this one joins what they leave.

Each worker merges a group of runs, and cuts it into ranges of uids, the same for all groups; then each merges a range of all groups. So no
process has many files open, and of a store only those ranges are read that a process merges. What comes of it does not depend on how runs
are put into groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import UInt64

from tallyclip.core.duplicates import first_of_each
from tallyclip.core.sorting import sort_rows
from tallyclip.export.uids import Merged, bounds_of, merge_runs, merged_ranges, write_rows
from tallyclip.io.arrays import map_array
from tallyclip.io.mirror import discard_folder, fetch_all, read_again, send, size_of
from tallyclip.io.slices import read_slice, read_slices, write_slices
from tallyclip.run.runners.base import answers
from tallyclip.run.workspace import Workspace

MOST_RUNS, MOST_ROWS = 64, 1 << 26  # that this process merges
RUNS_OF_A_GROUP = 64  # files that a worker has open
ROWS_OF_A_RANGE = 1 << 23  # 128 MB of uids, and some copies of them
RUNS_SAMPLED = 64  # by which ranges are chosen


class RunsJob(msgspec.Struct, frozen=True):
    """Runs whose rows go to the file ``out``, with a slice for each range; of rows with one uid only the smallest, unless repeats stay."""

    key: str
    paths: list[str]
    bounds: list[tuple[int, int]]
    columns: int
    repeats: bool
    out: str


class RangeJob(msgspec.Struct, frozen=True):
    """The slices of one range in the files of groups, merged into the only slice of the file ``out``."""

    key: str
    number: int
    paths: list[str]
    columns: int
    repeats: bool
    out: str


def merge_uids(run: Workspace, paths: Sequence[Path], out: Path, *, columns: int = 2, repeats: bool = False) -> Merged:
    """Merge sorted runs into one file, as ``export.uids.merge_runs`` does.

    Args:
        run: whose workers merge, where there are many.
        paths, out, columns, repeats: see there.

    Raises:
        IncompleteError: a file cannot be read by a worker.
    """
    rows = sum(size_of(path) or 0 for path in paths) // (8 * columns)
    if len(paths) <= MOST_RUNS and rows <= MOST_ROWS:
        return merge_runs(paths, out, columns=columns, repeats=repeats)
    scratch = out.with_name(f"_{out.stem}")
    some = paths[:: -(-len(paths) // RUNS_SAMPLED)]
    fetch_all(some)
    bounds = bounds_of([map_array(path) for path in some], -(-rows // ROWS_OF_A_RANGE))
    starts = range(0, len(paths), RUNS_OF_A_GROUP)
    groups = [
        RunsJob(
            key=f"group-{number:05}",
            paths=[*map(str, paths[start : start + RUNS_OF_A_GROUP])],
            bounds=bounds,
            columns=columns,
            repeats=repeats,
            out=str(scratch / f"group-{number:05}.slices"),
        )
        for number, start in enumerate(starts)
    ]
    totals = answers(run.runner, run.progress, merge_group, groups)
    merged = [group.out for group in groups]
    ranges = [
        RangeJob(f"range-{number:05}", number, merged, columns, repeats, str(scratch / f"range-{number:05}.slices"))
        for number in range(len(bounds) + 1)
    ]
    unique = answers(run.runner, run.progress, merge_range, ranges)
    read_again(scratch)  # in which an earlier try may have left others of the same names
    write_rows(out, (read_slice(Path(job.out), 0, columns) for job in ranges), columns)
    discard_folder(scratch)
    return Merged(sum(unique), sum(totals))


def merge_group(job: RunsJob, _: Callable[[int], None]) -> int:
    """Merge the runs of a group; returns how many rows they have."""
    paths = list(map(Path, job.paths))
    fetch_all(paths)
    runs = [map_array(path) for path in paths]

    def slices() -> Iterator[UInt64[np.ndarray, "_ K"]]:
        for rows in merged_ranges(runs, job.bounds, job.columns):
            yield rows if job.repeats else rows[first_of_each(rows)]

    write_slices(Path(job.out), slices(), len(job.bounds) + 1)
    send([Path(job.out)])
    return sum(map(len, runs))


def merge_range(job: RangeJob, _: Callable[[int], None]) -> int:
    """Merge a range of all groups; returns how many different uids it has."""
    slices = read_slices(map(Path, job.paths), job.number, job.columns)
    rows = sort_rows(np.concatenate([np.zeros((0, job.columns), np.uint64), *slices]))
    is_first = first_of_each(rows)
    write_slices(Path(job.out), [rows if job.repeats else rows[is_first]], 1)
    send([Path(job.out)])
    return int(np.count_nonzero(is_first))
