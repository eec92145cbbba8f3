"""Tables are written in row groups of a good size, and each column as suits it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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


def test_columns_that_rise_or_are_random_are_not_larger_and_read_back_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = np.cumsum(rng.integers(1, 4, 50_000))
    table = pa.table({"row": rows, "uid": rng.integers(0, 1 << 64, 50_000, np.uint64), "score": rng.random(50_000).round(2)})
    sizes: list[list[int]] = []
    kinds: dict[str, dict[str, list[str]]] = {"as-usual.parquet": {}, "a.parquet": {"rising": ["row"], "random": ["uid"]}}
    for name, options in kinds.items():
        path = tmp_path / name
        with TableWriter(path, table.schema, [], **options) as writer:
            writer.write(table)
        assert pq.read_table(path).equals(table)
        group = pq.read_metadata(path).row_group(0)
        sizes.append([group.column(i).total_compressed_size for i in range(3)])
    before, after = sizes
    assert after[0] < before[0] / 2
    assert after[1] <= before[1]
    assert after[2] == before[2]
    assert pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(1).compression == "UNCOMPRESSED"


def test_ids_in_lists_that_rise_are_found_by_their_path(tmp_path: Path) -> None:
    lists = pa.array([[3, 70_000, 70_002], [], [1]] * 1_000, pa.list_(pa.uint32()))
    table = pa.table({"entry_ids": lists})
    with TableWriter(tmp_path / "a.parquet", table.schema, [], rising=["entry_ids.list.element"]) as writer:
        writer.write(table)
    assert pq.read_table(tmp_path / "a.parquet").equals(table)
    assert "DELTA_BINARY_PACKED" in pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(0).encodings
