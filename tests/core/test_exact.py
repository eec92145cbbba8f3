"""A size that is kept exactly is the ordinary draw at some t, and the smallest such t."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallyclip as tc
from tallyclip.core.exact import exact_threshold
from tallyclip.wording import plural

from .test_data import matches_of
from .test_plan import random_pool

ROWS = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=5).map(sorted), min_size=1, max_size=40)


def uids_of(number: int, distinct: int | None = None) -> np.ndarray:
    return tc.make_uids(None, [str(i % (distinct or number)) for i in range(number)])


def kept_at(matches: tc.Matches, counts: np.ndarray, uids: np.ndarray, t: float, seed: int = 0) -> np.ndarray:
    return tc.draw(tc.keep_probability(matches, tc.entry_probability(counts, t)), uids, seed)


def distinct(uids: np.ndarray, kept: np.ndarray) -> int:
    return len(np.unique(uids[kept], axis=0)) if kept.any() else 0


@settings(deadline=None)
@given(ROWS, st.data())
def test_exactly_so_many_uids_are_kept_and_no_smaller_t_keeps_as_many(rows: list[list[int]], data: st.DataObject) -> None:
    matches = matches_of(rows)
    counts = tc.count_entries(matches, 10)
    uids = uids_of(len(rows), data.draw(st.integers(1, len(rows))))
    seed = data.draw(st.integers(0, 2**64 - 1))
    most = distinct(uids, matches.lengths > 0)
    if not most:
        return
    size = data.draw(st.integers(1, most))
    t = tc.threshold_for_exactly(matches, counts, uids, size, seed)
    assert distinct(uids, kept_at(matches, counts, uids, t, seed)) == size
    below = math.nextafter(t, 0)
    assert distinct(uids, kept_at(matches, counts, uids, below, seed)) < size


def test_sets_of_several_sizes_and_thresholds_are_nested() -> None:
    matches, counts = random_pool(3000, 300)
    uids = uids_of(len(matches))
    sizes = {size: tc.threshold_for_exactly(matches, counts, uids, size, 5) for size in (1, 7, 100, 500, 1000, 2000)}
    assert list(sizes.values()) == sorted(sizes.values())
    for t in sorted([*sizes.values(), 0.5, 1, 3, 20, math.inf]):
        larger = kept_at(matches, counts, uids, t, 5)
        for other in sizes.values():
            assert other > t or not (kept_at(matches, counts, uids, other, 5) & ~larger).any()


def test_every_pair_of_the_tail_is_kept() -> None:
    matches, counts = random_pool(3000, 300)
    uids = uids_of(len(matches))
    tails = 0
    for size in (500, 1000, 2000):
        t = tc.threshold_for_exactly(matches, counts, uids, size)
        in_tail = np.array([(counts[matches[i]] < t).any() for i in range(len(matches))])
        assert kept_at(matches, counts, uids, t)[in_tail].all()
        tails += int(in_tail.sum())
    assert tails > 0


def test_all_matched_uids_can_be_kept_and_no_more() -> None:
    matches, counts = random_pool(500, 50)
    uids = uids_of(len(matches), 400)
    most = distinct(uids, matches.lengths > 0)
    t = tc.threshold_for_exactly(matches, counts, uids, most)
    np.testing.assert_array_equal(distinct(uids, kept_at(matches, counts, uids, t)), most)
    with pytest.raises(tc.OptionError, match=f"exactly {most + 1:,} is more than the {most:,} distinct pairs that match an entry"):
        tc.threshold_for_exactly(matches, counts, uids, most + 1)


def test_order_and_other_pairs_with_the_same_uid_do_not_matter() -> None:
    matches, counts = random_pool(1000, 100)
    uids = uids_of(len(matches))
    order = np.random.default_rng(0).permutation(len(matches))
    t = tc.threshold_for_exactly(matches, counts, uids, 300)
    assert tc.threshold_for_exactly(matches.take(order), counts, uids[order], 300) == t
    again = np.concatenate([order, order[:200]])
    assert tc.threshold_for_exactly(matches.take(again), counts, uids[again], 300) == t


@given(st.lists(st.floats(1e-300, 1e300) | st.sampled_from([1.0, 2.0]), min_size=1, max_size=30), st.data())
def test_the_nth_smallest_is_that_of_the_sorted_list(values: list[float], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(values)))
    bits = np.array(values).view(np.uint64)
    wanted = sorted(values)[size - 1]
    if sorted(values)[size : size + 1] == [wanted]:
        with pytest.raises(tc.OptionError, match=f"no t keeps exactly {plural(size, 'pair')}:") as refused:
            exact_threshold(bits, size)
        less, more = (sum(value < wanted for value in values), sum(value <= wanted for value in values))
        assert refused.value.hint == f"give {less} or {more}"
    else:
        assert exact_threshold(bits, size) == wanted


@pytest.mark.parametrize(
    ("size", "said"), [(0, "is not a number of pairs"), (-1, "is not a number of pairs"), (2.5, "exactly 2.5 is not a whole number")]
)
@pytest.mark.usefixtures("without_shape_checks")
def test_a_size_that_no_set_has_is_refused(size: Any, said: str) -> None:
    matches, counts = random_pool(10, 5)
    with pytest.raises(tc.OptionError, match=said):
        tc.threshold_for_exactly(matches, counts, uids_of(10), size)
