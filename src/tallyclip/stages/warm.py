"""Imported by the process that workers are forked from, so that they find loaded what they need.

Numba brings in its own types and the compiled functions when one is first called; in every worker that would take half a second anew.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import tallyclip as tc
from tallyclip.core.counts import add_to_counts
from tallyclip.core.data import Matches, Metadata
from tallyclip.stages import balance_shard, duplicates_shard, match_shard, parse_shard, plan_shard, pool_shard

__all__ = ["balance_shard", "duplicates_shard", "match_shard", "parse_shard", "plan_shard", "pool_shard"]


def _run_once() -> None:
    pa.array([])  # looks for pandas, and loads it where it is installed
    matches: Matches = tc.Matcher(Metadata(["a"])).match(["a"])
    counts = np.zeros(1, np.int64)
    add_to_counts(counts, matches)
    tc.draw(tc.keep_probability(matches, tc.entry_probability(counts, 1)), tc.make_uids(["a"], ["a"]))


_run_once()
