"""The pages of a ``pages-articles`` dump of a MediaWiki wiki, read in parts.

A program has written dumps in the same form since 2003, so tags are searched for as bytes: ``<page>`` cannot occur in a text, as texts are
escaped. A multistream dump is a sequence of bzip2 streams, each of which begins with ten bytes that compressed data has by chance once in
10^24, so the index file is not needed. Parts are runs of streams. A page belongs to the part that has its first byte, and is read to its
end through as many streams as it takes, so writers that cut pages between streams (pbzip2) do no harm.

A whole dump ends with ``</mediawiki>``, which the last part must find. A file that begins with ``<page>``, without ``<mediawiki>``, has
no such end, and is truncated only if its last page is.
"""

from __future__ import annotations

import bz2
import codecs
import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress

from tallyclip.errors import SourceError
from tallyclip.io.streams import CHUNK, compression_of, open_file, unpacked
from tallyclip.lists.page import Page, read_page, unescaped
from tallyclip.readers.content import BOM, DAMAGED, EMPTY, reading

LARGEST_PAGE = 64 << 20  # bytes; Wikipedia allows 2 MiB
PIECE = 1 << 20  # uncompressed bytes at a time
READ_AT_ONCE = 256 << 10
BZIP2_PART, PLAIN_PART = 8 << 20, 32 << 20
LONGEST_HEAD = 4 << 20
LONGEST_ENDING = 4096  # bytes, such as a comment, after the end tag or a piece of it
BLOCK = b"1AY&SY"  # the start of a bzip2 block; the first block of a stream follows the stream's header
STREAM = re.compile(rb"BZh[1-9]")
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
OPENING = b"<page>"
ROOT, END = b"<mediawiki", b"</mediawiki"
TAG = re.compile(rb"</?page>|</?mediawiki")
LONGEST_TAG = len(END)
NAMESPACE = re.compile(rb'<namespace key="(-?\d+)"[^>]*>([^<]*)</namespace>')
TRUNCATED_HINT = f"{DAMAGED}; to read part of a dump on purpose, append </mediawiki>"
TOO_LARGE = f"page larger than {LARGEST_PAGE >> 20} MiB"

Tick = Callable[[int], None]
Drop = Callable[[str], None]


def find_parts(path: str, part_bytes: int | None = None) -> list[tuple[int, int | None]]:
    """Split a dump into parts, each from one byte of the file to another or to its end.

    A multistream dump is split between streams, an uncompressed one anywhere; any other is one part.

    Raises:
        SourceError: it has no page.
    """
    if not os.path.getsize(path):
        raise SourceError(f"{path}: nothing in it", EMPTY)
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
    _join_end(path, starts)
    return list(zip(starts, [*starts[1:], None], strict=True))


def namespaces_of(path: str) -> dict[int, str]:
    """The names of a dump's namespaces by number. Numbers are the same in all languages: 6 for files, 14 for categories."""
    return {int(key): unescaped(name).decode("utf-8", "replace") for key, name in NAMESPACE.findall(_head_in_utf8(path))}


def read_pages(path: str, part: tuple[int, int | None], namespaces: dict[int, str], drop: Drop, tick: Tick) -> Iterator[Page]:
    """The pages of one part, in order.

    Args:
        path: a dump on this machine.
        part: one of ``find_parts``.
        namespaces: from ``namespaces_of``; in old dumps only the title gives a page's namespace.
        drop: called with the reason for each dropped page.
        tick: called with the number of bytes of the part read since the last call.

    Raises:
        SourceError: the file is truncated or damaged; the pages before are yielded first.
    """
    start, end = part
    numbers = {name.casefold(): number for number, name in namespaces.items()}
    with reading(path):
        own = as_utf8(_pieces(path, start, end, tick))
        later = _pieces(path, end, None, _no_tick) if end is not None else iter(())
        must_end = end is None and ROOT in _head_in_utf8(path)
        for content in _cut(path, own, later, must_end, drop):
            page = read_page(content, numbers)
            if isinstance(page, str):
                drop(page)
            else:
                yield page


def _no_tick(_: int) -> None:
    """Bytes outside a part are not reported."""


def _head(path: str) -> bytes:
    """Everything before the first page."""
    head = b""
    with reading(path):
        for piece in _pieces(path, 0, None, _no_tick):
            head += piece
            tag = OPENING if not head.startswith(UTF16) else OPENING.decode().encode("utf-16-le" if head[0] == 0xFF else "utf-16-be")
            place = head.find(tag)
            if place >= 0:
                return head[:place]
            if len(head) > LONGEST_HEAD:
                break
    if ROOT in head and END not in head and len(head) <= LONGEST_HEAD:
        raise SourceError(f"{path}: the dump is truncated before its first page", DAMAGED)
    raise SourceError(f"{path}: no pages in it", "give a dump of a MediaWiki wiki, with <page> elements")


