from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tallyclip as tc
from tallyclip.lists.assemble import LONGEST_ENTRY
from tallyclip.lists.compare import SAMPLES, Difference, added, difference, merge, sample, spread
from tests.match.strategies import entry_lists


def with_sources(entries: list[str], kinds: str) -> tc.Metadata:
    return tc.Metadata(entries, sources=[kinds[i % len(kinds)] for i in range(len(entries))])


A = tc.Metadata(["dog", "New York", "cat", "Ελλάς", "tree"], sources=["wordnet", "title", "wordnet", None, "wordnet"])
B = tc.Metadata(["tree", "dog", "new york", "ελλασ", "cat", "bird"], sources=["wordnet", "unigram", "bigram", "title", "unigram", None])


def test_a_difference_says_what_went_what_came_and_what_moved() -> None:
    found = difference(A, B)
    assert (found.size_a, found.size_b, found.both, found.same_order) == (5, 6, 3, False)
    assert (found.only_a.count, found.only_a.samples) == (2, ["New York", "Ελλάς"])
    assert found.only_a.by_source == {"title": 1, "not given": 1}
    assert (found.only_b.count, found.only_b.samples) == (3, ["new york", "ελλασ", "bird"])
    assert found.only_b.by_source == {"bigram": 1, "title": 1, "not given": 1}
    assert [(moved.change, moved.count, moved.samples) for moved in found.moved] == [("wordnet -> unigram", 2, ["dog", "cat"])]


def test_near_misses_differ_in_case_alone() -> None:
    found = difference(A, B)
    assert (found.near_misses.count, found.near_misses.samples) == (1, [("New York", "new york")])  # an accent is more than case
    back = difference(B, A)
    assert back.near_misses.samples == [("new york", "New York")]


def test_a_list_differs_from_itself_in_nothing() -> None:
    found = difference(A, A)
    assert (found.both, found.same_order, found.only_a.count, found.only_b.count) == (5, True, 0, 0)
    assert (found.moved, found.near_misses.count) == ([], 0)


def test_no_entry_changes_its_source_where_a_list_has_none() -> None:
    assert difference(A, tc.Metadata(B.entries)).moved == []
    assert difference(tc.Metadata(A.entries), B).only_a.by_source == {"not given": 2}


@given(entry_lists(12), entry_lists(12))
def test_a_difference_is_that_of_sets(one: list[str], other: list[str]) -> None:
    a, b = with_sources(one, "xyz"), with_sources(other, "zy")
    found, back = difference(a, b), difference(b, a)
    assert found.only_a.count == len(set(one) - set(other)) == back.only_b.count
    assert found.only_b.count == len(set(other) - set(one))
    assert found.both + found.only_a.count == len(one)
    assert found.only_a.samples == [sample(entry) for entry in one if entry not in other]
    assert sum(found.only_b.by_source.values()) == found.only_b.count
    assert found.same_order == ([e for e in one if e in other] == [e for e in other if e in one]) == back.same_order
    assert sum(moved.count for moved in found.moved) == sum(
        a.sources[one.index(e)] != b.sources[other.index(e)] for e in one if e in other and a.sources and b.sources
    )
    folded = {entry.casefold() for entry in other}
    assert found.near_misses.count == sum(entry.casefold() in folded for entry in one if entry not in other)


@given(entry_lists(12), entry_lists(12))
def test_a_difference_is_what_its_json_says(one: list[str], other: list[str]) -> None:
    found = difference(tc.Metadata(one), tc.Metadata(other))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Difference) == found


def test_samples_come_from_the_whole_list() -> None:
    found = difference(tc.Metadata([f"{i}" for i in range(1000)]), tc.Metadata(["x"]))
    assert len(found.only_a.samples) == SAMPLES
    places = [int(entry) for entry in found.only_a.samples]
    assert (places[0], places[-1]) == (0, 999)
    assert all(52 <= after - before <= 53 for before, after in pairwise(places))


@given(st.integers(0, 200))
def test_samples_are_all_there_is_or_twenty_of_it(size: int) -> None:
    found = spread(range(size))
    assert len(found) == min(size, SAMPLES)
    assert found == sorted(set(found))


def test_samples_can_be_written_and_are_not_endless() -> None:
    assert sample("a\ud800") == "a\\ud800"
    assert sample("x" * LONGEST_ENTRY) == "x" * LONGEST_ENTRY
    assert sample("x" * 10**6) == "x" * LONGEST_ENTRY + "…"


def test_merging_keeps_order_and_the_first_source() -> None:
    merged = merge([A, tc.Metadata(["bird", "dog"]), B])
    assert merged.entries == ("dog", "New York", "cat", "Ελλάς", "tree", "bird", "new york", "ελλασ")
    assert merged.sources == ("wordnet", "title", "wordnet", None, "wordnet", None, "bigram", "title")
    assert added([A, tc.Metadata(["bird", "dog"]), B]) == [5, 1, 2]


def test_merged_ranks_stay_if_every_list_has_them_and_scores_if_one_has() -> None:
    one = tc.Metadata(["a", "b"], scores=[5.0, None], ranks=[1, 2])
    both = merge([one, tc.Metadata(["c", "a"], scores=[9.0, 8.0], ranks=[1, 7])])
    assert (both.sources, both.scores, both.ranks) == (None, (5.0, None, 9.0), (1, 2, 1))
    mixed = merge([one, tc.Metadata(["c"])])
    assert (mixed.sources, mixed.scores, mixed.ranks) == (None, (5.0, None, None), None)
    assert merge([tc.Metadata(["c"])]).scores is None


@given(st.lists(entry_lists(8), min_size=1, max_size=4))
def test_a_merged_list_is_each_entry_once(lists: list[list[str]]) -> None:
    parts = [with_sources(entries, kind) for entries, kind in zip(lists, "wxyz", strict=False)]
    merged = merge(parts)
    assert list(merged.entries) == list(dict.fromkeys(entry for entries in lists for entry in entries))
    assert merged.sources == tuple(next(k for es, k in zip(lists, "wxyz", strict=False) if e in es) for e in merged.entries)
    assert sum(added(parts)) == len(merged)
    assert merge([merged, *parts]).fingerprint == merged.fingerprint


def test_nothing_merged_is_no_list() -> None:
    with pytest.raises(tc.ArtifactError, match="at least one entry"):
        merge([])


def test_half_a_million_entries_are_compared_without_comparing_each_with_each() -> None:
    """That would exceed the time limit of tests."""
    one = with_sources([f"Entry {i}" for i in range(500_000)], "xy")
    other = with_sources([f"{'Entry' if i % 2 else 'entry'} {i}" for i in range(500_000, 0, -1)], "y")
    found = difference(one, other)
    assert len(merge([one, other])) == 750_000
    assert (found.both, found.same_order, found.near_misses.count) == (250_000, False, 249_999)
