"""CSV and TSV files, with or without a header.

Every value stays the text it is. CSV follows RFC 4180; in TSV a quotation mark is a letter like any other, as in CC3M.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.csv

from tallyclip.errors import OptionError, SourceError
from tallyclip.pool.columns import ColumnChoice, find_columns
from tallyclip.pool.reading import LARGEST, LONGEST_SAMPLE, is_utf8, read_chunks, reading, shown
from tallyclip.pool.records import Drop, Records

LOOKED_AT = 100  # rows, to tell a header from a first row and an address from a caption
# A quotation mark opens a value only at its beginning, and doubled it stays within; group 1 is the mark that closes it.
QUOTED = re.compile(rb'"(?<![^,\r\n]")[^"]*+(?:""[^"]*+)*+(")?')
ROWS = {
    ",": re.compile(rb'(?:"(?<![^,\r\n]")[^"]*+(?:""[^"]*+)*+"?|[^"\r\n]++|")*+(?:\r\n|\r|\n|\Z)'),
    "\t": re.compile(rb"[^\r\n]*+(?:\r\n|\r|\n|\Z)"),
}


def column_names(path: str, delimiter: str, choice: ColumnChoice) -> tuple[list[str], bool]:
    """The names of a file's columns, and whether its first line gives them.

    Without a header the column of addresses is called ``url`` and the other of two, or the only one, ``caption``; where that is not
    clear they are ``column_0``, ``column_1`` and so on.

    Args:
        path: local path or URL.
        delimiter: comma or tab.
        choice: what the user said. If nothing of a header, the first line is one if it names a chosen column or makes a known layout.
    """
    block = next(_blocks(path, delimiter))
    sample = b"".join(islice(_rows(block, delimiter), LOOKED_AT)).decode("utf-8", "replace").encode()
    with reading(path):
        width = _parse(sample + b"\n", delimiter, None)[0].num_columns  # Arrow wants an end to count the columns of a first row
        table, _ = _parse(sample, delimiter, _numbered(width))
    rows = [list(row.values()) for row in table.to_pylist()]
    has_header = _is_layout(rows[0], choice) if choice.header is None else choice.header
    if has_header:
        return [name or number for name, number in zip(rows[0], table.column_names, strict=True)], True
    return _guess_names(rows), False


def read_records(path: str, delimiter: str, names: list[str], has_header: bool) -> Iterator[Records]:
    """Stream a file's rows; those with too many or too few values, or with bytes that are not UTF-8, are dropped."""
    first_row = 0
    for block in _blocks(path, delimiter):
        if has_header:
            block, has_header = block[len(next(_rows(block, delimiter))) :], False
        numbers, block, drops = _utf8_rows(block, delimiter)
        with reading(path):
            table, bad = _parse(block, delimiter, names)
        if numbers is None:
            numbers = np.arange(len(table) + len(bad))
        drops += [Drop("wrong number of columns", int(numbers[row.number - 1]), row.text[:LONGEST_SAMPLE]) for row in bad]
        drops = [Drop(reason, first_row + number, sample) for reason, number, sample in drops]
        yield Records(first_row + np.delete(numbers, [row.number - 1 for row in bad]), table, drops)
        first_row += len(table) + len(drops)


def _rows(block: bytes, delimiter: str) -> Iterator[bytes]:
    """The rows of a block, with their ends."""
    return (row[0] for row in ROWS[delimiter].finditer(block) if row[0])


def _utf8_rows(block: bytes, delimiter: str) -> tuple[np.ndarray | None, bytes, list[Drop]]:
    """The rows that are UTF-8 and their numbers (None if all are), and the others dropped."""
    if is_utf8(block):
        return None, block, []
    rows = list(_rows(block, delimiter))
    good = np.array([is_utf8(row) for row in rows])
    drops = [Drop("not UTF-8", int(i), shown(rows[i])) for i in np.flatnonzero(~good)]
    numbers = np.flatnonzero(good)
    # A row that ends in "\r" must not make one end with a "\n" that it did not stand before.
    return numbers, b"".join(rows[i] + b"\n" if rows[i].endswith(b"\r") else rows[i] for i in numbers), drops


def _blocks(path: str, delimiter: str) -> Iterator[bytes]:
    """A file in pieces of whole rows, without the blank lines before the first.

    Arrow would cut it too, but it fails at a row larger than its blocks, and takes a quotation mark that is never closed for closed.
    """
    chunks = read_chunks(path)
    rest, place = next(chunks).lstrip(b"\r\n"), 0
    while True:
        end = _end_of_rows(rest, delimiter)
        if end:
            yield rest[:end]
        rest, place = rest[end:], place + end
        if len(rest) > LARGEST:
            what = f"the row at byte {place:,} is larger than {LARGEST >> 20} MiB"
            raise SourceError(f"{path}: {what}", "a quotation mark in it may not be closed" if delimiter == "," else None)
        chunk = next(chunks, None)
        if chunk is None:
            break
        rest += chunk
    if any(mark[1] is None for mark in _quoted(rest, delimiter)):
        raise SourceError(f"{path}: a quotation mark in the row at byte {place:,} is never closed", "the file may have been cut short")
    if rest:
        yield rest
    elif place == 0:
        raise SourceError(f"{path}: there are only blank lines in it")


def _quoted(rows: bytes, delimiter: str) -> Iterator[re.Match[bytes]]:
    return QUOTED.finditer(rows) if delimiter == "," else iter(())


def _end_of_rows(content: bytes, delimiter: str) -> int:
    """Where the last whole row ends: after the last line break that is in no quoted value; 0 if there is none."""
    end = len(content)
    for mark in reversed(list(_quoted(content, delimiter))):
        found = content.rfind(b"\n", mark.end(), end)
        if found >= 0:
            return found + 1
        end = mark.start()
    return content.rfind(b"\n", 0, end) + 1


def _numbered(width: int) -> list[str]:
    return [f"column_{i}" for i in range(width)]


def _parse(block: bytes, delimiter: str, names: list[str] | None) -> tuple[pa.Table, list[pyarrow.csv.InvalidRow]]:
    """Whole rows as a table of strings, and those rows that have another number of values."""
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
            delimiter=delimiter,
            quote_char='"' if delimiter == "," else False,
            newlines_in_values=delimiter == ",",
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


def _is_layout(first: list[str], choice: ColumnChoice) -> bool:
    if any(name in first for name in choice.named):
        return True
    try:
        find_columns(list(dict.fromkeys(first)), ColumnChoice())
    except OptionError:
        return False
    return True


def _guess_names(rows: list[list[str]]) -> list[str]:
    width = len(rows[0])
    addresses = [i for i in range(width) if sum(row[i].startswith(("http://", "https://")) for row in rows) * 2 > len(rows)]
    if len(addresses) == 1 and width == 2:
        return ["url" if i in addresses else "caption" for i in range(width)]
    return ["caption"] if width == 1 else _numbered(width)
