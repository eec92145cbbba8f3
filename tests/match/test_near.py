"""Why a caption does not match an entry whose words it has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tallyclip as tc
from tallyclip.match.coverage import GLUED_MARK
from tallyclip.match.near import near_misses, unlisted_words
from tallyclip.match.reference import RULES, Mode

ENTRIES = ["dog", "New York", "hot dog", "St. Louis", "8:30", "t-shirt", "(r)", "a , , b", "İstanbul"]


@pytest.mark.parametrize(
    ("caption", "entry", "reason", "mode"),
    [
        ("DOG", "dog", "other case: the caption has 'DOG'", "casefold"),
        ("a [dog].", "dog", "other marks: the caption has '[dog]'", None),
        ("[Dog]", "dog", "other marks: the caption has '[Dog]'", None),
        ("bulldog-dog,cat", "dog", "other marks: the caption has 'bulldog-dog'", None),
        ("a hot-dog", "hot dog", "other marks: the caption has 'hot-dog'", None),
        ("New_York", "New York", "other marks: the caption has 'New_York'", None),
        ("new  york", "New York", "other marks: the caption has 'new  york'", None),
        ("my t shirt", "t-shirt", "other marks: the caption has 't shirt'", None),
        ("in St. Louis", "St. Louis", f"the entry {GLUED_MARK}", "spaced-entries"),
        ("at 8:30", "8:30", f"the entry {GLUED_MARK}", "spaced-entries"),
    ],
)
def test_the_reason_names_what_differs_and_a_mode_that_would_match(caption: str, entry: str, reason: str, mode: Mode | None) -> None:
    found = {miss.entry: miss for miss in near_misses(caption, ENTRIES, "exact")}
    assert (found[entry].reason, found[entry].mode) == (reason, mode)
    assert ENTRIES[found[entry].entry_id] == entry


@given(
    st.text(alphabet="dogDOG NewYork[]-.:_8 30", max_size=30),
    st.lists(st.text(alphabet="dogDOG N.-", min_size=1, max_size=6), min_size=1, max_size=8, unique=True),
    st.sampled_from(list(RULES)),
)
def test_near_misses_are_not_matched_and_their_mode_matches_them(caption: str, entries: list[str], mode: Mode) -> None:
    matched = set(tc.match_reference([caption], tc.Metadata(entries), mode)[0].tolist())
    for miss in near_misses(caption, entries, mode):
        assert miss.entry_id not in matched
        assert entries[miss.entry_id] == miss.entry
        if miss.mode is not None:
            assert miss.entry_id in tc.match_reference([caption], tc.Metadata(entries), miss.mode)[0]


@given(st.sampled_from(["dog", "New York", "hot dog"]), st.sampled_from(["({})", "{}s-{}", "x_{}", "«{}»", "{}/{}"]))
def test_an_entry_among_marks_is_missed_nearly(entry: str, frame: str) -> None:
    caption = f"one {frame.replace('{}', entry.upper())} more"
    assert tc.match_reference([caption], tc.Metadata([entry])).entry_ids.size == 0
    assert [miss.entry for miss in near_misses(caption, [entry, "cat"], "exact")] == [entry]


def test_words_that_no_entry_has_are_listed_as_they_stand() -> None:
    assert unlisted_words("IMG_0042, a DOG in [york] 8!", ENTRIES) == ["IMG_0042", "in"]
    assert unlisted_words("", ENTRIES) == []
    assert near_misses("", ENTRIES, "exact") == []
