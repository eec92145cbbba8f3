from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tallyclip as tc
from tallyclip.core.plan import UNIT, expected_parts, parts_of

from .test_data import matches_of

ROWS = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=5).map(sorted), min_size=1, max_size=40)


def random_pool(pairs: int, entries: int, seed: int = 0) -> tuple[tc.Matches, np.ndarray]:
    """Matches with a head and a tail, and their counts."""
    rng = np.random.default_rng(seed)
    rows = [np.unique((entries * rng.random(rng.integers(0, 8)) ** 3).astype(np.uint32)).tolist() for _ in range(pairs)]
    matches = matches_of(rows)
    return matches, tc.count_entries(matches, entries)


@given(ROWS, st.floats(0.01, 30) | st.just(math.inf))
def test_the_expected_size_is_the_sum_of_keep_probabilities(rows: list[list[int]], t: float) -> None:
    matches = matches_of(rows)
    counts = tc.count_entries(matches, 10)
    keep = tc.keep_probability(matches, tc.entry_probability(counts, t))
    assert math.isclose(tc.expected_size(matches, counts, t), keep.sum(), abs_tol=len(rows) / UNIT)


@given(ROWS, st.lists(st.floats(0.01, 30), min_size=1, max_size=6, unique=True), st.integers(0, 40))
def test_expected_parts_of_disjoint_pairs_add_exactly(rows: list[list[int]], thresholds: list[float], cut: int) -> None:
    thresholds = sorted(thresholds)
    whole = matches_of(rows)
    counts = tc.count_entries(whole, 10)
    parts = [expected_parts(matches_of(part), counts, thresholds) for part in (rows[:cut], rows[cut:])]
    assert [one + other for one, other in zip(*parts, strict=True)] == expected_parts(whole, counts, thresholds)
    shuffled = matches_of([rows[i] for i in np.random.default_rng(cut).permutation(len(rows))])
    assert expected_parts(shuffled, counts, thresholds) == expected_parts(whole, counts, thresholds)


@given(ROWS, st.lists(st.floats(0.01, 30), min_size=2, max_size=6, unique=True))
def test_many_thresholds_at_once_give_what_each_gives_alone(rows: list[list[int]], thresholds: list[float]) -> None:
    matches = matches_of(rows)
    counts = tc.count_entries(matches, 10)
    together = expected_parts(matches, counts, sorted(thresholds))
    assert together == [expected_parts(matches, counts, [t])[0] for t in sorted(thresholds)]


@given(ROWS, st.data())
def test_only_picked_pairs_count(rows: list[list[int]], data: st.DataObject) -> None:
    matches = matches_of(rows)
    counts = tc.count_entries(matches, 10)
    picked = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    alone = expected_parts(matches.take(np.flatnonzero(picked)), counts, [2.0, 5.0])
    assert expected_parts(matches, counts, [2.0, 5.0], picked) == alone


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.001, 1))
def test_the_threshold_for_a_size_expects_that_size(seed: int, share: float) -> None:
    matches, counts = random_pool(2000, 300, seed % 50)
    matched = int((matches.lengths > 0).sum())
    size = max(1.0, share * matched)
    t = tc.threshold_for_size(matches, counts, size)
    assert abs(tc.expected_size(matches, counts, t) - size) <= 0.5


def test_the_threshold_is_a_float_also_where_it_is_the_lowest_that_can_be() -> None:
    matches = matches_of([[0]] * 4)
    assert type(tc.threshold_for_size(matches, np.array([4]), 1)) is float


def test_a_draw_for_a_size_has_that_size() -> None:
    matches, counts = random_pool(30_000, 500)
    uids = tc.make_uids(None, [str(i) for i in range(len(matches))])
    for size in (100, 3_000, 20_000):
        keep = tc.keep_probability(matches, tc.entry_probability(counts, tc.threshold_for_size(matches, counts, size)))
        sigma = math.sqrt((keep * (1 - keep)).sum())
        for seed in range(5):
            assert abs(tc.draw(keep, uids, seed).sum() - size) <= 5 * sigma + 0.5


def test_the_largest_size_is_every_matched_pair() -> None:
    matches, counts = random_pool(500, 50)
    matched = int((matches.lengths > 0).sum())
    t = tc.threshold_for_size(matches, counts, matched)
    assert tc.expected_size(matches, counts, t) == matched
    with pytest.raises(tc.OptionError, match=f"more than the {matched} pairs that match an entry"):
        tc.threshold_for_size(matches, counts, matched + 1)


@pytest.mark.parametrize("size", [0, -1, math.nan])
def test_an_impossible_size_is_refused(size: float) -> None:
    matches, counts = random_pool(10, 5)
    with pytest.raises(tc.OptionError, match="is not a number of pairs"):
        tc.threshold_for_size(matches, counts, size)


def test_a_pool_without_matches_has_no_size() -> None:
    matches = matches_of([[], []])
    counts = np.zeros(3, np.int64)
    assert tc.expected_size(matches, counts, 5) == 0.0
    with pytest.raises(tc.OptionError, match="more than the 0 pairs"):
        tc.threshold_for_size(matches, counts, 1)


@given(ROWS, st.floats(0.01, 30))
def test_keep_probabilities_add_up_to_the_expected_parts(rows: list[list[int]], t: float) -> None:
    matches = matches_of(rows)
    counts = tc.count_entries(matches, 10)
    keep = tc.keep_probability(matches, tc.entry_probability(counts, t))
    assert parts_of(keep) == expected_parts(matches, counts, [t])[0]


def test_counts_of_another_list_are_refused() -> None:
    with pytest.raises(tc.OptionError, match="entry id 7 does not belong to a list of 3 entries"):
        tc.expected_size(matches_of([[1, 7]]), np.array([1, 1, 1]), 2)


SOLVE = """
import numpy as np, tallyclip as tc
rng = np.random.default_rng(1)
offsets = np.arange(0, 40_001, 4)
ids = np.sort((rng.random((10_000, 4)) ** 4 * 500).astype(np.uint32) + np.arange(4, dtype=np.uint32) * 500, axis=1).ravel()
matches = tc.Matches(offsets, ids)
counts = tc.count_entries(matches, 2000)
print([tc.threshold_for_size(matches, counts, size).hex() for size in range(200, 9000, 400)])
"""


def test_the_threshold_for_a_size_is_the_same_on_every_processor() -> None:
    """To the last bit, which NumPy's logarithms are not."""
    plain = os.environ | {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX2 FMA3"}
    said = [subprocess.run([sys.executable, "-W", "ignore", "-c", SOLVE], env=env, capture_output=True, text=True) for env in (None, plain)]
    assert said[0].stdout
    assert said[0].stdout == said[1].stdout, said[1].stderr
