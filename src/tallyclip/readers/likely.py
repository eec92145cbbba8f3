"""Which columns of an unknown table seem to hold captions and URLs, for the message that refuses it: a guess that people confirm."""

from __future__ import annotations

import re
import reprlib
import shlex
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tallyclip.readers.columns import ColumnChoice

LOOKED_AT = 100  # rows, for a value that is not null
NOT_UTF8 = b"not UTF-8"
HINTS = re.compile(r"capt|text|desc|alt|title|comment|sentence|raw|prompt", re.IGNORECASE)
TEXT = re.compile(r"\[?['\"]|null\Z")
URL_NAMES = re.compile(r"url|uri\b|link|href", re.IGNORECASE)
URL = re.compile(r"\[?['\"](?:https?|s3|gs)://")
WORDS = re.compile(r"\[?['\"].*\w\s+\w")
NO_WORDS = re.compile(r"\[?['\"](?:[\W\d]*|\S*[./\\]\S*|[0-9a-f-]{8,})['\"]\]?\Z")  # numbers, dates, names of files, ids


def examples_of(schema: pa.Schema, table: pa.Table | None) -> list[str]:
    """For each column its type, and its first value that is not null.

    Args:
        schema: the columns.
        table: some rows of them, if there are any.
    """
    found: list[str] = []
    for i, column in enumerate(schema):
        try:
            value = None if table is None else next((value for value in table.column(i)[:LOOKED_AT].to_pylist() if value is not None), None)
        except UnicodeDecodeError:
            value = NOT_UTF8
        found.append(f"{_called(column.type)}: {'null' if value is None else reprlib.repr(value)}")
    return found


def _called(kind: pa.DataType) -> str:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {_called(kind.value_type)}"
    return "object" if pa.types.is_struct(kind) else str(kind)


def likely_columns(names: Sequence[str], examples: Sequence[str]) -> ColumnChoice:
    """The column that is likeliest to hold captions, and one of URLs; None where none is likely.

    >>> likely_columns(["img", "descr", "id"], ["text: 'http://a.example/1'", "text: 'a dog'", "text: '17'"])
    ColumnChoice(caption='descr', url='img', uid=None, header=None, delimiter=None, quote=None, escape=None, format=None)
    """
    scores: dict[str, int] = {}
    urls: list[str] = []
    by_name: list[str] = []  # where no value is known
    for name, example in zip(names, examples, strict=False):
        kind, _, value = example.partition(": ")
        if URL.match(value):
            urls += [name] if kind == "text" else []
        elif (kind, value) == ("text", "null") and URL_NAMES.search(name):
            by_name.append(name)
        elif kind in ("text", "list of text", "list") and TEXT.match(value) and not NO_WORDS.match(value):
            scores[name] = 2 * bool(WORDS.match(value)) + bool(HINTS.search(name)) if value != "null" else 0
    best = max(scores, key=lambda name: scores[name], default=None)
    return ColumnChoice(caption=best, url=next(iter(urls + by_name), None))


def command_with(path: str, likely: ColumnChoice, choice: ColumnChoice) -> str:
    """The command that reads a file with these columns, and what else was chosen."""
    given: dict[str, Any] = {
        "--caption-column": likely.caption,
        "--url-column": choice.url or likely.url,
        "--uid-column": choice.uid,
        "--format": choice.format,
        "--delimiter": choice.delimiter,
        "--quote": "none" if choice.quote == "" else choice.quote,
        "--escape": "none" if choice.escape == "" else choice.escape,
    }
    options = [part for name, value in given.items() if value is not None for part in (name, value)]
    header = [] if choice.header is None else ["--header" if choice.header else "--no-header"]
    return shlex.join(["tallyclip", "curate", path, *options, *header, "--out", "RUN"])
