"""The records of WARC and WAT files, whatever they are compressed with, and every loss by name.

FastWARC does the reading. It takes a file that was cut short for one that ends there, and in its lenient mode passes over what is no
record without a word; so what a record lacks, what follows the last one, and what stands between two is looked for here.
"""

from __future__ import annotations

import mmap
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tallyclip.errors import SourceError
from tallyclip.extras import load
from tallyclip.pool.reading import DAMAGED, EMPTY

LARGEST = 32 << 20  # bytes of a record: pages are cut at one to five megabytes by those who crawl
CHUNK = 1 << 20
GZIP, ZSTD, LZ4 = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
CUT_SHORT = "file cut short"
NO_RECORD = "bytes that are no record"
TOO_LARGE = "record too large"

Lose = Callable[[str, str], None]  # a reason, and where


class Record(NamedTuple):
    """One record: its place in the file in bytes (of the gzip member, where there are members), and its whole content.

    ``payload_type`` is what those who wrote the file found a page to be, whatever its server said.
    """

    kind: str
    uri: str
    offset: int
    content: bytes
    payload_type: str | None = None


def read_records(path: str, kinds: tuple[str, ...], lose: Lose, *, salvage: bool = False) -> Iterator[Record]:
    """Stream the records of some kinds, in the file's order.

    Args:
        path: on this machine; gzip, Zstandard and LZ4 are told by their first bytes, not by the name.
        kinds: FastWARC's names: "metadata", "response", "resource", "revisit", ...
        lose: told of what is left out: records that are too large, and with ``salvage`` also what the file's damage took.
        salvage: go on behind damage, and keep what stands before the place where a file was cut short, instead of giving up the file.

    Raises:
        SourceError: the file is empty, no archive, damaged, or cut short.
        MissingExtraError: FastWARC is not installed.
    """
    with open(path, "rb") as file:
        magic = file.read(4)
    if not magic:
        raise SourceError(f"{path}: there is nothing in it", EMPTY)
    packed, lenient, start, given = magic.startswith(GZIP), _is_lenient(path, magic), 0, 0
    while True:
        held: Record | None = None  # a record is given out when what follows shows that its gzip member was sound
        last = start
        try:
            for number, record in enumerate(_iterate(path, magic, start, kinds, lenient)):
                last = int(record.stream_pos)
                if number < given:
                    continue
                given += 1
                if held is not None:
                    yield held
                held = _read(record, last, lose)
                if held is not None and len(held.content) < record.content_length:
                    what = f"a record of {record.content_length:,} bytes has {len(held.content):,}"
                    raise _DamageError(CUT_SHORT, last, what)
            _check_end(path, magic, last)
            if held is not None:
                yield held
            return
        except _DamageError as damage:
            problem = damage
        except (OSError, zlib.error) as error:
            problem = _DamageError(NO_RECORD, last, " ".join(str(error).split()))
            end = _end_of_member(path, last) if packed else last
            if end is None:
                held = None
            else:
                problem.place = end
        if not salvage:
            hint = f"{DAMAGED}; or --salvage keeps what can be read of it, and counts the loss"
            raise SourceError(f"{path}: {problem.reason}: {problem.what}, at byte {problem.place:,}", hint) from None
        if held is not None:
            yield held
        lose(problem.reason, f"{Path(path).name} from byte {problem.place:,} on: {problem.what}")
        if "header" in problem.what and not lenient:
            lenient = True  # the bytes are sound but no record: once more from here, past what is no record
            continue
        following = _next_start(path, magic, problem.place)
        if following is None:
            return
        start, given = following, 0


class _DamageError(Exception):
    def __init__(self, reason: str, place: int, what: str) -> None:
        super().__init__(reason, place, what)
        self.reason, self.place, self.what = reason, place, what


def _iterate(path: str, magic: bytes, start: int, kinds: tuple[str, ...], lenient: bool) -> Iterator[Any]:
    fastwarc = load("fastwarc", "FastWARC", "crawl")
    wanted: Any = None
    for kind in kinds:
        bit = getattr(fastwarc.WarcRecordType, kind)
        wanted = bit if wanted is None else wanted | bit
    with open(path, "rb") as file:
        file.seek(start)
        stream = _unpacked(fastwarc, magic, file)
        yield from fastwarc.ArchiveIterator(stream, record_types=wanted, parse_http=False, quirks_mode=lenient, stream_detect=False)


