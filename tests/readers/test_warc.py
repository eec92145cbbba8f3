from __future__ import annotations

import gzip
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from tallyclip.errors import SourceError
from tallyclip.readers.crawl import html, http
from tallyclip.readers.crawl.gather import TOO_COMPLEX, Gatherer
from tallyclip.readers.warc import GUESSED, OTHER_RECORDS, REVISIT, read_warc
from tallyclip.readers.wat import read_wat
from tests.readers.crawl.tools import packed, record

URI = "http://a.example/b/"
PAGE = b"<!doctype html><base href=/c/><p><img src=1.png alt='a dog'><img src=2.png><img data-src=3.png title='a cat'>"
HTML = "Content-Type: text/html"


def read(path: Path, reader: Any = read_warc, **options: Any) -> tuple[list[dict[str, Any]], Gatherer]:
    gather = Gatherer()
    for _ in reader(str(path), gather, **options):
        pass
    return gather.take().table.to_pylist(), gather


def response(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK", uri: str = URI) -> bytes:
    return record(
        "response", "\r\n".join([status, *headers, "", ""]).encode() + body, uri, Content_Type="application/http; msgtype=response"
    )


def write(path: Path, *records: bytes) -> Path:
    path.write_bytes(packed([record("warcinfo", b"software: test\r\n", WARC_Filename="another.warc.gz"), *records]))
    return path


def read_one(path: Path, *records: bytes) -> tuple[list[str], Gatherer]:
    rows, gather = read(write(path / "a.warc.gz", *records))
    return [row["text"] for row in rows], gather


def test_images_come_with_their_texts_their_page_and_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.warc.gz", response(PAGE, HTML), record("request", b"GET / HTTP/1.1\r\n\r\n", URI), response(PAGE, HTML))
    rows, gather = read(path)
    assert [(row["url"], row["text"], row["field"]) for row in rows] == [
        ("http://a.example/c/1.png", "a dog", "alt"),
        ("http://a.example/c/3.png", "a cat", "title"),
    ] * 2
    assert {row["page_url"] for row in rows} == {URI}
    assert {row["crawl_file"] for row in rows} == {"a.warc.gz"}
    for row in rows:  # the place is that of the page's gzip member
        assert gzip.GzipFile(fileobj=BytesIO(path.read_bytes()[row["offset"] :])).read(200).startswith(b"WARC/1.0\r\nWARC-Type: response")
    assert len({row["offset"] for row in rows}) == 2
    assert tuple(gather.counts[what] for what in ("records", "pages", "images", "texts", OTHER_RECORDS)) == (3, 2, 6, 4, 0)
    assert not gather.drops


def test_rows_can_be_taken_after_each_record(tmp_path: Path) -> None:
    path = write(tmp_path / "a.warc.gz", response(PAGE, HTML), response(b"{}", "Content-Type: application/json"), response(PAGE, HTML))
    gather = Gatherer()
    assert [len(gather.take().table) for _ in read_warc(str(path), gather)] == [0, 2, 0, 2]


def test_what_warcio_writes_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.warc.gz").open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html"), ("Content-Encoding", "gzip")], protocol="HTTP/1.1")
        for made in (
            writer.create_warc_record(URI, "response", payload=BytesIO(gzip.compress(PAGE)), http_headers=headers),
            writer.create_revisit_record(URI, "sha1:X", URI, "2026-01-01T00:00:00Z", http_headers=headers),
            writer.create_warc_record("urn:log", "resource", payload=BytesIO(b"<html>"), warc_content_type="text/html"),
        ):
            writer.write_record(made)
            made.raw_stream.close()
    rows, gather = read(tmp_path / "a.warc.gz")
    assert [row["text"] for row in rows] == ["a dog", "a cat"]
    assert (gather.counts["records"], gather.counts["pages"], gather.counts[OTHER_RECORDS]) == (3, 1, 1)
    assert gather.drops == {REVISIT: 1}
    assert gather.samples[REVISIT][0].sample == URI


def test_pages_whose_charset_is_a_guess_are_counted(tmp_path: Path) -> None:
    thai = "<img src=a.jpg alt='หมาสีน้ำตาลวิ่งเล่นอยู่บนชายหาด'>"
    bodies = [thai.encode("cp874"), thai.encode(), b"<meta charset=windows-874>" + thai.encode("cp874"), PAGE]
    texts, gather = read_one(tmp_path, *(response(body, HTML) for body in bodies))
    assert texts[:3] == ["หมาสีน้ำตาลวิ่งเล่นอยู่บนชายหาด"] * 3
    assert (gather.counts["pages"], gather.counts[GUESSED]) == (4, 1)


