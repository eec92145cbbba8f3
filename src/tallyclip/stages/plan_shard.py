"""Planning with one shard: what several thresholds would keep of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from tallyclip.core.balance import TextsPolicy, pick_one
from tallyclip.core.plan import expected_parts
from tallyclip.match.matched_pairs import read_matches


class ExpectJob(msgspec.Struct, frozen=True):
    matches: str
    counts: str
    thresholds: list[float]
    policy: TextsPolicy


def expect_shard(job: ExpectJob, tick: Callable[[int], None]) -> list[int]:
    """Expected sizes of one shard at several thresholds, in whole parts."""
    counts = np.load(job.counts, mmap_mode="r")
    parts = [0] * len(job.thresholds)
    for pairs in read_matches(Path(job.matches)):
        picked = pick_one(pairs.rows, pairs.uids) if job.policy == "one-per-image" else None
        found = expected_parts(pairs.matches, counts, job.thresholds, picked)
        parts = [one + other for one, other in zip(parts, found, strict=True)]
        tick(len(pairs))
    return parts
