"""What an epoch has, in numbers alone: the draws, how they are shared out, and the order in which they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyclip.core.uids import make_uids
from tallyclip.errors import OptionError
from tallyclip.train.epoch import drawn_rows, epoch_number, expected_rows, shuffled, shuffled_shards, split_epoch
from tests.train.tools import within


def some_rows(images: int, most_texts: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(images) * 3, draw.integers(1, most_texts + 1, images))
    keep = draw.choice([1.0, 0.7, 0.2, 0.01], len(numbers))
    uids = make_uids([f"{number}" for number in numbers], [f"text {i}" for i in range(len(numbers))])
    return {"images": numbers, "uids": uids, "keep": keep, "curated": draw.random(len(numbers)) < 0.4}


@given(st.integers(1, 500), st.integers(1, 40), st.integers(1, 50))
@settings(max_examples=200)
def test_ranges_have_each_sample_once_and_then_begin_again_until_all_have_as_many_full_batches(drawn: int, ranges: int, batch: int) -> None:
    if drawn < ranges:
        with pytest.raises(OptionError, match="fewer workers"):
            split_epoch(drawn, ranges, batch)
        return
    split = split_epoch(drawn, ranges, batch)
    places = [split.places(number) for number in range(ranges)]
    lengths = [len(set(part)) for part in places]
    assert max(lengths) - min(lengths) <= 1
    firsts = [part[:length] for part, length in zip(places, lengths, strict=True)]
    np.testing.assert_array_equal(np.concatenate(firsts), np.arange(drawn))
    for part, length in zip(places, lengths, strict=True):
        np.testing.assert_array_equal(part, np.resize(part[:length], split.samples))
    assert split.samples % batch == 0
    assert split.samples - batch < max(lengths) <= split.samples
    assert split.repeats == sum(map(len, places)) - drawn


@given(st.integers(0, 400), st.integers(0, 100), st.integers(0, 2**64 - 1), st.integers(0, 5))
@settings(max_examples=100)
def test_a_shuffle_is_a_permutation_and_never_needs_more_than_its_buffer(samples: int, buffer: int, seed: int, epoch: int) -> None:
    order = shuffled(samples, buffer, seed, epoch, 3)
    np.testing.assert_array_equal(np.sort(order), np.arange(samples))
    read = np.maximum.accumulate(order) + 1
    assert (read - np.arange(1, samples + 1) <= buffer).all()
    if buffer == 0:
        np.testing.assert_array_equal(order, np.arange(samples))


def test_shuffles_differ_between_seeds_epochs_and_ranges() -> None:
    orders = [shuffled(500, 100, *which) for which in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]]
    assert len({order.tobytes() for order in orders}) == 4
    assert np.abs(orders[0] - np.arange(500)).mean() > 20


def test_shards_come_in_another_order_in_each_epoch() -> None:
    orders = [shuffled_shards(50, 7, epoch) for epoch in range(4)]
    assert len({order.tobytes() for order in orders}) == 4
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(50))


def test_numbers_of_other_seeds_epochs_purposes_and_parts_are_others() -> None:
    found = {epoch_number(*which) for which in np.ndindex(6, 6, 4, 3)}
    assert len(found) == 6 * 6 * 4 * 3


def test_an_epoch_has_at_most_one_text_of_an_image_and_texts_are_as_likely_as_their_keep_probability_says() -> None:
    rows = some_rows(200)
    texts = np.bincount(rows["images"])[rows["images"]]
    times = np.zeros(len(rows["uids"]), int)
    epochs = 2000
    for epoch in range(epochs):
        drawn = drawn_rows(**rows, seed=3, epoch=epoch, select="online")
        assert len(np.unique(rows["images"][drawn])) == len(drawn)
        assert (np.diff(drawn) > 0).all()
        times[drawn] += 1
    for row, found in enumerate(times):
        assert within(found, [rows["keep"][row] / texts[row]] * epochs), row


def test_the_tail_is_in_every_epoch_and_the_head_is_another_sample_in_each() -> None:
    rows = some_rows(5000, most_texts=1)
    epochs = [set(drawn_rows(**rows, seed=0, epoch=epoch, select="online").tolist()) for epoch in range(2)]
    tail = set(np.flatnonzero(rows["keep"] == 1).tolist())
    assert tail <= epochs[0] & epochs[1]
    head = rows["keep"] < 1
    for drawn in epochs:
        assert within(len(drawn - tail), rows["keep"][head].tolist())
    both = [float(keep) ** 2 for keep in rows["keep"][head]]
    assert within(len((epochs[0] & epochs[1]) - tail), both)  # so the epochs are independent


def test_the_expected_length_is_the_mean_over_many_epochs() -> None:
    rows = some_rows(300)
    columns = {name: rows[name] for name in ("images", "keep", "curated")}
    lengths = [len(drawn_rows(**rows, seed=1, epoch=epoch, select="online")) for epoch in range(400)]
    assert abs(np.mean(lengths) - expected_rows(**columns, select="online")) < 5 * np.std(lengths) / np.sqrt(400)
    curated = drawn_rows(**rows, seed=1, epoch=0, select="curated")
    assert len(curated) == expected_rows(**columns, select="curated")
    assert rows["curated"][curated].all()
    nothing = {name: column[:0] for name, column in columns.items()}
    assert expected_rows(**nothing, select="online") == expected_rows(**nothing, select="curated") == 0


def test_draws_do_not_depend_on_how_pairs_are_cut_into_shards() -> None:
    rows = some_rows(300)
    whole = drawn_rows(**rows, seed=5, epoch=2, select="online")
    cut = int(np.flatnonzero(rows["images"] == 300)[0])  # between two images
    parts = [{name: column[part] for name, column in rows.items()} for part in (slice(0, cut), slice(cut, None))]
    first, second = (drawn_rows(**part, seed=5, epoch=2, select="online") for part in parts)
    np.testing.assert_array_equal(np.concatenate([first, second + cut]), whole)
