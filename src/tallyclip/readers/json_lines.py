"""Files with one record per line, plain text or JSON, and files that are a single JSON value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tallyclip.errors import SourceError
from tallyclip.readers.columns import ColumnChoice, Columns
from tallyclip.readers.content import read_chunks, read_lines, shown
from tallyclip.readers.field_names import FieldNames, first_field_names, nothing_there, watched
from tallyclip.readers.formats import BLANK, Format, format_of
from tallyclip.readers.records import BYTES_AT_ONCE, RECORDS_AT_ONCE, Bad, Drop, Records, decode_json, in_batches
from tallyclip.readers.values import FORM, LIST, values_of

LINE = "line"


def text_names(path: str, choice: ColumnChoice) -> FieldNames | None:
    """The names in the first lines of a text file of a known form; None if each line is a caption."""
    form = _text_form(path, read_chunks(path), choice)
    return _names_of(path, form) if form.known is not None else None


def read_text(path: str, columns: Columns, choice: ColumnChoice, schema: pa.Schema | None) -> Iterator[Records]:
    """Stream a text file, one caption per line unless it has a known form; lines that are not UTF-8 are dropped."""
    form = _text_form(path, read_chunks(path), choice)
    return _records_of(path, form, columns, choice, schema) if form.known is not None else _captions(path, columns.caption)


def _captions(path: str, name: str) -> Iterator[Records]:
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
    names = _names_of(path, form)
    if names.items and not names.names:
        raise SourceError(f"{path}: {nothing_there(names, form.called)}", FORM)
    return names


def read_json(path: str, columns: Columns, choice: ColumnChoice, schema: pa.Schema | None) -> Iterator[Records]:
    """Stream a JSON file: one object per line, one list of objects, or objects of keys and their captions. Other values are dropped.

    Raises:
        SourceError: a list is cut short, there are too many names, or one that would change the columns appears too late.
    """
    return _records_of(path, _form(path, read_chunks(path), choice), columns, choice, schema)


def count_records(path: str, start: bytes, choice: ColumnChoice, *, whole: bool) -> int:
    """How many records a JSON file has in its beginning; ``whole`` if that is all of it."""
    form = _form(path, iter([start] if whole else [start, b""]), choice)
    if form.known is not None and form.known.record_bytes is not None and not whole:
        return len(start) // form.known.record_bytes
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
    known: Format | None = None


def _names_of(path: str, form: _Form) -> FieldNames:
    return first_field_names(path, form.items, form.called)._replace(layout=form.known and form.known.columns)


def _records_of(path: str, form: _Form, columns: Columns, choice: ColumnChoice, schema: pa.Schema | None) -> Iterator[Records]:
    layout = form.known and form.known.columns
    return in_batches(watched(path, form.items, columns, choice, form.called, layout), columns, schema)


def _text_form(path: str, chunks: Iterator[bytes], choice: ColumnChoice) -> _Form:
    start = next(chunks)
    known = format_of(path, "text", start, choice)
    if known is not None and known.items is not None:
        return _Form(known.called, known.items(path, chain([start], chunks)), known)
    return _Form(LINE, iter(()))


def _form(path: str, chunks: Iterator[bytes], choice: ColumnChoice) -> _Form:
    start = next(chunks)
    is_list = start.lstrip(BLANK)[:1] == b"["
    known = None if is_list and choice.format is None else format_of(path, "json", start, choice)
    if known is not None and known.items is not None:
        return _Form(known.called, known.items(path, chain([start], chunks)), known)
    if is_list:
        return _Form("item", values_of(path, chain([start], chunks), LIST))
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
