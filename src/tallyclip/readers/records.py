"""Records: the rows of a pool file as a table, each with its number in the file, and the records that were dropped."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from tallyclip.readers.columns import Columns
from tallyclip.readers.content import LONGEST_SAMPLE, shown

RECORDS_AT_ONCE = 65_536
BYTES_AT_ONCE = 32 << 20
CELLS_AT_ONCE = RECORDS_AT_ONCE * 256  # of a table: records times names; there may be many names though each record has few
TEXTS = pa.list_(pa.struct([("key", pa.string()), ("text", pa.string())]))  # several captions of one image, from JSON
KeyedText = tuple[str | None, str | None]  # a plain tuple: there may be millions, and objects would take four times the memory
TEXT = {str, type(None)}
NOT_JSON = "not JSON"
TOO_DEEP = "nested too deeply"
DEEPEST = 8  # lists within lists that become columns of lists
DEEPEST_OBJECT = 800  # below Python's own limit, which depends on the depth of calls, so that every reading drops the same objects


class Drop(NamedTuple):
    """A record or caption that is dropped: why, where, and what it looked like; or several, of which one is shown."""

    reason: str
    row: int
    sample: str
    times: int = 1


class Bad(NamedTuple):
    """In place of an object that cannot be read: why, and its beginning."""

    reason: str
    sample: str


@dataclass(frozen=True)
class Records:
    """N records of a file, in the file's order.

    Attributes:
        rows: int64[N], rising: the number of each record in its file, from 0; gaps are records that were dropped.
        table: N rows with the columns of the file.
        drops: the records in the gaps.
        seen: what else was counted on the way to these records, such as pages and images.
    """

    rows: Int64[np.ndarray, " N"]
    table: pa.Table
    drops: list[Drop] = field(default_factory=list)
    seen: Mapping[str, int] = field(default_factory=dict[str, int])


def decode_json(content: bytes) -> Any:
    """The value of a JSON text, or ``Bad``; NaN, infinities and lone surrogates, which Python writes but JSON forbids, are read too."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        return Bad("not UTF-8", shown(content))
    except RecursionError:
        return Bad(TOO_DEEP, shown(content))
    except ValueError:
        return Bad(NOT_JSON, shown(content))


def in_batches(items: Iterable[tuple[Any, int]], columns: Columns, schema: pa.Schema | None) -> Iterator[Records]:
    """Gather objects, each with its size in bytes, into batches of records; other values are dropped.

    Args:
        items: in the file's order, one for each record.
        columns: the roles of the objects' names.
        schema: the columns to make, with their types; None makes them from the objects' names and values.
    """
    good: list[tuple[int, dict[str, Any]]] = []
    drops: list[Drop] = []
    held = 0
    for row, (item, size) in enumerate(items):
        if isinstance(item, dict):
            if size > 2 * DEEPEST_OBJECT and _is_too_deep(cast(dict[str, Any], item)):
                drops.append(Drop(TOO_DEEP, row, sample_of(item)))
            else:
                good.append((row, item))
        elif isinstance(item, Bad):
            drops.append(Drop(item.reason, row, item.sample))
        else:
            drops.append(Drop("not a JSON object", row, sample_of(item)))
        held += size
        if len(good) + len(drops) >= RECORDS_AT_ONCE or held >= BYTES_AT_ONCE:
            yield from _tables_of(good, columns, schema, drops)
            good, drops, held = [], [], 0
    if good or drops:
        yield from _tables_of(good, columns, schema, drops)


