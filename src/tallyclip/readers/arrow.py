"""Arrow's IPC files and streams: Feather files, and what ``save_to_disk`` of `datasets` writes.

A file is read a record batch at a time, as large as its writer made it; of a local one that is not compressed, only what is looked at
comes into memory. A batch is checked before its values are used, because a damaged one may point anywhere.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from tallyclip.errors import SourceError
from tallyclip.io.streams import is_url, open_file
from tallyclip.readers.columns import distinct
from tallyclip.readers.content import EMPTY, reading
from tallyclip.readers.plain_types import as_plain, is_plain, plain_schema
from tallyclip.readers.records import BYTES_AT_ONCE, RECORDS_AT_ONCE, Records

FILE, FEATHER_1 = b"ARROW1", b"FEA1"
MOST_ROWS = 4096  # of a part with dictionaries, which become large only here
BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}


def schema_of(path: str) -> pa.Schema:
    """The columns of a file, in the types that ``read_records`` gives them.

    Raises:
        SourceError: it is no Arrow file.
    """
    with _opened(path, None) as (reader, _):
        return plain_schema(reader.schema)


def count_rows(path: str) -> int:
    """How many rows a file has: of a stream, from its first batch and its size."""
    with _opened(path, None) as (reader, source):
        if isinstance(reader, pa.ipc.RecordBatchFileReader):
            return reader.count_rows()
        first = next(reader, None)
        return 0 if first is None else round(len(first) * source.size() / source.tell())


def read_records(path: str, columns: Sequence[str] | None) -> Iterator[Records]:
    """Stream a file's rows.

    Args:
        path: local path or URL.
        columns: what to read, by distinct names; None reads all.

    Raises:
        SourceError: it is no Arrow file, or a damaged one.
    """
    with _opened(path, None) as (reader, _):
        names, plain = distinct(reader.schema.names), is_plain(reader.schema)
    chosen = list(range(len(names))) if not columns else sorted(names.index(name) for name in columns)
    most = RECORDS_AT_ONCE if plain else MOST_ROWS
    first_row = 0
    with _opened(path, chosen) as (reader, source):
        for batch in _batches(reader, source):
            batch = batch.rename_columns([names[i] for i in chosen]).select(names if columns is None else columns)
            step = max(1, min(most, BYTES_AT_ONCE * len(batch) // max(1, batch.nbytes)))
            for start in range(0, len(batch), step):
                part = batch.slice(start, step)
                yield Records(np.arange(first_row, first_row + len(part)), pa.Table.from_batches([part if plain else as_plain(part)]))
                first_row += len(part)


@contextmanager
def _opened(path: str, fields: list[int] | None) -> Generator[tuple[Any, pa.NativeFile]]:
    """A reader of a file's batches, with some fields, and what it reads from."""
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=fields)
    with reading(path), open_file(path, ahead=False) if is_url(path) else pa.memory_map(path) as source:
        start = source.read(len(FILE))
        source.seek(0)
        if not start:
            raise SourceError(f"{path}: there is nothing in it", EMPTY)
        if start.startswith(FEATHER_1):
            hint = "in Python: pyarrow.feather.write_feather(pyarrow.feather.read_table(OLD), NEW)"
            raise SourceError(f"{path}: a Feather file of version 1, which is out of use", f"write it anew, {hint}")
        yield (pa.ipc.open_file if start == FILE else pa.ipc.open_stream)(source, options=options), source


def _batches(reader: Any, source: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    """The batches, checked.

    Raises:
        OSError: a stream has no mark at its end, which its writer would have written last.
    """
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        yield from (_checked(reader.get_batch(i)) for i in range(reader.num_record_batches))
        return
    place = source.tell()
    for batch in reader:
        place = source.tell()
        yield _checked(batch)
    if source.tell() == place:
        raise OSError("the stream is cut short after a whole batch: the mark of its end is missing")


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same batch, whose values can be used; texts need not be UTF-8.

    Raises:
        pyarrow.ArrowInvalid: it is damaged.
    """
    for column in batch.columns:
        _with_bytes(column).validate(full=True)
    return batch


def _with_bytes(column: pa.Array) -> pa.Array:
    """The same values, with bytes in place of texts."""
    kind = column.type
    if kind in BYTES:
        return column.view(BYTES[kind])
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(column.indices, _with_bytes(column.dictionary), safe=False)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = _with_bytes(column.values)
        lists = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return pa.Array.from_buffers(lists(values.type), len(column), column.buffers()[:2], -1, column.offset, [values])
    return column
