"""The records of WARC and WAT files, whatever their compression, with every loss reported.

FastWARC does the reading. It treats a truncated file as complete, and in lenient mode silently skips bytes that are not a record; so
incomplete records, and data between records and after the last one, are detected here. Zeros after the last record of a plain or gzip file
are padding, as they are to gzip: tapes and some object stores fill up their blocks.

The module is long because everything that may be wrong with an archive is in one place.
"""

from __future__ import annotations

import io
import mmap
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import zstandard

from tallyclip.errors import SourceError
from tallyclip.extras import load
from tallyclip.readers.content import DAMAGED, EMPTY
from tallyclip.wording import plural

LARGEST = 32 << 20  # bytes of a record; crawlers cut pages at one to five megabytes
CHUNK = 1 << 20
LONGEST_HEADER = 64 << 10  # bytes; FastWARC accepts half of that
FIRST_CHUNK = 512  # bytes of a gzip member; each further chunk is twice as large: members may be of 20 bytes, and a million
GZIP, ZSTD, LZ4 = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
PLAIN = b"WARC/1."
SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)  # a skippable frame of Zstandard or LZ4
DICTIONARY = b"\x5d\x2a\x4d\x18"  # the one that holds the dictionary, where a Zstandard WARC file begins with it
_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n")
_CONTENT_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,18})")
MOST_SKIPPABLE = 100
CUT_SHORT = "file cut short"
NO_RECORD = "bytes that are not a record"
TOO_LARGE = "record too large"
NO_TYPE = "record without a type"

Lose = Callable[[str, str], None]  # a reason, and where


class WarcRecord(msgspec.Struct, frozen=True, gc=False):
    """One record: its place in the file in bytes (of the gzip member, where there are members), and its whole content.

    Other headers are looked up when they are asked for, since that takes FastWARC as long as a tenth of reading a record.
    """

    kind: str
    headers: Any
    offset: int
    content: bytes

    @property
    def uri(self) -> str:
        """The URL of the page; wget writes it in brackets."""
        return _uri(self.headers)

    @property
    def payload_type(self) -> str | None:
        """The type of a page as the crawler identified it, whatever the server said."""
        return self.headers.get("WARC-Identified-Payload-Type")


class _Packing(NamedTuple):
    """How a file is compressed.

    Attributes:
        mark: the first bytes of each member, frame or record.
        start: where the first of these begins.
        dictionary: of Zstandard.
    """

    mark: bytes
    start: int
    dictionary: bytes | None = None


def read_records(path: str, kinds: tuple[str, ...], lose: Lose, *, keep_readable: bool = False) -> Iterator[WarcRecord]:
    """Stream the records of some kinds, in the file's order.

    Args:
        path: a local path; gzip, Zstandard and LZ4 are detected by their first bytes, not by the name. A Zstandard file may begin
            with the dictionary of its records, as in the specification of .warc.zst.
        kinds: FastWARC's names: "metadata", "response", "resource", "revisit", ...
        lose: called for each loss: records that are too large or have no type, and with ``keep_readable`` also what was damaged.
        keep_readable: continue after damage, and keep what precedes the place where a file was cut short, instead of failing.

    Raises:
        SourceError: the file is empty, not an archive, damaged, or cut short.
        MissingExtraError: FastWARC is not installed.
    """
    packing = _packing_of(path)
    lenient, start, given = _is_lenient(path, packing), packing.start, 0
    size, zeros = Path(path).stat().st_size, _start_of_zeros(path)
    counted = -1  # the place of the last damage that was counted
    while True:
        held: WarcRecord | None = None  # a record is yielded once what follows shows that its gzip member is sound
        last, came = start, False
        try:
            for number, record in enumerate(_iterate(path, packing, start, size, lenient)):
                last, came = int(record.stream_pos), True
                if number < given:
                    continue
                given += 1
                if held is not None:
                    yield held
                held = _read(record, last, kinds, lose)
                if held is not None and len(held.content) < record.content_length:
                    what = f"a record of {plural(record.content_length, 'byte')} has {len(held.content):,}"
                    raise _DamageError(CUT_SHORT, last, what)
            _check_end(path, packing, last, size, zeros)
            if held is not None:
                yield held
            return
        except _DamageError as damage:
            problem = damage
        except (OSError, zlib.error) as error:
            problem = _DamageError(NO_RECORD, last, " ".join(str(error).split()))
            if packing.mark == GZIP:
                end = _end_of_member(path, last)
            else:
                end = _end_of_record(path, last) if packing.mark == PLAIN and came else last
            if end is None:
                held = None
            else:
                problem.place = _after_other_members(path, end) if packing.mark == GZIP and lenient else end
            padding = _padding_of(path, packing, end, zeros)
            if padding is not None and padding < size:
                size, given = padding, given - (held is not None)  # again, without the padding at which the reader failed
                continue
        if not keep_readable:
            hint = f"{DAMAGED}; or give --keep-readable to keep what can be read, and count the loss"
            raise SourceError(f"{path}: {problem.reason}: {problem.what}, at byte {problem.place:,}", hint) from None
        if held is not None:
            yield held
        # Zstandard damage without a record is that already counted before this start; the lenient reader meets the same damage twice.
        if (packing.mark != ZSTD or given or start == packing.start) and not (packing.mark == PLAIN and problem.place == counted):
            counted = problem.place
            lose(problem.reason, f"{Path(path).name} from byte {problem.place:,} on: {problem.what}")
        if "header" in problem.what and not lenient:
            lenient = True  # the bytes are sound but not a record: read again from here and skip them
            continue
        following = _next_start(path, packing, problem.place)
        if following is None:
            return
        start, given = following, 0


