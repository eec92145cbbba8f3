"""A compiled function has one version: the one that its annotations declare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tallyclip as tc
from tallyclip.core.balance import pick_one
from tallyclip.core.counts import add_to_counts
from tallyclip.core.data import Matches
from tallyclip.core.plan import expected_parts
from tallyclip.core.strings import concatenated, from_python
from tallyclip.core.uids import as_columns, parse_uids, uid_strings
from tallyclip.lists.ngrams.counter import NgramCounter
from tallyclip.lists.ngrams.runs import merge_words, places_of, renamed, take
from tallyclip.lists.wikitext.stripper import Stripper
from tallyclip.match.kernel import _collect, _sort_distinct, make_scratch
from tallyclip.match.tables import MatchTables, build_tables
from tests.compiled_versions import complaints, import_all

ROW = np.arange(4, dtype=np.uint32)


@pytest.mark.parametrize(
    ("row", "count"),
    [
        (ROW, 4),
        (ROW, np.int64(4)),
        (ROW, 4.0),
        (ROW.astype(np.int64), np.uint64(4)),
        (ROW[::2], np.uint64(2)),
        (ROW.reshape(2, 2), np.uint64(2)),
        ([3, 1], np.uint64(2)),
    ],
    ids=["int", "int64", "float", "dtype", "strided", "two axes", "list"],
)
def test_a_compiled_function_refuses_what_it_does_not_declare(row: Any, count: Any) -> None:
    with pytest.raises(TypeError, match=r"_sort_distinct was given .* for (ids|count)"):
        _sort_distinct(row, np.uint64(0), count)


def test_a_compiled_function_refuses_a_tuple_of_which_one_array_is_another() -> None:
    tables = build_tables(from_python(["dog"]))
    with pytest.raises(TypeError, match=r"_collect was given .* for tables"):
        _collect(np.uint64(0), np.uint64(0), tables._replace(sizes=tables.sizes.astype(np.int64)), make_scratch(1))
    with pytest.raises(TypeError, match=r"_collect was given .* for scratch"):
        _collect(np.uint64(0), np.uint64(0), MatchTables(*tables), MatchTables(*tables))  # type: ignore[arg-type]


def strided(array: np.ndarray) -> np.ndarray:
    """The same values, with gaps between them."""
    wide = np.repeat(array, 2, axis=0)[::2]
    assert len(array) < 2 or not wide.flags.c_contiguous
    return wide


def read_only(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def unaligned(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(b" " + array.tobytes(), array.dtype, offset=1).reshape(array.shape)


def mapped(array: np.ndarray, folder: Path) -> np.ndarray:
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


@pytest.fixture(params=["as it is", "strided", "read-only", "unaligned", "mapped"])
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What makes of an array the same in another form."""
    forms: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "as it is": lambda array: array,
        "strided": strided,
        "read-only": read_only,
        "unaligned": unaligned,
        "mapped": lambda array: mapped(array, tmp_path),
    }
    return forms[request.param]


def test_public_functions_take_arrays_of_any_form(given: Callable[[np.ndarray], np.ndarray]) -> None:
    offsets, ids = np.array([0, 2, 3, 3]), np.array([0, 2, 1], np.uint32)
    matches, plain = Matches(given(offsets), given(ids)), Matches(offsets, ids)
    counts = np.array([30, 1, 7])
    p = tc.entry_probability(counts, 5)
    uids = tc.make_uids(["a", "b", None], ["x", "y", "z"])
    images = np.array([0, 0, 1])
    of_images = tc.make_uids(["a", "b"], ["x", "y", "z"], image_of=images)
    np.testing.assert_array_equal(tc.make_uids(["a", "b"], ["x", "y", "z"], image_of=given(images)), of_images)
    assert tc.count_entries(matches, 3).tolist() == [1, 1, 1]
    keep = tc.keep_probability(plain, p)
    np.testing.assert_array_equal(tc.keep_probability(matches, given(p)), keep)
    np.testing.assert_array_equal(tc.draw(given(keep), given(uids)), tc.draw(keep, uids))
    np.testing.assert_array_equal(pick_one(given(images), given(uids)), pick_one(images, uids))
    np.testing.assert_array_equal(as_columns(given(uids)), uids)
    assert uid_strings(given(uids)).equals(uid_strings(uids))
    picked = np.array([True, False, True])
    assert expected_parts(matches, given(counts), [1, 5], given(picked)) == expected_parts(plain, counts, [1, 5], picked)


def test_counts_with_gaps_are_added_to_in_place() -> None:
    wide = np.zeros((3, 2), np.int64)
    add_to_counts(wide[:, 0], Matches(np.array([0, 2]), np.array([0, 2], np.uint32)))
    assert wide.tolist() == [[1, 0], [0, 0], [1, 0]]


def test_whatever_is_called_each_function_has_the_one_version_that_it_declares(tmp_path: Path) -> None:
    import_all()
    captions = ["a photo of a dog", None, "", "a " * 9000, "字 dog", "St. Louis, THE DOG"]
    kinds = [captions, [], pa.array(captions), pa.array(captions)[2:4], pa.chunked_array([captions[:2], captions[2:]]), pa.nulls(2)]
    kinds += [pa.array(captions, pa.large_string()), pa.array(captions, pa.binary()), pa.array(captions).dictionary_encode()]
    for mode in ("exact", "spaced-entries", "casefold"):
        made = tc.Matcher(tc.Metadata(["a", "photo of", "dog", "Dog", "a a a", "St. Louis", "a very long entry indeed"]), mode)
        made.save(tmp_path / mode)
        for matcher in (made, tc.Matcher.open(tmp_path / mode)):
            for kind in kinds:
                matcher.match(kind)
            matcher.match(["a"] * 100_000)  # more than there is room for at first
    for kind in kinds:
        tc.make_uids(kind, kind)
        tc.make_uids(None, kind)
        parse_uids(kind)
        Stripper({}).strip(concatenated(kind))
    runs: list[Any] = []
    counter = NgramCounter(16 << 20, runs.append)
    counter.add(from_python(["the dog saw the cat", "", None]))
    counter.add_words(from_python(["dog", "cat"]), np.array([3, 4]))
    counter.add_pairs(from_python(["dog", "cat"]), np.array([2]))
    counter.finish()
    merged = merge_words([run.words for run in runs])
    take(merged.words, np.array([1, 0]))
    renamed(runs[0].pairs.keys, places_of(runs[0].words, merged))
    assert complaints() == []
