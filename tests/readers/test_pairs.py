"""From records to pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.uids import uid_strings
from tallyclip.errors import OptionError
from tallyclip.readers import pairs as pairs_module
from tallyclip.readers.columns import Columns
from tallyclip.readers.pairs import Pairs, Texts, check_types, pairs_in_parts, pairs_of
from tallyclip.readers.records import RECORDS_AT_ONCE, Drop, Records
from tests.readers.tools import hashed

KEYED = pa.list_(pa.struct([("key", pa.string()), ("text", pa.string())]))
HEX = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"]


def records(first_row: int = 0, drops: list[Drop] | None = None, **columns: Any) -> Records:
    table = pa.table(columns)
    return Records(np.arange(first_row, first_row + len(table)), table, drops or [])


def uids(pairs: Pairs) -> list[str]:
    return uid_strings(pairs.uids).to_pylist()


def dropped(pairs: Pairs) -> list[tuple[str, int]]:
    return [(drop.reason, drop.row) for drop in pairs.drops]


def binary(*values: bytes | None) -> pa.Array:
    """Unchecked strings."""
    return pa.array(values, pa.binary()).view(pa.string())


def test_every_record_with_a_text_is_a_pair() -> None:
    pairs = pairs_of(records(5, caption=["a dog", "a cat"], url=["http://a", "http://b"]), Columns("caption", "url"))
    assert pairs.texts.to_pylist() == ["a dog", "a cat"]
    assert pairs.records.tolist() == [0, 1]
    assert pairs.rows.tolist() == [5, 6]
    assert pairs.text_numbers.tolist() == [0, 0]
    assert uids(pairs) == hashed(["http://a", "http://b"], ["a dog", "a cat"])
    assert pairs.drops == []


def test_null_texts_are_dropped_and_empty_ones_are_not() -> None:
    pairs = pairs_of(records(caption=["a dog", None, ""]), Columns("caption"))
    assert pairs.texts.to_pylist() == ["a dog", ""]
    assert dropped(pairs) == [("no caption", 1)]


def test_a_column_of_nothing_but_nulls_drops_every_record() -> None:
    pairs = pairs_of(records(caption=pa.nulls(2)), Columns("caption"))
    assert len(pairs.texts) == 0
    assert dropped(pairs) == [("no caption", 0), ("no caption", 1)]


def test_captions_and_urls_that_are_not_utf8_are_dropped_with_a_sample() -> None:
    columns = {"caption": binary(b"a dog", b"caf\xe9", b"a cat"), "url": binary(b"http://a", b"http://b", b"http://\xff")}
    pairs = pairs_of(records(**columns), Columns("caption", "url"))
    assert pairs.texts.to_pylist() == ["a dog"]
    assert pairs.drops == [Drop("not UTF-8", 1, "b'caf\\xe9'"), Drop("URL is not UTF-8", 2, "b'http://\\xff'")]


def test_a_large_text_is_a_text_and_a_large_bad_one_leaves_a_short_sample() -> None:
    large = b"dog " * 2_600_000
    pairs = pairs_of(records(caption=binary(large, large + b"\xff")), Columns("caption"))
    assert pairs.texts.to_pylist() == [large.decode()]
    assert len(pairs.drops[0].sample) < 1000


def test_records_that_were_not_downloaded_are_dropped_by_what_happened() -> None:
    columns = {"caption": ["a", "b", None, "d"], "status": ["success", "failed_to_download", "failed_to_resize", None]}
    pairs = pairs_of(records(**columns), Columns("caption", status="status"))
    assert pairs.texts.to_pylist() == ["a"]
    assert dropped(pairs) == [("download: failed_to_download", 1), ("download: failed_to_resize", 2), ("download: no status", 3)]


def test_drops_of_the_reader_come_along() -> None:
    pairs = pairs_of(records(caption=["a", None], drops=[Drop("not JSON", 7, "x")]), Columns("caption"))
    assert dropped(pairs) == [("not JSON", 7), ("no caption", 1)]


# the types that captions have

TEXTS = ["a dog", None, "a longer text about a cat, beyond twelve bytes", "a dog"]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
        pa.dictionary(pa.uint16(), pa.binary()),
    ],
    ids=str,
)
def test_strings_of_every_type_make_the_same_pairs(kind: pa.DataType) -> None:
    plain = pa.array(TEXTS, pa.string())
    column = plain.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else plain.cast(kind)
    expected = pairs_of(records(caption=plain, url=plain), Columns("caption", "url"))
    found = pairs_of(records(caption=column, url=column), Columns("caption", "url"))
    assert found.texts.to_pylist() == expected.texts.to_pylist()
    assert uids(found) == uids(expected)
    assert found.drops == expected.drops


SEVERAL = [["a dog", "a cat"], [], None, ["a bird"], [None, "a fish"]]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(SEVERAL, pa.list_(pa.string())),
        pa.array(SEVERAL, pa.large_list(pa.large_string())),
        pa.array([["skipped"], *SEVERAL], pa.list_(pa.string()))[1:],
        pa.array([[t and t.encode() for t in texts] if texts is not None else None for texts in SEVERAL], pa.list_(pa.binary())),
        pa.array([[{"key": "k", "text": t} for t in texts] if texts is not None else None for texts in SEVERAL], KEYED),
        pa.array([[t and {"key": None, "text": t} for t in texts] if texts is not None else None for texts in SEVERAL], KEYED),
        pa.array([[["k", t, "more"] for t in texts] if texts is not None else None for texts in SEVERAL]),
        pa.array([[["k", t] if t else ["k"] for t in texts] if texts is not None else None for texts in SEVERAL]),
        pa.array([[["k", t] if t else None for t in texts] if texts is not None else None for texts in SEVERAL]),
        pa.array([[["k", t] for t in texts] if texts is not None else None for texts in SEVERAL], pa.large_list(pa.list_(pa.string(), 2))),
    ],
    ids=lambda column: str(column.type),
)
def test_lists_of_texts_of_every_type_make_the_same_pairs(column: pa.Array) -> None:
    found = records(10, caption=column, url=["http://1", "http://2", "http://3", "http://4", "http://5"])
    pairs = pairs_of(found, Columns("caption", "url"))
    assert pairs.texts.to_pylist() == ["a dog", "a cat", "a bird", "a fish"]
    assert pairs.rows.tolist() == [10, 10, 13, 14]
    assert pairs.text_numbers.tolist() == [0, 1, 0, 1]
    assert uids(pairs) == hashed(["http://1", "http://1", "http://4", "http://5"], ["a dog", "a cat", "a bird", "a fish"])
    assert sorted(dropped(pairs)) == [("no caption", 11), ("no caption", 12), ("no caption", 14)]
    captions = Texts(found, Columns("caption", "url"))
    places = captions.places(pairs.rows)
    texts = captions.at(places, pairs.text_numbers)
    assert places.tolist() == [0, 0, 3, 4]
    assert texts.to_pylist() == pairs.texts.to_pylist()


def test_a_list_of_fixed_size_is_a_list() -> None:
    column = pa.array([["a dog", "a cat"], None, ["a bird", None]], pa.list_(pa.string(), 2))
    pairs = pairs_of(records(caption=column), Columns("caption"))
    assert pairs.texts.to_pylist() == ["a dog", "a cat", "a bird"]
    assert sorted(dropped(pairs)) == [("no caption", 1), ("no caption", 2)]


def test_a_record_that_was_not_downloaded_is_dropped_once_however_many_texts_it_has() -> None:
    columns = {"caption": [["a", "b"], ["c"], []], "status": ["failed_to_download", "success", "failed_to_download"]}
    pairs = pairs_of(records(**columns), Columns("caption", status="status"))
    assert pairs.texts.to_pylist() == ["c"]
    assert dropped(pairs) == [("download: failed_to_download", 0), ("download: failed_to_download", 2)]


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"caption": pa.array([1])}, "column 'caption' holds int64, not text"),
        ({"caption": pa.array([{"text": "a dog"}])}, "column 'caption' holds struct"),
        ({"caption": pa.array([[1]])}, "column 'caption' holds list<item: int64>, not text, lists of texts"),
        ({"caption": pa.array([[{"words": "a dog"}]])}, "lists of texts or lists of (key, text) pairs"),
        ({"caption": pa.array(["a"]), "url": pa.array([1])}, "column 'url' holds int64, not text"),
        ({"caption": pa.array(["a"]), "url": pa.array([["http://a"]])}, "column 'url' holds list"),
        ({"caption": pa.array(["a"]), "status": pa.array([["success"]])}, "column 'status' holds list"),
        ({"caption": pa.array(["a"]), "key": pa.array([0.5])}, "column 'key' holds double"),
    ],
)
def test_columns_that_hold_something_else_are_refused_before_anything_is_read(columns: dict[str, pa.Array], word: str) -> None:
    found = records(**columns)
    roles = Columns(**{("url" if name == "url" else name): name for name in columns})
    for refuse in (lambda: check_types(found.table.schema, roles), lambda: pairs_of(found, roles)):
        with pytest.raises(OptionError) as caught:
            refuse()
        assert word in caught.value.what


# uids


def test_a_pools_own_uids_are_kept_where_they_are_32_hex_digits() -> None:
    columns = {"caption": ["a", "b", "c", "d"], "url": ["u"] * 4, "uid": [HEX[0], HEX[1].upper(), "5", None]}
    pairs = pairs_of(records(**columns), Columns("caption", "url", uid="uid"))
    assert uids(pairs) == [*HEX, *hashed(["u", "u"], ["c", "d"])]
    assert pairs.own_uids == 2


def test_a_column_of_uids_that_are_not_text_is_ignored() -> None:
    pairs = pairs_of(records(caption=["a"], url=["u"], uid=[5]), Columns("caption", "url", uid="uid"))
    assert uids(pairs) == hashed(["u"], ["a"])
    assert pairs.own_uids == 0


def test_with_several_texts_the_uid_of_the_image_is_hashed_with_the_text() -> None:
    pairs = pairs_of(records(texts=[["a", "b"], ["c"]], url=["u", "v"], uid=HEX), Columns("texts", "url", uid="uid"))
    assert uids(pairs) == [*hashed([HEX[0], HEX[0]], ["a", "b"], "uid"), HEX[1]]
    assert pairs.own_uids == 3


def test_the_uid_of_several_texts_is_the_same_in_any_case_of_its_digits() -> None:
    columns = Columns("texts", uid="uid")
    lower, upper = (pairs_of(records(texts=[["a", "b"]], uid=[uid]), columns) for uid in (HEX[0], HEX[0].upper()))
    assert uids(lower) == uids(upper)


def test_without_a_url_the_key_identifies_the_image() -> None:
    pairs = pairs_of(records(caption=["a", "b"], key=["0", "1"]), Columns("caption", key="key"))
    assert uids(pairs) == hashed(["0", "1"], ["a", "b"], "key")


def test_the_key_identifies_the_image_only_where_there_is_no_url() -> None:
    columns = {"caption": ["a", "b"], "url": ["u", None], "key": ["0", "1"]}
    pairs = pairs_of(records(**columns), Columns("caption", "url", key="key"))
    assert uids(pairs) == [*hashed(["u"], ["a"]), *hashed(["1"], ["b"], "key")]


def test_keys_that_are_numbers_count_as_text() -> None:
    pairs = pairs_of(records(caption=["a"], key=[12]), Columns("caption", key="key"))
    assert uids(pairs) == hashed(["12"], ["a"], "key")


def test_captions_alone_have_uids_of_their_own() -> None:
    assert uids(pairs_of(records(caption=["a", "b"]), Columns("caption"))) == hashed(None, ["a", "b"])


def test_drops_do_not_change_the_uids_and_places_of_the_others() -> None:
    columns = {"caption": ["a", None, "c"], "url": ["u", "v", "w"], "key": ["0", "1", "2"], "uid": ["", HEX[0], HEX[1]]}
    pairs = pairs_of(records(7, **columns), Columns("caption", "url", uid="uid", key="key"))
    assert uids(pairs) == [*hashed(["u"], ["a"]), HEX[1]]
    assert (pairs.records.tolist(), pairs.rows.tolist()) == ([0, 2], [7, 9])


texts = st.none() | st.binary(max_size=4)


@given(
    st.lists(
        st.tuples(st.none() | st.lists(texts, max_size=3), texts, st.sampled_from(["success", "failed", None])), min_size=1, max_size=8
    )
)
def test_every_text_is_a_pair_or_a_drop_and_so_is_every_record(rows: list[tuple[Any, Any, Any]]) -> None:
    captions, urls, statuses = zip(*rows, strict=True)
    column = pa.array(captions, pa.list_(pa.binary()))
    columns = {"texts": column, "url": binary(*urls), "status": statuses}
    pairs = pairs_of(records(**columns), Columns("texts", "url", status="status"))
    expected = sum(1 if status != "success" else max(1, len(texts or [])) for texts, _, status in rows)
    assert len(pairs.rows) + len(pairs.drops) == expected
    assert {*pairs.rows.tolist(), *(drop.row for drop in pairs.drops)} == set(range(len(rows)))
    for place, number, text in zip(pairs.records, pairs.text_numbers, pairs.texts.to_pylist(), strict=True):
        assert captions[place][number] == text.encode()


@given(st.lists(st.tuples(st.sampled_from(["u", "v", None]), st.lists(st.text(max_size=3), max_size=3)), max_size=6), st.integers(0, 6))
def test_uids_do_not_depend_on_how_records_are_cut_into_batches(rows: list[tuple[str | None, list[str]]], place: int) -> None:
    table = pa.table(
        {
            "texts": pa.array([texts for _, texts in rows], pa.list_(pa.string())),
            "url": pa.array([url for url, _ in rows], pa.string()),
            "uid": pa.array([HEX[0] if url else None for url, _ in rows], pa.string()),
        }
    )
    columns = Columns("texts", "url", uid="uid")
    numbers = np.arange(len(table))
    whole = pairs_of(Records(numbers, table), columns)
    parts = [pairs_of(Records(numbers[cut], table[cut]), columns) for cut in (slice(place), slice(place, None))]
    assert [uid for part in parts for uid in uids(part)] == uids(whole)
    assert [row for part in parts for row in part.rows.tolist()] == whole.rows.tolist()


rows_of_texts = st.lists(
    st.tuples(st.sampled_from(["u", None]), st.none() | st.lists(st.none() | st.text(max_size=2), max_size=9)), max_size=12
)


@given(rows_of_texts, st.integers(1, 10))
def test_parts_have_the_pairs_of_the_whole_and_never_split_a_record(rows: list[tuple[Any, Any]], at_once: int) -> None:
    table = pa.table({"texts": pa.array([t for _, t in rows], pa.list_(pa.string())), "url": pa.array([u for u, _ in rows], pa.string())})
    found = Records(np.arange(5, 5 + len(table)), table, [Drop("not JSON", 0, "")])
    columns = Columns("texts", "url")
    whole = pairs_of(found, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs_module, "PAIRS_AT_ONCE", at_once)
        parts = list(pairs_in_parts(found, columns))
    assert [uid for part in parts for uid in uids(part)] == uids(whole)
    for name in ("rows", "text_numbers"):
        assert [n for part in parts for n in getattr(part, name).tolist()] == getattr(whole, name).tolist()
    assert [text for part in parts for text in part.texts.to_pylist()] == whole.texts.to_pylist()
    assert sorted(drop for part in parts for drop in part.drops) == sorted(whole.drops)
    seen = [set(part.rows.tolist()) for part in parts]
    assert sum(map(len, seen)) == len(set().union(*seen))
    assert all(len(part.rows) <= at_once or len(rows) == 1 for part, rows in zip(parts, seen, strict=True))


def test_a_batch_of_records_with_a_text_each_is_one_part() -> None:
    count = RECORDS_AT_ONCE
    (part,) = pairs_in_parts(records(caption=["a"] * count), Columns("caption"))
    assert len(part.rows) == count
