"""An HTTP response as stored in WARC: its status, its headers, and its decoded body.

Headers in archives may be wrong: some crawlers store a decoded body with the original headers, and servers name encodings they do not use.
So an encoding is undone only where the body looks like it, and the decoded size is bounded at every step, since a few kilobytes may expand
to gigabytes.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import zstandard

from tallyclip.extras import load

LARGEST_BODY = 16 << 20  # bytes of a page, decoded
LARGEST_WINDOW = 8 << 20  # bytes: what RFC 9659 allows Zstandard on the web
CHUNK = 1 << 20
ZSTD_CHUNK = 64  # bytes a step: every four of them can expand to 128 KiB, and Zstandard's decoder has no other bound
MOST_CHUNKS = 1 << 18
MOST_MEMBERS = 100
MOST_ENCODINGS = 4
LARGEST_HEAD = 256 << 10
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
PAGE_TOO_LARGE = "page too large"
BROKEN_ENCODING = "page: broken content encoding"
PAGE_CUT_SHORT = "page cut short"

_STATUS = re.compile(rb"\s*HTTP(?:/[\d.]*)?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_HEADERS_END = re.compile(rb"\r?\n\r*\n")
_HEADER = re.compile(rb"([^\s:\x00-\x20\x7f]+)[ \t]*:(.*)", re.DOTALL)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
_LINE_END = b"\r\n"
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")


class Response(NamedTuple):
    """An HTTP response.

    Attributes:
        status: None if this is not an HTTP response.
        headers: the values of each header, by its name in lower case.
        body: as it was sent.
    """

    status: int | None
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str:
        """All values of a header, joined by commas; empty if there is none."""
        return ", ".join(self.headers.get(name, ()))


class Body(NamedTuple):
    """A decoded body. With a reason, ``content`` is None, or the part that could be decoded."""

    content: bytes | None
    reason: str | None = None


class _BodyError(Exception):
    """The body cannot be decoded; the message is the reason."""


def parse_response(content: bytes) -> Response:
    """Parse the content of a WARC record of type response; lines that are not headers are ignored."""
    status = _STATUS.match(content)
    if status is None:
        return Response(None, {}, content)
    end = _HEADERS_END.search(content, status.end())
    head, body = (content[status.end() :], b"") if end is None else (content[status.end() : end.start()], content[end.end() :])
    lines: list[list[bytes]] = []
    for line in head[:LARGEST_HEAD].split(b"\n")[1:]:
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1].append(line.strip())  # obsolete folding: it continues the line before
        else:
            lines.append([line.rstrip()])
    headers: dict[str, list[str]] = {}
    for parts in lines:
        header = _HEADER.match(b" ".join(parts))
        if header is not None:
            headers.setdefault(header[1].decode("latin-1").lower(), []).append(header[2].decode("latin-1").strip())
    return Response(int(status[1]), headers, body)


def decode_body(response: Response) -> Body:
    """Undo the encodings of a response's body, the last one first."""
    body, cut = response.body, False
    names = f"{response.header('content-encoding')},{response.header('transfer-encoding')}".lower().split(",")
    try:
        encodings = [_DECODERS[name] for name in map(str.strip, reversed(names)) if name in _DECODERS]
        if body[:3] == b"\x1f\x8b\x08" and not encodings:
            encodings = [_DECODERS["gzip"]]  # an undeclared encoding; no page begins like this
        if len(encodings) > MOST_ENCODINGS:
            raise _BodyError(BROKEN_ENCODING)
        for undo in encodings:
            body, short = undo(body)
            cut = cut or short
    except _BodyError as error:
        return Body(None, str(error))
    if len(body) > LARGEST_BODY:
        return Body(None, PAGE_TOO_LARGE)
    return Body(body, PAGE_CUT_SHORT if cut else None)


