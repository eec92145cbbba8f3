"""Merging sorted runs adds up, whatever the runs, the buckets and the hashes."""

from __future__ import annotations

from collections import Counter as Tally
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.strings import from_python
from tallyclip.errors import ArtifactError
from tallyclip.lists.ngrams.runs import (
    CountedPairs,
    CountedWords,
    copy_words,
    hash_range,
    key_range,
    merge_pairs,
    merge_words,
    order_of_words,
    places_of,
    read_pairs,
    read_words,
    renamed,
    split_keys,
    take,
    write_pairs,
    write_words,
)
from tests.lists.ngrams.tools import texts_of

SPREAD = 0x9E3779B97F4A7C15
names = st.text(alphabet="abé中", min_size=1, max_size=3)
counts = st.dictionaries(names, st.integers(0, 1 << 40), max_size=12)


def words_of(counted: dict[str, int]) -> CountedWords:
    """Sorted words of which many have the same hash."""
    strings = from_python(list(counted))
    hashes = np.array([len(name) * SPREAD % (1 << 64) for name in counted], np.uint64)
    order = order_of_words(hashes, strings)
    return CountedWords(hashes[order], take(strings, order), np.array(list(counted.values()), np.int64)[order])


def as_dict(words: CountedWords) -> dict[str, int]:
    return dict(zip(texts_of(words.words), words.counts.tolist(), strict=True))


@given(st.lists(counts, max_size=5), st.integers(0, 3))
def test_merged_words_have_the_sums_of_counts_also_where_hashes_collide(parts: list[dict[str, int]], bits: int) -> None:
    runs = [words_of(part) for part in parts]
    sums = Tally[str]()
    for part in parts:
        for name, times in part.items():
            sums[name] += times
    buckets = [merge_words([copy_words(run, hash_range(run, bucket, bits)) for run in runs]) for bucket in range(1 << bits)]
    found: dict[str, int] = {}
    for bucket in buckets:
        found |= as_dict(bucket)
    assert found == sums
    assert sum(len(bucket.hashes) for bucket in buckets) == len(sums)
    ordered = [(int(h), name) for bucket in buckets for h, name in zip(bucket.hashes, texts_of(bucket.words), strict=True)]
    assert [(h, name.encode()) for h, name in ordered] == sorted((h, name.encode()) for h, name in ordered)


@given(st.lists(counts, min_size=1, max_size=4))
def test_every_word_is_found_among_all(parts: list[dict[str, int]]) -> None:
    runs = [words_of(part) for part in parts]
    merged = merge_words(runs)
    everything = texts_of(merged.words)
    for run in runs:
        assert [everything[place] for place in places_of(run, merged)] == texts_of(run.words)


pairs = st.dictionaries(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2)), st.integers(1, 1 << 40), max_size=20)


def pairs_from(counted: dict[tuple[int, int, int], int]) -> CountedPairs:
    rows = sorted(((one << 32) | (other << 2) | between, times) for (one, other, between), times in counted.items())
    return CountedPairs(np.array([key for key, _ in rows], np.uint64), np.array([times for _, times in rows], np.int64))


@given(st.lists(pairs, max_size=4))
def test_merged_pairs_have_the_sums_of_counts(parts: list[dict[tuple[int, int, int], int]]) -> None:
    sums = Tally[tuple[int, int, int]]()
    for part in parts:
        sums.update(part)
    merged = merge_pairs([pairs_from(part) for part in parts])
    found = zip(zip(*(each.tolist() for each in split_keys(merged.keys)), strict=True), merged.counts.tolist(), strict=True)
    assert dict(found) == sums
    assert (merged.keys[1:] > merged.keys[:-1]).all()


word = st.integers(0, 30)
bounds = st.one_of(
    st.tuples(word, word, st.integers(0, 2)).map(lambda key: (key[0] << 32) | (key[1] << 2) | key[2]), st.just((1 << 64) - 1)
)


