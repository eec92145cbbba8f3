from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tallyclip as tc
from tallyclip.core.balance import second_probability, whole_weights
from tests.core.test_hashing import splitmix

from .test_data import matches_of

MASK = (1 << 64) - 1
UID = st.tuples(st.integers(0, MASK), st.integers(0, MASK))
UIDS = st.lists(UID, min_size=1, max_size=20)
ROWS = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=5).map(sorted), min_size=1, max_size=20)


def as_uids(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, dtype=np.uint64).reshape(-1, 2)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.floats(1e-3, 1e10) | st.just(math.inf))
def test_an_entry_selects_about_t_of_its_pairs(counts: list[int], t: float) -> None:
    p = tc.entry_probability(np.array(counts), t)
    for probability, count in zip(p, counts, strict=True):
        assert probability == (1.0 if count <= t else t / count)


def test_an_entry_without_matches_has_probability_one() -> None:
    assert tc.entry_probability(np.array([0]), 0.1).tolist() == [1.0]


@given(ROWS, st.lists(st.floats(0, 1), min_size=10, max_size=10))
def test_the_keep_probability_is_the_plain_product(rows: list[list[int]], p: list[float]) -> None:
    found = tc.keep_probability(matches_of(rows), np.array(p))
    for row, keep in zip(rows, found, strict=True):
        miss = 1.0
        for entry in row:
            miss *= 1.0 - p[entry]
        assert keep == 1.0 - miss


@given(ROWS, st.lists(st.integers(0, 100), min_size=10, max_size=10), st.floats(0.1, 50))
def test_a_pair_with_a_tail_match_is_always_kept(rows: list[list[int]], counts: list[int], t: float) -> None:
    keep = tc.keep_probability(matches_of(rows), tc.entry_probability(np.array(counts), t))
    for row, probability in zip(rows, keep, strict=True):
        assert 0.0 <= probability <= 1.0
        assert (probability == 0.0) == (row == [])
        if any(counts[entry] < t for entry in row):
            assert probability == 1.0


@given(ROWS, st.lists(st.integers(1, 100), min_size=10, max_size=10), st.floats(0.1, 100), st.floats(0.1, 100))
def test_keep_probabilities_grow_with_t(rows: list[list[int]], counts: list[int], one: float, other: float) -> None:
    low, high = sorted([one, other])
    keep = [tc.keep_probability(matches_of(rows), tc.entry_probability(np.array(counts), t)) for t in (low, high)]
    assert (keep[0] <= keep[1]).all()


def test_matches_of_another_list_are_refused() -> None:
    with pytest.raises(tc.OptionError, match="entry id 5 does not belong to a list of 5 entries"):
        tc.keep_probability(matches_of([[5]]), np.ones(5))


def number(seed: int, uid: tuple[int, int]) -> float:
    return (splitmix(uid[1] ^ splitmix(uid[0] ^ splitmix(seed))) >> 11) * 2.0**-53


@given(UIDS, st.integers(0, MASK), st.data())
def test_a_pair_is_kept_if_its_number_is_below_its_probability(uids: list[tuple[int, int]], seed: int, data: st.DataObject) -> None:
    numbers = [number(seed, uid) for uid in uids]
    edges = st.sampled_from([0.0, 1.0, *numbers, *(math.nextafter(n, 1) for n in numbers)])
    keep = data.draw(st.lists(edges, min_size=len(uids), max_size=len(uids)))
    kept = tc.draw(np.array(keep), as_uids(uids), seed)
    assert kept.tolist() == [n < k for n, k in zip(numbers, keep, strict=True)]


@given(UIDS)
def test_the_draw_is_the_same_in_any_order_and_split(uids: list[tuple[int, int]]) -> None:
    keep = np.linspace(0, 1, len(uids))
    whole = tc.draw(keep, as_uids(uids), seed=3)
    order = np.random.default_rng(len(uids)).permutation(len(uids))
    np.testing.assert_array_equal(tc.draw(keep[order], as_uids(uids)[order], seed=3), whole[order])
    parts = [tc.draw(keep[i : i + 1], as_uids(uids)[i : i + 1], seed=3) for i in range(len(uids))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_numbers_are_uniform_even_for_uids_that_count_upwards() -> None:
    count = 100_000
    uids = np.stack([np.zeros(count, np.uint64), np.arange(count, dtype=np.uint64)], axis=1)
    for seed in (0, 1, 2**63):
        for p in (0.1, 0.5, 0.9):
            share = tc.draw(np.full(count, p), uids, seed).mean()
            assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / count)