class _DamageError(Exception):
    def __init__(self, reason: str, place: int, what: str) -> None:
        super().__init__(reason, place, what)
        self.reason, self.place, self.what = reason, place, what


class _Until(io.RawIOBase):
    """A file, read up to a place in it."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        super().__init__()
        self._file, self._end = file, end

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._end - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))


def _packing_of(path: str) -> _Packing:
    """How a file is compressed, as its first bytes say.

    Raises:
        SourceError: it is empty, or its dictionary cannot be read.
    """
    dictionary, start, head = None, 0, b""
    with open(path, "rb") as file:
        for number in range(MOST_SKIPPABLE):
            start, head = file.tell(), file.read(8)
            if not SKIPPABLE.match(head) or len(head) < 8:
                break
            size = int.from_bytes(head[4:], "little")
            if number == 0 and head.startswith(DICTIONARY) and size <= LARGEST:
                dictionary = file.read(size)
            else:
                file.seek(size, os.SEEK_CUR)
        if file.tell() == 0:
            raise SourceError(f"{path}: there is nothing in it", EMPTY)
    mark = next((mark for mark in (GZIP, ZSTD, LZ4) if head.startswith(mark)), PLAIN)
    return _Packing(mark, start, _dictionary(path, dictionary) if mark == ZSTD and dictionary else None)


def _dictionary(path: str, content: bytes) -> bytes:
    """A dictionary, which may be compressed itself."""
    if content.startswith(ZSTD):
        try:
            with zstandard.ZstdDecompressor(max_window_size=LARGEST).stream_reader(content) as reader:
                content = reader.read(LARGEST)
        except zstandard.ZstdError as error:
            raise SourceError(f"{path}: its dictionary is damaged: {error}", DAMAGED) from None
    try:  # FastWARC crashes if these bytes are not a dictionary
        dictionary = zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_FULLDICT)
        zstandard.ZstdDecompressor(dict_data=dictionary).decompress(zstandard.compress(b""))
    except zstandard.ZstdError as error:
        raise SourceError(f"{path}: its dictionary is damaged: {error}", DAMAGED) from None
    return content


def _iterate(path: str, packing: _Packing, start: int, size: int, lenient: bool) -> Iterator[Any]:
    fastwarc = load("fastwarc", "FastWARC", "crawl")
    with open(path, "rb") as file:
        file.seek(start)
        whole = size == os.fstat(file.fileno()).st_size
        stream = _unpacked(fastwarc, packing, file if whole else _Until(file, size))
        # All types: asked for only some, FastWARC skips records without a type.
        yield from fastwarc.ArchiveIterator(stream, parse_http=False, quirks_mode=lenient, stream_detect=False)


def _unpacked(fastwarc: Any, packing: _Packing, file: BinaryIO | _Until) -> Any:
    if packing.mark == GZIP:
        return fastwarc.GzipReader(file)
    if packing.mark == ZSTD:
        return fastwarc.ZstdReader(file) if packing.dictionary is None else fastwarc.ZstdReader(file, dictionary=packing.dictionary)
    if packing.mark == LZ4:
        return fastwarc.Lz4Reader(file)
    return file


def _read(record: Any, place: int, kinds: tuple[str, ...], lose: Lose) -> WarcRecord | None:
    """A record with its content, or None if it is too large or not of these kinds."""
    headers = record.headers
    kind = (headers.get("WARC-Type") or "").strip().lower()
    if kind not in kinds:  # the standard allows other types, to be skipped
        if not kind:
            lose(NO_TYPE, f"{_uri(headers)}: at byte {place:,}")
        return None
    if record.content_length > LARGEST:
        lose(TOO_LARGE, f"{_uri(headers)}: {plural(record.content_length, 'byte')}, at byte {place:,}")
        return None
    return WarcRecord(kind, headers, place, record.reader.read())


def _uri(headers: Any) -> str:
    return (headers.get("WARC-Target-URI") or "").strip("<> ")


def _is_lenient(path: str, packing: _Packing) -> bool:
    """Must the file be read leniently? If header lines end with only a line feed, the strict reader finds no record.

    Raises:
        SourceError: it is not an archive.
    """
    with open(path, "rb") as file:
        file.seek(packing.start)
        try:
            start: bytes = _unpacked(load("fastwarc", "FastWARC", "crawl"), packing, file).read(len("WARC/1.0\r\n"))
        except OSError:
            return False  # damaged from the start, which is found later
    if not start.startswith(b"WARC/"):
        raise SourceError(f"{path}: not a WARC or WAT file: it begins with {start!r}", "WARC and WAT files begin with WARC/1.0 or WARC/1.1")
    return b"\r" not in start


def _check_end(path: str, packing: _Packing, last: int, size: int, zeros: int) -> None:
    """Is everything from the last record on complete? The readers of Zstandard and LZ4 notice a missing end themselves."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if packing.mark == GZIP:
            _check_members(content, last if content[last : last + len(GZIP)] == GZIP else 0, zeros)
        elif packing.mark == PLAIN:
            _check_plain(content, last, size)