def test_the_shared_page_without_a_charset_says_what_the_one_with_it_does(shared_data: Path) -> None:
    found = [read(shared_data / "cases" / "21-page-without-charset" / f"{name}.warc.gz")[0] for name in ("meta", "none")]
    assert [row["text"] for row in found[0]] == [row["text"] for row in found[1]] != []


@pytest.mark.parametrize("status", ["200 OK", "206 Partial Content", "301 Moved", "404 Not Found", "503 Busy"])
def test_a_page_is_one_whatever_its_status(tmp_path: Path, status: str) -> None:
    assert read_one(tmp_path, response(PAGE, HTML, status=f"HTTP/1.1 {status}"))[0] == ["a dog", "a cat"]


@pytest.mark.parametrize(
    ("content_type", "is_page"),
    [
        ("text/html", True),
        ("Text/HTML; charset=utf-8", True),
        ("application/xhtml+xml", True),
        ("application/vnd.wap.xhtml+xml", True),
        ("text/plain", False),
        ("image/svg+xml", False),
        ("unknown", False),
    ],
)
def test_pages_are_detected_by_their_type(tmp_path: Path, content_type: str, is_page: bool) -> None:
    texts, gather = read_one(tmp_path, response(PAGE, f"content-type: {content_type}"))
    assert texts == (["a dog", "a cat"] if is_page else [])
    assert (gather.counts["pages"], gather.counts[OTHER_RECORDS]) == (is_page, not is_page)
    assert not gather.drops


@pytest.mark.parametrize(
    ("start", "is_page"),
    [
        (b"<!DOCTYPE html>", True),
        (b"\xef\xbb\xbf\n <html lang=en>", True),
        (b"<!-- saved --> <HEAD>", True),
        (b"<?xml version='1.0'?>\n<!doctype html PUBLIC 'x'>", True),
        (b"<body>", True),
        (b"<?xml version='1.0'?><rss>", False),
        (b"<!doctype svg>", False),
        (b"<htmlx>", False),
        (b"{}", False),
        (b"", False),
    ],
)
def test_pages_without_a_type_are_detected_by_their_beginning(tmp_path: Path, start: bytes, is_page: bool) -> None:
    for coding, body in (("identity", start + PAGE[15:]), ("gzip", gzip.compress(start + PAGE[15:]))):
        texts, gather = read_one(tmp_path, response(body, f"Content-Encoding: {coding}"))
        assert texts == (["a dog", "a cat"] if is_page else [])
        assert gather.counts[OTHER_RECORDS] == (not is_page)


def test_a_record_that_is_not_a_response_is_not_a_page(tmp_path: Path) -> None:
    records = [
        record("response", b"20260101\r\na.example. 5 IN A 1.2.3.4", "dns:a.example", Content_Type="text/dns"),
        record("response", PAGE, URI),
    ]
    texts, gather = read_one(tmp_path, *records)
    assert (texts, gather.counts["records"], gather.counts[OTHER_RECORDS]) == ([], 3, 2)


def test_pages_are_read_in_their_charset(tmp_path: Path) -> None:
    page = "<img src=a alt='5 €'>"
    for records in (
        [response(page.encode("iso-8859-15"), "Content-Type: text/html; charset=iso-8859-15")],
        [response(b"<meta charset=iso-8859-15>" + page.encode("iso-8859-15"), HTML)],
        [response(page.encode(), HTML)],
        [response(f"\ufeff{page}".encode("utf-16-le"), HTML)],
    ):
        assert read_one(tmp_path, *records)[0] == ["5 €"]


# drops


