"""Files of a record a line, plain text or JSON, and JSON lists."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from tallyclip.errors import SourceError
from tallyclip.pool.columns import ColumnChoice, Columns
from tallyclip.pool.names import Names, first_names, nothing_there, watched
from tallyclip.pool.reading import DAMAGED, LARGEST, read_chunks, read_lines, shown
from tallyclip.pool.records import BYTES_AT_ONCE, RECORDS_AT_ONCE, Bad, Drop, Records, decode_json, in_batches

FORM = "a pool's JSON is an object a line, or one list of objects"
BLANK = b" \t\r\n"
BETWEEN_ITEMS = re.compile(r"[\s,]*")


def read_text(path: str, name: str) -> Iterator[Records]:
    """Stream a text file, a caption a line; lines that are not UTF-8 are dropped."""
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


def json_names(path: str) -> Names:
    """The names in the first objects of a JSON file; there are none in an empty list.

    Raises:
        SourceError: there is no JSON object among the first lines or items.
    """
    names = first_names(_items(path)[1])
    if names.items and not names.names:
        raise SourceError(f"{path}: no JSON object in it{nothing_there(names)}", FORM)
    return names


def read_json(path: str, columns: Columns, choice: ColumnChoice, schema: pa.Schema | None) -> Iterator[Records]:
    """Stream a JSON file, an object a line or one list of objects; what is no object is dropped.

    Raises:
        SourceError: a list is cut short or broken, or a name that decides on the columns comes too late.
    """
    called, items = _items(path)
    return in_batches(watched(path, items, columns, choice, called), columns, schema)


def _items(path: str) -> tuple[str, Iterator[tuple[Any, int]]]:
    """What to call them; and values, ``Bad`` where there is none, each with its size."""
    chunks = read_chunks(path)
    start = next(chunks)
    rest = next(chunks, None)
    if rest is None and (sample := _sample_over_lines(start)) is not None:
        return "item", iter([(sample, len(start))])
    chunks = chain([start] if rest is None else [start, rest], chunks)
    is_list = start.lstrip(BLANK)[:1] == b"["
    return ("item", _list_items(path, chunks)) if is_list else ("line", _line_items(read_lines(path, chunks)))


def _sample_over_lines(content: bytes) -> dict[str, Any] | None:
    """The one object of a file, over several lines, as img2dataset writes it for each sample; None if that is not what there is."""
    if not isinstance(decode_json(content.split(b"\n", 1)[0]), Bad):
        return None
    item = decode_json(content)
    return item if isinstance(item, dict) and any(isinstance(value, str) for value in item.values()) else None


def _line_items(lines: Iterable[bytes]) -> Iterator[tuple[Any, int]]:
    for line in lines:
        yield (decode_json(line) if line.strip(BLANK) else Bad("empty line", "")), len(line)


def _list_items(path: str, chunks: Iterator[bytes]) -> Iterator[tuple[Any, int]]:
    """The items of one JSON list, however long; bytes that are not UTF-8 become lone surrogates, and so drop their record."""
    decoder = json.JSONDecoder()
    utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    text = utf8.decode(next(chunks)).lstrip().removeprefix("[")
    place = number = 0
    at_end = False
    while not text.startswith("]", place := _next_item(text, place)):
        try:
            item, end = decoder.raw_decode(text, place)
            whole = end < len(text)  # else it may go on: a number does
        except (ValueError, RecursionError):
            item, end, whole = None, place, False
        if whole:
            yield item, end - place
            number, place = number + 1, end
        elif at_end or len(text) - place > LARGEST:
            raise SourceError(f"{path}: the JSON list is cut short or broken after {number:,} items", DAMAGED)
        else:
            chunk = next(chunks, b"")
            at_end = not chunk
            text, place = text[place:] + utf8.decode(chunk, final=at_end), 0
    if text[place + 1 :].strip() or any(chunk.strip(BLANK) for chunk in chunks):
        raise SourceError(f"{path}: there is something after the end of its list", FORM)


def _next_item(text: str, place: int) -> int:
    found = BETWEEN_ITEMS.match(text, place)
    return place if found is None else found.end()
