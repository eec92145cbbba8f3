"""How many records a file may have."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tallyclip.readers import estimate
from tallyclip.readers.estimate import estimate_rows
from tallyclip.readers.sources import cut
from tests.readers.conftest import Site
from tests.readers.tools import PACKERS, files_of, json_lines, packed, write_table, write_tar

draw = random.Random(0)
ITEMS = [{"caption": " ".join(f"{draw.getrandbits(32):x}" for _ in range(draw.randint(1, 20)))} for _ in range(4000)]
CONTENTS = {
    "a.txt": "".join(item["caption"] + "\n" for item in ITEMS).encode(),
    "a.tsv": "".join(item["caption"] + "\thttp://a.example/1\n" for item in ITEMS).encode(),
    "a.jsonl": json_lines(ITEMS),
    "a.json": json.dumps(ITEMS).encode(),
    "keyed.json": json.dumps({f"{i:032x}": [["alt", item["caption"], "en"]] for i, item in enumerate(ITEMS)}).encode(),
    "indented.json": json.dumps(ITEMS, indent=2).encode(),
}


def estimated(path: Path | str) -> int:
    return sum(estimate_rows(shard) for shard in cut(files_of(path)))


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("suffix", PACKERS)
def test_a_small_file_is_counted(tmp_path: Path, name: str, suffix: str) -> None:
    assert estimated(packed(tmp_path / f"{name}{suffix}", CONTENTS[name])) == len(ITEMS)
    assert estimated(packed(tmp_path / f"b{name}{suffix}", CONTENTS[name].removesuffix(b"\n"))) == len(ITEMS)


@pytest.mark.parametrize("name", CONTENTS)
def test_a_large_file_is_estimated_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(estimate, "LOOKED_AT", 20_000)
    assert estimated(packed(tmp_path / name, CONTENTS[name])) == pytest.approx(len(ITEMS), rel=0.2)
    assert len(ITEMS) / 4 < estimated(packed(tmp_path / f"{name}.gz", CONTENTS[name])) < len(ITEMS) * 4


def test_one_object_over_several_lines_is_one_record(tmp_path: Path) -> None:
    assert estimated(packed(tmp_path / "0.json", json.dumps({"caption": "a dog", "width": 5}, indent=4).encode())) == 1


def test_a_byte_order_mark_does_not_hide_a_list(tmp_path: Path) -> None:
    assert estimated(packed(tmp_path / "a.json", b"\xef\xbb\xbf" + json.dumps(ITEMS[:7], indent=1).encode())) == 7


def test_a_parquet_file_says_how_many_rows_it_has(tmp_path: Path) -> None:
    assert estimated(write_table(tmp_path / "a.parquet", {"caption": ["a"] * 1234}, rows_per_group=100)) == 1234


@pytest.mark.parametrize("folder", ["", "./", "a.b/"])
def test_the_samples_of_a_tar_are_counted_or_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    members = [(f"{folder}{i:04d}.{suffix}", content) for i in range(500) for suffix, content in (("jpg", b"x" * 3000), ("txt", b"a dog"))]
    path = write_tar(tmp_path / "a.tar", members)
    assert estimated(path) == pytest.approx(500, rel=0.05)
    monkeypatch.setattr(estimate, "MEMBERS", 5000)
    assert estimated(path) == 500


@pytest.mark.parametrize("name", ["a.parquet", "a.tar", "a.json", "a.txt", "a.csv.gz", "a.jsonl.zst"])
@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 600, b"[{", b"[" * 100_000, b"<html>"])
def test_a_file_that_cannot_be_read_is_estimated_all_the_same(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert estimated(path) in (0, 1)


def test_a_file_on_a_web_server_is_estimated_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "LOOKED_AT", 20_000)
    packed(site.folder / "a.txt", CONTENTS["a.txt"])
    assert estimated(f"{site.url}/a.txt") == estimated(site.folder / "a.txt")
