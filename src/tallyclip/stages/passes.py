"""Passes over the matches of a whole pool, of which only sums and thresholds are kept: what a threshold would keep, before it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from jaxtyping import Bool, Float64, Int64

from tallyclip.core.balance import TextsPolicy, draw, entry_probability, keep_probability, pick_one, second_probability
from tallyclip.core.exact import exact_threshold, threshold_rows
from tallyclip.core.plan import expected_parts, parts_of
from tallyclip.export.uids import RunWriter
from tallyclip.io.arrays import map_array, read_array
from tallyclip.io.mirror import read_again, send
from tallyclip.match.matched_pairs import MatchedPairs, read_matches
from tallyclip.run.runners.base import answers
from tallyclip.run.workspace import Workspace
from tallyclip.stages.counts import COUNTS, load_counts
from tallyclip.stages.match import MATCH
from tallyclip.stages.merged_uids import merge_uids

Job = TypeVar("Job")
Result = TypeVar("Result")

SHARDS_AT_ONCE = 64  # whose kept entries are in memory


class PassJob(msgspec.Struct, frozen=True, kw_only=True):
    """A shard's matches, and the counts of the whole pool."""

    key: str
    matches: str
    counts: str
    policy: TextsPolicy

    def candidates(self, pairs: MatchedPairs) -> Bool[np.ndarray, " N"]:
        """Which pairs can be drawn: all, or one for each image."""
        return pick_one(pairs.rows, pairs.uids) if self.policy == "one-per-image" else np.ones(len(pairs), np.bool_)


class ExpectJob(PassJob, frozen=True, kw_only=True):
    """``before`` is the file of an earlier draw (``MatchFolder``)."""

    thresholds: list[float]
    before: str | None


class DrawJob(PassJob, frozen=True, kw_only=True):
    t: float
    seed: int


class ThresholdsJob(PassJob, frozen=True, kw_only=True):
    """``runs`` is the folder for the thresholds of pairs."""

    runs: str
    seed: int


def expect(run: Workspace, thresholds: Sequence[float], policy: TextsPolicy) -> list[int]:
    """Expected sizes of the whole pool, in fixed point (``core/plan.py``), by one pass over the matches.

    Raises:
        IncompleteError: the matches of a shard cannot be read.
    """
    before = run.folder(MATCH).earlier_draw
    parts = answers(
        run.runner, run.progress, expect_shard, _jobs(run, ExpectJob, policy=policy, thresholds=list(thresholds), before=before)
    )
    return [sum(column) for column in zip(*parts, strict=True)] or [0] * len(thresholds)


def entries_kept(run: Workspace, t: float, seed: int, policy: TextsPolicy) -> Bool[np.ndarray, " V"]:
    """Which entries a draw keeps a pair of, by one pass over the matches.

    Raises:
        IncompleteError: the matches of a shard cannot be read.
    """
    kept = np.zeros(len(load_counts(run)), np.bool_)
    jobs = _jobs(run, DrawJob, policy=policy, t=t, seed=seed)
    for start in range(0, len(jobs), SHARDS_AT_ONCE):
        for bits in answers(run.runner, run.progress, draw_shard, jobs[start : start + SHARDS_AT_ONCE]):
            kept |= np.unpackbits(np.frombuffer(bits, np.uint8), count=len(kept)).astype(np.bool_)
    return kept


def solve_exactly(run: Workspace, size: int, seed: int, policy: TextsPolicy, scratch: Path) -> float:
    """The smallest t at which the draw keeps so many distinct uids, by one pass over the matches.

    Memory is bounded: the thresholds of pairs go to files in ``scratch``, sorted by uid and merged, as the uids of a set.

    Raises:
        OptionError: there are not so many, or no t keeps exactly so many.
        IncompleteError: the matches of a shard cannot be read.
    """
    runs, merged = scratch / "runs", scratch / "merged.npy"
    written = answers(run.runner, run.progress, find_thresholds, _jobs(run, ThresholdsJob, policy=policy, runs=str(runs), seed=seed))
    read_again(runs)  # now, for to ask the store for each of very many files takes long
    merge_uids(run, [Path(path) for paths in written for path in paths], merged, columns=3)
    return exact_threshold(map_array(merged)[:, 2], size)


def _jobs(run: Workspace, kind: Callable[..., Job], **more: Any) -> list[Job]:
    matches, counts = run.folder(MATCH), str(run.folder(COUNTS).counts)
    return [kind(key=key, matches=str(matches.matches(key)), counts=counts, **more) for key in run.required(MATCH).pieces]


def expect_shard(job: ExpectJob, tick: Callable[[int], None]) -> list[int]:
    """Expected sizes of one shard at several thresholds, in fixed point."""
    counts = map_array(job.counts)
    before = None if job.before is None else read_array(Path(job.before))
    parts = [0] * len(job.thresholds)
    for pairs in read_matches(Path(job.matches)):
        candidates = job.candidates(pairs)
        if before is None:
            found = expected_parts(pairs.matches, counts, job.thresholds, candidates)
        else:
            found = [parts_of(_kept_again(pairs, counts, t, before)[candidates]) for t in job.thresholds]
        parts = [one + other for one, other in zip(parts, found, strict=True)]
        tick(len(pairs))
    return parts


def draw_shard(job: DrawJob, tick: Callable[[int], None]) -> bytes:
    """Which entries the draw keeps a pair of in one shard: a bit for each."""
    counts = map_array(job.counts)
    p, kept = entry_probability(counts, job.t), np.zeros(len(counts), np.bool_)
    for pairs in read_matches(Path(job.matches)):
        drawn = draw(keep_probability(pairs.matches, p), pairs.uids, job.seed) & job.candidates(pairs)
        kept[pairs.matches.take(np.flatnonzero(drawn)).entry_ids] = True
        tick(len(pairs))
    return np.packbits(kept).tobytes()


def find_thresholds(job: ThresholdsJob, tick: Callable[[int], None]) -> list[str]:
    """Write for each pair of one shard that can be drawn its uid and the smallest t at which it is kept; returns the files."""
    counts = map_array(job.counts)
    with RunWriter(Path(job.runs), job.key, columns=3) as runs:
        for pairs in read_matches(Path(job.matches)):
            chosen = pairs.take(np.flatnonzero(job.candidates(pairs)))
            runs.add(threshold_rows(chosen.matches, counts, chosen.uids, job.seed))
            tick(len(pairs))
    send(runs.paths)
    return list(map(str, runs.paths))


def _kept_again(
    pairs: MatchedPairs, counts: Int64[np.ndarray, " V"], t: float, before: Float64[np.ndarray, " V"]
) -> Float64[np.ndarray, " N"]:
    keep = keep_probability(pairs.matches, entry_probability(counts, t))
    return second_probability(keep, keep_probability(pairs.matches, before))
