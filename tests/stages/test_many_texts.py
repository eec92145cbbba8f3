"""Images with many texts: what is written grows with the texts, not with their square, and nothing of it is too large for Arrow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallyclip.core.balance import TextsPolicy
from tallyclip.core.data import Metadata
from tallyclip.export import curated
from tallyclip.flows.dry_run import estimate_run
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.records import BYTES_AT_ONCE
from tallyclip.stages.plan import Aim
from tests.stages.conftest import Stages
from tests.tools import manifest, write_entries, write_parquet

ALL = Aim(t=float("inf"))


@pytest.fixture
def of_dogs(stages: Stages, tmp_path: Path) -> Stages:
    return Stages(stages.workers, write_entries(tmp_path / "entries.json", ["dog"]))


def dogs(count: int) -> list[str]:
    return [f"dog {n} {n * n:x}" for n in range(count)]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write(folder: Path, kind: str, columns: dict[str, list[Any]]) -> Path:
    folder.mkdir()
    if kind == "parquet":
        write_parquet(folder / "a.parquet", columns)
    else:
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        (folder / "a.json").write_text(json.dumps(rows))
    return folder


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_what_is_written_of_an_image_grows_with_its_texts(of_dogs: Stages, tmp_path: Path, kind: str) -> None:
    sizes: list[int] = []
    for count in (2_000, 4_000):
        pool = write(tmp_path / f"pool{count}", kind, {"url": ["https://a.example/placeholder.gif"], "texts": [dogs(count)]})
        of_dogs.run(tmp_path / f"run{count}", pool, aim=ALL)
        table = pq.read_table(tmp_path / f"run{count}" / "curated")
        assert table.schema.names == ["url", "uid", "caption", "text_number", "entry_ids", "keep_probability"]
        assert table["caption"].to_pylist() == dogs(count)
        assert table["text_number"].to_pylist() == list(range(count))
        sizes.append(sum(column.nbytes for column in table.columns))
        assert size_of(tmp_path / f"run{count}") < 300_000 + 200 * count
    assert sizes[1] < 2.1 * sizes[0]


def test_a_thousand_images_with_three_hundred_texts_each_are_read(of_dogs: Stages, tmp_path: Path) -> None:
    texts = [f"a photo of a dog, and of much more that is behind it {n}" for n in range(300)]
    (tmp_path / "pool").mkdir()
    column = pa.array([texts] * 1_000)
    pq.write_table(pa.table({"url": [f"https://a.example/{n}" for n in range(1_000)], "texts": column}), tmp_path / "pool" / "a.parquet")
    of_dogs.run(tmp_path / "run", tmp_path / "pool", aim=ALL)
    assert manifest(tmp_path / "run", "balance")["result"]["kept"] == 300_000
    assert pq.ParquetFile(tmp_path / "run" / "curated" / "a.parquet").metadata.num_rows == 300_000


@pytest.mark.parametrize("policy", ["pairs", "one-per-image"])
def test_columns_of_any_size_are_written_beside_many_texts(of_dogs: Stages, tmp_path: Path, policy: TextsPolicy) -> None:
    """Were all rows of a batch taken at once, they would be 2.4 GB, and more than an array of strings holds."""
    wide, large = "w" * 3_000_000, "u" * 20_000
    columns = {"url": [f"https://a.example/{large}", "https://a.example/1"], "texts": [dogs(800), dogs(3)], "about": [wide, "short"]}
    of_dogs.run(tmp_path / "run", write(tmp_path / "pool", "parquet", columns), aim=ALL, policy=policy)
    file = pq.ParquetFile(tmp_path / "run" / "curated" / "a.parquet")
    rows = [(len(batch["about"][0].as_py()), batch["caption"][0].as_py()) for batch in file.iter_batches(1)]
    if policy == "pairs":
        assert rows == [*((len(wide), text) for text in dogs(800)), *((len("short"), text) for text in dogs(3))]
    else:
        assert [size for size, _ in rows] == [len(wide), len("short")]


def test_files_with_a_text_each_keep_their_columns_beside_files_with_lists(of_dogs: Stages, tmp_path: Path) -> None:
    """Also a column that is called like another file's list."""
    pool = write(tmp_path / "pool", "parquet", {"url": ["https://a.example/0"], "caption": [["a dog", "dog"]], "width": [5]})
    write_parquet(pool / "b.parquet", {"url": ["https://b.example/0"], "texts": ["one dog"], "caption": ["more"]})
    of_dogs.run(tmp_path / "run", pool, aim=ALL)
    rows = pq.read_table(tmp_path / "run" / "curated").to_pylist()
    seen = [{name: row[name] for name in ("caption", "text_number", "texts", "pool_caption", "width")} for row in rows]
    assert seen == [
        {"caption": "a dog", "text_number": 0, "texts": None, "pool_caption": None, "width": 5},
        {"caption": "dog", "text_number": 1, "texts": None, "pool_caption": None, "width": 5},
        {"caption": "one dog", "text_number": 0, "texts": "one dog", "pool_caption": "more", "width": None},
    ]


def test_rows_are_taken_in_parts_that_are_no_larger_than_a_batch() -> None:
    draw = np.random.default_rng(0)
    sizes = draw.integers(0, 40_000, 500)
    sizes[7], sizes[8] = BYTES_AT_ONCE // 3, 2 * BYTES_AT_ONCE
    table = pa.table({"wide": [b"x" * int(size) for size in sizes]})
    times = draw.integers(0, 300, 500)
    times[7:9] = 50
    places = np.repeat(np.arange(500), times)
    parts = list(curated._parts(table, places))
    assert [place for start, end in parts for place in range(start, end)] == list(range(len(places)))
    for start, end in parts:
        assert sizes[places[start:end]].sum() <= BYTES_AT_ONCE or end - start == 1
    assert len(parts) < 50 + 50 + 8 * sizes.repeat(times).sum() / BYTES_AT_ONCE
    assert list(curated._parts(table, np.arange(500))) == [(0, 500)]  # nothing is repeated
    assert list(curated._parts(table, np.arange(0))) == [(0, 0)]


def test_the_disk_of_a_dry_run_grows_with_the_texts(tmp_path: Path) -> None:
    entries = Metadata(["dog"])
    disks: list[int] = []
    for count in (2_000, 4_000):
        pool = write(tmp_path / f"pool{count}", "parquet", {"url": ["https://a.example/0"], "texts": [dogs(count)]})
        estimate = estimate_run([str(pool)], ColumnChoice(), entries, "exact", 1)
        assert estimate.pairs == count
        disks.append(estimate.disk_bytes)
    assert disks[1] < 2.1 * disks[0]


def test_marks_and_card_stay_small_whatever_statuses_there_are(of_dogs: Stages, tmp_path: Path) -> None:
    count = 20_000
    statuses = ["success", *(f"HTTP error {n} {'x' * 200}" for n in range(count - 1))]
    columns = {"url": ["u"] * count, "caption": ["dog"] * count, "key": list(map(str, range(count))), "status": statuses}
    of_dogs.run(tmp_path / "run", write(tmp_path / "pool", "parquet", columns), aim=ALL, pictures=True)
    drops = manifest(tmp_path / "run", "match")["result"]["drops"]
    assert drops == {"download: other status": count - 1}
    assert (tmp_path / "run" / "match" / "_done" / "a.json").stat().st_size < 20_000
    assert (tmp_path / "run" / "card" / "card.json").stat().st_size < 50_000
    assert "HTTP error 0" in (tmp_path / "run" / "card" / "card.json").read_text()