def test_pages_that_cannot_be_decoded_are_dropped_with_the_reason_and_their_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_BODY", 1_000)
    monkeypatch.setattr(html, "MOST_IMAGES", 100)
    gzipped = gzip.compress(PAGE)
    texts, gather = read_one(
        tmp_path,
        response(bytes(1_001), HTML, uri="http://large.example/"),
        response(gzip.compress(bytes(1_001)), HTML, "Content-Encoding: gzip", uri="http://bomb.example/"),
        response(gzipped[:-8] + b"checksum", HTML, "Content-Encoding: gzip", uri="http://broken.example/"),
        response(b"<img>" * 101, HTML, uri="http://complex.example/"),
        response(gzipped[:-9], HTML, "Content-Encoding: gzip", uri="http://cut.example/"),
        response(bytes(1_001), "Content-Type: image/png", uri="http://image.example/"),
    )
    assert texts[:1] == ["a dog"]  # of the page that was cut
    assert gather.drops == {http.PAGE_TOO_LARGE: 2, http.BROKEN_ENCODING: 1, TOO_COMPLEX: 1, http.PAGE_CUT_SHORT: 1}
    assert [drop.sample for drop in gather.samples[http.PAGE_TOO_LARGE]] == ["http://large.example/", "http://bomb.example/"]
    assert gather.samples[http.PAGE_CUT_SHORT][0].sample == "http://cut.example/"
    assert (gather.counts["pages"], gather.counts[OTHER_RECORDS], gather.counts["records"]) == (1, 1, 7)


def test_a_damaged_file_fails_or_with_salvage_gives_its_sound_records(tmp_path: Path) -> None:
    path = write(tmp_path / "a.warc.gz", response(PAGE, HTML), response(PAGE.replace(b"dog", b"cow"), HTML))
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(SourceError, match=r"a\.warc\.gz"):
        read(path)
    rows, gather = read(path, keep_readable=True)
    assert [row["text"] for row in rows][:2] == ["a dog", "a cat"]
    assert gather.drops


# real files

# Records, pages, images and images with an alt text, as warcio and Lexbor's trees have them, and the README beside the data.
FOUND = {
    "warc/BL-20140325121225068-00000-32090~opera~8443.warc.gz": (66, 36, 75, 11),
    "warc/BL-20140325122341434-00000-32090~opera~8443.warc.gz": (66, 7, 6, 2),
    "warc/IAH-20080430204825-00000-blackbook-truncated.warc": (9, 2, 53, 52),
    "warc/IAH-urls-wget.warc.gz": (20, 11, 50, 46),
    "warc/aut-example.warc.gz": (300, 140, 858, 666),
    "warc/dolma-sample-0000.warc.gz": (25, 22, 240, 169),
    "warc/dolma-sample-0001.warc.gz": (18, 15, 149, 126),
    "warc/flashfrozen-jwat-recompressed.warc.gz": (43, 2, 48, 14),
    "warc/kiwix-with-redirects.warc.gz": (54, 6, 279, 276),
    "warc/link-extraction-test.warc": (10, 9, 4, 4),
    "warc/main-entry-403.warc.gz": (15, 2, 0, 0),
    "warc/qsl.net-encoding-alias.warc.gz": (5, 1, 0, 0),
    "warc/resiliparse-warcfile.warc.gz": (17, 16, 153, 32),
    "warc/resiliparse-warcfile.warc.lz4": (17, 16, 153, 32),
    "warc/single-page-test.warc": (55, 4, 11, 4),
    "warc/solidaritenum.warc.gz": (96, 8, 72, 32),
    "warc/transfer_compression_brotli.warc.gz": (3, 1, 0, 0),
    "warc/transfer_compression_gzip.warc.gz": (3, 1, 0, 0),
    "warc/transfer_compression_none.warc.gz": (3, 1, 0, 0),
    "warc/whirlwind.warc.gz": (2, 1, 13, 7),
    "html-warc/readability-00.warc.gz": (131, 130, 2546, 1142),
    "html-warc/trafilatura-00.warc.gz": (583, 582, 14492, 7770),
}
DAMAGED = {"warc/clipped.warc.gz": (1, 7, 6), "warc/webdatavu-sample.warc.gz": (4, 11, 11)}
REVISITS = {"warc/BL-20140325122341434-00000-32090~opera~8443.warc.gz": 55, "warc/single-page-test.warc": 1}
LINKS = {"no URL", "data URL", "URL: not http or https", "URL: malformed", "duplicate on its page"}


