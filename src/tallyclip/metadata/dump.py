"""The pages of a ``pages-articles`` dump of a MediaWiki, from any part of it on.

Dumps are written by a program, in one form since 2003, so tags are searched for as bytes: ``<page>`` can stand nowhere else, as texts are
escaped. A multistream dump is many bzip2 streams in a row, and where one begins can be seen in the file (by ten bytes that compressed
data has by chance once in 10^24): its index file is not needed. Parts are runs of streams; a page belongs to the part in which its first
byte lies, and is read to its end however many streams it goes through, so it does not matter that other writers of streams (pbzip2)
cut pages.
"""

from __future__ import annotations

import bz2
import codecs
import os
import re
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from tallyclip.errors import SourceError
from tallyclip.pool.reading import BOM, DAMAGED, EMPTY, is_utf8, reading
from tallyclip.streams import CHUNK, compression_of, open_file, unpacked

LARGEST_PAGE = 64 << 20  # bytes; Wikipedia allows 2 MiB
PIECE = 1 << 20  # unpacked bytes at a time
READ_AT_ONCE = 256 << 10
BZIP2_PART, PLAIN_PART = 8 << 20, 32 << 20
LONGEST_HEAD = 4 << 20
BLOCK = b"1AY&SY"  # what a bzip2 block begins with, the first of a stream right after the stream's own beginning
STREAM = re.compile(rb"BZh[1-9]")
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
OPENING = b"<page>"
PAGE_TAG = re.compile(rb"</?page>")
LONGEST_TAG = len(b"</page>")
NAMESPACE = re.compile(rb'<namespace key="(-?\d+)"[^>]*>([^<]*)</namespace>')
CHARACTER = re.compile(rb"&#(?:([0-9]{1,7})|x([0-9a-fA-F]{1,6}));")
REDIRECT = re.compile(rb"\s*#redirect\b", re.IGNORECASE)
TOO_LARGE = f"page larger than {LARGEST_PAGE >> 20} MiB"

Tick = Callable[[int], None]
Drop = Callable[[str], None]


class Page(NamedTuple):
    """A page of a wiki; an article is one in namespace 0 that is no redirect."""

    title: str
    namespace: int
    redirect: bool
    text: bytes


def find_parts(path: str, part_bytes: int | None = None) -> list[tuple[int, int | None]]:
    """Cut a dump into parts, each from one byte of the file to another or to its end.

    A multistream dump is cut between streams and an unpacked one anywhere; any other is one part.

    Raises:
        SourceError: there is no page in it.
    """
    if not os.path.getsize(path):
        raise SourceError(f"{path}: there is nothing in it", EMPTY)
    compression = compression_of(path)
    if _head(path).startswith(UTF16) or compression not in (None, "bz2"):
        return [(0, None)]
    size = os.path.getsize(path)
    if compression is None:
        starts = list(range(0, size, part_bytes or PLAIN_PART))
    else:
        starts = [0]
        for place in _stream_starts(path):
            if place - starts[-1] >= (part_bytes or BZIP2_PART):
                starts.append(place)
    return list(zip(starts, [*starts[1:], None], strict=True))


def namespaces_of(path: str) -> dict[int, str]:
    """The names of a dump's namespaces by their numbers, which are the same in all languages: 6 for files, 14 for categories."""
    head = _head(path)
    if head.startswith(UTF16):
        head = head.decode("utf-16", "replace").encode()
    return {int(key): _unescaped(name).decode("utf-8", "replace") for key, name in NAMESPACE.findall(head)}


def read_pages(path: str, part: tuple[int, int | None], namespaces: dict[int, str], drop: Drop, tick: Tick) -> Iterator[Page]:
    """The pages of one part, in order.

    Args:
        path: a dump on this machine.
        part: one of ``find_parts``.
        namespaces: as ``namespaces_of`` gives them; old dumps say a page's namespace in its title only.
        drop: told the reason for each page that is left out.
        tick: told how many bytes of the part have been read since the last time.

    Raises:
        SourceError: the file is cut short or damaged; pages before that place are given first.
    """
    start, end = part
    numbers = {name.casefold(): number for number, name in namespaces.items()}
    with reading(path):
        own = as_utf8(_pieces(path, start, end, tick))
        later = _pieces(path, end, None, _untold) if end is not None else iter(())
        for content in _cut(own, later, drop):
            page = _page(content, numbers)
            if isinstance(page, str):
                drop(page)
            else:
                yield page


def _untold(_: int) -> None:
    """Nobody counts the bytes that belong to the next part."""


def _head(path: str) -> bytes:
    """What stands before the first page."""
    head = b""
    with reading(path):
        for piece in _pieces(path, 0, None, _untold):
            head += piece
            tag = OPENING if not head.startswith(UTF16) else OPENING.decode().encode("utf-16-le" if head[0] == 0xFF else "utf-16-be")
            place = head.find(tag)
            if place >= 0:
                return head[:place]
            if len(head) > LONGEST_HEAD:
                break
    raise SourceError(f"{path}: there are no pages in it", "expected is a dump of a MediaWiki, with <page> elements")


def _stream_starts(path: str) -> Iterator[int]:
    """Where the bzip2 streams of a file begin, empty ones aside."""
    place, rest = 0, b""
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            content = rest + chunk
            found = content.find(BLOCK, 4)
            while found >= 0:
                if STREAM.match(content, found - 4):
                    yield place + found - 4
                found = content.find(BLOCK, found + 1)
            keep = min(len(content), 4 + len(BLOCK) - 1)
            place, rest = place + len(content) - keep, content[len(content) - keep :]


