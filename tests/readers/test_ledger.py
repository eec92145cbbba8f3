"""Reasons to drop: a fixed list, counted in one place, with samples that stay short."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

from tallyclip.readers import warc, wat
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.content import LARGEST, LONGEST_SAMPLE
from tallyclip.readers.crawl import archive, gather, http, links
from tallyclip.readers.ledger import (
    BOILERPLATE,
    IN_EARLIER_POOL,
    KEPT_SAMPLES,
    NOT_DOWNLOADED,
    NOT_DRAWN,
    REASONS,
    REPEATED_IN_POOL,
    UNNAMED,
    Ledger,
)
from tallyclip.readers.pairs import pairs_of
from tallyclip.readers.read import columns_of, read_shard
from tallyclip.readers.records import Drop
from tallyclip.readers.sources import cut, find_files
from tallyclip.steps import filters
from tallyclip.steps import languages as language
from tests.tools import write_parquet

DOCS = Path(__file__).parents[2] / "docs"


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    return path


def drops_of(path: Path) -> Ledger:
    """The drops between a file and its pairs."""
    ledger, choice = Ledger(), ColumnChoice()
    for shard in cut(find_files([str(path)])[0]):
        columns = columns_of(shard.file, choice)
        for records in read_shard(shard, columns, choice):
            for drop in pairs_of(records, columns).drops:
                ledger.add(drop)
    return ledger


def test_a_reason_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(ValueError, match="'no such reason' is not declared"):
        Ledger().add(Drop("no such reason", 0, ""))


def test_a_ledger_keeps_the_beginnings_of_a_few_samples_and_no_empty_ones() -> None:
    ledger = Ledger()
    for row in range(1_000):
        ledger.add(Drop("no caption", row, "x" * 10_000))
    ledger.add(Drop("not UTF-8", 0, "", 7))
    assert dict(ledger.counts) == {"no caption": 1_000, "not UTF-8": 7}
    assert list(ledger.samples) == ["no caption"]
    assert [(drop.row, drop.sample) for drop in ledger.samples["no caption"]] == [(n, "x" * LONGEST_SAMPLE) for n in range(KEPT_SAMPLES)]


def test_every_status_but_those_of_img2dataset_has_one_reason_and_is_the_sample(tmp_path: Path) -> None:
    known = ["success", "failed_to_download", "failed_to_resize", None, ""]
    odd = [f"error {n} {'x' * 5_000}" for n in range(500)]
    statuses = pa.array([*known, *odd]).cast(pa.binary())
    statuses = pa.chunked_array([statuses, pa.array([b"\xff odd"])])
    count = len(statuses)
    columns = {"caption": ["a"] * count, "url": ["u"] * count, "key": list(map(str, range(count))), "status": statuses}
    ledger = drops_of(write_parquet(tmp_path / "00000.parquet", columns))
    assert dict(ledger.counts) == {
        "download: failed_to_download": 1,
        "download: failed_to_resize": 1,
        "download: no status": 2,
        "download: other status": 501,
    }
    assert [drop.sample for drop in ledger.samples["download: other status"]] == [status[:LONGEST_SAMPLE] for status in odd[:KEPT_SAMPLES]]
    assert "download: failed_to_resize" not in ledger.samples


def test_what_readers_drop_has_declared_reasons(tmp_path: Path) -> None:
    """Files with everything that each reader can drop."""
    lines = ['{"caption": "a", "url": "u"}', '{"caption": 1}', '{"caption": "a", "url": 2}', "", "{", "[1]", '{"caption": "\\ud800"}']
    bad = b'{"caption": "\xff"}\n'
    (tmp_path / "a.jsonl").write_bytes("\n".join(lines).encode() + b"\n" + bad)
    (tmp_path / "b.json").write_text(json.dumps([{"texts": ["a", None], "url": "u"}, {"texts": [], "url": "u"}, 5, {"texts": [1]}]))
    (tmp_path / "c.csv").write_bytes(b"caption,url\na,u\na\n\xff,u\n")
    (tmp_path / "d.tsv").write_bytes(b"caption\turl\na\tu\na\n\xff\tu\n")
    (tmp_path / "e.txt").write_bytes(b"a\n\xff\n")
    large = bytes(LARGEST + 1)
    members = {"0.txt": b"a", "1.txt": b"\xff", "2.json": b"[]", "3.json": b"{", "4.txt": large, "5.json": large}
    write_tar(tmp_path / "f.tar", members)
    columns = {"caption": pa.array([b"a", None, b"\xff", b"a"]).view(pa.string()), "url": pa.array([b"u", b"u", b"u", b"\xff"])}
    write_parquet(tmp_path / "g.parquet", columns)
    (tmp_path / "h.json").write_text(
        '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2}, {"image_id": 1, "caption": ""}]}'
    )
    (tmp_path / "i.txt").write_text("a.jpg#0\ta\n" * 30 + "a\n")
    found = {path.name: set(drops_of(path).counts) for path in sorted(tmp_path.iterdir())}
    assert found == {
        "a.jsonl": {"caption is not text", "URL is not text", "empty line", "not JSON", "not a JSON object", "not UTF-8"},
        "b.json": {"no caption", "not a JSON object", "caption is not text"},
        "c.csv": {"wrong number of columns", "not UTF-8"},
        "d.tsv": {"wrong number of columns", "not UTF-8"},
        "e.txt": {"not UTF-8"},
        "f.tar": {"not UTF-8", "not a JSON object", "not JSON", "txt member too large", "json member too large"},
        "g.parquet": {"no caption", "not UTF-8", "URL is not UTF-8"},
        "h.json": {"annotation without its image"},
        "i.txt": {"line without an image"},
    }
    assert set().union(*found.values()) < REASONS


def constants(module: ModuleType) -> set[str]:
    return {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


def test_drops_of_crawl_files_have_declared_reasons() -> None:
    """The readers' own tests show that each reason is used; the ledger refuses any other."""
    named = set().union(*(constants(module) for module in (archive, filters, gather, http, links, warc, wat, language)))
    crawl = {*REASONS} - {"no caption", "caption is not text", "URL is not text", "nested too deeply", "not JSON"}
    crawl -= {"URL is not UTF-8", "not a JSON object", "empty line", "wrong number of columns", "txt member too large"}
    crawl -= {"annotation without its image", "line without an image", "text member too large"}
    crawl -= {"no caption, but text under a longer suffix"}
    crawl -= {"json member too large", NOT_DOWNLOADED, NOT_DRAWN, UNNAMED, REPEATED_IN_POOL, IN_EARLIER_POOL, BOILERPLATE}
    assert {reason for reason in crawl if not reason.startswith("download: ")} <= named
    with pytest.raises(ValueError, match="not declared"):
        gather.Gatherer().drop("another", "")


def test_every_reason_is_in_the_docs() -> None:
    said = "".join((DOCS / name).read_text() for name in ("formats.md", "crawl.md"))
    assert [reason for reason in sorted(REASONS) if f"`{reason}`" not in said] == []