@pytest.mark.parametrize("name", FOUND)
def test_real_files_have_as_many_pages_images_and_alts_as_others_count(shared_data: Path, name: str) -> None:
    rows, gather = read(shared_data / name)
    assert tuple(gather.counts[what] for what in ("records", "pages", "images", "alt")) == FOUND[name]
    losses = {reason: count for reason, count in gather.drops.items() if reason not in LINKS}
    assert losses == ({REVISIT: REVISITS[name]} if name in REVISITS else {})
    assert gather.counts["texts"] == len(rows) + sum(gather.drops.values()) - sum(losses.values())


@pytest.mark.parametrize("name", DAMAGED)
def test_real_damaged_files_give_their_sound_records_with_salvage(shared_data: Path, name: str) -> None:
    with pytest.raises(SourceError, match=name.rpartition("/")[2]):
        read(shared_data / name)
    _, gather = read(shared_data / name, keep_readable=True)
    assert tuple(gather.counts[what] for what in ("pages", "images", "alt")) == DAMAGED[name]


def test_every_real_file_is_looked_at(shared_data: Path) -> None:
    names = {f"{path.parent.name}/{path.name}" for folder in ("warc", "html-warc") for path in (shared_data / folder).iterdir()}
    assert {name for name in names if ".wat." not in name and ".wet." not in name} == {*FOUND, *DAMAGED}


@pytest.mark.parametrize(
    ("name", "only_wat"),
    [
        ("html-warc/trafilatura-00", 106),
        ("html-warc/readability-00", 18),
        ("warc/aut-example", 0),
        ("warc/dolma-sample-0000", 0),
        ("warc/dolma-sample-0001", 0),
        ("warc/resiliparse-warcfile", 1),
        ("warc/kiwix-with-redirects", 1),
        ("warc/solidaritenum", 0),
        ("warc/whirlwind", 0),
    ],
)
def test_a_warc_has_the_pairs_of_its_wat_but_those_whose_letters_the_wat_lost(shared_data: Path, name: str, only_wat: int) -> None:
    def pairs(path: Path, reader: Any) -> tuple[set[tuple[Any, ...]], int]:
        rows, gather = read(path, reader)
        return {tuple(row[key] for key in ("page_url", "crawl_file", "offset", "url", "text")) for row in rows}, gather.counts["pages"]

    def in_ascii(pair: tuple[Any, ...]) -> tuple[str, ...]:
        return tuple(re.sub("%[89A-F][0-9A-F]|[^!-~]", "", str(value)) for value in pair)

    from_wat, pages = pairs(shared_data / "wat" / f"{Path(name).name}.warc.wat.gz", read_wat)
    from_warc, as_many = pairs(shared_data / f"{name}.warc.gz", read_warc)
    assert pages == as_many
    assert len(from_wat - from_warc) == only_wat
    assert {in_ascii(pair) for pair in from_wat} <= {in_ascii(pair) for pair in from_warc}


# laws

bodies = st.binary(max_size=50) | st.lists(
    st.sampled_from([b"<img src=a alt=b>", b"<svg>", b"<!--", b"\xff", b"\x1f\x8b"]), max_size=5
).map(b"".join)
heads = st.lists(st.sampled_from([HTML, "Content-Encoding: gzip", "Content-Encoding: br", "Transfer-Encoding: chunked", "x"]), max_size=4)


@given(parts=st.lists(st.tuples(bodies, heads) | st.binary(max_size=50), max_size=4))
def test_every_record_is_a_page_or_another_record_or_a_drop(tmp_path_factory: pytest.TempPathFactory, parts: list[Any]) -> None:
    records = [record("response", part, URI) if isinstance(part, bytes) else response(part[0], *part[1]) for part in parts]
    _, gather = read(write(tmp_path_factory.mktemp("any") / "a.warc.gz", *records))
    drops = sum(gather.drops[reason] for reason in (http.BROKEN_ENCODING, http.PAGE_TOO_LARGE))
    assert gather.counts["records"] == len(parts) + 1
    assert gather.counts["pages"] + gather.counts[OTHER_RECORDS] + drops == len(parts)


@pytest.mark.parametrize(("found", "texts"), [("text/html", ["a dog", "a cat"]), ("application/pdf", [])])
def test_what_the_crawler_found_a_page_to_be_counts_before_what_its_server_said(tmp_path: Path, found: str, texts: list[str]) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: " + (b"text/plain" if texts else b"text/html") + b"\r\n\r\n" + PAGE
    assert read_one(tmp_path, record("response", answer, URI, WARC_Identified_Payload_Type=found))[0] == texts
