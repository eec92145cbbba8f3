"""Lists put together from ranked candidates: against the rule as one would state it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import ArtifactError
from tallyclip.lists.assemble import LONGEST_ENTRY, Entry, EntryList, least, unfit

UNFIT = ("", "--", " ", "x" * 257)
SCORES = st.none() | st.integers(0, 9).map(float)
CANDIDATES = st.lists(st.tuples(st.sampled_from([*"abcdefgh", *UNFIT]), SCORES), max_size=12)
LIMITS = st.none() | st.integers(0, 12)


class Offer(NamedTuple):
    """A source's candidates, and how many entries it may give."""

    source: str
    candidates: list[tuple[str, float | None]]
    limit: int | None


@st.composite
def offers(draw: st.DrawFn, candidates: st.SearchStrategy[list[tuple[str, float | None]]]) -> list[Offer]:
    return [Offer(name, draw(candidates), draw(LIMITS)) for name in ("numeral", "wordnet", "unigram", "title")[: draw(st.integers(1, 4))]]


def stated(given: list[Offer], whole: int | None) -> list[Entry]:
    """The rule: go through the sources in order, and through the candidates of each from the best on; take what can be an entry and is
    not there yet, until the source has given its number or the list is full."""
    entries: list[Entry] = []
    for source, candidates, limit in given:
        of_source = 0
        for rank, (text, score) in enumerate(candidates, 1):
            full = of_source == limit or len(entries) == whole
            known = text in [entry.entry for entry in entries]
            if not full and not known and text not in UNFIT:
                entries.append(Entry(text, source, score, rank))
                of_source += 1
    return entries


@given(offers(CANDIDATES), LIMITS)
def test_a_list_is_what_the_rule_says(given: list[Offer], whole: int | None) -> None:
    made = EntryList(whole)
    for offer in given:
        made.take(offer.source, iter(offer.candidates), offer.limit)
    assert made.entries == stated(given, whole)


@given(offers(CANDIDATES), LIMITS)
def test_every_candidate_that_was_looked_at_is_counted(given: list[Offer], whole: int | None) -> None:
    made = EntryList(whole)
    for source, candidates, limit in given:
        looked_at: list[str] = []
        before = len(made.entries)
        room = made.room(limit)
        counts = made.take(source, (looked_at.append(text) or (text, score) for text, score in candidates), limit)
        assert counts.source == source
        assert counts.entries == len(made.entries) - before
        assert counts.entries + counts.repeats + sum(counts.unfit.values()) == len(looked_at)
        assert sum(counts.unfit.values()) == sum(text in UNFIT for text in looked_at)
        if counts.entries < room:
            assert len(looked_at) == len(candidates)


DIFFERENT = st.lists(st.tuples(st.sampled_from("abcdefgh"), SCORES), max_size=12, unique_by=lambda candidate: candidate[0])


@given(offers(DIFFERENT), LIMITS)
def test_as_many_candidates_as_are_wanted_are_enough(given: list[Offer], whole: int | None) -> None:
    of_all, of_wanted = EntryList(whole), EntryList(whole)
    for source, candidates, limit in given:
        of_all.take(source, candidates, limit)
        of_wanted.take(source, candidates[: of_wanted.wanted(limit)], limit)
    assert of_wanted.entries == of_all.entries


def test_no_fewer_candidates_would_be_enough() -> None:
    made = EntryList()
    made.take("numeral", [("a", None), ("b", None)])
    assert made.wanted(1) == 3
    candidates = [("a", 3.0), ("b", 2.0), ("c", 1.0)]
    assert made.take("unigram", candidates[:2], 1).entries == 0
    assert made.take("unigram", candidates, 1).entries == 1


def test_a_source_stops_at_its_limit_and_looks_at_nothing_more() -> None:
    made = EntryList()
    rest = iter([("a", 2.0), ("b", 1.0), ("c", 0.0)])
    assert made.take("unigram", rest, 2).entries == 2
    assert list(rest) == [("c", 0.0)]
    assert made.take("title", rest, 0).entries == 0


def test_the_list_has_its_columns() -> None:
    made = EntryList(limit=4)
    made.take("numeral", [("0", None), ("1", None)])
    made.take("unigram", [("1", 9.0), ("--", 8.0), ("dog", 7.0), ("cat", 6.0), ("bird", 5.0)])
    metadata = made.metadata()
    assert metadata.entries == ("0", "1", "dog", "cat")
    assert metadata.sources == ("numeral", "numeral", "unigram", "unigram")
    assert metadata.scores == (None, None, 7.0, 6.0)
    assert metadata.ranks == (1, 2, 3, 4)


def test_a_list_of_nothing_is_no_list() -> None:
    with pytest.raises(ArtifactError, match="at least one entry"):
        EntryList().metadata()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("dog", None),
        ("C++", None),
        ("$5", None),
        ("5", None),
        ("的", None),
        ("😀", None),
        ("©", None),
        ("", "empty"),
        (" ", "empty"),
        ("\u3000\t", "empty"),
        ("--", "only punctuation"),
        ("« »", "only punctuation"),
        ("。", "only punctuation"),
        ("€", "only punctuation"),
        ("+ =", "only punctuation"),
        ("^", "only punctuation"),
        ("é" * LONGEST_ENTRY, None),
        ("é" * (LONGEST_ENTRY + 1), "longer than 256 characters"),
    ],
)
def test_what_can_be_no_entry_has_a_reason(entry: str, reason: str | None) -> None:
    assert unfit(entry) == reason


def test_no_limit_is_the_largest() -> None:
    assert (least(), least(None), least(None, 3), least(3, None, 2)) == (None, None, 3, 2)
