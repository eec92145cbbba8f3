"""How many pairs a threshold would keep, before anything is drawn.

The expected size of the curated set is the sum of the keep probabilities of the pairs. Sums are integers, in fixed point with 40 bits, so
they are the same for any order and any split of the pairs. One pass over the matches evaluates many thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt32

from tallyclip.core.arguments import as_number
from tallyclip.core.compiled import ONE, as_compiled_takes, compiled, u64
from tallyclip.core.counts import checked_counts, checked_threshold
from tallyclip.core.data import Matches, check_ids, checked_matches
from tallyclip.errors import OptionError

UNIT = 2.0**40  # one pair in fixed point
ROWS_AT_ONCE = 1 << 22  # so that sums fit 63 bits
CLOSE_ENOUGH = 0.25  # pairs


@dataclass(frozen=True)
class PlanRow:
    """The result of one threshold.

    Attributes:
        t: the threshold.
        expected_size: the number of pairs kept on average.
        kept_share: the same, as a share of the pairs that match an entry.
        tail_share: the share of matches on tail entries (count < t).
        head_entries: entries with a count of at least t.
        head_matches: the sum of their counts.
    """

    t: float
    expected_size: float
    kept_share: float
    tail_share: float
    head_entries: int
    head_matches: int


def expected_size(matches: Matches, counts: Int64[np.ndarray, " V"], t: float) -> float:
    """How many pairs a draw at ``t`` keeps on average: the sum of their keep probabilities.

    Raises:
        OptionError: ``t`` is not above 0, ``matches`` are not Matches, or ``counts`` are not counts (``checked_counts``).

    >>> matches = Matches(np.array([0, 1, 2]), np.array([0, 1], dtype=np.uint32))
    >>> expected_size(matches, np.array([1, 40]), t=10)
    1.25
    """
    return expected_parts(checked_matches(matches), checked_counts(counts), [t])[0] / UNIT


def expected_parts(
    matches: Matches,
    counts: Int64[np.ndarray, " V"],
    thresholds: Sequence[float],
    picked: Bool[np.ndarray, " N"] | None = None,
) -> list[int]:
    """Expected sizes at several thresholds, in fixed point: units of 2^-40 pairs. Those of disjoint pairs add up without rounding.

    Args:
        matches: of N pairs.
        counts: int64[V] of the whole pool; ``matches`` may be of a part of it.
        thresholds: T numbers above 0, in ascending order.
        picked: which pairs can be drawn, if not all (``balance.pick_one``).

    Raises:
        OptionError: a threshold is not above 0, or an entry id of the matches is not below V.
    """
    counts = as_compiled_takes(counts, np.int64)
    check_ids(matches, len(counts))
    ts = np.array([checked_threshold(t) for t in thresholds])
    total = np.zeros(len(ts), object)
    for start in range(0, len(matches), ROWS_AT_ONCE):
        offsets = matches.offsets[start : start + ROWS_AT_ONCE + 1]
        wanted = np.ones(len(offsets) - 1, np.bool_) if picked is None else picked[start : start + ROWS_AT_ONCE]
        wanted = as_compiled_takes(wanted, np.bool_)
        parts = np.zeros(len(ts), np.int64)
        certain = np.zeros(len(ts) + 1, np.int64)
        _sum_parts(offsets, matches.entry_ids, counts, wanted, ts, parts, certain, np.empty(len(ts)))
        total += parts.astype(object) + np.cumsum(certain[:-1]).astype(object) * int(UNIT)
    return [int(parts) for parts in total]


def threshold_for_size(matches: Matches, counts: Int64[np.ndarray, " V"], size: float) -> float:
    """The t whose expected size is ``size``, to a quarter of a pair where float64 allows it.

    Raises:
        OptionError: ``size`` is not above 0, or above the number of pairs that match an entry, which the message gives; ``matches`` are
            not Matches, or ``counts`` are not counts (``checked_counts``).
    """
    checked_matches(matches)
    counts = checked_counts(counts)
    matched = int(np.count_nonzero(matches.lengths))
    return solve_threshold(size, matched, counts, lambda thresholds: expected_parts(matches, counts, thresholds))


def solve_threshold(size: float, matched: int, counts: Int64[np.ndarray, " V"], evaluate: Callable[[Sequence[float]], list[int]]) -> float:
    """Find the t whose expected size is ``size``, given a way to evaluate several thresholds in one pass.

    Args:
        size: the wanted number of pairs.
        matched: the number of pairs that match an entry.
        counts: int64[V] of the pool.
        evaluate: ascending thresholds to expected sizes in fixed point, as ``expected_parts`` returns.
    """
    size = checked_size(size, f"give a number of pairs from 1 to {matched:,}")
    if size > matched:
        raise OptionError(f"a size of {size:,.0f} is more than the {matched:,} pairs that match an entry", "give at most that number")
    most = float(counts.max())
    if size == matched:
        return most
    # An entry selects at most t pairs, so the set has at most t pairs for each matched entry: the lowest t that can give this size.
    low, high = size / int(np.count_nonzero(counts)), most
    while True:
        grid = _between(low, high)
        misses = np.array([parts / UNIT - size for parts in evaluate(grid)])
        nearest = int(np.argmin(np.abs(misses)))
        if abs(misses[nearest]) <= CLOSE_ENOUGH:
            return grid[nearest]
        above = max(1, int(np.searchsorted(misses, 0.0)))
        if (grid[above - 1], grid[above]) == (low, high) or grid[above - 1] == grid[above]:
            return grid[nearest]
        low, high = grid[above - 1], grid[above]


def checked_size(size: float, hint: str = "give a number above 0") -> float:
    """``size`` as a float above 0.

    Raises:
        OptionError: it is anything else.
    """
    value = as_number(size)
    if not value > 0:
        raise OptionError(f"a size of {size!r} is not a number of pairs", hint)
    return value


def _between(low: float, high: float) -> list[float]:
    """Both, and fifteen between them at equal ratios. Square roots give the same bits on every machine; logarithms do not."""
    grid = [low, high]
    for _ in range(4):
        grid = [*(t for one, other in pairwise(grid) for t in (one, math.sqrt(one * other))), high]
    return grid


def parts_of(keep: Float64[np.ndarray, " N"]) -> int:
    """The sum of keep probabilities in the fixed point of ``expected_parts``."""
    return sum(int((keep[i : i + ROWS_AT_ONCE] * UNIT + 0.5).astype(np.int64).sum()) for i in range(0, len(keep), ROWS_AT_ONCE))


@compiled
def _sum_parts(
    offsets: Int64[np.ndarray, " N1"],
    entry_ids: UInt32[np.ndarray, " M"],
    counts: Int64[np.ndarray, " V"],
    picked: Bool[np.ndarray, " N"],
    thresholds: Float64[np.ndarray, " T"],
    parts: Int64[np.ndarray, " T"],
    certain: Int64[np.ndarray, " T+1"],
    miss: Float64[np.ndarray, " T"],
) -> None:
    """Add up keep probabilities. ``certain[k]`` counts the pairs that are certainly kept from the k-th threshold on and need no product.

    Eight arguments: the last three are results and working space.
    """
    for pair in range(u64(len(offsets)) - ONE):
        start, end = u64(offsets[pair]), u64(offsets[pair + ONE])
        if start == end or not picked[pair]:
            continue
        fewest = counts[entry_ids[start]]
        for i in range(start + ONE, end):
            fewest = min(fewest, counts[entry_ids[i]])
        uncertain = u64(np.searchsorted(thresholds, np.float64(fewest)))
        certain[uncertain] += 1
        for k in range(uncertain):
            miss[k] = 1.0
        for i in range(start, end):
            count = np.float64(counts[entry_ids[i]])
            for k in range(uncertain):
                miss[k] *= 1.0 - thresholds[k] / count
        for k in range(uncertain):
            parts[k] += np.int64((1.0 - miss[k]) * 2.0**40 + 0.5)


COMPILED = (_sum_parts,)  # what callers of this module wait for where it was never compiled