def _start_of_zeros(path: str) -> int:
    """Where the zeros at the end of a file begin; its size, if there are none."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = len(content)
        while place:
            start = max(0, place - CHUNK)
            end = start + len(content[start:place].rstrip(b"\0"))
            if end > start:
                return end
            place = start
        return 0


def _padding_of(path: str, packing: _Packing, end: int | None, zeros: int) -> int | None:
    """Where the padding begins, if a record may end before it; ``end`` is that of the last sound gzip member."""
    if packing.mark == GZIP:
        return end if end is not None and zeros <= end else None
    if packing.mark != PLAIN or zeros == 0:  # the last bytes of others may be zeros
        return None
    with open(path, "rb") as file:
        file.seek(zeros - 1)
        return zeros if file.read(1) == b"\n" else None


def _check_members(content: mmap.mmap, start: int, zeros: int) -> None:
    member, place, size = zlib.decompressobj(31), start, FIRST_CHUNK
    while given := content[place : place + size]:
        place, size = place + len(given), min(2 * size, CHUNK)
        while given and not member.eof:
            member.decompress(given, CHUNK)  # discarded: a bounded piece at a time
            given = member.unconsumed_tail
        if member.eof:
            start = place = place - len(member.unused_data)
            member, size = zlib.decompressobj(31), FIRST_CHUNK
            if place < len(content) and content[place : place + len(GZIP)] != GZIP:
                if zeros <= place:
                    return
                raise _DamageError(NO_RECORD, place, f"{plural(len(content) - place, 'byte')} after the last record")
    if start < len(content):
        raise _DamageError(CUT_SHORT, start, "the last gzip member is incomplete")


def _check_plain(content: mmap.mmap, place: int, size: int) -> None:
    while place < size:
        if content[place : place + len(b"WARC/")] != b"WARC/":
            raise _DamageError(NO_RECORD, place, f"{plural(len(content) - place, 'byte')} after the last record")
        end = _end_of_plain(content, place)
        if end is None:
            raise _DamageError(CUT_SHORT, place, "the last record is incomplete")
        place = end


def _end_of_plain(content: mmap.mmap, start: int) -> int | None:
    """Where the record that begins at a place ends, with the line breaks after it; None if it is incomplete."""
    blank = _BLANK_LINE.search(content, start, start + LONGEST_HEADER)
    length = None if blank is None else _CONTENT_LENGTH.search(content[start : blank.start()])
    if blank is None or length is None or blank.end() + int(length[1]) > len(content):
        return None
    end = blank.end() + int(length[1])
    while content[end : end + 1] in (b"\r", b"\n"):
        end += 1
    return end


def _end_of_record(path: str, start: int) -> int:
    """The same for a file by its path; ``start`` itself if the record is incomplete."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = _end_of_plain(content, start)
        return start if end is None else end


def _end_of_member(path: str, start: int) -> int | None:
    """Where the gzip member that begins at a place ends, or None if it is not sound; ``start`` itself if none begins there."""
    with open(path, "rb") as file:
        file.seek(start)
        if file.read(len(GZIP)) != GZIP:
            return start
        member = _sound_member(file, start)
        return None if member is None else member[0]


def _sound_member(file: BinaryIO, start: int) -> tuple[int, bytes] | None:
    """Where the gzip member that begins at a place ends, and the beginning of its content; None if there is no sound one."""
    member, size, beginning = zlib.decompressobj(31), FIRST_CHUNK, b""
    file.seek(start)
    try:
        while not member.eof and (given := member.unconsumed_tail or file.read(size)):
            content = member.decompress(given, CHUNK)
            beginning, size = beginning or content, min(2 * size, CHUNK)
    except zlib.error:
        return None
    return (file.tell() - len(member.unused_data), beginning) if member.eof else None


def _after_other_members(path: str, start: int) -> int:
    """The place after the sound gzip members from ``start`` on in which no record begins.

    The lenient reader skips them. To start it at each of them in turn would skip the later ones again and again.
    """
    with open(path, "rb") as file:
        place = start
        while (member := _sound_member(file, place)) is not None:
            if member[1].lstrip().startswith(b"WARC/"):
                return max(start, place - 1)  # just before the member, so that it is found
            place = member[0]
    return place


def _next_start(path: str, packing: _Packing, after: int) -> int | None:
    """Where the next record, gzip member or frame begins after a place."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(packing.mark, after + 1)
    return None if place < 0 else place
