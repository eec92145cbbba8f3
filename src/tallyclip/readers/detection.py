"""Detects the dialect of a CSV or TSV file from its beginning.

The suffix sets the default: RFC 4180 for .csv; for .tsv tabs without quoting, as in CC3M. Only clear evidence overrides it, so that a file
which the default reads well is always read that way:

- *Another delimiter.* The default finds one column in the first row, or loses most rows, while another delimiter gives nearly all rows the
  same number of columns, more than one. Captions may hold any character, so more evidence is needed: names of known columns in the first
  row, or a column of URLs, numbers or image files.
- *Quotes where none are expected.* Every value that begins with a quote ends with one, quotes inside are doubled, and rows are whole that
  are broken otherwise; or everything that could be quoted is.
- *A backslash before quotes* instead of doubled quotes: with doubling some values continue after their closing quote, with this none do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import msgspec
import pyarrow as pa

from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.dialects import WORDS, Dialect, is_too_wide, numbered, parse, rows_of
from tallyclip.readers.headers import NUMBER, URL, header_of

USUAL = {"csv": Dialect(",", '"'), "tsv": Dialect("\t")}  # what a file is by its suffix
SAMPLE = 4 << 20  # bytes of a file to look at
LOOKED_AT = 100  # rows, to detect a header and what the columns hold
UNFINISHED = 256 << 10  # bytes at the end of a sample that may be part of an unfinished value
NEARLY_ALL = 0.95
FEWEST_NUMBERS = 10  # rows with a number after the delimiter; fewer captions such as "red shoes | 5" may be chance
LINE_END = re.compile(rb"\r\n|\r|\n")


class SampleRows(NamedTuple):
    """The rows of a sample, read in a dialect: those with as many values as the first, and the number of others."""

    rows: list[list[str]]
    bad: int

    @property
    def width(self) -> int:
        return len(self.rows[0]) if self.rows else 0

    @property
    def share(self) -> float:
        return len(self.rows) / max(1, len(self.rows) + self.bad)


def detect_dialect(sample: bytes, *, whole: bool, kind: str, choice: ColumnChoice) -> tuple[Dialect, str | None]:
    """The dialect of a file, and another delimiter that is possible but has too little evidence, if there is one.

    Args:
        sample: the beginning of the file, at most ``SAMPLE`` bytes.
        whole: is that all of it?
        kind: csv or tsv.
        choice: the user's choices, which come first.
    """
    usual = USUAL[kind]
    delimiter = choice.delimiter or usual.delimiter
    own = _dialect_of(sample, whole, delimiter, usual, choice)
    if choice.delimiter is not None:
        return own, None
    read = first_rows(sample, whole, own)
    if read.width > 1 and read.share >= 0.5 and _are_columns(read.rows, choice):
        return own, None
    own_width = read.width
    good: list[Dialect] = []
    possible: list[str] = []
    for other in WORDS:
        if other in (delimiter, choice.quote, choice.escape):
            continue
        dialect = _dialect_of(sample, whole, other, usual, choice)
        read = first_rows(sample, whole, dialect)
        if read.width > 1 and read.share >= NEARLY_ALL:
            possible.append(other)
            good += [dialect] if _are_columns(read.rows, choice) else []
    if len(good) == 1:
        return good[0], None
    return own, possible[0] if possible and own_width == 1 else None


def first_rows(sample: bytes, whole: bool, dialect: Dialect) -> SampleRows:
    """The first rows of a sample in a dialect; none if they cannot be read in it."""
    rows = list(islice(rows_of(sample, dialect), LOOKED_AT + 1))
    rows = rows[:LOOKED_AT] if whole or len(rows) > LOOKED_AT else rows[:-1]  # the last may be unfinished
    if not rows or is_too_wide(rows[0], dialect):
        return SampleRows([], 0)
    try:
        return read_rows(b"".join(rows), dialect)
    except (pa.ArrowException, OSError):  # such as a quote that is never closed
        return SampleRows([], 0)


def read_rows(rows: bytes, dialect: Dialect) -> SampleRows:
    """Parse whole rows."""
    text = rows.decode("utf-8", "replace").encode()
    width = parse(text + b"\n", dialect, None)[0].num_columns  # Arrow needs a line end to count the columns of the first row
    table, bad = parse(text, dialect, numbered(width))
    return SampleRows([list(row.values()) for row in table.to_pylist()], len(bad))


def _dialect_of(sample: bytes, whole: bool, delimiter: str, usual: Dialect, choice: ColumnChoice) -> Dialect:
    """The dialect with this delimiter, and the quote and escape that the user chose or the sample shows.

    The default delimiter comes with the default quotes, any other with those of RFC 4180 if all quotes are closed.
    """
    own = delimiter == usual.delimiter
    dialect = _with_quotes(sample, whole, usual if own else Dialect(delimiter, '"'), choice)
    if own or choice.quote is not None or _strict_end(sample, whole, dialect):
        return dialect
    plain = dialect._replace(quote="")
    return plain if first_rows(sample, whole, plain).share >= NEARLY_ALL else dialect


def _with_quotes(sample: bytes, whole: bool, dialect: Dialect, choice: ColumnChoice) -> Dialect:
    if choice.quote is not None:
        dialect = dialect._replace(quote=choice.quote)
    if choice.escape is not None:
        dialect = dialect._replace(escape=choice.escape)
    if not dialect.quote and choice.quote is None and _opens(sample, dialect.delimiter, '"'):
        quoted = dialect._replace(quote='"')
        if _is_quoted(sample, whole, dialect, quoted):
            return quoted
        escaped = quoted._replace(escape="\\")
        if _may_be_escaped(sample, quoted, choice) and _is_quoted(sample, whole, dialect, escaped):
            return escaped
    elif dialect.quote and _may_be_escaped(sample, dialect, choice):
        escaped = dialect._replace(escape="\\")
        if not _strict_end(sample, whole, dialect) and _strict_end(sample, whole, escaped):
            return escaped
    return dialect


def _may_be_escaped(sample: bytes, dialect: Dialect, choice: ColumnChoice) -> bool:
    return choice.escape is None and "\\" not in dialect and b"\\" + dialect.quote.encode() in sample


def _opens(sample: bytes, delimiter: str, quote: str) -> bool:
    mark = quote.encode()
    return sample.startswith(mark) or any(end + mark in sample for end in (delimiter.encode(), b"\n", b"\r"))


def _is_quoted(sample: bytes, whole: bool, plain: Dialect, quoted: Dialect) -> bool:
    """Do the quotes at the beginning of values enclose them?"""
    end = _strict_end(sample, whole, quoted)
    if not end:
        return False
    rows = sample[:end]
    first = next(rows_of(rows, plain))
    if is_too_wide(first, plain) or is_too_wide(next(rows_of(rows, quoted)), quoted):
        return False
    as_is, as_quoted = _count(rows, plain), _count(rows, quoted)
    if as_quoted.bad > as_quoted.good * (1 - NEARLY_ALL):
        return False
    if as_quoted.width > 1 and _all_quoted(rows, quoted):
        return True
    needed = False
    delimiter, quote = (one.encode() for one in quoted[:2])
    for mark in _quoted_values(quoted).finditer(rows):
        value = mark[0][1:-1]
        breaks = len(LINE_END.findall(value))
        if breaks and value.count(delimiter) == breaks * (as_is.width - 1):
            return False  # as many as whole rows have: it reaches from a quotation mark in one row to one in another
        needed = needed or quote in value
    return as_quoted.width > 1 and (needed or as_quoted.bad < as_is.bad)


class _Count(NamedTuple):
    width: int
    good: int
    bad: int


def _count(rows: bytes, dialect: Dialect) -> _Count:
    text = rows.decode("utf-8", "replace").encode()
    table, _ = parse(text[: len(next(rows_of(text, dialect)))] + b"\n", dialect, None)
    table, bad = parse(text, dialect, numbered(table.num_columns))
    return _Count(table.num_columns, len(table), len(bad))


def _all_quoted(rows: bytes, dialect: Dialect) -> bool:
    """Is everything quoted that a writer may quote, all values except numbers and empty ones?"""
    first = list(islice(rows_of(rows, dialect), LOOKED_AT))
    cut = (_quoted_values(dialect).sub(b"", row).strip(b"\r\n").split(dialect.delimiter.encode()) for row in first)
    bare = [value for row in cut for value in row if value]
    return (len(first) > 1 or not bare) and all(NUMBER(value.decode("utf-8", "replace")) for value in bare)


@lru_cache(maxsize=100)
def _quoted_values(dialect: Dialect) -> re.Pattern[bytes]:
    """A pattern for quoted values that end with their quote: in strict rows, all quoted values. Only a quote at the beginning of a value
    opens one: to search after every quote would take quadratic time."""
    d, q, e = (re.escape(one.encode()) for one in dialect)
    within = rb"%b%b|%b(?s:.)" % (q, q, e) if e else q + q
    return re.compile(rb"(?<![^%b\r\n])%b[^%b%b]*+(?:(?:%b)[^%b%b]*+)*+%b(?=[%b\r\n]|\Z)" % (d, q, q, e, within, q, e, q, d))


@lru_cache(maxsize=100)
def _strict_rows(dialect: Dialect) -> re.Pattern[bytes]:
    """A pattern for strict rows: every value in them that begins with a quote ends with it."""
    d, q, e = (re.escape(one.encode()) for one in dialect)
    bare = rb"(?!%b)(?:[^%b%b\r\n]++" % (q, d, e) + (rb"|%b(?s:.))*+" % e if e else rb")?+")
    field = rb"(?:%b|%b)" % (_quoted_values(dialect).pattern, bare)
    return re.compile(rb"(?:%b(?:%b%b)*+(?:\r\n|\r|\n))*+" % (field, d, field))


def _strict_end(sample: bytes, whole: bool, dialect: Dialect) -> int:
    """Where the strict rows of a sample end; 0 if some rows are not strict."""
    if whole and not sample.endswith((b"\n", b"\r")):
        sample += b"\n"
    found = _strict_rows(dialect).match(sample)
    end = 0 if found is None else found.end()
    return end if len(sample) - end <= (0 if whole else UNFINISHED) else 0


def _are_columns(rows: Sequence[Sequence[str]], choice: ColumnChoice) -> bool:
    """Is there more evidence for these columns than that all rows have them?"""
    if choice.header is not False and isinstance(header_of(rows, msgspec.structs.replace(choice, header=None)), list):
        return True
    data = rows[1:] if choice.header and len(rows) > 1 else rows
    columns = [[value.strip() for value in column] for column in zip(*data, strict=True)]
    if any(sum(map(bool, map(URL, column))) >= NEARLY_ALL * len(column) for column in columns):
        return True
    return len(data) >= FEWEST_NUMBERS and any(all(map(NUMBER, column)) for column in columns)
