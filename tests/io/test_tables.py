"""Tables are written in row groups of a good size."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tallyclip.io.tables import BYTES_PER_GROUP, ROWS_PER_GROUP, TableWriter

SCHEMA = pa.schema([("caption", pa.string())])


def sizes_of_groups(path: Path, tables: list[pa.Table]) -> list[int]:
    """Write tables; returns the numbers of rows in their row groups."""
    with TableWriter(path, SCHEMA, []) as writer:
        for table in tables:
            writer.write(table)
    assert writer.rows == sum(map(len, tables))
    metadata = pq.read_metadata(path)
    assert pq.read_table(path).equals(pa.concat_tables(tables))
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def test_small_tables_are_gathered(tmp_path: Path) -> None:
    table = pa.table({"caption": [f"caption {i}" for i in range(ROWS_PER_GROUP // 4)]})
    assert sizes_of_groups(tmp_path / "a.parquet", [table] * 9) == [ROWS_PER_GROUP, ROWS_PER_GROUP, ROWS_PER_GROUP // 4]


def test_large_rows_are_not_held_until_there_are_many(tmp_path: Path) -> None:
    table = pa.table({"caption": ["x" * (BYTES_PER_GROUP // 64)] * 16})
    assert max(sizes_of_groups(tmp_path / "a.parquet", [table] * 12)) <= 64
