from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings

import tallyclip as tc
from tallyclip.match.coverage import CLOSE_MARKS, GLUED_MARK, LINE_BREAK, unmatchable_entries, why_unmatchable
from tallyclip.match.spacing import PUNCTUATION

from .strategies import entry_lists, texts


def witness(entry: str) -> str:
    """A text whose spacing holds the entry: its words in a row, with a blank between two of which neither is a mark."""
    words = entry.split(" ")
    return words[0] + "".join(("" if {one, other} & set(PUNCTUATION) else " ") + other for one, other in pairwise(words))


@settings(max_examples=500, deadline=None)
@given(entry=texts(6).filter(bool))
def test_an_entry_is_matchable_exactly_if_some_caption_matches_it(entry: str) -> None:
    metadata = tc.Metadata([entry])
    candidates = [witness(entry), entry, f" {entry} ", entry.replace(" ", "  "), entry.replace(" ", "")]
    matched = tc.match_reference(candidates, metadata).lengths.any()
    if why_unmatchable(entry, "exact") is not None:
        assert not matched
    else:
        assert matched


@settings(max_examples=200, deadline=None)
@given(entries=entry_lists(10))
def test_every_spaced_entry_matches_itself(entries: list[str]) -> None:
    assert unmatchable_entries(entries, "spaced-entries") == {}
    matches = tc.match_reference(entries, tc.Metadata(entries), "spaced-entries")
    assert all(i in matches[i] for i in range(len(entries)))


def test_the_reasons_name_their_entries() -> None:
    entries = ["dog", "St. Louis", "a\tb", ", ,", "a , b", "U.S.", "8:30", ","]
    assert unmatchable_entries(entries, "exact") == {GLUED_MARK: [1, 5, 6], LINE_BREAK: [2], CLOSE_MARKS: [3]}


def test_an_unmatchable_entry_never_matches_real_words() -> None:
    entries = ["St. Louis", "U.S.A.", "8:30", "Washington, D.C."]
    texts_of_them = [*entries, "in St. Louis at 8:30", "Washington, D.C., U.S.A."]
    assert len(tc.match_reference(texts_of_them, tc.Metadata(entries)).entry_ids) == 0
