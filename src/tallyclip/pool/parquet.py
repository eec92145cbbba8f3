"""Parquet files, a run of row groups at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tallyclip.pool.reading import reading
from tallyclip.pool.records import BYTES_AT_ONCE, RECORDS_AT_ONCE, Records
from tallyclip.streams import CHUNK, is_url, open_file

USUAL_FOOTER = 64 << 10
READ_AT_ONCE = 1 << 20  # bytes of a column of a local file; of a remote one it is a chunk


def footer(path: str) -> tuple[pq.FileMetaData, str]:
    """What the file says of itself (rows, row groups, schema), and a hash that changes with nearly any change to the file.

    The footer has the sizes and places of all column chunks, and their statistics. Its bytes are hashed rather than what Arrow makes of
    them, since Arrow ends the process over some damaged statistics.

    Raises:
        SourceError: it is not a whole Parquet file.
    """
    with reading(path), open_file(path, ahead=False) as file:
        size = file.size()
        tail = file.read_at(min(size, USUAL_FOOTER), max(0, size - USUAL_FOOTER))
        length = min(size, int.from_bytes(tail[-8:-4], "little") + 8)  # before the last eight bytes, which say how long it is
        if length > len(tail):
            tail = file.read_at(length, size - length)
        return pq.read_metadata(pa.BufferReader(tail)), hashlib.sha256(tail[-length:]).hexdigest()[:16]


def schema_of(path: str) -> pa.Schema:
    """The columns of the file, in the types that ``read_records`` gives them.

    Raises:
        SourceError: it is not a whole Parquet file.
    """
    with reading(path):
        return pa.schema([(column.name, _plain(column.type)) for column in footer(path)[0].schema.to_arrow_schema()])


def read_records(path: str, groups: tuple[int, int] | None, first_row: int, columns: Sequence[str] | None) -> Iterator[Records]:
    """Stream some row groups (all by default), checking pages where the file has checksums.

    Args:
        path: local path or URL.
        groups: the first row group and the one after the last.
        first_row: the number of the first row of these groups in the file.
        columns: what to read; None reads all.
    """
    with reading(path), open_file(path, ahead=False) as source:
        # Not buffered ahead, which would hold all row groups until the last is read.
        read_at_once = CHUNK if is_url(path) else READ_AT_ONCE
        file = pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False, buffer_size=read_at_once)
        chosen = range(file.num_row_groups) if groups is None else range(*groups)
        names = list(columns) if columns is not None else None
        for batch in file.iter_batches(_rows_at_once(file.metadata, chosen), row_groups=list(chosen), columns=names, use_threads=False):
            table = pa.Table.from_batches([batch])
            table = table.cast(pa.schema([column.with_type(_plain(column.type)) for column in table.schema]))
            yield Records(np.arange(first_row, first_row + len(table)), table)
            first_row += len(table)


def _rows_at_once(metadata: pq.FileMetaData, groups: range) -> int:
    """Fewer than usual where rows are large."""
    chosen = [metadata.row_group(group) for group in groups]
    row_bytes = max((group.total_byte_size / max(1, group.num_rows) for group in chosen), default=0)
    return max(1, min(RECORDS_AT_ONCE, int(BYTES_AT_ONCE / max(1, row_bytes))))


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type without views, which Arrow can hold but hardly work with."""
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([kind.field(i).with_type(_plain(kind.field(i).type)) for i in range(kind.num_fields)])
    return kind