def test_seeds_draw_independently() -> None:
    count = 100_000
    uids = tc.make_uids(None, [str(i) for i in range(count)])
    one, other = (tc.draw(np.full(count, 0.5), uids, seed) for seed in (0, 1))
    assert abs((one & other).mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / count)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(tc.OptionError, match="out of range"):
        tc.draw(np.ones(1), as_uids([(1, 2)]), seed)


@pytest.mark.usefixtures("without_shape_checks")
def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(tc.OptionError, match="2 probabilities but 1 uid"):
        tc.draw(np.ones(2), as_uids([(1, 2)]))


@given(st.lists(st.tuples(st.integers(0, 5), UID), min_size=1, max_size=20))
def test_one_caption_is_picked_for_each_image(texts: list[tuple[int, tuple[int, int]]]) -> None:
    texts = sorted(texts, key=lambda text: text[0])
    images = np.array([image for image, _ in texts])
    uids = as_uids([uid for _, uid in texts])
    picked = tc.pick_one(images, uids)
    assert images[picked].tolist() == sorted(set(images.tolist()))
    for image in set(images.tolist()):
        of_image = np.flatnonzero(images == image)
        backwards = of_image[::-1]
        again = tc.pick_one(np.zeros(len(backwards), np.int64), uids[backwards])
        assert (uids[backwards][again] == uids[of_image][picked[of_image]]).all()


def test_every_caption_of_an_image_is_picked_equally_often() -> None:
    images = np.repeat(np.arange(30_000), 3)
    uids = tc.make_uids([str(image) for image in images], [str(i % 3) for i in range(len(images))])
    shares = tc.pick_one(images, uids).reshape(-1, 3).mean(axis=0)
    assert (abs(shares - 1 / 3) < 5 * math.sqrt(2 / 9 / 30_000)).all()


def test_picking_and_drawing_are_independent() -> None:
    count = 60_000
    images = np.repeat(np.arange(count // 2), 2)
    uids = tc.make_uids([str(i) for i in range(count)], ["x"] * count)
    picked = tc.pick_one(images, uids)
    drawn = tc.draw(np.full(count, 0.3), uids)
    share = drawn[picked].mean()
    assert abs(share - 0.3) < 5 * math.sqrt(0.21 / picked.sum())


def test_uids_of_both_dtypes_are_accepted() -> None:
    uids = np.random.default_rng(0).integers(0, 2**63, (50, 2)).astype(np.uint64)
    keep = np.full(50, 0.5)
    structured = np.ascontiguousarray(uids).view(np.dtype("u8,u8")).reshape(-1)
    assert tc.draw(keep, structured).tolist() == tc.draw(keep, uids).tolist()


@pytest.mark.parametrize("uids", [np.zeros(3, np.uint64), np.zeros((3, 1), np.uint64), np.zeros((3, 2), np.int64)])
@pytest.mark.usefixtures("without_shape_checks")
def test_arrays_that_are_not_uids_are_refused(uids: np.ndarray) -> None:
    with pytest.raises(tc.OptionError, match=r"uids are uint64\[N, 2\]"):
        tc.draw(np.ones(3), uids)
    with pytest.raises(tc.OptionError, match=r"uids are uint64\[N, 2\]"):
        tc.pick_one(np.zeros(3, np.int64), uids)


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=20), st.integers(0, MASK))
def test_a_weight_is_one_over_the_probability_rounded_up_or_down(keep: list[float], seed: int) -> None:
    weights = whole_weights(np.array(keep), as_uids([(seed, i) for i in range(len(keep))]))
    for weight, probability in zip(weights.tolist(), keep, strict=True):
        assert weight in (math.floor(1 / probability), math.ceil(1 / probability))


def test_weights_of_what_a_draw_keeps_sum_to_the_pairs_there_were() -> None:
    """With any seed of the draw: rounding is independent of it."""
    count = 200_000
    uids, keep = as_uids([(i * 7, i) for i in range(count)]), np.random.default_rng(3).choice([0.01, 0.13, 0.7, 1.0], count)
    for seed in (0, 1):
        kept = tc.draw(keep, uids, seed)
        variance = (1 / keep - 1 + 0.25).sum()
        assert abs(int(whole_weights(keep[kept], uids[kept]).sum()) - count) < 5 * variance**0.5


@given(UIDS, st.integers(0, MASK), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_pair_that_both_draws_keep_has_its_number_below_both_probabilities(
    uids: list[tuple[int, int]], seed: int, before: float, keep: float
) -> None:
    both = tc.draw(np.full(len(uids), before), as_uids(uids), seed) & tc.draw(np.full(len(uids), keep), as_uids(uids), seed)
    assert both.tolist() == tc.draw(np.full(len(uids), min(before, keep)), as_uids(uids), seed).tolist()
    assert before * second_probability(np.array([keep]), np.array([before]))[0] == pytest.approx(min(before, keep))