def _unchunk(body: bytes) -> tuple[bytes, bool]:
    """The chunks of a body, joined, and whether it is cut short; a body that does not begin like a chunk is not changed."""
    parts: list[bytes] = []
    place = 0
    while len(parts) < MOST_CHUNKS:
        size = _CHUNK_SIZE.match(body, place)
        if size is None:
            return (b"".join(parts), True) if parts else (body, False)
        place = size.end() + int(size[1], 16)
        behind = body[place : place + 1]
        if not parts and behind not in _LINE_END:
            return body, False  # a page that begins with a number
        if place == size.end():
            return b"".join(parts), False
        parts.append(body[size.end() : place])
        if place > len(body):
            return b"".join(parts), True
        while behind and behind in _LINE_END:
            place += 1
            behind = body[place : place + 1]
    raise _BodyError(BROKEN_ENCODING)


def _ungzip(body: bytes) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    rest = body
    while rest.startswith(GZIP):  # there may be several members; other data after them is ignored
        if len(parts) == MOST_MEMBERS:
            raise _BodyError(BROKEN_ENCODING)
        decoder = zlib.decompressobj(31)
        parts.append(_joined(_inflated(decoder, rest), sum(map(len, parts))))
        if not decoder.eof:
            return b"".join(parts), True
        rest = decoder.unused_data
    return (b"".join(parts) if parts else body), False


def _undeflate(body: bytes) -> tuple[bytes, bool]:
    """What servers call deflate has zlib's header or, against the standard, none; or the page is not compressed at all."""
    if not body:
        return body, False
    is_zlib = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    decoder = zlib.decompressobj(15 if is_zlib else -15)
    return _unless_markup(body, lambda: (_joined(_inflated(decoder, body)), not decoder.eof))


def _inflated(decoder: Any, body: bytes) -> Iterator[bytes]:
    try:
        while body and not decoder.eof:
            yield decoder.decompress(body, CHUNK)
            body = decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error:
        raise _BodyError(BROKEN_ENCODING) from None


def _unbrotli(body: bytes) -> tuple[bytes, bool]:
    if not body:
        return body, False
    brotli = load("brotli", "brotli", "crawl")
    decoder = brotli.Decompressor()

    def parts() -> Iterator[bytes]:
        try:
            part = decoder.process(body, output_buffer_limit=CHUNK)
            while part:
                yield part
                part = b"" if decoder.is_finished() else decoder.process(b"", output_buffer_limit=CHUNK)
        except brotli.error:
            raise _BodyError(BROKEN_ENCODING) from None

    return _unless_markup(body, lambda: (_joined(parts()), not decoder.is_finished()))


def _unzstd(body: bytes) -> tuple[bytes, bool]:
    if not body.startswith(ZSTD):
        return body, False
    whole = True

    def parts() -> Iterator[bytes]:
        nonlocal whole
        unpacker = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        decoder = unpacker.decompressobj()
        try:
            for place in range(0, len(body), ZSTD_CHUNK):
                piece = body[place : place + ZSTD_CHUNK]
                while piece:
                    yield decoder.decompress(piece)
                    piece, whole = decoder.unused_data, decoder.eof
                    if whole:
                        decoder = unpacker.decompressobj()
        except zstandard.ZstdError:
            raise _BodyError(BROKEN_ENCODING) from None

    return _joined(parts()), not whole


def _unless_markup(body: bytes, decode: Callable[[], tuple[bytes, bool]]) -> tuple[bytes, bool]:
    """The result of ``decode``; if it fails and the body itself begins like a page, the body."""
    try:
        return decode()
    except _BodyError as error:
        if str(error) == BROKEN_ENCODING and _MARKUP.match(body):
            return body, False
        raise


def _joined(parts: Iterator[bytes], size: int = 0) -> bytes:
    """All parts, joined; ``size`` bytes were decoded before them."""
    kept: list[bytes] = []
    for part in parts:
        kept.append(part)
        size += len(part)
        if size > LARGEST_BODY:
            raise _BodyError(PAGE_TOO_LARGE)
    return b"".join(kept)


_DECODERS: dict[str, Callable[[bytes], tuple[bytes, bool]]] = {
    "chunked": _unchunk,
    "gzip": _ungzip,
    "x-gzip": _ungzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
