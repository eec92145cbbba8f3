"""How a CSV or TSV file is written: what separates its values, what encloses them, and what takes the meaning from a character.

Rows are found and taken apart here in any dialect, the way Arrow's reader does it: a quote opens a value only at its beginning, and
doubled it stays within; what follows the quote that closes is part of the value as it is.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv

RECENT = 1000  # quoted values at the end of a block, among which its last whole row nearly always ends
WORDS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}


class Dialect(NamedTuple):
    """One character each; ``quote`` and ``escape`` are empty where there is none."""

    delimiter: str
    quote: str = ""
    escape: str = ""

    def __str__(self) -> str:
        separated = WORDS.get(self.delimiter, repr(self.delimiter))
        quoted = f"quoted with {self.quote}" if self.quote else "not quoted"
        return f"{separated}-separated, {quoted}" + (f", escaped with {self.escape}" if self.escape else "")


class _Patterns(NamedTuple):
    """``row`` finds a row with its end; ``mark`` what may hold a line break that ends no row.

    The group "open" of a mark is there where it is never closed.
    """

    row: re.Pattern[bytes]
    mark: re.Pattern[bytes] | None


@lru_cache(maxsize=100)
def _patterns(dialect: Dialect) -> _Patterns:
    d, q, e = (re.escape(one.encode()) for one in dialect)
    end = rb"(?:\r\n|\r|\n|\Z)"
    if not q and not e:
        return _Patterns(re.compile(rb"[^\r\n]*+" + end), None)
    if not e:
        opened = rb"%b(?<![^%b\r\n]%b)[^%b]*+(?:%b%b[^%b]*+)*+" % (q, d, q, q, q, q, q)
        row = rb"(?:%b%b?|[^%b\r\n]++|%b)*+" % (opened, q, q, q)
        return _Patterns(re.compile(row + end), re.compile(rb"%b(?:%b|(?P<open>))" % (opened, q)))
    # An escaped character is part of an unquoted value, even if it is a delimiter and a quote follows: so to the value's end.
    escaped = rb"%b(?s:.|\Z)" % e
    rest = rb"(?:[^%b%b\r\n]++|%b)*+" % (d, e, escaped)
    if not q:
        return _Patterns(re.compile(rb"(?:[^%b\r\n]++|%b)*+" % (e, escaped) + end), re.compile(rb"%b|(?P<open>(?!))" % escaped))
    body = rb"%b[^%b%b]*+(?:(?:%b%b|%b)[^%b%b]*+)*+" % (q, q, e, q, q, escaped, q, e)
    field = rb"(?:%b%b?)?+%b" % (body, q, rest)
    opened = rb"%b(?<![^%b\r\n]%b)%b" % (q, d, q, body.removeprefix(q))
    mark = rb"%b%b|%b(?:%b|(?P<open>))" % (escaped, rest, opened, q)
    return _Patterns(re.compile(rb"%b(?:%b%b)*+" % (field, d, field) + end), re.compile(mark))


def rows_of(block: bytes, dialect: Dialect) -> Iterator[bytes]:
    """The rows of a block, with their ends."""
    return (row[0] for row in _patterns(dialect).row.finditer(block) if row[0])


def marks_of(content: bytes, dialect: Dialect) -> Iterator[re.Match[bytes]]:
    """What is quoted or escaped, in its order."""
    mark = _patterns(dialect).mark
    return iter(()) if mark is None else mark.finditer(content)


def is_open(content: bytes, dialect: Dialect) -> bool:
    """Is there a quoted value that is never closed?"""
    return any(mark["open"] is not None for mark in marks_of(content, dialect))


def end_of_rows(content: bytes, dialect: Dialect) -> int:
    """Where the last whole row ends: after the last line break that is in no quoted value; 0 if there is none."""
    end = len(content)
    recent = deque(marks_of(content, dialect), maxlen=RECENT)
    for mark in reversed(recent):
        found = content.rfind(b"\n", mark.end(), end)
        if found >= 0:
            return found + 1
        end = mark.start()
    if len(recent) < RECENT:
        return content.rfind(b"\n", 0, end) + 1
    last = place = 0  # a row of very many quoted values, which are not held all at once
    for mark in marks_of(content, dialect):
        last = max(last, content.rfind(b"\n", place, mark.start()) + 1)
        place = mark.end()
    return last


def width_of(row: bytes, dialect: Dialect) -> int:
    """How many values a row has, at most: where a delimiter is within quotes or escaped it is not counted."""
    delimiter = dialect.delimiter.encode()
    return 1 + row.count(delimiter) - sum(mark[0].count(delimiter) for mark in marks_of(row, dialect))


def parse(block: bytes, dialect: Dialect, names: list[str] | None) -> tuple[pa.Table, list[pyarrow.csv.InvalidRow]]:
    """Whole rows as a table of strings, and those rows that have another number of values than there are names, or than the first row."""
    bad: list[pyarrow.csv.InvalidRow] = []
    if not block:
        return pa.table({name: pa.array([], pa.string()) for name in names or []}), bad

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        pa.BufferReader(block),
        pyarrow.csv.ReadOptions(
            use_threads=False,
            block_size=len(block) + 1,
            column_names=names,
            autogenerate_column_names=names is None,
        ),
        pyarrow.csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            escape_char=dialect.escape or False,
            newlines_in_values=bool(dialect.quote or dialect.escape),
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        pyarrow.csv.ConvertOptions(
            check_utf8=False,
            strings_can_be_null=False,
            column_types=dict.fromkeys(names or [], pa.string()),
        ),
    )
    return table, bad


def numbered(width: int) -> list[str]:
    """The names of columns that have none."""
    return [f"column_{i}" for i in range(width)]
