"""Tables on disk, as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 131_072
BYTES_PER_GROUP = 128 << 20  # in Arrow's memory; only large rows reach this limit first
LEVEL = 1  # of Zstandard
WRITING: Any = {"write_page_checksum": True, "write_statistics": False}


class TableWriter:
    """A Parquet file written in row groups of a good size, however small the tables that are given.

    Only ``repetitive`` columns are dictionary-encoded; for the others that would only cost time. Columns of ``rising`` whole numbers, a
    list's by their path, are written as differences (DELTA_BINARY_PACKED). ``random`` columns are not compressed; the schema is flat then.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, repetitive: list[str], *, rising: Sequence[str] = (), random: Sequence[str] = ()
    ) -> None:
        compression: Any = "zstd"
        level: Any = LEVEL
        if random:
            compression = {name: "none" if name in random else "zstd" for name in schema.names}
            level = {name: LEVEL for name in schema.names if name not in random}
        self._writer = pq.ParquetWriter(
            str(path),
            schema,
            use_dictionary=cast(bool, repetitive),
            column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED") or None,
            compression=compression,
            compression_level=level,
            **WRITING,
        )
        self._tables: list[pa.Table] = []
        self._held = self._bytes = 0
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        self._tables.append(table)
        self._held += len(table)
        self._bytes += table.nbytes
        self.rows += len(table)
        if self._held >= ROWS_PER_GROUP or self._bytes >= BYTES_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._tables), row_group_size=self._held)
        self._tables, self._held, self._bytes = [], 0, 0

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
