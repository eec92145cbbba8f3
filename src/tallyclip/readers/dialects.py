"""The dialects of CSV and TSV files: the delimiter, the quote and the escape.

Rows are found and parsed here in any dialect as Arrow's reader does: only a quote at the beginning of a value opens it, a doubled quote is
part of the value, and so is, unchanged, what follows the closing quote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv

MOST_COLUMNS = 10_000
FEW = 100  # bytes for each quote or escape; where these are rarer, it is faster to look only at them
CHARACTERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}  # what the options call them
WORDS = {character: word for word, character in CHARACTERS.items()}


class Dialect(NamedTuple):
    """One character each; ``quote`` and ``escape`` are empty where there is none."""

    delimiter: str
    quote: str = ""
    escape: str = ""

    def __str__(self) -> str:
        separated = WORDS.get(self.delimiter, repr(self.delimiter))
        quoted = f"quoted with {self.quote}" if self.quote else "not quoted"
        return f"{separated}-separated, {quoted}" + (f", escaped with {self.escape}" if self.escape else "")


class TableFormat(NamedTuple):
    """How a CSV or TSV file is read.

    Attributes:
        dialect: its delimiter, quote and escape.
        names: of its columns, as the file has them; several may be the same.
        has_header: does the first row give them?
        header_by_content: was the header detected only by the rows below it?
        values: of its first row of data; empty if there is no such row.
        form: the dialect in words, where it is not the suffix's default.
        example: what was detected, and the first row as it is then read, where there was a choice.
    """

    dialect: Dialect
    names: list[str]
    has_header: bool
    header_by_content: bool
    values: list[str]
    form: str | None
    example: str | None


class _Patterns(NamedTuple):
    """Patterns for a row with its end, a part that may have a line break inside a row, whole rows, rows with too many values, and whole
    rows that end with carriage returns."""

    row: re.Pattern[bytes]
    mark: re.Pattern[bytes]
    whole: re.Pattern[bytes]
    wide: re.Pattern[bytes]
    returned: re.Pattern[bytes]


@lru_cache(maxsize=100)
def _patterns(dialect: Dialect) -> _Patterns:
    d, q, e = (re.escape(one.encode()) for one in dialect)
    end = rb"(?:\r\n|\r|\n|\Z)"
    escaped = rb"%b(?s:.|\Z)" % e
    # An escaped character is part of an unquoted value, even a delimiter before a quote: so match to the value's end.
    rest = rb"(?:[^%b%b\r\n]++|%b)*+" % (d, e, escaped) if e else rb"[^%b\r\n]*+" % d
    within = rb"%b%b|%b" % (q, q, escaped) if e else q + q
    opened = rb"%b[^%b%b]*+(?:(?:%b)[^%b%b]*+)*+" % (q, q, e, within, q, e) if q else rb"(?!)"
    value = rb"(?:%b%b?)?+%b" % (opened, q, rest)
    closed = rb"(?:%b%b%b|%b)" % (opened, q, rest, rb"(?!%b)%b" % (q, rest) if q else rest)
    row = rb"%b(?:%b%b)*+" % (value, d, value)
    mark = rb"%b(?<![^%b\r\n]%b)%b%b?+" % (q, d, q, opened.removeprefix(q), q) if q else rb"(?!)"
    if q and not e:  # the same, faster
        row = rb"(?:%b|[^%b\r\n]++|%b)*+" % (mark, q, q)
    return _Patterns(
        re.compile(row + end),
        re.compile(rb"%b%b|%b" % (escaped, rest, mark) if e else mark),
        re.compile(rb"(?:%b(?:[%b\r]%b)*+\n)*+" % (closed, d, closed)),
        re.compile(rb"%b(?:%b%b){%d}+" % (value, d, value, MOST_COLUMNS)),
        re.compile(rb"(?:%b(?:%b%b)*+\r(?!\Z))*+" % (closed, d, closed)),
    )


def rows_of(block: bytes, dialect: Dialect) -> Iterator[bytes]:
    """The rows of a block, with their ends."""
    return (row[0] for row in _patterns(dialect).row.finditer(block) if row[0])


def marks_of(content: bytes, dialect: Dialect) -> Iterator[re.Match[bytes]]:
    """The quoted or escaped parts, in order."""
    return _patterns(dialect).mark.finditer(content) if dialect.quote or dialect.escape else iter(())


def is_open(content: bytes, dialect: Dialect) -> bool:
    """Is there a quoted value that is never closed?"""
    ended = content + b"\n\n"  # two, as the first may be escaped
    return bool(dialect.quote) and _patterns(dialect).whole.match(ended).end() < len(ended)  # type: ignore[union-attr]


def end_of_rows(content: bytes, dialect: Dialect) -> int:
    """Where the last whole row ends: after the last line feed outside of quoted values; 0 if there is none.

    If no row ends with a line feed, after the last carriage return that is not the last byte, which a line feed may follow.
    """
    return _end_of_rows(content, dialect, b"\n", len(content)) or _end_of_rows(content, dialect, b"\r", len(content) - 1)


def _end_of_rows(content: bytes, dialect: Dialect, line_end: bytes, end: int) -> int:
    special = sum(content.count(one.encode()) for one in dialect[1:] if one)
    if special * FEW > len(content):
        patterns = _patterns(dialect)
        return (patterns.whole if line_end == b"\n" else patterns.returned).match(content).end()  # type: ignore[union-attr]
    for mark in reversed(list(marks_of(content, dialect))):
        found = content.rfind(line_end, mark.end(), end)
        if found >= 0:
            return found + 1
        end = mark.start()
    return content.rfind(line_end, 0, end) + 1


def is_too_wide(row: bytes, dialect: Dialect) -> bool:
    """Does a row have more values than a table may have columns?"""
    return row.count(dialect.delimiter.encode()) >= MOST_COLUMNS and _patterns(dialect).wide.match(row) is not None


def parse(block: bytes, dialect: Dialect, names: list[str] | None) -> tuple[pa.Table, list[pyarrow.csv.InvalidRow]]:
    """Whole rows as a table of strings, and the rows whose number of values is not that of the names, or of the first row."""
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
    """Names for columns that have none."""
    return [f"column_{i}" for i in range(width)]
