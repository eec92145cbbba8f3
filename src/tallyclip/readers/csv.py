"""CSV and TSV files, with or without a header, in the dialect that the suffix, the content or the user gives.

All values stay text.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import numpy as np

from tallyclip.errors import SourceError
from tallyclip.io.streams import CHUNK
from tallyclip.readers.columns import ColumnChoice, brief, distinct
from tallyclip.readers.content import LARGEST, LONGEST_SAMPLE, is_utf8, read_chunks, reading, shown
from tallyclip.readers.detection import LOOKED_AT, SAMPLE, USUAL, detect_dialect, read_rows
from tallyclip.readers.dialects import (
    MOST_COLUMNS,
    WORDS,
    Dialect,
    TableFormat,
    end_of_rows,
    is_open,
    is_too_wide,
    numbered,
    parse,
    rows_of,
)
from tallyclip.readers.headers import guess_names, header_of, is_layout
from tallyclip.readers.records import Drop, Records

SHOWN = 8  # columns in an example
MOST_LINES = 262_144  # of a chunk, read at once; with more, lines have less than 32 bytes each


def look_at(path: str, kind: str, choice: ColumnChoice) -> TableFormat:
    """Detect the dialect and the columns of a file.

    Without a header the column of URLs is called ``url`` and the other of two, or the only one, ``caption``; where that is not clear
    they are ``column_0``, ``column_1`` and so on.

    Args:
        path: local path or URL.
        kind: csv or tsv.
        choice: the user's choices.
    """
    chunks = read_chunks(path)
    start = next(chunks).lstrip(b"\r\n")
    while len(start) <= SAMPLE and (chunk := next(chunks, None)) is not None:
        start += chunk
    dialect, possible = detect_dialect(start[:SAMPLE], whole=len(start) <= SAMPLE, kind=kind, choice=choice)
    first = list(islice(rows_of(next(_blocks(path, chain([start], chunks), dialect)), dialect), LOOKED_AT))
    if is_too_wide(first[0], dialect):
        what = (
            f"{path}: the first row has more than {MOST_COLUMNS:,} values, separated by {WORDS.get(dialect.delimiter, dialect.delimiter)}"
        )
        raise SourceError(what, "if another character separates them, give it with --delimiter")
    with reading(path):
        rows = read_rows(b"".join(first), dialect).rows
    header = header_of(rows, choice)
    has_header = isinstance(header, list)
    data = rows[has_header:]
    names = [name or number for name, number in zip(header, numbered(len(header)), strict=True)] if has_header else guess_names(rows)
    by_content = has_header and choice.header is None and not is_layout(header, choice)
    form = None if dialect == USUAL[kind] else str(dialect)
    detected = form is not None or possible is not None or header is None or (has_header and choice.header is None)
    example = _example(dialect, names, has_header, data, header is None, possible) if detected else None
    return TableFormat(dialect, names, has_header, by_content, data[0] if data else [], form, example)


def _example(dialect: Dialect, names: list[str], has_header: bool, data: list[list[str]], unsure: bool, possible: str | None) -> str:
    """The first row as it is read, and what may be wrong with that."""
    header = "a header" if has_header else "no header (--header if the first row is one)" if unsure else "no header"
    values = ", ".join(f"{brief(name)} = '{brief(value)}'" for name, value in zip(names[:SHOWN], data[0], strict=False)) if data else ""
    more = f" and {len(names) - SHOWN:,} more columns" if len(names) > SHOWN else ""
    first = f"; the first row: {values}{more}" if data else "; no rows"
    other = f"; every row also contains {possible!r}: if it separates the columns, give --delimiter {WORDS[possible]}" if possible else ""
    return f"{dialect}; {header}{first}{other}"


def read_records(path: str, form: TableFormat) -> Iterator[Records]:
    """Stream a file's rows; those with too many or too few values, or with bytes that are not UTF-8, are dropped."""
    dialect, has_header = form.dialect, form.has_header
    names = distinct(form.names)
    first_row = 0
    chunks = read_chunks(path)
    start = next(chunks).lstrip(b"\r\n")
    for block in _blocks(path, chain.from_iterable(map(_pieces, chain([start], chunks))), dialect):
        if has_header:
            block, has_header = block[len(next(rows_of(block, dialect))) :], False
        numbers, block, drops = _utf8_rows(block, dialect)
        with reading(path):
            table, bad = parse(block, dialect, names)
        if numbers is None:
            numbers = np.arange(len(table) + len(bad))
        drops += [Drop("wrong number of columns", int(numbers[row.number - 1]), row.text[:LONGEST_SAMPLE]) for row in bad]
        drops = [drop._replace(row=first_row + drop.row) for drop in drops]
        yield Records(first_row + np.delete(numbers, [row.number - 1 for row in bad]), table, drops)
        first_row += len(table) + len(drops)


def _utf8_rows(block: bytes, dialect: Dialect) -> tuple[np.ndarray | None, bytes, list[Drop]]:
    """The rows that are UTF-8 and their numbers (None if all are), and the others dropped."""
    if is_utf8(block):
        return None, block, []
    rows = list(rows_of(block, dialect))
    good = np.array([is_utf8(row) for row in rows])
    drops = [Drop("not UTF-8", int(i), shown(rows[i])) for i in np.flatnonzero(~good)]
    numbers = np.flatnonzero(good)
    # Once the rows between them are dropped, a "\r" and a "\n" would become one line end.
    return numbers, b"".join(rows[i] + b"\n" if rows[i].endswith(b"\r") else rows[i] for i in numbers), drops


def _blocks(path: str, chunks: Iterator[bytes], dialect: Dialect) -> Iterator[bytes]:
    """A file in blocks of whole rows, without leading blank lines.

    Arrow could split it too, but it fails on a row larger than its blocks, and accepts a quotation mark that is never closed.
    """
    rest, place, wanted = next(chunks).lstrip(b"\r\n"), 0, 0
    while True:
        if len(rest) >= min(wanted, LARGEST + 1):
            end = end_of_rows(rest, dialect)
            if end:
                yield rest[:end]
            rest, place = rest[end:], place + end
            wanted = 0 if end or not rest else len(rest) + CHUNK  # an unfinished row is not searched again after each small chunk
        if len(rest) > LARGEST:
            what = f"the row at byte {place:,} is larger than {LARGEST >> 20} MiB"
            raise SourceError(
                f"{path}: {what}", f"a quotation mark in it may not be closed; {_unclosed(dialect)}" if dialect.quote else None
            )
        chunk = next(chunks, None)
        if chunk is None:
            break
        rest += chunk
    if wanted and (end := end_of_rows(rest, dialect)):
        yield rest[:end]
        rest, place = rest[end:], place + end
    if is_open(rest, dialect):
        raise SourceError(f"{path}: a quotation mark in the row at byte {place:,} is never closed", _unclosed(dialect))
    if rest:
        yield rest
    elif place == 0:
        raise SourceError(f"{path}: there are only blank lines in it")


def _pieces(chunk: bytes) -> Iterator[bytes]:
    """A chunk, halved until no piece has very many lines: a row takes up to 500 bytes of memory, however short it is."""
    letters = np.frombuffer(chunk, np.uint8)
    if np.count_nonzero(letters == ord("\n")) + np.count_nonzero(letters == ord("\r")) <= MOST_LINES:
        yield chunk
    else:
        yield from chain(_pieces(chunk[: len(chunk) // 2]), _pieces(chunk[len(chunk) // 2 :]))


def _unclosed(dialect: Dialect) -> str:
    return f"the file may have been cut short, or {dialect.quote} is an ordinary character in it: then give --quote none"
