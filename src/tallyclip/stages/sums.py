"""Adding up the entry counts of shards, as a tree: workers add those of some hundred shards each, and the driver adds what they leave.

The counts are whole numbers, so the sum does not depend on how they are put into groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Int64

from tallyclip.errors import ArtifactError
from tallyclip.io.arrays import read_array, read_arrays, write_array
from tallyclip.io.mirror import fetch_all, send
from tallyclip.run.runners.base import answers
from tallyclip.run.workspace import Workspace

SHARDS_OF_A_GROUP = 256


class GroupJob(msgspec.Struct, frozen=True):
    """Files of counts whose sum goes to the file ``out``."""

    key: str
    paths: list[str]
    entries: int
    out: str


def sum_of_shards(run: Workspace, paths: Sequence[Path], entries: int, scratch: Path) -> Int64[np.ndarray, " V"]:
    """The sum of the counts in the files of shards.

    Args:
        run: whose workers add, where there is more than one group.
        paths: of the files, as ``write_shard_counts`` writes them.
        entries: V.
        scratch: a folder for the sums of groups.

    Raises:
        ArtifactError: a file is broken.
        IncompleteError: a file cannot be read by a worker.
    """
    groups = [paths[start : start + SHARDS_OF_A_GROUP] for start in range(0, len(paths), SHARDS_OF_A_GROUP)]
    if len(groups) < 2:
        return _sum(list(map(str, paths)), entries)
    jobs = [
        GroupJob(f"{number:05}", list(map(str, group)), entries, str(scratch / f"{number:05}.npy")) for number, group in enumerate(groups)
    ]
    answers(run.runner, run.progress, add_group, jobs)
    total = np.zeros(entries, np.int64)
    for job in jobs:
        total += read_array(Path(job.out))
    return total


def add_group(job: GroupJob, _: Callable[[int], None]) -> None:
    """Add up the counts of one group."""
    write_array(Path(job.out), _sum(job.paths, job.entries))
    send([Path(job.out)])


def _sum(paths: Sequence[str], entries: int) -> Int64[np.ndarray, " V"]:
    counts = np.zeros(entries, np.int64)
    fetch_all(map(Path, paths))
    for path in paths:
        add_shard(counts, Path(path))
    return counts


def add_shard(counts: Int64[np.ndarray, " V"], path: Path) -> None:
    """Add the counts of a shard from its file.

    Raises:
        ArtifactError: the file is broken.
    """
    shard = read_arrays(path, "entry_ids", "counts")
    ids, more = shard.get("entry_ids"), shard.get("counts")
    if ids is None or more is None or len(ids) != len(more) or ids.max(initial=0) >= len(counts):
        raise ArtifactError(f"{path}: broken, not the counts of a shard", f"delete {path.parent} and run the same command again")
    counts[ids] += more