def _head_in_utf8(path: str) -> bytes:
    head = _head(path)
    return head.decode("utf-16", "replace").encode() if head.startswith(UTF16) else head


def _join_end(path: str, starts: list[int]) -> None:
    """Join the last parts if they have only the dump's end tag, or a piece of it: the last part must have the whole tag."""
    ending, end = b"", None
    with suppress(SourceError):  # reading the part raises it too
        while len(starts) > 1:
            content = b""
            for piece in _pieces(path, starts[-1], end, _no_tick):
                content = (content + piece).strip()
                if len(content) + len(ending) > LONGEST_ENDING or END in content:
                    return
            ending = content + ending
            if END in ending:
                return
            end = starts.pop()


def _stream_starts(path: str) -> Iterator[int]:
    """Where the bzip2 streams of a file begin, except empty ones."""
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
    """The uncompressed content of a file; of a bzip2 file, that of the streams that begin from ``start`` up to ``end``."""
    compression = compression_of(path)
    if compression == "bz2":
        yield from _bzip2_pieces(path, start, end, tick)
        return
    with open_file(path) as file:
        file.seek(start)
        stream = unpacked(file, compression)
        reported = start
        while piece := stream.read(PIECE if end is None else min(PIECE, end - reported)):
            tick(file.tell() - reported)
            reported = file.tell()
            yield piece


def _bzip2_pieces(path: str, start: int, end: int | None, tick: Tick) -> Generator[bytes]:
    with open(path, "rb") as file:
        file.seek(start)
        place, reported, packed = start, start, b""
        while end is None or place < end:  # a stream begins at place
            packed = packed or file.read(READ_AT_ONCE)
            if not packed.strip(b"\0"):  # some writers pad the file to a whole disk block
                if not packed:
                    return
                place, packed = place + len(packed), b""
                continue
            stream = bz2.BZ2Decompressor()
            while not stream.eof:
                if stream.needs_input:
                    packed = packed or file.read(READ_AT_ONCE)
                    if not packed:
                        raise SourceError(f"{path}: the bzip2 stream that begins at byte {place:,} is truncated", DAMAGED)
                    now = file.tell() if end is None else min(file.tell(), end)
                    tick(now - reported)
                    reported = now
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
    """UTF-8 without byte order mark, from UTF-8, or from UTF-16 with one; lone surrogates become invalid UTF-8."""
    first = next(pieces, b"")
    if not first.startswith(UTF16):
        yield first.removeprefix(BOM)
        yield from pieces
        return
    decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
    yield decoder.decode(first).encode("utf-8", "surrogatepass")
    for piece in pieces:
        yield decoder.decode(piece).encode("utf-8", "surrogatepass")


def _cut(path: str, own: Iterator[bytes], later: Iterator[bytes], must_end: bool, drop: Drop) -> Iterator[bytes]:
    """The pages that begin in ``own``, from tag to tag; the last of them may end in ``later``.

    Raises:
        SourceError: the file ends within a page; ``own`` must have the dump's end tag after the last page, and lacks it; or another dump
            begins before that tag.
    """
    content = b""
    is_open = is_large = False
    is_ended, some = False, False
    searched = mine = 0
    for pieces in (own, later):
        for piece in pieces:
            content += piece
            mine += len(piece) if pieces is own else 0
            start = 0
            for tag in TAG.finditer(content, searched):
                searched = tag.end()
                if tag.start() >= mine and not is_open:
                    return
                if tag[0] == ROOT and some and not is_ended:
                    raise SourceError(f"{path}: the dump is truncated: another begins before its </mediawiki>", TRUNCATED_HINT)
                if tag[0] == b"</page>":
                    if is_open and not is_large:
                        yield content[start : tag.end()]
                elif is_open and not is_large:
                    drop("page without end tag")
                if tag.start() >= mine and tag[0] != b"</page>":
                    return
                is_ended = tag[0] == END
                is_open, is_large, start = tag[0] == OPENING, False, tag.start()
                some |= is_open
            searched = max(searched, len(content) - LONGEST_TAG + 1)
            if is_open and not is_large and len(content) - start > LARGEST_PAGE:
                drop(TOO_LARGE)
                is_large = True
            cut = start if is_open and not is_large else searched
            content, searched, mine = content[cut:], searched - cut, mine - cut
            if not is_open and pieces is later and mine <= 0:
                return
        if not is_open and not must_end and b"<" not in content:  # a tag that the end of the part cuts belongs to it
            return
    if is_open:
        raise SourceError(f"{path}: the dump is truncated: it ends within a page", TRUNCATED_HINT)
    if must_end and not is_ended:
        raise SourceError(f"{path}: the dump is truncated: it does not end with </mediawiki>", TRUNCATED_HINT)
