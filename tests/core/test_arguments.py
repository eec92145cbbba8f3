"""Wrong arguments of the public functions: an error of Python's own kind and of ours, which says what was expected and what would work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tallyclip as tc

MATCHES = tc.Matches(np.array([0, 1, 3, 3]), np.array([1, 0, 1], np.uint32))
COUNTS = np.array([1, 2])
UIDS = tc.make_uids(None, ["a", "b", "c"])
LISTS = [[0], [1, 0]]

WRONG: list[tuple[str, Callable[[], Any], str, str]] = [
    (
        "a list for Metadata",
        lambda: tc.Matcher(["dog"]),
        "an entry list is Metadata, not a list: ['dog']",
        "tc.Matcher(tc.Metadata([...]))",
    ),
    ("a path for Metadata", lambda: tc.Matcher("a.txt"), "not a str: 'a.txt'", "tc.Matcher(tc.Metadata.load(path))"),
    ("nothing for Metadata", lambda: tc.Matcher(None), "not a NoneType: None", "tc.Metadata.wordnet() is the bundled list"),
    ("a list for the reference", lambda: tc.match_reference(["a"], ["a"]), "not a list: ['a']", "tc.match_reference(captions, tc.Metadata"),
    ("a set of entries", lambda: tc.Metadata({"dog", "cat"}), "in an order of their own, not a set: {'cat', 'dog'}", "sorted("),
    ("a dict of entries", lambda: tc.Metadata({"dog": 1}), "not a dict: {'dog': 1}", "so give a list"),
    ("no entries", lambda: tc.Metadata(None), "an entry list is a list of strings", "Metadata.load reads files"),
    ("bytes as entries", lambda: tc.Metadata(b"dog"), "not a bytes: b'dog'", "give a list"),
    ("one caption", lambda: tc.Matcher(tc.Metadata(["a"])).match("a b"), "got a single string", "['a b']"),
    ("one caption, slowly", lambda: tc.match_reference("a b", tc.Metadata(["a"])), "got a single string", "['a b']"),
    ("a set of captions", lambda: tc.Matcher(tc.Metadata(["a"])).match({"a b"}), "not a set: {'a b'}", "list(texts)"),
    ("captions by name", lambda: tc.Matcher(tc.Metadata(["a"])).match({"t": "a b"}), "not a dict: {'t': 'a b'}", "list(texts)"),
    ("a number of captions", lambda: tc.Matcher(tc.Metadata(["a"])).match(5), "an Arrow array, or a column", "list(texts)"),
    ("numbers as captions", lambda: tc.Matcher(tc.Metadata(["a"])).match([5]), "text 0 is a int", "a str, or None"),
    ("a table of captions", lambda: tc.Matcher(tc.Metadata(["a"])).match(pa.table({"t": ["a"]})), "got struct", "table['caption']"),
    ("one URL", lambda: tc.make_uids("http://a", ["b"]), "got a single string", "['http://a']"),
    ("one hex", lambda: tc.parse_uids("0" * 32), "got a single string", "['000"),
    (
        "lists as Matches",
        lambda: tc.Matches([0, 1], [0]),
        "offsets of matches are int64[N+1], not a list: [0, 1]",
        "np.array(offsets, np.int64)",
    ),
    ("int64 ids", lambda: tc.Matches(np.array([0, 1]), np.array([0])), "entry_ids of matches are uint32[M], not int64[1]", "np.uint32"),
    ("a name of a row", lambda: MATCHES["a"], "matches[i] takes a position or a slice, not a str: 'a'", "matches.take(positions)"),
    ("an array of rows", lambda: MATCHES[np.array([0, 1])], "a position or a slice, not int64[2]", "matches.take(positions)"),
    (
        "lists to count",
        lambda: tc.count_entries(LISTS, 2),
        "matches are Matches, not a list: [[0], [1, 0]]",
        "Matcher(metadata).match(captions)",
    ),
    ("no size", lambda: tc.count_entries(MATCHES, tc.Metadata(["a"])), "size is the number of entries, not a Metadata", "len(metadata)"),
    ("half a size", lambda: tc.count_entries(MATCHES, 2.5), "size is the number of entries, not a float: 2.5", "len(metadata)"),
    ("lists to keep", lambda: tc.keep_probability(LISTS, np.ones(2)), "matches are Matches, not a list", "Matcher(metadata)"),
    (
        "a list of p",
        lambda: tc.keep_probability(MATCHES, [1.0, 1.0]),
        "p are float64[V], not a list: [1.0, 1.0]",
        "entry_probability(counts, t)",
    ),
    ("a table of p", lambda: tc.keep_probability(MATCHES, np.ones((2, 2))), "p are float64[V], not float64[2, 2]", "entry_probability"),
    ("words as p", lambda: tc.keep_probability(MATCHES, np.array(["a", "b"])), "p are float64[V], not <U1[2]", "entry_probability"),
    ("lists to plan", lambda: tc.expected_size(LISTS, COUNTS, 1), "matches are Matches, not a list", "Matcher(metadata)"),
    ("lists for a size", lambda: tc.threshold_for_size(LISTS, COUNTS, 1), "matches are Matches, not a list", "Matcher(metadata)"),
    ("a list of keep", lambda: tc.draw([0.5] * 3, UIDS), "keep are probabilities, float64[N], not a list", "keep_probability(matches, p)"),
    (
        "a list of uids",
        lambda: tc.draw(np.ones(3), ["0" * 32] * 3),
        "uids are uint64[N, 2] or u8,u8[N], not a list",
        "parse_uids reads strings",
    ),
    (
        "signed uids",
        lambda: tc.draw(np.ones(3), np.ones((3, 2), np.int64)),
        "uids are uint64[N, 2] or u8,u8[N], not int64[3, 2]",
        "make_uids",
    ),
    ("flat uids", lambda: tc.draw(np.ones(3), np.ones(3, np.uint64)), "not uint64[3]", "make_uids makes them"),
    ("a word as seed", lambda: tc.draw(np.ones(3), UIDS, "0"), "a seed is a whole number, not a str: '0'", "from 0 to 2^64 - 1"),
    ("half a seed", lambda: tc.draw(np.ones(3), UIDS, 0.5), "a seed is a whole number, not a float: 0.5", "from 0 to 2^64 - 1"),
    (
        "a list of images",
        lambda: tc.pick_one([0, 0, 1], UIDS),
        "images are int64[N], not a list: [0, 0, 1]",
        "the number of each caption's image",
    ),
    ("uids to pick from", lambda: tc.pick_one(np.array([0, 0, 1]), ["a"]), "uids are uint64[N, 2] or u8,u8[N], not a list", "make_uids"),
    ("uids to print", lambda: tc.uid_strings(["a"]), "uids are uint64[N, 2] or u8,u8[N], not a list", "make_uids"),
]
OF_COUNTS: dict[str, Callable[[Any], Any]] = {
    "entry_probability": lambda counts: tc.entry_probability(counts, 2),
    "tail_share": lambda counts: tc.tail_share(counts, 2),
    "threshold_for_tail": lambda counts: tc.threshold_for_tail(counts, 0.06),
    "expected_size": lambda counts: tc.expected_size(MATCHES, counts, 2),
    "threshold_for_size": lambda counts: tc.threshold_for_size(MATCHES, counts, 1),
    "threshold_for_exactly": lambda counts: tc.threshold_for_exactly(MATCHES, counts, UIDS, 1),
}


@pytest.mark.parametrize(("call", "what", "hint"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
@pytest.mark.usefixtures("without_shape_checks")
def test_a_wrong_type_is_a_type_error_that_says_what_would_work(call: Callable[[], Any], what: str, hint: str) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    assert isinstance(caught.value, tc.ArgumentTypeError | tc.OptionError)
    assert what in caught.value.what
    assert hint in str(caught.value.hint)
    assert str(caught.value) == f"{caught.value.what}\n\nHint: {caught.value.hint}"


@pytest.mark.parametrize("name", OF_COUNTS)
@pytest.mark.usefixtures("without_shape_checks")
def test_counts_are_whole_numbers_in_an_array_and_none_is_negative(name: str) -> None:
    for counts, said in (([1, 2], "a list: [1, 2]"), (np.ones(2), "float64[2]"), (np.ones((1, 2), np.int64), "int64[1, 2]")):
        with pytest.raises(TypeError, match="counts are int64") as caught:
            OF_COUNTS[name](counts)
        assert f"counts are int64[V], not {said}" in str(caught.value)
        assert "Hint: count_entries makes them; np.array(counts)" in str(caught.value)
    with pytest.raises(ValueError, match="counts cannot be negative: entry 1 has -3"):
        OF_COUNTS[name](np.array([5, -3]))
    assert np.array_equal(OF_COUNTS[name](np.array([5, 3], np.int32)), OF_COUNTS[name](np.array([5, 3])))


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("value", ["many", None, [1], -1])
def test_what_is_no_number_is_out_of_range_and_a_value_error(value: Any) -> None:
    for call in (
        lambda: tc.tail_share(COUNTS, value),
        lambda: tc.threshold_for_tail(COUNTS, value),
        lambda: tc.threshold_for_size(MATCHES, COUNTS, value),
        lambda: tc.threshold_for_exactly(MATCHES, COUNTS, UIDS, value),
        lambda: tc.expected_size(MATCHES, COUNTS, value),
    ):
        with pytest.raises(ValueError, match=r"(?s)(t must be|a tail share of|a size of) .*Hint") as caught:
            call()
        assert repr(value) in str(caught.value)


@pytest.mark.usefixtures("without_shape_checks")
def test_a_list_cannot_have_a_negative_number_of_entries() -> None:
    with pytest.raises(ValueError, match=r"a list cannot have -1 entries(.|\n)*len\(metadata\)"):
        tc.count_entries(MATCHES, -1)


@pytest.mark.usefixtures("without_shape_checks")
def test_an_unknown_mode_is_a_value_error_with_the_known_ones() -> None:
    for call in (lambda: tc.Matcher(tc.Metadata(["a"]), "fuzzy"), lambda: tc.match_reference(["a"], tc.Metadata(["a"]), "fuzzy")):
        with pytest.raises(ValueError, match=r"unknown matching mode 'fuzzy'(.|\n)*exact, spaced-entries, casefold"):
            call()


@pytest.mark.usefixtures("without_shape_checks")
def test_numbers_of_numpy_are_numbers() -> None:
    assert tc.draw(np.ones(3), UIDS, np.int64(1)).all()
    assert tc.count_entries(MATCHES, np.int32(2)).tolist() == [1, 2]
    assert tc.tail_share(COUNTS, np.float64(2)) == 1 / 3


def test_uids_of_both_dtypes_are_printed() -> None:
    assert tc.uid_strings(np.ascontiguousarray(UIDS).view(np.dtype("u8,u8")).reshape(-1)) == tc.uid_strings(UIDS)
