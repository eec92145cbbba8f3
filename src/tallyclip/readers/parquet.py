"""Parquet files, a run of row groups at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tallyclip.io.mirror import best_place
from tallyclip.io.streams import CHUNK, is_url, open_file
from tallyclip.readers.columns import distinct
from tallyclip.readers.content import reading
from tallyclip.readers.plain_types import as_plain, is_plain, plain_schema
from tallyclip.readers.records import BYTES_AT_ONCE, RECORDS_AT_ONCE, Records

USUAL_FOOTER = 64 << 10
READ_AT_ONCE = 1 << 20  # bytes of a column of a local file; of a remote one it is a chunk
FIRST_ROWS, MOST_ROWS = 64, 4096  # of a step


class Footer(NamedTuple):
    """What a file says of itself.

    Attributes:
        metadata: rows, row groups, columns.
        fingerprint: changes with nearly any change to the file.
        content: its bytes, as they are in the file.
    """

    metadata: pq.FileMetaData
    fingerprint: str
    content: bytes

    @property
    def schema(self) -> pa.Schema:
        """The columns, in the types that ``read_records`` gives them. Several may have the same name, which it makes distinct."""
        return plain_schema(self.metadata.schema.to_arrow_schema())


def read_footer(path: str) -> Footer:
    """Read a file's footer.

    It has the sizes and places of all column chunks, and their statistics. Its bytes are hashed rather than what Arrow makes of them, since
    Arrow ends the process over some damaged statistics.

    Raises:
        SourceError: it is not a whole Parquet file.
    """
    with reading(path), open_file(best_place(path), ahead=False) as file:
        size = file.size()
        tail = file.read_at(min(size, USUAL_FOOTER), max(0, size - USUAL_FOOTER))
        length = min(size, int.from_bytes(tail[-8:-4], "little") + 8)  # before the last eight bytes, which say how long it is
        if length > len(tail):
            tail = file.read_at(length, size - length)
        return footer_of(tail[-length:])


def footer_of(content: bytes) -> Footer:
    """What the bytes of a footer say."""
    return Footer(pq.read_metadata(pa.BufferReader(content)), hashlib.sha256(content).hexdigest()[:16], content)


def schema_of(path: str) -> pa.Schema:
    """The columns of a file, in the types that ``read_records`` gives them.

    Raises:
        SourceError: it is not a whole Parquet file.
    """
    with reading(path):
        return read_footer(path).schema


def read_records(
    path: str, groups: tuple[int, int] | None, first_row: int, columns: Sequence[str] | None, footer: Footer | None = None
) -> Iterator[Records]:
    """Stream some row groups (all by default), checking pages where the file has checksums.

    They are read in small steps and joined, because a file does not say how large its rows are: a caption of 100 KB that thousands of rows
    share is stored once. The size of a step follows from the steps before; the first step, and the first with larger rows, may be too
    large: up to ``MOST_ROWS`` times the largest value, which writers keep below 1 MB where they store it once.

    Args:
        path: local path or URL.
        groups: the first row group and the one after the last.
        first_row: the number of the first row of these groups in the file.
        columns: what to read, by distinct names; None reads all.
        footer: the file's, if it has been read.
    """
    metadata = (read_footer(path) if footer is None else footer).metadata
    with reading(path), open_file(best_place(path), ahead=False) as source:
        # Not buffered ahead, which would hold all row groups until the last is read.
        read_at_once = CHUNK if is_url(path) else READ_AT_ONCE
        file = pq.ParquetFile(source, metadata=metadata, page_checksum_verification=True, pre_buffer=False, buffer_size=read_at_once)
        chosen = range(file.num_row_groups) if groups is None else range(*groups)
        names = list(columns) if columns is not None else None
        held: list[pa.RecordBatch] = []
        rows = size = 0
        for batch, nbytes in _steps(file, chosen, names):
            if held and (rows + len(batch) > RECORDS_AT_ONCE or size + nbytes > BYTES_AT_ONCE):
                yield _joined(held, first_row)
                first_row, rows, size = first_row + rows, 0, 0
            held.append(batch)
            rows, size = rows + len(batch), size + nbytes
        if held:
            yield _joined(held, first_row)


def _joined(batches: list[pa.RecordBatch], first_row: int) -> Records:
    table = pa.Table.from_batches(batches).combine_chunks()
    batches.clear()  # or they would be held beside the table while the caller works on that
    return Records(np.arange(first_row, first_row + len(table)), table)


def _steps(file: pq.ParquetFile, groups: range, names: list[str] | None) -> Iterator[tuple[pa.RecordBatch, int]]:
    """A few rows at a time, in plain types and under distinct names, and their size in bytes."""
    chosen = [file.metadata.row_group(group) for group in groups]
    row_bytes = max((group.total_byte_size / max(1, group.num_rows) for group in chosen), default=0)
    step = max(1, min(FIRST_ROWS, int(BYTES_AT_ONCE / max(1, row_bytes))))
    called = list(zip(file.schema_arrow.names, distinct(file.schema_arrow.names), strict=True))
    repeated = [name for name, fresh in called if name != fresh]
    wanted = None if names is None else list(dict.fromkeys(name for name, fresh in called if fresh in names)) if repeated else names
    given = [fresh for _, fresh in called] if wanted is None else [fresh for one in wanted for name, fresh in called if name == one]
    most = _most_rows(file.schema_arrow, chosen, wanted)
    plain = is_plain(file.schema_arrow)
    for batch in file.iter_batches(step, row_groups=list(groups), columns=wanted, use_threads=False):
        if repeated:
            batch = batch.rename_columns(given).select(names or given)
        size = 0
        for start in range(0, len(batch), MOST_ROWS):  # dictionaries become large only here
            part = batch if plain else as_plain(batch.slice(start, MOST_ROWS))
            nbytes = part.nbytes
            size += nbytes
            yield part, nbytes
        good = max(1, BYTES_AT_ONCE * len(batch) // max(1, size))
        if step != (step := min(2 * step, good, most)):
            file.reader.set_batch_size(step)  # takes effect in the running iteration


def _most_rows(schema: pa.Schema, groups: Sequence[Any], names: list[str] | None) -> int:
    """The most rows of a step. Arrow copies a whole dictionary in every step: a large one is worth more rows."""
    kept = [i for i, column in enumerate(schema) if pa.types.is_dictionary(column.type) and (names is None or column.name in names)]
    if not kept:
        return MOST_ROWS
    paths = {schema.names[i] for i in kept}
    chunks = [group.column(i) for group in groups for i in range(group.num_columns) if group.column(i).path_in_schema in paths]
    largest = max((chunk.total_uncompressed_size for chunk in chunks), default=0)
    return max(MOST_ROWS, min(RECORDS_AT_ONCE, largest >> 10))
