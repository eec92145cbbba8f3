"""Scores of pairs, and the best of many."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.lists.ngrams.best import Best
from tallyclip.lists.ngrams.scores import Percentile, damped, pmi


@given(st.integers(1, 1000), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**9))
def test_pmi_is_the_logarithm_of_the_ratio_to_chance(times: int, more: int, others: int, rest: int) -> None:
    first, second = times + more, times + others
    total = first + second + rest
    found = pmi(np.array([times]), np.array([first]), np.array([second]), total)[0]
    assert math.isclose(found, math.log2(times * total / (first * second)), abs_tol=1e-5)


def test_no_pmi_exceeds_the_logarithm_of_the_corpus() -> None:
    """Which is why a cut of 30 leaves nothing of a corpus of less than 2^30 words."""
    assert pmi(np.array([1]), np.array([1]), np.array([1]), (1 << 30) - 1)[0] < 30 + 1e-6
    assert pmi(np.array([1]), np.array([1]), np.array([1]), 1 << 31)[0] == 31


def test_a_pair_that_is_more_frequent_than_its_words_in_a_table_has_a_pmi() -> None:
    assert pmi(np.array([8]), np.array([0]), np.array([4]), 1024).tolist() == [7.0]


def test_the_damped_score_prefers_frequent_pairs_to_rare_ones() -> None:
    information = pmi(np.array([1, 5000]), np.array([1, 9000]), np.array([1, 6000]), 1 << 27)
    assert information[0] > information[1]
    scores = damped(np.array([1, 5000]), information, 4.0)
    assert scores[0] < scores[1]
    assert scores[0] == round(2**0.7 * (information[0] - 4.0), 6)


@given(st.lists(st.integers(-40_000, 40_000), min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_percentile_is_the_least_thousandth_that_enough_do_not_exceed(numbers: list[int], share: float) -> None:
    percentile = Percentile()
    for batch in (numbers[::2], numbers[1::2]):
        percentile.add(np.array(batch) / 1000)
    assert percentile.value(share) == sorted(numbers)[math.ceil(share * len(numbers)) - 1] / 1000


def test_without_pairs_the_percentile_is_zero() -> None:
    assert Percentile().value(0.3) == 0.0


batches = st.lists(st.lists(st.tuples(st.integers(0, 5), st.text("ab中", max_size=3)), max_size=20), max_size=5)


@given(batches, st.integers(0, 12))
def test_the_best_are_those_that_sorting_puts_first(rows: list[list[tuple[int, str]]], limit: int) -> None:
    """Each text once, with its best score; what is no entry takes no place, and is there to be counted if it would have had one."""
    best = Best(limit, lambda text: "中" not in text)
    for batch in rows:
        texts = [text for _, text in batch]
        best.add(np.array([score for score, _ in batch], np.float64), lambda positions, texts=texts: [texts[i] for i in positions])
    highest: dict[str, int] = {}
    for score, text in (row for batch in rows for row in batch):
        highest[text] = max(score, highest.get(text, 0))
    ranked = sorted(highest.items(), key=lambda row: (-row[1], row[0]))
    expected = []
    for text, score in ranked:
        if sum("中" not in kept for kept, _ in expected) == limit:
            break
        expected.append((text, score))
    assert best.ranked() == expected