def _tables_of(items: list[tuple[int, dict[str, Any]]], columns: Columns, schema: pa.Schema | None, drops: list[Drop]) -> Iterator[Records]:
    """A batch's objects as records, in several tables where one would have too many cells."""
    names = len(set[str]().union(*(item for _, item in items)) if schema is None else schema)
    count = max(1, CELLS_AT_ONCE // max(1, names))
    yield records_of(items[:count], columns, schema, drops)
    for start in range(count, len(items), count):
        yield records_of(items[start : start + count], columns, schema, [])


def records_of(items: Sequence[tuple[int, dict[str, Any]]], columns: Columns, schema: pa.Schema | None, drops: list[Drop]) -> Records:
    """Objects, each with its number, as records: a column for each name in order of first appearance, typed by its values.

    Nested objects become JSON text, and so does a column whose values have no common type; captions in lists become ``TEXTS``, and the
    other columns with a role are text. A schema gives columns and types instead. Objects that a table cannot hold are dropped.
    """
    good: list[tuple[int, dict[str, Any]]] = []
    for row, item in items:
        problem = _normalize(item, columns)
        if problem is None:
            good.append((row, item))
        else:
            drops.append(Drop(problem, row, sample_of(item)))
    try:
        table = _table([item for _, item in good], columns, schema)
    except (UnicodeEncodeError, RecursionError):
        problems = [_problem(item) for _, item in good]
        drops += [Drop(problem, row, sample_of(item)) for (row, item), problem in zip(good, problems, strict=True) if problem]
        good = [one for one, problem in zip(good, problems, strict=True) if not problem]
        table = _table([item for _, item in good], columns, schema)
    return Records(np.array([row for row, _ in good], np.int64), table, drops)


def _normalize(item: dict[str, Any], columns: Columns) -> str | None:
    """Bring the values that have a role into their form; returns the reason to drop the object, if there is one."""
    caption = item.get(columns.caption)
    if isinstance(caption, list):
        item[columns.caption] = caption = _keyed_texts(caption)
        if caption is None:
            return "caption is not text"
    elif not isinstance(caption, str | None):
        return "caption is not text"
    if columns.url is not None and not isinstance(item.get(columns.url), str | None):
        return "URL is not text"
    return None


def _keyed_texts(values: list[Any]) -> list[KeyedText] | None:
    """A list of texts, or of lists of a key and a text (further items are ignored), or of objects with a text; None for anything else."""
    texts: list[KeyedText] = []
    for value in values:
        match value:
            case str() | None:
                texts.append((None, value))
            case [str() | None as key, str() | None as text, *_]:
                texts.append((key, text))
            case {"text": str() | None as text}:
                key = value.get("key")
                texts.append((key if isinstance(key, str) else None, text))
            case _:
                return None
    return texts


def _table(items: list[dict[str, Any]], columns: Columns, schema: pa.Schema | None) -> pa.Table:
    kinds: dict[str, pa.DataType | None]
    if schema is None:
        kinds = _names_of(items)
    else:
        kinds = {column.name: column.type for column in schema}
    kinds |= dict.fromkeys(columns.needed, pa.string())
    if any(isinstance(item.get(columns.caption), list) for item in items):
        kinds[columns.caption] = TEXTS
    return pa.table({name: _column([item.get(name) for item in items], kind) for name, kind in kinds.items()})


def _names_of(items: Iterable[dict[str, Any]]) -> dict[str, pa.DataType | None]:
    """The objects' names, in order of first appearance."""
    names: dict[str, pa.DataType | None] = {}
    seen: set[str] = set()
    for item in items:
        if not seen.issuperset(item):
            seen.update(item)
            names |= dict.fromkeys(item)
    return names


def _column(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    if kind == TEXTS:
        return pa.array([[(None, value)] if isinstance(value, str) else value for value in values], kind)
    types = set(map(type, values))
    if kind != pa.string() and dict not in types and (list not in types or all(map(_is_plain, values))):
        try:
            return pa.array(values, kind)
        except (pa.ArrowException, OverflowError):
            pass
    return pa.array(values if types <= TEXT else [None if value is None else _as_json(value) for value in values], pa.string())


def _is_plain(value: Any, depth: int = 0) -> bool:
    """A number, a string or the like, or a list of these; not an object, whose names would all become columns."""
    if isinstance(value, list):
        return depth < DEEPEST and all(_is_plain(one, depth + 1) for one in cast(list[Any], value))
    return not isinstance(value, dict)


def _is_too_deep(item: dict[str, Any]) -> bool:
    level: list[Any] = [item]
    for _ in range(DEEPEST_OBJECT):
        level = [
            inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer) if type(inner) in (list, dict)
        ]
        if not level:
            return False
    return True


def _as_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_as_text)


def _as_text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def sample_of(value: Any) -> str:
    """The beginning of a value, for a message."""
    try:
        return ascii(value)[:LONGEST_SAMPLE]
    except RecursionError:
        return TOO_DEEP


def _problem(item: dict[str, Any]) -> str | None:
    """Why a table cannot hold the object, if it cannot."""
    try:
        _as_json(item).encode()
    except UnicodeEncodeError:
        return "not UTF-8"
    except RecursionError:
        return TOO_DEEP
    return None


def as_kind(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column in a type that ``unify`` found for it. Whole numbers beyond 2^53 that become fractions are rounded."""
    if column.type == kind:
        return column
    try:
        return column.cast(kind, safe=not pa.types.is_floating(kind))
    except pa.ArrowException:
        return pa.chunked_array([_column(column.to_pylist(), kind)], kind)


def unify(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """One schema for tables read one by one: the columns of all, each in a type that holds every value.

    Where there is no such type the column becomes text; a column that is null everywhere does too.
    """
    kinds: dict[str, pa.DataType] = {}
    for schema in schemas:
        widen(kinds, schema)
    return schema_of(kinds)


def widen(kinds: dict[str, pa.DataType], schema: pa.Schema) -> None:
    """Widen the types of columns, by name, to hold the values of one more table."""
    for column in schema:
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        kinds[column.name] = _wider(kinds[column.name], kind) if column.name in kinds else kind


def schema_of(kinds: dict[str, pa.DataType]) -> pa.Schema:
    """The schema of columns with these types; a column that is null everywhere becomes text."""
    return pa.schema([(name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in kinds.items()])


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other:
        return one
    if TEXTS in (one, other) and pa.string() in (one, other):
        return TEXTS
    if pa.uint64() in (one, other) and any(pa.types.is_signed_integer(kind) for kind in (one, other)):
        return pa.string()  # Arrow would take int64, which does not hold the larger half
    try:
        merged = pa.unify_schemas([pa.schema([("x", one)]), pa.schema([("x", other)])], promote_options="permissive")
    except pa.ArrowException:
        return pa.string()
    return merged.field("x").type