def _unpacked(fastwarc: Any, magic: bytes, file: BinaryIO) -> Any:
    if magic.startswith(GZIP):
        return fastwarc.GzipReader(file)
    if magic == ZSTD:
        return fastwarc.ZstdReader(file)
    if magic == LZ4:
        return fastwarc.Lz4Reader(file)
    return file


def _read(record: Any, place: int, lose: Lose) -> Record | None:
    """A record with its content, or None if that is too large."""
    headers = record.headers
    uri = (headers.get("WARC-Target-URI") or "").strip("<> ")  # wget writes it in brackets
    if record.content_length > LARGEST:
        lose(TOO_LARGE, f"{uri}: {record.content_length:,} bytes, at byte {place:,}")
        return None
    kind, payload_type = (headers.get("WARC-Type") or "").lower(), headers.get("WARC-Identified-Payload-Type")
    return Record(kind, uri, place, record.reader.read(), payload_type)


def _is_lenient(path: str, magic: bytes) -> bool:
    """Must the file be read leniently? Where header lines end with a line feed alone, the strict reader finds no record.

    Raises:
        SourceError: this is no archive.
    """
    with open(path, "rb") as file:
        try:
            start: bytes = _unpacked(load("fastwarc", "FastWARC", "crawl"), magic, file).read(len("WARC/1.0\r\n"))
        except OSError:
            return False  # the file's damage begins at its beginning, and is found there
    if not start.startswith(b"WARC/"):
        raise SourceError(f"{path}: this is no archive: it begins with {start!r}", "WARC and WAT files begin with WARC/1.0 or WARC/1.1")
    return b"\r" not in start


def _check_end(path: str, magic: bytes, last: int) -> None:
    """Is everything from the last record on whole? Zstandard's and LZ4's readers notice a missing end themselves."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if magic.startswith(GZIP):
            _check_members(content, last if content[last : last + len(GZIP)] == GZIP else 0)
        elif magic not in (ZSTD, LZ4):
            _check_plain(content, last)


def _check_members(content: mmap.mmap, start: int) -> None:
    member, place = zlib.decompressobj(31), start
    while place < len(content):
        given = content[place : place + CHUNK]
        while given and not member.eof:
            member.decompress(given, CHUNK)  # thrown away: a bounded piece at a time
            given = member.unconsumed_tail
        place += CHUNK if not member.eof else min(CHUNK, len(content) - place) - len(member.unused_data)
        if member.eof:
            start, member = place, zlib.decompressobj(31)
            if place < len(content) and content[place : place + len(GZIP)] != GZIP:
                raise _DamageError(NO_RECORD, place, f"{len(content) - place:,} bytes behind the last record")
    if start < len(content):
        raise _DamageError(CUT_SHORT, start, "the last gzip member has no end")


def _check_plain(content: mmap.mmap, place: int) -> None:
    while place < len(content):
        end = content.find(b"\r\n\r\n", place)
        bare = content.find(b"\n\n", place)
        end, gap = (end, 4) if end >= 0 and not 0 <= bare < end else (bare, 2)
        header = content[place : end if end >= 0 else len(content)]
        length = re.search(rb"(?im)^content-length:[ \t]*(\d+)", header)
        if not header.startswith(b"WARC/"):
            raise _DamageError(NO_RECORD, place, f"{len(content) - place:,} bytes behind the last record")
        if end < 0 or length is None or end + gap + int(length[1]) > len(content):
            raise _DamageError(CUT_SHORT, place, "the last record has no end")
        place = end + gap + int(length[1])
        while content[place : place + 1] in (b"\r", b"\n"):
            place += 1


def _end_of_member(path: str, start: int) -> int | None:
    """Where the gzip member that begins at a place ends, or None if it is not sound; the place itself if none begins there."""
    member = zlib.decompressobj(31)
    with open(path, "rb") as file:
        file.seek(start)
        if file.read(len(GZIP)) != GZIP:
            return start
        file.seek(start)
        try:
            while not member.eof and (given := member.unconsumed_tail or file.read(CHUNK)):
                member.decompress(given, CHUNK)
        except zlib.error:
            return None
        return file.tell() - len(member.unused_data) if member.eof else None


def _next_start(path: str, magic: bytes, after: int) -> int | None:
    """Where the next record, or gzip member, begins behind a place."""
    mark = GZIP if magic.startswith(GZIP) else b"WARC/1."
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(mark, after + 1)
    return None if place < 0 else place
