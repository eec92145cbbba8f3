"""Objects as tables, and tables of several kinds as one."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.readers import records
from tallyclip.readers.columns import Columns
from tallyclip.readers.records import TEXTS, Bad, Drop, Records, as_kind, decode_json, in_batches, records_of, unify

COLUMNS = Columns("caption", "url", uid="uid", key="key")


def made(*items: dict[str, Any], schema: pa.Schema | None = None) -> Records:
    return records_of(list(enumerate(items)), COLUMNS, schema, [])


def column(*values: Any) -> pa.ChunkedArray:
    """A column with these values."""
    return made(*({"caption": "a dog", "x": value} for value in values)).table["x"]


def dropped(item: dict[str, Any]) -> str:
    """Why an object is dropped, while those before and after it are kept."""
    found = made({"caption": "before"}, item, {"caption": "after"})
    assert found.rows.tolist() == [0, 2]
    assert found.table["caption"].to_pylist() == ["before", "after"]
    (drop,) = found.drops
    assert drop.row == 1
    return drop.reason


# values


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, None], pa.int64()),
        ([1, 0.5, None], pa.float64()),
        ([True, None], pa.bool_()),
        (["a", None], pa.string()),
        ([[1, 2], []], pa.list_(pa.int64())),
        ([[["a"]], None], pa.list_(pa.list_(pa.string()))),
        ([None, None], pa.null()),
    ],
)
def test_columns_are_typed_by_their_values(values: list[Any], kind: pa.DataType) -> None:
    assert column(*values).type == kind
    assert column(*values).to_pylist() == values


@pytest.mark.parametrize(
    "values",
    [
        [1, "one", None],
        [True, 1],
        [[1], ["one"]],
        [{"a": 1}, {"b": {}}],
        [[{"a": 1}], None],
        [{}],
        [2**64, 1],
        [2**60 + 1, 0.5],
    ],
)
def test_values_without_a_common_type_and_objects_travel_as_json(values: list[Any]) -> None:
    texts = column(*values).to_pylist()
    assert [text if isinstance(value, str | None) else json.loads(text) for text, value in zip(texts, values, strict=True)] == values


def test_nan_and_infinities_are_kept() -> None:
    nan, infinity = column(math.nan, math.inf).to_pylist()
    assert math.isnan(nan)
    assert infinity == math.inf


def test_names_come_in_order_of_first_appearance_and_missing_values_are_null() -> None:
    table = made({"b": 1, "caption": "x"}, {"a": 2}).table
    assert table.column_names == ["b", "caption", "a", "url", "uid", "key"]
    assert table["a"].to_pylist() == [None, 2]


def test_columns_with_a_role_are_there_and_are_text_whatever_the_objects_have() -> None:
    table = made({"caption": "x", "key": 12, "uid": {"a": 1}}).table
    assert table.select(["url", "uid", "key"]).to_pylist() == [{"url": None, "uid": '{"a": 1}', "key": "12"}]
    assert all(kind == pa.string() for kind in table.schema.types)


# captions


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (["a dog", "a cat"], [(None, "a dog"), (None, "a cat")]),
        ([["alt", "a dog"], ["title", "a cat"]], [("alt", "a dog"), ("title", "a cat")]),
        ([["alt", "a dog", "en", 0.9]], [("alt", "a dog")]),
        ([{"key": "alt", "text": "a dog"}, {"text": "a cat"}], [("alt", "a dog"), (None, "a cat")]),
        ([None, ["alt", None], {"key": 1, "text": None}], [(None, None), ("alt", None), (None, None)]),
        ([], []),
    ],
)
def test_lists_of_captions_become_texts_with_their_keys(value: Any, texts: list[tuple[str | None, str | None]]) -> None:
    table = made({"caption": value}, {"caption": "one alone"}, {"caption": None}).table
    assert table["caption"].type == TEXTS
    first, second, third = table["caption"].to_pylist()
    assert [(one["key"], one["text"]) for one in first] == texts
    assert second == [{"key": None, "text": "one alone"}]
    assert third is None


@pytest.mark.parametrize("value", [5, 0.5, True, {"text": "a dog"}, [5], [["alt"]], [["alt", 5]], [{"words": "a dog"}], ["a dog", 5]])
def test_captions_that_are_not_text_are_dropped(value: Any) -> None:
    assert dropped({"caption": value}) == "caption is not text"


@pytest.mark.parametrize("value", [5, ["http://a.example"], {}])
def test_urls_that_are_not_text_are_dropped(value: Any) -> None:
    assert dropped({"caption": "a dog", "url": value}) == "URL is not text"


@pytest.mark.parametrize(
    "item",
    [
        {"caption": "\ud800"},
        {"caption": "a dog", "url": "\udcff"},
        {"caption": "a dog", "x": "\ud800"},
        {"caption": "a dog", "x": [["\ud800"]]},
        {"caption": "a dog", "x": {"\ud800": 1}},
        {"caption": "a dog", "\ud800": 1},
        {"caption": ["\ud800"]},
    ],
)
def test_objects_with_lone_surrogates_anywhere_are_dropped(item: dict[str, Any]) -> None:
    assert dropped(item) == "not UTF-8"


def test_endless_nesting_drops_the_object_or_becomes_json_text_but_never_fails() -> None:
    for depth in (5, 50, 400, 5000):
        nested: Any = []
        for _ in range(depth):
            nested = [nested]
        found = made({"caption": "before"}, {"caption": "a dog", "x": nested}, {"caption": "after"})
        assert len(found.rows) + len(found.drops) == 3
        assert {drop.reason for drop in found.drops} <= {"nested too deeply"}


# the second reading


def test_with_a_schema_the_columns_are_those_of_the_schema_in_its_types() -> None:
    schema = pa.schema([("width", pa.float64()), ("other", pa.int64()), ("meta", pa.string()), ("caption", pa.string())])
    table = made({"caption": "a dog", "width": 3, "meta": {"a": 1}, "more": 1}, schema=schema).table
    assert table.select(schema.names).schema == schema
    assert "more" not in table.column_names
    assert table.select(schema.names).to_pylist() == [{"width": 3.0, "other": None, "meta": '{"a": 1}', "caption": "a dog"}]


def test_captions_are_the_same_whatever_the_schema_says() -> None:
    schema = pa.schema([("caption", pa.string())])
    assert made({"caption": ["a dog", "a cat"]}, schema=schema).table["caption"].type == TEXTS


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["caption", "url", "uid", "key", "x", "y", ""]), values, max_size=5)


@given(st.lists(st.lists(objects, max_size=5), min_size=1, max_size=4))
def test_every_object_is_a_record_or_a_drop_and_a_second_reading_gives_the_same(batches: list[list[dict[str, Any]]]) -> None:
    read_once = [made(*(dict(item) for item in batch)) for batch in batches]
    for batch, found in zip(batches, read_once, strict=True):
        assert sorted([*found.rows.tolist(), *(drop.row for drop in found.drops)]) == list(range(len(batch)))
        assert len(found.table) == len(found.rows)
    schema = unify([found.table.schema for found in read_once])
    for batch, found in zip(batches, read_once, strict=True):
        again = made(*(dict(item) for item in batch), schema=schema)
        assert again.rows.tolist() == found.rows.tolist()
        for field in schema:
            as_kind(again.table[field.name], field.type).validate(full=True)


# batches


def test_batches_are_bounded_in_records_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORDS_AT_ONCE", 3)
    monkeypatch.setattr(records, "BYTES_AT_ONCE", 100)
    sizes = [1, 1, 1, 1, 99, 100, 5]
    items = [({"caption": str(i)}, size) for i, size in enumerate(sizes)]
    assert [batch.rows.tolist() for batch in in_batches(items, COLUMNS, None)] == [[0, 1, 2], [3, 4], [5], [6]]


def test_values_that_are_not_objects_are_dropped_in_their_place() -> None:
    items: list[tuple[Any, int]] = [({"caption": "a"}, 1), (Bad("not JSON", "x"), 1), (5, 1), ({"caption": "b"}, 1)]
    (batch,) = in_batches(items, COLUMNS, None)
    assert batch.rows.tolist() == [0, 3]
    assert batch.drops == [Drop("not JSON", 1, "x"), Drop("not a JSON object", 2, "5")]


# JSON


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'{"a": 1}\r', {"a": 1}),
        (b'{"a": Infinity}', {"a": math.inf}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b'"a"', "a"),
    ],
)
def test_json_is_read_with_what_python_writes_of_it(content: bytes, value: Any) -> None:
    assert decode_json(content) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": 1} {', "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"\xed\xa0\x80": NaN}', "not UTF-8"),
    ],
)
def test_invalid_json_is_reported_with_a_short_sample(content: bytes, reason: str) -> None:
    bad = decode_json(content)
    assert isinstance(bad, Bad)
    assert bad.reason == reason
    assert len(bad.sample) < 1000


# schemas


def both(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    merged = unify([pa.schema([("x", one)]), pa.schema([("x", other)])]).field("x").type
    assert unify([pa.schema([("x", other)]), pa.schema([("x", one)])]).field("x").type == merged
    return merged


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.int64(), pa.uint64(), pa.string()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.dictionary(pa.int32(), pa.string()), pa.string(), pa.string()),
        (pa.null(), pa.int64(), pa.int64()),
        (pa.null(), pa.null(), pa.string()),
        (pa.int64(), pa.string(), pa.string()),
        (pa.list_(pa.int64()), pa.int64(), pa.string()),
        (pa.string(), TEXTS, TEXTS),
        (pa.list_(pa.string()), TEXTS, pa.string()),
    ],
)
def test_columns_of_several_types_get_one_that_holds_every_value(one: pa.DataType, other: pa.DataType, kind: pa.DataType) -> None:
    assert both(one, other) == kind


def test_columns_of_all_schemas_are_there_in_order_of_first_appearance() -> None:
    merged = unify([pa.schema([("a", pa.int64()), ("b", pa.string())]), pa.schema([("c", pa.bool_()), ("a", pa.int64())])])
    assert merged.names == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (pa.array([1, None]), pa.string(), ["1", None]),
        (pa.array([[1, 2], None]), pa.string(), ["[1, 2]", None]),
        (pa.array([{"a": 1}]), pa.string(), ['{"a": 1}']),
        (pa.array([2**60 + 1]), pa.float64(), [2.0**60]),
        (pa.array([{"a": 1}]), pa.struct([("a", pa.int64()), ("b", pa.string())]), [{"a": 1, "b": None}]),
        (pa.array(["a dog", None]), TEXTS, [[{"key": None, "text": "a dog"}], None]),
        (pa.array(["a", "b"]).dictionary_encode(), pa.string(), ["a", "b"]),
        (pa.array([2**63], pa.uint64()), pa.string(), [str(2**63)]),
    ],
)
def test_a_column_can_be_put_in_the_type_that_was_found_for_it(column: pa.Array, kind: pa.DataType, values: list[Any]) -> None:
    found = as_kind(pa.chunked_array([column]), kind)
    assert found.type == kind
    assert found.to_pylist() == values