def _pieces(path: str, start: int, end: int | None, tick: Tick) -> Generator[bytes]:
    """A file's content, unpacked; of a bzip2 file that of the streams that begin from ``start`` on and before ``end``."""
    compression = compression_of(path)
    if compression == "bz2":
        yield from _bzip2_pieces(path, start, end, tick)
        return
    with open_file(path) as file:
        file.seek(start)
        stream = unpacked(file, compression)
        told = start
        while piece := stream.read(PIECE if end is None else min(PIECE, end - told)):
            tick(file.tell() - told)
            told = file.tell()
            yield piece


def _bzip2_pieces(path: str, start: int, end: int | None, tick: Tick) -> Generator[bytes]:
    with open(path, "rb") as file:
        file.seek(start)
        place, told, packed = start, start, b""
        while end is None or place < end:  # a stream begins at place
            packed = packed or file.read(READ_AT_ONCE)
            if not packed.strip(b"\0"):  # some writers fill the last block of a disk
                if not packed:
                    return
                place, packed = place + len(packed), b""
                continue
            stream = bz2.BZ2Decompressor()
            while not stream.eof:
                if stream.needs_input:
                    packed = packed or file.read(READ_AT_ONCE)
                    if not packed:
                        raise SourceError(f"{path}: the bzip2 stream that begins at byte {place:,} is cut short", DAMAGED)
                    now = file.tell() if end is None else min(file.tell(), end)
                    tick(now - told)
                    told = now
                try:
                    piece = stream.decompress(packed, PIECE)
                except OSError as error:
                    raise SourceError(f"{path}: the bzip2 stream that begins at byte {place:,} is damaged: {error}", DAMAGED) from error
                packed = b""
                if piece:
                    yield piece
            packed = stream.unused_data
            place = file.tell() - len(packed)


def as_utf8(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Text in UTF-8 without its mark, from that or from UTF-16 with its mark; lone surrogates become what is no UTF-8."""
    first = next(pieces, b"")
    if not first.startswith(UTF16):
        yield first.removeprefix(BOM)
        yield from pieces
        return
    decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
    yield decoder.decode(first).encode("utf-8", "surrogatepass")
    for piece in pieces:
        yield decoder.decode(piece).encode("utf-8", "surrogatepass")


def _cut(own: Iterator[bytes], later: Iterator[bytes], drop: Drop) -> Iterator[bytes]:
    """The pages that begin in ``own``, from tag to tag, the last of them read on in ``later``."""
    content = b""
    is_open = is_large = False
    searched = mine = 0
    for pieces in (own, later):
        for piece in pieces:
            content += piece
            mine += len(piece) if pieces is own else 0
            start = 0
            for tag in PAGE_TAG.finditer(content, searched):
                searched = tag.end()
                if tag[0] != OPENING:
                    if is_open and not is_large:
                        yield content[start : tag.end()]
                    is_open = is_large = False
                    continue
                if is_open and not is_large:
                    drop("page without end")
                if tag.start() >= mine:
                    return
                start, is_open, is_large = tag.start(), True, False
            searched = max(searched, len(content) - LONGEST_TAG + 1)
            if is_open and not is_large and len(content) - start > LARGEST_PAGE:
                drop(TOO_LARGE)
                is_large = True
            cut = start if is_open and not is_large else searched
            content, searched, mine = content[cut:], searched - cut, mine - cut
            if not is_open and pieces is later and mine <= 0:
                return
        if not is_open and b"<" not in content:  # a tag that the end cuts is the part's own
            return
    if is_open and not is_large:
        drop("page without end")


def _page(content: bytes, numbers: dict[str, int]) -> Page | str:
    """A page, or what is wrong with it."""
    head = content.partition(b"<revision>")[0]
    title = _inner(head, b"title")
    if title is None:
        return "page without title"
    text = _text(content)
    if text is None:
        return "page without text"
    text = _unescaped(text)
    if not is_utf8(title) or not is_utf8(text):
        return "not UTF-8"
    name = _unescaped(title).decode()
    number = _inner(head, b"ns")
    if number is not None and re.fullmatch(rb"-?\d{1,9}", number):
        namespace = int(number)
    else:  # as in dumps before 2010
        namespace = numbers.get(name.partition(":")[0].strip().replace("_", " ").casefold(), 0) if ":" in name else 0
    if namespace == 0 and _inner(content[len(head) :], b"model") not in (None, b"wikitext"):
        return "page that is not wikitext"
    redirect = b"<redirect" in head or REDIRECT.match(text) is not None
    return Page(name, namespace, redirect, text)


def _inner(content: bytes, name: bytes) -> bytes | None:
    start = content.find(b"<" + name + b">")
    end = content.find(b"</" + name + b">", start)
    return content[start + len(name) + 2 : end] if 0 <= start < end else None


def _text(content: bytes) -> bytes | None:
    """The first text of the last revision: later ones of the same revision are other slots than the article."""
    start = content.find(b"<text", max(0, content.rfind(b"<revision>")))
    inner = content.find(b">", start) + 1
    if start < 0 or not inner:
        return None
    if content[inner - 2 : inner] == b"/>":
        return b""
    end = content.find(b"</text>", inner)
    return content[inner:end] if end >= 0 else None


def _unescaped(text: bytes) -> bytes:
    if b"\r" in text:  # as XML has it
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"&#" in text:
        text = CHARACTER.sub(_character, text)
    for entity, sign in ((b"&lt;", b"<"), (b"&gt;", b">"), (b"&quot;", b'"'), (b"&apos;", b"'"), (b"&amp;", b"&")):
        text = text.replace(entity, sign)
    return text


def _character(match: re.Match[bytes]) -> bytes:
    code = int(match[1]) if match[1] else int(match[2], 16)
    return chr(code).encode("utf-8", "surrogatepass") if code <= 0x10FFFF else match[0]
