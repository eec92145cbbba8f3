"""Our draw against a direct simulation of Algorithm 1 of arXiv 2309.16671, on a toy pool."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tallyclip as tc

ENTRIES = [*"abcdefghijklmnopqrst", "a b", "c d", "e f g"]
T = 120


@pytest.fixture(scope="module")
def pool() -> tuple[tc.Matches, np.ndarray, np.ndarray]:
    """Matches, counts and uids of 4,000 captions of letters, of which the first are common and the last rare."""
    rng = np.random.default_rng(1)
    captions = [" ".join(chr(97 + int(20 * x**7)) for x in rng.random(rng.integers(1, 7))) for _ in range(4000)]
    matches = tc.Matcher(tc.Metadata(ENTRIES)).match(captions)
    urls = [f"http://pool.example/{i}" for i in range(len(captions))]
    return matches, tc.count_entries(matches, len(ENTRIES)), tc.make_uids(urls, captions)


def algorithm_1(matches: tc.Matches, counts: np.ndarray, t: float, rng: np.random.Generator) -> np.ndarray:
    """The paper's sampling, line by line: one random number for each matched entry, until one selects the pair."""
    clamped = np.maximum(counts, t)
    probability = t / clamped
    kept = np.zeros(len(matches), bool)
    for pair in range(len(matches)):
        for entry in matches[pair]:
            if rng.random() < probability[entry]:
                kept[pair] = True
                break
    return kept


def test_the_pool_has_a_head_and_a_tail(pool: tuple[tc.Matches, np.ndarray, np.ndarray]) -> None:
    _, counts, _ = pool
    assert (counts >= 3 * T).sum() >= 3
    assert ((counts > 0) & (counts < T)).sum() >= 3


@pytest.mark.parametrize("seed", range(6))
def test_our_draw_has_the_size_and_the_counts_that_algorithm_1_expects(pool: tuple[tc.Matches, np.ndarray, np.ndarray], seed: int) -> None:
    matches, counts, uids = pool
    keep = tc.keep_probability(matches, tc.entry_probability(counts, T))
    ours = tc.draw(keep, uids, seed)
    simulated = algorithm_1(matches, counts, T, np.random.default_rng(seed))
    matched = np.zeros((len(matches), len(ENTRIES)))
    matched[np.repeat(np.arange(len(matches)), matches.lengths), matches.entry_ids] = 1
    for kept in (ours, simulated):
        sigma = np.sqrt((keep * (1 - keep)).sum())
        assert abs(kept.sum() - keep.sum()) <= 5 * sigma
        variance = (keep * (1 - keep)) @ matched
        deviation = np.abs(kept @ matched - keep @ matched)
        large = variance >= 25
        assert large.sum() >= 3
        assert (deviation[large] <= 5 * np.sqrt(variance[large])).all()


def test_algorithm_1_keeps_each_pair_as_often_as_its_keep_probability(pool: tuple[tc.Matches, np.ndarray, np.ndarray]) -> None:
    matches, counts, uids = pool
    some = matches.take(np.arange(300))
    keep = tc.keep_probability(some, tc.entry_probability(counts, T))
    rounds = 400
    simulated = sum(algorithm_1(some, counts, T, np.random.default_rng(i)).astype(int) for i in range(rounds))
    drawn = sum(tc.draw(keep, uids[:300], seed).astype(int) for seed in range(rounds))
    for kept in (simulated, drawn):
        assert (np.abs(kept - rounds * keep) <= 5 * np.sqrt(rounds * keep * (1 - keep)) + 1e-9).all()


def test_what_a_smaller_t_keeps_a_larger_t_keeps_too(pool: tuple[tc.Matches, np.ndarray, np.ndarray]) -> None:
    matches, counts, uids = pool
    kept = [
        tc.draw(tc.keep_probability(matches, tc.entry_probability(counts, t)), uids, seed=4)
        for t in (0.5, 1, 7, 120, 121.5, 500, 1e6, np.inf)
    ]
    for smaller, larger in itertools.pairwise(kept):
        assert not (smaller & ~larger).any()
    np.testing.assert_array_equal(kept[-1], matches.lengths > 0)


def test_of_pairs_with_equal_uids_all_or_none_are_kept(pool: tuple[tc.Matches, np.ndarray, np.ndarray]) -> None:
    matches, counts, uids = pool
    keep = tc.keep_probability(matches, tc.entry_probability(counts, T))
    twice = tc.draw(np.concatenate([keep, keep]), np.concatenate([uids, uids]))
    np.testing.assert_array_equal(twice[: len(keep)], twice[len(keep) :])
