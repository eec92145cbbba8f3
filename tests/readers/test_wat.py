from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tallyclip.readers.crawl import gather
from tallyclip.readers.crawl.gather import TOO_COMPLEX, Gatherer
from tallyclip.readers.wat import ODD_LINK, read_wat
from tests.readers.crawl.tools import image, page, record, wat_json, write_wat

URI = "http://a.example/b/"


def read(path: Path) -> tuple[list[dict[str, Any]], Gatherer]:
    gather = Gatherer()
    for _ in read_wat(str(path), gather):
        pass
    return gather.take().table.to_pylist(), gather


def test_images_come_with_their_texts_their_page_and_its_place(tmp_path: Path) -> None:
    links = [
        {"path": "A@/href", "url": "x", "title": "no image"},
        image("1.png", alt="a dog"),
        image("2.png"),
        image("3.png", title="a cat"),
    ]
    links += [image("4.png", **{"data-image-title": "a cow"}), {"path": "IMG@/longdesc", "url": "y", "alt": "no address"}]
    rows, gather = read(write_wat(tmp_path / "a.warc.wat.gz", [page(URI, links, place=("p.warc.gz", 99))]))
    assert [(row["url"], row["text"], row["field"]) for row in rows] == [
        ("http://a.example/b/1.png", "a dog", "alt"),
        ("http://a.example/b/3.png", "a cat", "title"),
        ("http://a.example/b/4.png", "a cow", "data-image-title"),
    ]
    assert {(row["page_url"], row["crawl_file"], row["offset"]) for row in rows} == {(URI, "p.warc.gz", 99)}
    assert {name: gather.counts[name] for name in ("records", "pages", "images", "texts")} == {
        "records": 2,
        "pages": 1,
        "images": 4,
        "texts": 3,
    }
    assert not gather.drops


def test_urls_follow_the_base_of_the_page(tmp_path: Path) -> None:
    rows, _ = read(write_wat(tmp_path / "a.wat.gz", [page(URI, [image("i.png", alt="x")], base="http://c.example/d/")]))
    assert rows[0]["url"] == "http://c.example/d/i.png"


def test_without_the_warc_files_place_a_row_has_that_in_the_wat_file(tmp_path: Path) -> None:
    rows, _ = read(write_wat(tmp_path / "a.warc.wat.gz", [page(URI, [image("i.png", alt="x")], place=None)]))
    assert rows[0]["crawl_file"] == "a.warc.wat.gz"
    assert (tmp_path / "a.warc.wat.gz").read_bytes()[rows[0]["offset"] :][:2] == b"\x1f\x8b"


ODD = [
    (b"{", {"not JSON": 1}),
    (b"[]", {}),
    (b"null", {}),
    (b'{"Envelope": 3}', {}),
    (b'{"Envelope": {"Payload-Metadata": []}}', {}),
    (json.dumps({"Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": {"Links": {"a": 1}}}}}}).encode(), {}),
    (wat_json([image("i.png", alt=5), image("j.png", alt=None), 7, image("k.png", title=["x"])]), {ODD_LINK: 3}),
    (wat_json([image(None, alt="a dog")]), {"no URL": 1}),
    (b"\xff" + wat_json([]), {"not UTF-8": 1}),
    (b'{"Envelope": ' + b"[" * 100_000, {"nested too deeply": 1}),
    (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", {"nested too deeply": 1}),
    (wat_json([image("i.png", alt="XXX")]).replace(b"XXX", b"caf\xe9 au lait"), {"not UTF-8": 1}),
    (wat_json([image("i.png", alt="x")], place=("f", 10**25)), {}),
    (wat_json([image("i.png", alt="x")], place=("f", 1 << 63)).replace(b'"9223372036854775808"', b"9223372036854775808"), {}),
    (wat_json([{"path": "IMG@/src", "url": "i.png", "alt": "\ud800 half"}]), {"not UTF-8": 1}),
    (wat_json([image("i.png", alt="x")], place=("f", "no number")), {}),  # type: ignore[arg-type]
    (wat_json([image("i.png", alt="x")]).replace(b'"7"', b"7"), {}),
]  # fmt: skip


@pytest.mark.parametrize(("content", "drops"), ODD)
def test_a_record_of_another_form_is_counted_and_the_others_are_read(tmp_path: Path, content: bytes, drops: dict[str, int]) -> None:
    good = page(URI, [image("good.png", alt="good")])
    rows, gather = read(write_wat(tmp_path / "a.wat.gz", [good, record("metadata", content, URI), good]))
    assert [row["text"] for row in rows if row["text"] == "good"] == ["good", "good"]
    assert dict(gather.drops) == drops


def test_the_type_of_a_record_may_be_written_in_capitals(tmp_path: Path) -> None:
    rows, _ = read(write_wat(tmp_path / "a.wat.gz", [record("Metadata", wat_json([image("i.png", alt="x")]), URI)]))
    assert len(rows) == 1


def test_good_links_beside_an_odd_one_are_kept(tmp_path: Path) -> None:
    rows, gather = read(write_wat(tmp_path / "a.wat.gz", [page(URI, [image("i.png", alt="a dog"), image("j.png", alt=5)], base="/c/")]))
    assert [(row["url"], row["text"], row["crawl_file"], row["offset"]) for row in rows] == [
        ("http://a.example/c/i.png", "a dog", "page.warc.gz", 7)
    ]
    assert gather.samples[ODD_LINK][0].sample.startswith("{'path': 'IMG@/src'")


FOUND = {  # file: records, image links and alts, as an independent reader counted them
    "trafilatura-00": (584, 13_889, 7_392),
    "readability-00": (132, 2_359, 1_074),
    "aut-example": (823, 844, 666),
    "dolma-sample-0000": (49, 240, 169),
    "dolma-sample-0001": (35, 149, 126),
    "resiliparse-warcfile": (51, 151, 32),
    "kiwix-with-redirects": (106, 279, 276),
    "solidaritenum": (191, 72, 32),
    "whirlwind": (5, 13, 7),
}


@pytest.mark.parametrize("name", FOUND)
def test_real_files_have_as_many_records_images_and_alts_as_others_count(shared_data: Path, name: str) -> None:
    rows, gather = read(shared_data / "wat" / f"{name}.warc.wat.gz")
    assert (gather.counts["records"], gather.counts["images"], gather.counts["alt"]) == FOUND[name]
    assert gather.counts["texts"] == len(rows) + sum(gather.drops.values())


def test_a_page_with_more_text_and_urls_than_memory_is_dropped_and_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "MOST_CHARACTERS", 100_000)
    links = [image(f"{i}.png", alt=f"dog {i}") for i in range(100)]
    bases = [None, f"/{'b' * 8_000}/", "/c/"]
    rows, gatherer = read(write_wat(tmp_path / "a.wat.gz", [page(URI, links, base=base) for base in bases]))
    assert [row["url"] for row in rows] == [f"{folder}{i}.png" for folder in (URI, "http://a.example/c/") for i in range(100)]
    assert (dict(gatherer.drops), gatherer.counts["images"]) == ({TOO_COMPLEX: 1}, 200)
