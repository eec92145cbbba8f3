"""The compiled counting equals the slow rule, and does not depend on how much memory it has."""

from __future__ import annotations

from collections import Counter as Tally

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.data import Metadata
from tallyclip.core.strings import from_python
from tallyclip.errors import OptionError
from tallyclip.lists.ngrams.characters import BETWEEN, BLANK, BREAK, EDGE, WORD, character_classes
from tallyclip.lists.ngrams.counter import LEAST_MEMORY, NgramCounter
from tallyclip.lists.ngrams.reference import LONGEST_STRETCH, LONGEST_WORD, words_and_phrases
from tallyclip.lists.ngrams.runs import SortedRun, split_keys
from tallyclip.match.reference import match_reference
from tests.lists.ngrams.tools import texts_of

PIECES = ["dog", "New", "York", "a", "é", "中文", "😀", "x-ray", "don't", "C++", "3", "(", ")", '"', "«", "–", "\u200c", "\u200e"]
BETWEENS = [" ", " ", " ", "  ", "\u00a0", "\t", "\n", ",", ".", "!", "`", "،", "\x1f", "\x1e", "\x00", "", "\ud800"]
soup = st.lists(st.sampled_from(PIECES + BETWEENS), max_size=30).map("".join)


def counted(texts: list[str], *, memory: int = LEAST_MEMORY, joints: bool = False) -> tuple[Tally[str], Tally[str], list[SortedRun]]:
    """Words and phrases, as they come back from runs."""
    runs: list[SortedRun] = []
    counter = NgramCounter(memory, runs.append, joints=joints)
    counter.add(from_python(texts))
    counter.finish()
    words, phrases = Tally[str](), Tally[str]()
    for run in runs:
        names = texts_of(run.words.words)
        words.update(dict(zip(names, run.words.counts.tolist(), strict=True)))
        first, second, between = split_keys(run.pairs.keys)
        for one, other, middle, times in zip(first, second, between, run.pairs.counts.tolist(), strict=True):
            phrases[names[one] + BETWEEN[middle] + names[other]] += times
    assert counter.total == sum(words.values())
    return words, phrases, runs


def expected(texts: list[str], *, joints: bool = False) -> tuple[Tally[str], Tally[str]]:
    words, phrases = Tally[str](), Tally[str]()
    for text in texts:
        found = words_and_phrases(text, joints=joints)
        words.update(found[0])
        phrases.update(found[1])
    return words, phrases


@given(st.lists(soup, max_size=6), st.booleans())
def test_words_and_phrases_are_those_of_the_rule(texts: list[str], joints: bool) -> None:
    assert counted(texts, joints=joints)[:2] == expected(texts, joints=joints)


def test_the_classes_of_characters_are_those_of_their_categories() -> None:
    classes = character_classes(joints=False)
    kinds = {"a": WORD, "中": WORD, "+": WORD, "\u200c": WORD, "(": EDGE, "-": EDGE, "'": EDGE, "،": EDGE, " ": BLANK, "\u00a0": BLANK}
    kinds |= {",": BREAK, "`": BREAK, "\n": BREAK, "\x1f": BREAK, "\u2028": BREAK}
    assert {character: classes[ord(character)] for character in kinds} == kinds


@given(st.lists(st.sampled_from(["dog", "New", "York", "x-ray", "don't", " ", " ", ",", ".", "  ", "\n"]), max_size=20).map("".join))
def test_a_caption_with_a_phrase_matches_it(text: str) -> None:
    """Where nothing is stripped, every word and every phrase of a text is found in it by the exact rule of matching."""
    words, phrases = words_and_phrases(text)
    entries = list(dict.fromkeys([*words, *phrases]))
    if entries:
        assert len(match_reference([text], Metadata(entries)).entry_ids) == len(entries)


@pytest.mark.parametrize("separator", [" ", "  ", "\u00a0"])
def test_a_stretch_without_a_break_is_broken_where_the_rule_says(separator: str) -> None:
    text = separator.join(f"w{number % 777}é" for number in range(3 * LONGEST_STRETCH // 6))
    assert counted([text])[:2] == expected([text])
    assert counted(["x" + text])[:2] == expected(["x" + text])


def test_what_is_too_long_is_not_a_word_and_separates_phrases() -> None:
    longest, longer = "x" * LONGEST_WORD, "x" * (LONGEST_WORD + 1)
    words, phrases, _ = counted([f"a {longer} b c {longest}"])
    assert words == {"a": 1, "b": 1, "c": 1, longest: 1}
    assert set(phrases) == {"b c", f"c {longest}"}
    assert (words, phrases) == expected([f"a {longer} b c {longest}"])


def test_with_little_memory_there_are_more_runs_and_the_same_counts() -> None:
    generator = np.random.default_rng(1)
    texts = [" ".join(f"w{number}" for number in row) for row in generator.integers(0, 60_000, (1000, 200)).tolist()]
    little, much = counted(texts), counted(texts, memory=1 << 30)
    assert len(little[2]) > 2
    assert len(much[2]) == 1
    assert little[:2] == much[:2] == expected(texts)
    for run in little[2]:
        assert (np.diff(run.words.hashes.astype(object)) > 0).all()
        assert (run.pairs.keys[1:] > run.pairs.keys[:-1]).all()


def test_less_memory_than_the_tables_begin_with_is_refused() -> None:
    with pytest.raises(OptionError, match="MiB"):
        NgramCounter(LEAST_MEMORY - 1, lambda _: None)


def test_counted_words_and_pairs_are_added_to_those_of_texts() -> None:
    runs: list[SortedRun] = []
    counter = NgramCounter(LEAST_MEMORY, runs.append)
    counter.add(from_python(["New York"]))
    counter.add_words(from_python(["New", "St. Louis", "x" * 2000]), np.array([10, 3, 5]))
    counter.add_pairs(from_python(["New", "York", "a", "b"]), np.array([7, 2]))
    counter.finish()
    (run,) = runs
    names = texts_of(run.words.words)
    assert dict(zip(names, run.words.counts.tolist(), strict=True)) == {"New": 11, "York": 1, "St. Louis": 3, "a": 0, "b": 0}
    first, second, _ = split_keys(run.pairs.keys)
    pairs = {(names[one], names[other]): n for one, other, n in zip(first, second, run.pairs.counts.tolist(), strict=True)}
    assert pairs == {("New", "York"): 8, ("a", "b"): 2}
    assert counter.total == 15