@given(pairs, st.lists(word, min_size=10, max_size=10, unique=True).map(sorted), bounds, bounds)
def test_a_range_of_keys_is_the_same_pairs_in_a_run_as_among_all(
    counted: dict[tuple[int, int, int], int], places: list[int], low: int, high: int
) -> None:
    run = pairs_from(counted)
    found = key_range(run, np.array(places, np.uint32), low, high)
    everywhere = renamed(run.keys, np.array(places, np.uint32)).tolist()
    assert everywhere == sorted(everywhere)
    assert everywhere[found] == [key for key in everywhere if low <= key < high]


@given(pairs, st.permutations(range(10)))
def test_renaming_pairs_renames_both_words_and_nothing_else(counted: dict[tuple[int, int, int], int], places: list[int]) -> None:
    keys = pairs_from(counted).keys
    first, second, between = split_keys(keys)
    fresh = split_keys(renamed(keys, np.array(places, np.uint32)))
    assert fresh[0].tolist() == [places[one] for one in first]
    assert fresh[1].tolist() == [places[other] for other in second]
    assert fresh[2].tolist() == between.tolist()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    words, some = words_of({"a": 1, "bé": 2, "中": 1 << 40}), pairs_from({(1, 2, 0): 3, (0, 1, 1): 4})
    write_words(tmp_path / "words.arrow", words)
    write_pairs(tmp_path / "pairs.arrow", some)
    again, pairs_again = read_words(tmp_path / "words.arrow"), read_pairs(tmp_path / "pairs.arrow")
    assert as_dict(again) == as_dict(words)
    assert (again.hashes == words.hashes).all()
    assert (pairs_again.keys == some.keys).all()
    assert (pairs_again.counts == some.counts).all()
    write_words(tmp_path / "none.arrow", words_of({}))
    assert as_dict(read_words(tmp_path / "none.arrow")) == {}


@pytest.mark.parametrize("offsets", [[0, 2, 1 << 40, 3], [0, 5, 2, 3], [-(1 << 40), 1, 2, 3], [0, 1, 2, 1 << 40]])
def test_words_whose_bytes_are_elsewhere_are_refused_before_they_are_read(offsets: list[int]) -> None:
    words = words_of({"a": 1, "b": 2, "c": 3})
    broken = words._replace(words=words.words._replace(offsets=np.array(offsets)))
    for use in (
        lambda: take(broken.words, np.arange(3)),
        lambda: copy_words(broken, slice(0, 3)),
        lambda: places_of(broken, words),
        lambda: places_of(words, broken),
    ):
        with pytest.raises(ArtifactError, match="damaged"):
            use()


def test_a_word_that_is_missing_from_all_words_is_refused() -> None:
    with pytest.raises(ArtifactError, match="damaged"):
        places_of(words_of({"a": 1, "d": 1}), words_of({"a": 1, "b": 2}))
    with pytest.raises(ArtifactError, match="damaged"):
        places_of(words_of({"a": 1}), words_of({}))


@pytest.mark.parametrize("pair", [(10, 0, 0), (0, 10, 0), ((1 << 32) - 1, 0, 1), (0, (1 << 30) - 1, 1)])
def test_a_pair_of_a_word_that_is_not_in_the_run_is_refused(pair: tuple[int, int, int]) -> None:
    with pytest.raises(ArtifactError, match="damaged"):
        renamed(pairs_from({(1, 2, 0): 1, pair: 1}).keys, np.arange(10, dtype=np.uint32))


def test_a_file_of_counts_that_is_damaged_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "words.arrow"
    write_words(path, words_of({"a": 1}))
    for content in (b"", b"PAR1" * 100, path.read_bytes()[:-40]):
        path.unlink()
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"words\.arrow: not readable") as caught:
            read_words(path)
        assert caught.value.hint == f"delete the folder {tmp_path.parent} and run the same command again"
    write_pairs(path, pairs_from({(1, 2, 0): 3}))
    assert len(read_pairs(path).keys) == 1
