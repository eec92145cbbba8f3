from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tallyclip as tc
from tallyclip.core.counts import add_to_counts

from .test_data import matches_of

COUNTS = st.lists(st.integers(0, 10**6) | st.integers(0, 5), min_size=1, max_size=30).map(lambda counts: np.array(counts, np.int64))
ROWS = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=5).map(sorted), max_size=20)


@given(ROWS)
def test_a_caption_counts_once_for_an_entry(rows: list[list[int]]) -> None:
    counts = tc.count_entries(matches_of(rows), 12)
    assert counts.tolist() == [sum(entry in row for row in rows) for entry in range(12)]
    assert counts.dtype == np.int64


@given(ROWS, st.integers(0, 20))
def test_counts_of_disjoint_captions_add_up(rows: list[list[int]], cut: int) -> None:
    whole = tc.count_entries(matches_of(rows), 10)
    np.testing.assert_array_equal(tc.count_entries(matches_of(rows[:cut]), 10) + tc.count_entries(matches_of(rows[cut:]), 10), whole)
    running = np.zeros(10, np.int64)
    add_to_counts(running, matches_of(rows[:cut]))
    add_to_counts(running, matches_of(rows[cut:]))
    np.testing.assert_array_equal(running, whole)


def test_matches_of_another_list_are_refused() -> None:
    with pytest.raises(tc.OptionError, match="entry id 9 does not belong to a list of 9 entries"):
        tc.count_entries(matches_of([[9]]), 9)


@given(COUNTS, st.floats(0.5, 2e6))
def test_the_tail_share_is_that_of_matches_below_t(counts: np.ndarray, t: float) -> None:
    assume(counts.sum() > 0)
    tail = sum(count for count in counts.tolist() if count < t)
    assert tc.tail_share(counts, t) == tail / counts.sum()


@given(COUNTS, st.floats(0.5, 2e6), st.floats(0.5, 2e6))
def test_the_tail_share_grows_with_t(counts: np.ndarray, one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert tc.tail_share(counts, low) <= tc.tail_share(counts, high)


@given(COUNTS, st.floats(0, 1))
def test_the_threshold_for_a_tail_share_is_the_nearest_count_that_has_a_tail(counts: np.ndarray, share: float) -> None:
    assume(counts.sum() > 0)
    t = tc.threshold_for_tail(counts, share)
    possible = {count for count in counts.tolist() if count > 0}
    if share > 0 and len(possible) > 1:
        possible.remove(min(possible))
    misses = {count: abs(tc.tail_share(counts, count) - share) for count in possible}
    assert math.isclose(misses[int(t)], min(misses.values()), abs_tol=1e-12)
    assert not any(miss == misses[int(t)] and count < t for count, miss in misses.items())


@given(COUNTS, st.floats(0, 1), st.integers(1, 5))
def test_entries_without_matches_do_not_change_the_threshold(counts: np.ndarray, share: float, unused: int) -> None:
    with_unused = np.concatenate([counts, np.zeros(unused, np.int64)])
    assert tc.threshold_for_tail(with_unused, share) == tc.threshold_for_tail(counts, share)


@given(COUNTS)
def test_tail_share_and_threshold_invert_each_other_at_counts(counts: np.ndarray) -> None:
    for count in set(counts[counts > 0].tolist()):
        found = tc.threshold_for_tail(counts, tc.tail_share(counts, count))
        assert tc.tail_share(counts, found) == tc.tail_share(counts, count)


def test_a_head_heavy_language_is_not_lost() -> None:
    # The rarest entry holds more than twice the wanted share: the paper's p_to_t gives 0 here, and every pair would be dropped.
    assert tc.threshold_for_tail(np.array([0, 0, 500, 600]), 0.06) == 600


@given(COUNTS, st.floats(0.01, 0.49))
def test_a_share_that_a_small_pool_cannot_have_gives_the_smallest_count_with_at_least_that_share(counts: np.ndarray, part: float) -> None:
    possible = sorted({count for count in counts.tolist() if count > 0})
    assume(len(possible) > 1)
    share = part * tc.tail_share(counts, possible[1])  # to which 0 is nearer
    assert tc.threshold_for_tail(counts, share) == min(count for count in possible if tc.tail_share(counts, count) >= share) == possible[1]


def test_no_tail_at_all_is_given_where_it_is_asked_for_or_nothing_else_is_possible() -> None:
    assert tc.threshold_for_tail(np.array([1, 1, 1, 90]), 0) == 1
    assert tc.threshold_for_tail(np.array([3, 3]), 0.06) == 3


def test_no_matches_have_no_tail() -> None:
    assert tc.tail_share(np.zeros(3, np.int64), 5) == 0.0
    assert tc.threshold_for_tail(np.zeros(3, np.int64), 0.06) == 1.0


@pytest.mark.parametrize("t", [0, -1, math.nan, "many", None])
@pytest.mark.usefixtures("without_shape_checks")
def test_an_impossible_threshold_is_refused(t: float) -> None:
    with pytest.raises(tc.OptionError, match="t must be a number above 0"):
        tc.tail_share(np.array([1]), t)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(tc.OptionError, match="give a share between 0 and 1"):
        tc.threshold_for_tail(np.array([1]), share)
