"""Planning: expected sizes at sixteen thresholds in one pass, and the t for a wanted size, in pairs a second on one core.

python benchmarks/plan.py --pairs 2_000_000
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import tallyclip as tc
from record import record
from tallyclip.core.plan import expected_parts

ENTRIES = 500_000
THRESHOLDS = 16


def pool(pairs: int) -> tc.Matches:
    """Matches with a head and a tail like the web's: six to a pair on average, counts over six orders of magnitude."""
    rng = np.random.default_rng(0)
    lengths = rng.poisson(6, pairs) + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = ((rng.pareto(0.6, offsets[-1]) * 20).astype(np.int64) % ENTRIES).astype(np.uint32)
    return tc.Matches(offsets, ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2_000_000)
    args = parser.parse_args()
    matches = pool(args.pairs)
    counts = tc.count_entries(matches, ENTRIES)
    thresholds = np.geomspace(1, counts.max(), THRESHOLDS).tolist()
    expected_parts(matches, counts, thresholds[:2])  # compiles
    started = time.perf_counter()
    expected_parts(matches, counts, thresholds)
    table = time.perf_counter() - started
    started = time.perf_counter()
    t = tc.threshold_for_size(matches, counts, args.pairs / 4)
    solved = time.perf_counter() - started
    record(
        "plan",
        pairs=args.pairs,
        thresholds=len(thresholds),
        pairs_per_second_of_a_table=round(args.pairs / table),
        pairs_per_second_of_a_size=round(args.pairs / solved),
        t=t,
        minutes_for_100M_pairs={"table": round(table / args.pairs * 1e8 / 60, 2), "size": round(solved / args.pairs * 1e8 / 60, 2)},
    )


if __name__ == "__main__":
    main()
