"""The pages of a ``pages-articles`` dump of a MediaWiki, from any part of it on.

Dumps are written by a program, in one form since 2003, so tags are searched for as bytes: ``<page>`` can stand nowhere else, as texts are
escaped. A multistream dump is many bzip2 streams in a row, and where one begins can be seen in the file (by ten bytes that compressed
data has by chance once in 10^24): its index file is not needed. Parts are runs of streams; a page belongs to the part in which its first
byte lies, and is read to its end however many streams it goes through, so it does not matter that other writers of streams (pbzip2)
cut pages.

A whole dump ends with ``</mediawiki>``, which the last part must find. A file that begins with ``<page>``, without ``<mediawiki>``, has
no such end, and is cut short only if its last page is.
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
PIECE = 1 << 20  # unpacked bytes at a time
READ_AT_ONCE = 256 << 10
BZIP2_PART, PLAIN_PART = 8 << 20, 32 << 20
LONGEST_HEAD = 4 << 20
LONGEST_ENDING = 4096  # bytes of a comment or the like behind the end tag, or after a piece of it
BLOCK = b"1AY&SY"  # what a bzip2 block begins with, the first of a stream right after the stream's own beginning
STREAM = re.compile(rb"BZh[1-9]")
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
OPENING = b"<page>"
ROOT, END = b"<mediawiki", b"</mediawiki"
TAG = re.compile(rb"</?page>|</?mediawiki")
LONGEST_TAG = len(END)
NAMESPACE = re.compile(rb'<namespace key="(-?\d+)"[^>]*>([^<]*)</namespace>')
CUT_HINT = f"{DAMAGED}; to read part of a dump on purpose, append </mediawiki>"
TOO_LARGE = f"page larger than {LARGEST_PAGE >> 20} MiB"

Tick = Callable[[int], None]
Drop = Callable[[str], None]


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
    _join_end(path, starts)
    return list(zip(starts, [*starts[1:], None], strict=True))


def namespaces_of(path: str) -> dict[int, str]:
    """The names of a dump's namespaces by their numbers, which are the same in all languages: 6 for files, 14 for categories."""
    return {int(key): unescaped(name).decode("utf-8", "replace") for key, name in NAMESPACE.findall(_head_in_utf8(path))}


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
        must_end = end is None and ROOT in _head_in_utf8(path)
        for content in _cut(path, own, later, must_end, drop):
            page = read_page(content, numbers)
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
    if ROOT in head and END not in head and len(head) <= LONGEST_HEAD:
        raise SourceError(f"{path}: the dump is cut short before its first page", DAMAGED)
    raise SourceError(f"{path}: there are no pages in it", "expected is a dump of a MediaWiki, with <page> elements")


def _head_in_utf8(path: str) -> bytes:
    head = _head(path)
    return head.decode("utf-16", "replace").encode() if head.startswith(UTF16) else head


def _join_end(path: str, starts: list[int]) -> None:
    """Join the last parts if the dump's end tag, or a piece of it, is all that is in them: it must be whole in the last part."""
    ending, end = b"", None
    with suppress(SourceError):  # which reading the part will tell, too
        while len(starts) > 1:
            content = b""
            for piece in _pieces(path, starts[-1], end, _untold):
                content = (content + piece).strip()
                if len(content) + len(ending) > LONGEST_ENDING or END in content:
                    return
            ending = content + ending
            if END in ending:
                return
            end = starts.pop()


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


def _cut(path: str, own: Iterator[bytes], later: Iterator[bytes], must_end: bool, drop: Drop) -> Iterator[bytes]:
    """The pages that begin in ``own``, from tag to tag, the last of them read on in ``later``.

    Raises:
        SourceError: the file ends within a page; ``own`` must have the dump's end tag behind the last page, and has not; or another dump
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
                    raise SourceError(f"{path}: the dump is cut short: another begins before its </mediawiki>", CUT_HINT)
                if tag[0] == b"</page>":
                    if is_open and not is_large:
                        yield content[start : tag.end()]
                elif is_open and not is_large:
                    drop("page without end")
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
        if not is_open and not must_end and b"<" not in content:  # a tag that the end cuts is the part's own
            return
    if is_open:
        raise SourceError(f"{path}: the dump is cut short: it ends within a page", CUT_HINT)
    if must_end and not is_ended:
        raise SourceError(f"{path}: the dump is cut short: it does not end with </mediawiki>", CUT_HINT)
