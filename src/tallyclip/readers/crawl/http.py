"""An HTTP response as WARC keeps it: its status, its headers, and its body with all codings undone.

Headers lie in archives: some crawlers store a body decoded and leave the headers as they came, and servers name codings they do not use. So
a coding is undone where the body looks like it, and what is expanded is bounded all the way, whatever a few kilobytes pretend to be.
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
ZSTD_CHUNK = 64  # of these few bytes each four can ask for 128 KiB, and Zstandard's decoder knows no other bound
MOST_CHUNKS = 1 << 18
MOST_MEMBERS = 100
MOST_CODINGS = 4
LARGEST_HEAD = 256 << 10
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
PAGE_TOO_LARGE = "page too large"
BROKEN_CODING = "page: broken content coding"
PAGE_CUT_SHORT = "page cut short"

_STATUS = re.compile(rb"\s*HTTP(?:/[\d.]*)?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_HEADERS_END = re.compile(rb"\r?\n\r*\n")
_HEADER = re.compile(rb"([^\s:\x00-\x20\x7f]+)[ \t]*:(.*)", re.DOTALL)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
_LINE_END = b"\r\n"
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")


class Response(NamedTuple):
    """A response.

    Attributes:
        status: None if this is no HTTP response.
        headers: the values of each header, by its name in small letters.
        body: as it was sent.
    """

    status: int | None
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str:
        """All values of a header as one, as if they had been sent so; empty if there is none."""
        return ", ".join(self.headers.get(name, ()))


class Body(NamedTuple):
    """A body without its codings; None with the reason if it cannot be had. With a reason too, it is the part that could be decoded."""

    content: bytes | None
    reason: str | None = None


class _BodyError(Exception):
    """The body cannot be had; the message is the reason."""


def parse_response(content: bytes) -> Response:
    """Take the content of a WARC record of type response apart; lines that are no headers are passed over."""
    status = _STATUS.match(content)
    if status is None:
        return Response(None, {}, content)
    end = _HEADERS_END.search(content, status.end())
    head, body = (content[status.end() :], b"") if end is None else (content[status.end() : end.start()], content[end.end() :])
    lines: list[list[bytes]] = []
    for line in head[:LARGEST_HEAD].split(b"\n")[1:]:
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1].append(line.strip())  # obsolete folding: the line before goes on
        else:
            lines.append([line.rstrip()])
    headers: dict[str, list[str]] = {}
    for parts in lines:
        header = _HEADER.match(b" ".join(parts))
        if header is not None:
            headers.setdefault(header[1].decode("latin-1").lower(), []).append(header[2].decode("latin-1").strip())
    return Response(int(status[1]), headers, body)


def decode_body(response: Response) -> Body:
    """Undo the codings of a response's body, from the last that was applied to the first."""
    body, cut = response.body, False
    names = f"{response.header('content-encoding')},{response.header('transfer-encoding')}".lower().split(",")
    try:
        codings = [_CODINGS[name] for name in map(str.strip, reversed(names)) if name in _CODINGS]
        if body[:3] == b"\x1f\x8b\x08" and not codings:
            codings = [_CODINGS["gzip"]]  # of a server that did not say so; no page begins like this
        if len(codings) > MOST_CODINGS:
            raise _BodyError(BROKEN_CODING)
        for undo in codings:
            body, short = undo(body)
            cut = cut or short
    except _BodyError as error:
        return Body(None, str(error))
    if len(body) > LARGEST_BODY:
        return Body(None, PAGE_TOO_LARGE)
    return Body(body, PAGE_CUT_SHORT if cut else None)


def _unchunk(body: bytes) -> tuple[bytes, bool]:
    """The chunks of a body in one, and whether there should be more; a body that does not begin like a chunk is none."""
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
    raise _BodyError(BROKEN_CODING)


def _ungzip(body: bytes) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    rest = body
    while rest.startswith(GZIP):  # members may follow each other; what else follows is passed over
        if len(parts) == MOST_MEMBERS:
            raise _BodyError(BROKEN_CODING)
        decoder = zlib.decompressobj(31)
        parts.append(_gather(_inflated(decoder, rest), sum(map(len, parts))))
        if not decoder.eof:
            return b"".join(parts), True
        rest = decoder.unused_data
    return (b"".join(parts) if parts else body), False


def _undeflate(body: bytes) -> tuple[bytes, bool]:
    """What servers call deflate has zlib's header or, against the rule, none; and a page that is not packed has neither."""
    if not body:
        return body, False
    is_zlib = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    decoder = zlib.decompressobj(15 if is_zlib else -15)
    return _unless_markup(body, lambda: (_gather(_inflated(decoder, body)), not decoder.eof))


def _inflated(decoder: Any, body: bytes) -> Iterator[bytes]:
    try:
        while body and not decoder.eof:
            yield decoder.decompress(body, CHUNK)
            body = decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error:
        raise _BodyError(BROKEN_CODING) from None


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
            raise _BodyError(BROKEN_CODING) from None

    return _unless_markup(body, lambda: (_gather(parts()), not decoder.is_finished()))


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
            raise _BodyError(BROKEN_CODING) from None

    return _gather(parts()), not whole


def _unless_markup(body: bytes, decode: Callable[[], tuple[bytes, bool]]) -> tuple[bytes, bool]:
    """What ``decode`` gives; where it fails and the body itself begins like a page, that."""
    try:
        return decode()
    except _BodyError as error:
        if str(error) == BROKEN_CODING and _MARKUP.match(body):
            return body, False
        raise


def _gather(parts: Iterator[bytes], size: int = 0) -> bytes:
    """All parts in one; ``size`` bytes there are already."""
    kept: list[bytes] = []
    for part in parts:
        kept.append(part)
        size += len(part)
        if size > LARGEST_BODY:
            raise _BodyError(PAGE_TOO_LARGE)
    return b"".join(kept)


_CODINGS: dict[str, Callable[[bytes], tuple[bytes, bool]]] = {
    "chunked": _unchunk,
    "gzip": _ungzip,
    "x-gzip": _ungzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
