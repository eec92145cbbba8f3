"""Texts to count words in: Parquet as on the Hugging Face Hub, dumps of Wikipedia, the output of wikiextractor, and plain text.

An input is split into parts that depend only on its bytes, and each part is read in batches. The texts of a dump are its articles without
markup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tallyclip.core.strings import Strings, from_arrow
from tallyclip.errors import SourceError
from tallyclip.io.streams import open_file
from tallyclip.lists import dump, extracted, plain
from tallyclip.lists.kinds import kind_of
from tallyclip.lists.wikitext.stripper import Stripper
from tallyclip.readers import parquet
from tallyclip.readers.content import EMPTY, is_utf8, reading

BATCH = 8 << 20  # bytes of text
PARQUET_PART = 256 << 20  # bytes of text
COLUMN = "text"


class TextPart(msgspec.Struct, frozen=True):
    """A part of an input: row groups of Parquet, or bytes of other files (to the end if ``end`` is None).

    Attributes:
        kind: one of ``READERS``.
        size: about how many bytes of work it is.
    """

    path: str
    kind: str
    start: int
    end: int | None
    size: int


class TextCounts(msgspec.Struct):
    """What was read: pages = articles + redirects + other_namespaces + drops.

    A file of plain text counts as one page and one article. There, and between lines ``<doc>``, drops are lines instead of pages.
    """

    pages: int = 0
    articles: int = 0
    redirects: int = 0
    other_namespaces: int = 0
    drops: dict[str, int] = {}

    def add(self, other: TextCounts) -> None:
        """Add the counts of another part."""
        self.pages += other.pages
        self.articles += other.articles
        self.redirects += other.redirects
        self.other_namespaces += other.other_namespaces
        for reason, number in other.drops.items():
            self.drop(reason, number)

    def drop(self, reason: str, number: int = 1) -> None:
        """Count dropped pages or lines."""
        self.drops[reason] = self.drops.get(reason, 0) + number


class _PartTicker:
    """Reports how much of a part is done, at the end exactly its size."""

    def __init__(self, size: int, tick: Callable[[int], None]) -> None:
        self._left, self._tick = size, tick

    def __call__(self, nbytes: int) -> None:
        nbytes = min(nbytes, self._left)
        if nbytes:
            self._left -= nbytes
            self._tick(nbytes)

    def end(self) -> None:
        self(self._left)


def parts_of(path: str, part_bytes: int | None = None) -> list[TextPart]:
    """Split an input into parts.

    Args:
        path: a local file, or a URL of Parquet or text.
        part_bytes: about the size of a part, for a compressed dump in compressed bytes; None: a good size for its kind.

    Raises:
        OptionError: it is of no known kind, or a remote dump.
        SourceError: it cannot be read, or has no texts.
    """
    kind = kind_of(path)
    if kind == "parquet":
        return _parquet_parts(path, part_bytes or PARQUET_PART)
    with reading(path), open_file(path) as file:
        size = file.size()
    if not size:
        raise SourceError(f"{path}: nothing in it", EMPTY)
    places = (dump if kind == "dump" else plain).find_parts(path, part_bytes)
    return [TextPart(path, kind, start, end, (size if end is None else end) - start) for start, end in places]


def read_texts(part: TextPart, counts: TextCounts, tick: Callable[[int], None]) -> Iterator[Strings]:
    """The texts of a part in batches of some MB, in UTF-8.

    A file of plain text is one long text; each batch has some of its lines as one string.

    Args:
        part: one of ``parts_of``.
        counts: counts what is read, and what is dropped and why.
        tick: called with the number of the part's bytes done since the last call.

    Raises:
        SourceError: the file is truncated or damaged, or has no column of texts.
    """
    progress = _PartTicker(part.size, tick)
    yield from READERS[part.kind](part, counts, progress)
    progress.end()


def _parquet_parts(path: str, part_bytes: int) -> list[TextPart]:
    metadata = parquet.read_footer(path).metadata
    if not metadata.num_rows:
        raise SourceError(f"{path}: no rows in it")
    name = _text_column(path)
    sizes = [_column_size(metadata.row_group(i), name) for i in range(metadata.num_row_groups)]
    parts: list[TextPart] = []
    start = size = 0
    for i, nbytes in enumerate(sizes):
        size += nbytes
        if size >= part_bytes or i + 1 == len(sizes):
            parts.append(TextPart(path, "parquet", start, i + 1, size))
            start, size = i + 1, 0
    return parts


def _column_size(group: pq.RowGroupMetaData, name: str) -> int:
    columns = [group.column(i) for i in range(group.num_columns)]
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema == name)


def _text_column(path: str) -> str:
    """``text``, or the only column of strings.

    Raises:
        SourceError: it has neither.
    """
    schema = parquet.schema_of(path)
    names = [column.name for column in schema if _is_text(column.type)]
    if COLUMN in names:
        return COLUMN
    if len(names) == 1:
        return names[0]
    raise SourceError(f"{path}: no column of texts found among {', '.join(schema.names)}", f"rename the column of texts to {COLUMN!r}")


def _is_text(kind: pa.DataType) -> bool:
    return any(check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary))


def _read_parquet(part: TextPart, counts: TextCounts, progress: _PartTicker) -> Iterator[Strings]:
    name = _text_column(part.path)
    assert part.end is not None
    for records in parquet.read_records(part.path, (part.start, part.end), 0, [name]):
        for chunk in records.table.column(name).chunks:
            texts = from_arrow(chunk)
            for batch in _batches(texts):
                good = _good(batch, counts)
                counts.pages += len(batch.offsets) - 1
                counts.articles += len(good.offsets) - 1
                yield good
                progress(int(batch.offsets[-1] - batch.offsets[0]))


def _batches(texts: Strings) -> Iterator[Strings]:
    """Batches of texts, of at least one each."""
    count, start = len(texts.offsets) - 1, 0
    while start < count:
        end = int(np.searchsorted(texts.offsets, texts.offsets[start] + BATCH, "right")) - 1
        end = min(count, max(end, start + 1))
        yield Strings(texts.data, texts.offsets[start : end + 1], None if texts.valid is None else texts.valid[start:end])
        start = end


def _good(texts: Strings, counts: TextCounts) -> Strings:
    """The texts that are not null and are UTF-8; the others are counted."""
    content = texts.data[texts.offsets[0] : texts.offsets[-1]]
    starts = texts.offsets[:-1][np.diff(texts.offsets) > 0]
    whole = not np.any((texts.data[starts] & 0xC0) == 0x80) and is_utf8(content.tobytes())  # each starts at the start of a character
    if whole and texts.valid is None:
        return texts
    good: list[bytes] = []
    for i in range(len(texts.offsets) - 1):
        text = texts.data[texts.offsets[i] : texts.offsets[i + 1]].tobytes()
        if texts.valid is not None and not texts.valid[i]:
            counts.drop("no text")
        elif not whole and not is_utf8(text):
            counts.drop(plain.NOT_UTF8)
        else:
            good.append(text)
    return _strings(good)


def _strings(texts: list[bytes]) -> Strings:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return Strings(np.frombuffer(b"".join(texts), np.uint8), np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]), None)


def _read_dump(part: TextPart, counts: TextCounts, progress: _PartTicker) -> Iterator[Strings]:
    namespaces = dump.namespaces_of(part.path)
    stripper = Stripper(namespaces)
    held: list[bytes] = []
    size = 0

    def drop(reason: str) -> None:
        counts.pages += 1
        counts.drop(reason)

    for page in dump.read_pages(part.path, (part.start, part.end), namespaces, drop, progress):
        counts.pages += 1
        if page.namespace != 0:
            counts.other_namespaces += 1
        elif page.redirect:
            counts.redirects += 1
        else:
            counts.articles += 1
            held.append(page.text)
            size += len(page.text)
            if size >= BATCH:
                yield stripper.strip(_strings(held))
                held, size = [], 0
    if held:
        yield stripper.strip(_strings(held))


def _read_text(part: TextPart, counts: TextCounts, progress: _PartTicker) -> Iterator[Strings]:
    if part.start == 0:
        counts.pages += 1
        counts.articles += 1
    for lines in plain.read_lines(part.path, (part.start, part.end), BATCH, counts.drop, progress):
        yield _strings([lines])


def _read_documents(part: TextPart, counts: TextCounts, progress: _PartTicker) -> Iterator[Strings]:
    for lines, articles in extracted.read_documents(part.path, (part.start, part.end), BATCH, counts.drop, progress):
        counts.pages += articles
        counts.articles += articles
        yield _strings([lines])


def _read_json(part: TextPart, counts: TextCounts, progress: _PartTicker) -> Iterator[Strings]:
    def drop(reason: str, number: int) -> None:
        counts.pages += number
        counts.drop(reason, number)

    for articles in extracted.read_json(part.path, (part.start, part.end), BATCH, drop, progress):
        counts.pages += len(articles)
        counts.articles += len(articles)
        yield _strings(articles)


READERS: dict[str, Callable[[TextPart, TextCounts, _PartTicker], Iterator[Strings]]] = {
    "parquet": _read_parquet,
    "dump": _read_dump,
    "documents": _read_documents,
    "json": _read_json,
    "text": _read_text,
}
