"""Files with one record per line, plain text or JSON, and files that are a single JSON value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa

from tallyclip.errors import SourceError
from tallyclip.readers.columns import ROLE_NAMES, ColumnChoice, Columns
from tallyclip.readers.content import read_chunks, read_lines, shown
from tallyclip.readers.field_names import LOOKED_AT, FieldNames, first_field_names, nothing_there, watched
from tallyclip.readers.records import (
    BYTES_AT_ONCE,
    NOT_JSON,
    RECORDS_AT_ONCE,
    Bad,
    Drop,
    Records,
    decode_json,
    in_batches,
    sample_of,
)
from tallyclip.readers.values import FORM, LIST, OBJECT, Name, values_of

BLANK = b" \t\r\n"
LOOKED_AT_BYTES = 1 << 20  # to detect the form of a file
KEYED, LINE = "key", "line"
KEY, TEXTS_OF_KEY = "uuid", "texts"


def read_text(path: str, name: str) -> Iterator[Records]:
    """Stream a text file, one caption per line; lines that are not UTF-8 are dropped."""
    rows: list[int] = []
    texts: list[str] = []
    drops: list[Drop] = []
    held = 0
    for row, line in enumerate(read_lines(path)):
        try:
            texts.append(line.removesuffix(b"\r").decode("utf-8"))
            rows.append(row)
        except UnicodeDecodeError:
            drops.append(Drop("not UTF-8", row, shown(line)))
        held += len(line)
        if len(texts) + len(drops) >= RECORDS_AT_ONCE or held >= BYTES_AT_ONCE:
            yield _text_records(rows, texts, name, drops)
            rows, texts, drops, held = [], [], [], 0
    if texts or drops:
        yield _text_records(rows, texts, name, drops)


def _text_records(rows: list[int], texts: list[str], name: str, drops: list[Drop]) -> Records:
    return Records(np.array(rows, np.int64), pa.table({name: pa.array(texts, pa.string())}), drops)


def json_names(path: str, choice: ColumnChoice) -> FieldNames:
    """The names in the first objects of a JSON file; there are none in an empty list.

    Raises:
        SourceError: there is no JSON object among the first lines or items, or they have too many names.
    """
    form = _form(path, read_chunks(path), choice)
    names = first_field_names(path, form.items, form.called)._replace(keyed=form.called == KEYED)
    if names.items and not names.names:
        raise SourceError(f"{path}: no JSON object in it{nothing_there(names)}", FORM)
    return names


def read_json(path: str, columns: Columns, choice: ColumnChoice, schema: pa.Schema | None) -> Iterator[Records]:
    """Stream a JSON file: one object per line, one list of objects, or objects of keys and their captions. Other values are dropped.

    Raises:
        SourceError: a list is cut short, there are too many names, or one that would change the columns appears too late.
    """
    form = _form(path, read_chunks(path), choice)
    return in_batches(watched(path, form.items, columns, choice, form.called), columns, schema)


def count_records(path: str, start: bytes, choice: ColumnChoice, *, whole: bool) -> int:
    """How many records a JSON file has in its beginning; ``whole`` if that is all of it."""
    form = _form(path, iter([start] if whole else [start, b""]), choice)
    if form.called == LINE:
        return count_lines(start)
    count = 0
    with suppress(SourceError):  # the beginning ends anywhere
        for _ in form.items:
            count += 1
    return count


def count_lines(content: bytes) -> int:
    """How many lines there are; the last may lack its end."""
    return content.count(b"\n") + (not content.endswith(b"\n"))


class _Form(NamedTuple):
    """The items of a file, each with its size (``Bad`` for one that cannot be read), and what a message calls them."""

    called: str
    items: Iterator[tuple[Any, int]]


def _form(path: str, chunks: Iterator[bytes], choice: ColumnChoice) -> _Form:
    start = next(chunks)
    if start.lstrip(BLANK)[:1] == b"[":
        return _Form("item", values_of(path, chain([start], chunks), LIST))
    if _is_keyed(path, start[:LOOKED_AT_BYTES], choice):
        return _Form(KEYED, _keyed_items(path, chain([start], chunks)))
    rest = next(chunks, None)
    if rest is None and (sample := _sample_over_lines(start)) is not None:
        return _Form("item", iter([(sample, len(start))]))
    return _Form(LINE, _line_items(read_lines(path, chain([start] if rest is None else [start, rest], chunks))))


def _sample_over_lines(content: bytes) -> dict[str, Any] | None:
    """The single object of a file, over several lines, as img2dataset writes it for each sample; None for other files."""
    if not isinstance(decode_json(content.split(b"\n", 1)[0]), Bad):
        return None
    item = decode_json(content)
    return item if isinstance(item, dict) and any(isinstance(value, str) for value in item.values()) else None


def _line_items(lines: Iterable[bytes]) -> Iterator[tuple[Any, int]]:
    for line in lines:
        yield (decode_json(line) if line.strip(BLANK) else Bad("empty line", "")), len(line)


def _keyed_items(path: str, chunks: Iterator[bytes]) -> Iterator[tuple[Any, int]]:
    """Keys and their captions as records with the columns ``uuid`` and ``texts``."""
    key: str | None = None
    size = 0
    for value, length in values_of(path, chunks, OBJECT):
        if isinstance(value, Name):
            if key is not None:
                yield Bad(NOT_JSON, sample_of(key)), size
            key, size = str(value), length
        elif key is None:
            yield value if isinstance(value, Bad) else Bad(NOT_JSON, sample_of(value)), length
        else:
            item = {KEY: key, TEXTS_OF_KEY: value}
            if isinstance(value, Bad):
                yield value, size + length
            elif isinstance(value, str):  # in this form captions are always in lists
                yield Bad("caption is not text", sample_of(item)), size + length
            else:
                yield item, size + length
            key = None


def _is_keyed(path: str, start: bytes, choice: ColumnChoice) -> bool:
    """Does a file begin like MetaCLIP v2's: {key: [[source of the text, text, language], ...], ...}?

    Not if a key is the name of a column, or appears twice, as names do where each object is a record.
    """
    keys: set[str] = set(ROLE_NAMES.union(choice.named))
    found = 0
    with suppress(SourceError):  # the beginning ends anywhere
        for item, _ in islice(_keyed_items(path, iter([start])), LOOKED_AT):
            if isinstance(item, Bad) or item[KEY] in keys or not _are_keyed_texts(item[TEXTS_OF_KEY]):
                return False
            keys.add(item[KEY])
            found += bool(item[TEXTS_OF_KEY])
    return found > 0


def _are_keyed_texts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(text, list) and len(text) in (2, 3) and all(isinstance(part, str | None) for part in cast(list[Any], text))
        for text in cast(list[Any], value)
    )
