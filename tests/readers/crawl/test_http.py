from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from tallyclip.readers.crawl import http
from tallyclip.readers.crawl.http import BROKEN_ENCODING, PAGE_CUT_SHORT, PAGE_TOO_LARGE, Body, decode_body, parse_response

PAGE = b"<!DOCTYPE html>\n" + b"".join(b"<p>A dog, number %d, and caf\xc3\xa9.</p>\n" % i for i in range(3_000))


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


def chunked(content: bytes, size: int = 1_000) -> bytes:
    pieces = [content[i : i + size] for i in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda content: brotli.compress(content, quality=1),
    "zstd": zstandard.compress,
}


def response(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK", end: str = "\r\n") -> bytes:
    return end.join([status, *headers, "", ""]).encode("latin-1") + body


def decoded(body: bytes, *headers: str) -> Body:
    return decode_body(parse_response(response(body, *headers)))


# the head


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_response_is_its_status_its_headers_and_its_body(end: str) -> None:
    headers = ["Content-Type: text/html", "SET-COOKIE:a=1", "set-cookie: b=2", "Empty:", "X-Odd :  blanks \t"]
    found = parse_response(response(PAGE, *headers, end=end))
    assert (found.status, found.body) == (200, PAGE)
    assert found.headers == {"content-type": ["text/html"], "set-cookie": ["a=1", "b=2"], "empty": [""], "x-odd": ["blanks"]}
    assert (found.header("set-cookie"), found.header("none")) == ("a=1, b=2", "")


@pytest.mark.parametrize(
    ("status", "number"),
    [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.0 404", 404),
        ("http/2 301 ", 301),
        ("HTTP 204 None", 204),
        ("HTTP/1.1 2000 OK", None),
        ("HTTP/1.1 OK", None),
        ("20080430204825", None),
        ("<html>", None),
    ],
)
def test_content_without_a_status_is_not_a_response(status: str, number: int | None) -> None:
    assert parse_response(response(b"body", "A: b", status=status)).status == number


def test_folded_headers_are_joined_and_lines_that_are_not_headers_are_ignored() -> None:
    lines = ["no colon", ": no name", "Content-Type: text/html;", "  charset=utf-8", "\tmore", "bad name: x", "B: \xe9", "A: b"]
    found = parse_response(response(b"body", *lines))
    assert found.headers == {"content-type": ["text/html; charset=utf-8 more"], "b": ["\xe9"], "a": ["b"]}
    assert found.body == b"body"


def test_a_header_of_very_many_lines_is_one() -> None:
    found = parse_response(response(b"body", "A: b", *[" c"] * 30_000, *[" "] * 30_000, "D: e"))
    assert found.headers == {"a": ["b" + " c" * 30_000], "d": ["e"]}


def test_a_response_without_an_end_of_its_headers_has_no_body() -> None:
    found = parse_response(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCut-Of")
    assert (found.headers, found.body) == ({"content-type": ["text/html"]}, b"")
    assert parse_response(b"HTTP/1.1 200 OK\r\n\r\n<html>") == (200, {}, b"<html>")


# encodings


@pytest.mark.parametrize("name", CODINGS)
def test_a_coding_is_undone(name: str) -> None:
    assert decoded(CODINGS[name](PAGE), f"Content-Encoding: {name.upper()}") == (PAGE, None)
    assert decoded(b"", f"Content-Encoding: {name}") == (b"", None)


@pytest.mark.parametrize("name", ["identity", "utf-8", "none", "", "text/html"])
def test_unknown_encodings_change_nothing(name: str) -> None:
    assert decoded(PAGE, f"Content-Encoding: {name}") == (PAGE, None)


def test_other_names_and_forms_of_encodings_are_undone() -> None:
    assert decoded(raw_deflate(PAGE), "Content-Encoding: deflate") == (PAGE, None)
    assert decoded(gzip.compress(PAGE), "Content-Encoding: x-gzip") == (PAGE, None)
    members = gzip.compress(PAGE[:10]) + gzip.compress(b"") + gzip.compress(PAGE[10:])
    assert decoded(members + b"\0\0", "Content-Encoding: gzip") == (PAGE, None)
    frames = zstandard.compress(PAGE[:10]) + zstandard.compress(PAGE[10:])
    assert decoded(frames, "Content-Encoding: zstd") == (PAGE, None)


def test_several_codings_are_undone_from_the_last_to_the_first() -> None:
    body = gzip.compress(brotli.compress(zlib.compress(PAGE), quality=1))
    assert decoded(body, "Content-Encoding: deflate, br", "content-encoding: gzip") == (PAGE, None)
    assert decoded(chunked(gzip.compress(zlib.compress(PAGE))), "Content-Encoding: deflate", "Transfer-Encoding: gzip, chunked") == (
        PAGE,
        None,
    )


def test_more_codings_than_anybody_uses_are_not_undone() -> None:
    body = PAGE
    for _ in range(5):
        body = gzip.compress(body)
    assert decoded(body, "Content-Encoding: " + ", ".join(["gzip"] * 5)) == (None, BROKEN_ENCODING)


@pytest.mark.parametrize("name", [*CODINGS, "chunked"])
def test_a_page_that_only_its_headers_call_packed_is_used_as_it_is(name: str) -> None:
    header = "Transfer-Encoding" if name == "chunked" else "Content-Encoding"
    for page in (PAGE, b"\n  " + PAGE, b"\xef\xbb\xbf" + PAGE):
        assert decoded(page, f"{header}: {name}") == (page, None)


def test_what_the_crawler_has_undone_is_not_undone_again() -> None:
    assert decoded(PAGE, "X-Crawler-Content-Encoding: gzip", "X-Crawler-Transfer-Encoding: chunked") == (PAGE, None)


@pytest.mark.parametrize("name", CODINGS)
def test_of_a_body_that_was_cut_the_beginning_is_used(name: str) -> None:
    body = CODINGS[name](PAGE)
    content, reason = decoded(body[: len(body) // 2], f"Content-Encoding: {name}")
    assert content is not None
    assert PAGE.startswith(content)
    assert reason == PAGE_CUT_SHORT
    if name != "zstd":  # which returns whole blocks of 128 KiB
        assert len(content) > len(PAGE) // 4


@pytest.mark.parametrize("name", CODINGS)
def test_a_broken_body_is_dropped(name: str) -> None:
    body = bytearray(CODINGS[name](PAGE))
    has_checksum = name in ("gzip", "deflate")
    for i in range(len(body) // 3, len(body) // 3 + 1 if has_checksum else len(body)):
        body[i] ^= 0x5A
    assert decoded(bytes(body), f"Content-Encoding: {name}") == (None, BROKEN_ENCODING)


@pytest.mark.parametrize("line", ["%x\r\n", "%X\n", "%06x ;name=value\r\n", " %x\r\n"])
def test_chunks_are_joined(line: str) -> None:
    pieces = [PAGE[:1], PAGE[1:20], PAGE[20:]]
    end = line[line.index("\r") if "\r" in line else -1 :].encode()
    body = b"".join((line % len(piece)).encode() + piece + end for piece in pieces) + b"0" + end
    assert decoded(body + b"Trailer: x\r\n\r\n", "Transfer-Encoding: chunked") == (PAGE, None)
    assert decoded(body + end, "Transfer-Encoding: Chunked") == (PAGE, None)


def test_of_chunks_that_were_cut_those_that_came_are_used() -> None:
    body = chunked(PAGE)
    for length in (500, 1_004, 1_005, 1_007, 2_000, len(body) // 2):
        content, reason = decoded(body[:length], "Transfer-Encoding: chunked")
        assert content is not None
        assert content
        assert PAGE.startswith(content)
        assert reason == PAGE_CUT_SHORT
    assert decoded(body[:2_014] + b"no size\r\n", "Transfer-Encoding: chunked") == (PAGE[:2_000], PAGE_CUT_SHORT)


def test_a_page_that_begins_with_a_number_is_not_chunked() -> None:
    for start in (b"3\n", b"0\r\n", b"2024\n", b"ad\n"):
        assert decoded(start + PAGE, "Transfer-Encoding: chunked") == (start + PAGE, None)


# bounds


@pytest.mark.parametrize("name", [*CODINGS, "raw deflate", "members"])
def test_a_page_that_unpacks_to_more_than_a_page_is_dropped_without_being_held(name: str) -> None:
    bomb = bytes(40 << 20)
    pack = {**CODINGS, "raw deflate": raw_deflate, "members": lambda content: gzip.compress(content[: 9 << 20]) * 5}[name]
    body = pack(bomb)
    header = {"raw deflate": "deflate", "members": "gzip"}.get(name, name)
    del bomb
    tracemalloc.start()
    try:
        assert decoded(body, f"Content-Encoding: {header}") == (None, PAGE_TOO_LARGE)
        assert tracemalloc.get_traced_memory()[1] < http.LARGEST_BODY + (8 << 20)
    finally:
        tracemalloc.stop()


def test_a_page_may_be_as_large_as_the_bound_and_no_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_BODY", len(PAGE))
    for name, pack in {**CODINGS, "identity": bytes}.items():
        assert decoded(pack(PAGE), f"Content-Encoding: {name}") == (PAGE, None)
        assert decoded(pack(PAGE + b"x"), f"Content-Encoding: {name}") == (None, PAGE_TOO_LARGE)


def test_a_body_of_countless_chunks_or_members_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_CHUNKS", 10)
    monkeypatch.setattr(http, "MOST_MEMBERS", 10)
    assert decoded(chunked(b"x" * 9, 1), "Transfer-Encoding: chunked") == (b"x" * 9, None)
    assert decoded(chunked(b"x" * 10, 1), "Transfer-Encoding: chunked") == (None, BROKEN_ENCODING)
    assert decoded(gzip.compress(b"x") * 10, "Content-Encoding: gzip") == (b"x" * 10, None)
    assert decoded(gzip.compress(b"x") * 11, "Content-Encoding: gzip") == (None, BROKEN_ENCODING)


@given(piece=st.text("abcd", min_size=1, max_size=40), count=st.integers(1, 40), chunk=st.integers(1, 100))
def test_no_byte_is_lost_where_a_chunk_ends(piece: str, count: int, chunk: int) -> None:
    content = piece.encode() * count
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "CHUNK", chunk)
        for name, pack in {**CODINGS, "deflate": raw_deflate}.items():
            assert decoded(pack(content), f"Content-Encoding: {name}") == (content, None)


# laws

headers = st.sampled_from(["Content-Encoding", "Transfer-Encoding", "Content-Type", "x"])
names = st.lists(st.sampled_from([*CODINGS, "x-gzip", "chunked", "identity", ""]), max_size=3).map(", ".join)
starts = st.sampled_from(
    [b"", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"\x28\xb5\x2f\xfd", b"\x78\x9c", b"5\r\n", b"0\r\n", b"<", b"f" * 20]
)


@given(content=st.binary(max_size=200))
@example(b"HTTP/1.1 200\n \n\t\n\n")
def test_of_any_bytes_a_response_is_made(content: bytes) -> None:
    assert content.endswith(parse_response(content).body)
    assert content.endswith(parse_response(b"HTTP/1.1 200 OK" + content).body)


@given(head=st.lists(st.tuples(headers, names), max_size=3), start=starts, rest=st.binary(max_size=100))
def test_of_any_body_and_codings_there_is_a_content_or_a_reason(head: list[tuple[str, str]], start: bytes, rest: bytes) -> None:
    content, reason = decoded(start + rest, *(f"{name}: {value}" for name, value in head))
    assert (content is None) <= (reason in (BROKEN_ENCODING, PAGE_TOO_LARGE))
    assert (content is not None) <= (reason in (None, PAGE_CUT_SHORT))


@given(content=st.binary(max_size=300), stack=st.lists(st.sampled_from(list(CODINGS)), max_size=3), size=st.integers(1, 50))
def test_what_was_packed_is_unpacked(content: bytes, stack: list[str], size: int) -> None:
    body = content
    for name in stack:
        body = CODINGS[name](body)
    if body:
        assert decoded(chunked(body, size), f"Content-Encoding: {', '.join(stack)}", "Transfer-Encoding: chunked") == (content, None)


def test_a_body_that_is_packed_though_nobody_says_so_is_unpacked() -> None:
    page = b"<!doctype html><p>" * 10
    assert decode_body(parse_response(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + gzip.compress(page))).content == page
