"""The members of a tar, read from start to end: ustar, GNU, pax and older forms.

Python's ``tarfile`` hangs on negative sizes, takes quadratic time over long numbers, and runs out of memory or stack on implausibly many or
large pax headers. Here every header is bounded, so time and memory are linear in the tar. The tests show that both read sound archives
alike.

Of a pax header the member's name, size and holes are used. Global headers would give every member the same name, so they are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

BLOCK = 512
SKIPPED_AT_ONCE = 1 << 20
LARGEST_HEADER = 1 << 20  # bytes of an extended header, or of a map of holes
MOST_HEADERS = 64  # extended headers before one member
LARGEST_SIZE = 1 << 60
DIGITS = 20  # of the largest number we accept

FILES = b"07S\0"
WITHOUT_DATA = b"123456"  # links, devices, folders and pipes, whatever size their header has
PAX, GLOBAL, LONG_NAME, LONG_LINK, SPARSE, FOLDER = b"x", b"g", b"L", b"K", b"S", b"5"
GNU_MAGIC = b"ustar  "  # GNU has times where the others have a prefix of the name
OCTAL = re.compile(rb"[0-7]*")
SPARSE_KEYS = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")


class BrokenTarError(ValueError):
    """A tar that is cut short, broken or implausible; the message says at which byte."""


class FollowedTarError(BrokenTarError):
    """Data that is not a tar follows the end of a tar, at byte ``place``."""

    def __init__(self, place: int) -> None:
        super().__init__(f"data that is not a tar follows the end of the tar at byte {place:,}")
        self.place = place


class Member(NamedTuple):
    """A member of a tar.

    Attributes:
        name: as written; bytes that are not UTF-8 are lone surrogates.
        size: of its content, holes included.
        is_file: a regular file, also a sparse one; not a folder, link or device.
        place: where its headers begin.
        data: where its data begins.
        stored: bytes of data.
        holes: of a sparse file the map in GNU's or pax's older form, or "in data" for pax's newest; None for other files.
    """

    name: str
    size: int
    is_file: bool
    place: int
    data: int
    stored: int
    holes: list[int] | str | None = None


class TarReader:
    """Iterates over the members of a tar; ``content`` reads the current one.

    Tars written one after another into one file are read as one: zeros between members are skipped, as ``tar -i`` does.

    Raises:
        BrokenTarError: while iterating.
    """

    def __init__(self, file: BinaryIO, first: int = 0) -> None:
        """``first`` is the place of the header to begin with; the file is at its beginning."""
        self._file = file
        self._seekable = True  # until a seek fails
        self._place = 0
        self._first = first

    @property
    def place(self) -> int:
        """How many bytes have been read."""
        return self._place

    def __iter__(self) -> Iterator[Member]:
        ended = False
        place = self._first  # of the next header
        while True:
            self._go_to(place)
            block = self._file.read(BLOCK)
            self._place = place + len(block)
            if block.count(0) == len(block):
                if len(block) < BLOCK and not ended:
                    raise _cut_short(place)
                if len(block) < BLOCK:
                    return
                ended, place = True, place + BLOCK
                continue
            if ended and not _is_header(block):
                raise FollowedTarError(place)
            ended = False
            member, place = self._member(block, place)
            if member is not None:
                yield member

    def beginning(self, member: Member, size: int) -> bytes:
        """The first bytes of the current member, which has no holes."""
        self._go_to(member.data)
        return self._exactly(min(size, member.size))

    def content(self, member: Member) -> bytes:
        """The content of the current member."""
        self._go_to(member.data)
        if member.holes is None:
            return self._exactly(member.size)
        numbers, place = (self._map_in_data(member), self._place) if isinstance(member.holes, str) else (member.holes, member.data)
        whole, left = bytearray(member.size), member.stored - (place - member.data)
        for offset, length in zip(numbers[::2], numbers[1::2], strict=True):
            left -= length
            if offset + length > member.size or left < 0:
                raise BrokenTarError(f"the map of holes is broken at byte {member.place:,}")
            whole[offset : offset + length] = self._exactly(length)
        return bytes(whole)

    def _member(self, block: bytes, start: int) -> tuple[Member | None, int]:
        """The member whose headers begin with this block (or None), and where the next begins."""
        place = start
        about: dict[str, Any] = {}
        for _ in range(MOST_HEADERS):
            if not _is_header(block):
                raise BrokenTarError(f"the tar is cut short or broken at byte {place:,}: no header with a valid checksum")
            kind, size = block[156:157], _number(block[124:136], place)
            data = place + BLOCK
            if kind in (PAX, b"X", LONG_NAME):
                if size > LARGEST_HEADER:
                    raise BrokenTarError(f"the header at byte {place:,} is larger than {LARGEST_HEADER >> 20} MiB")
                text = self._exactly(size)
                found = {"name": _text(text)} if kind == LONG_NAME else _pax(text, place)
                about = found | about  # the first one counts
            elif kind not in (GLOBAL, LONG_LINK):
                return self._plain(block, kind, start, data, about)
            place = _after(data, size)
            self._go_to(place)
            block = self._file.read(BLOCK)
            self._place = place + len(block)
        raise BrokenTarError(f"more than {MOST_HEADERS} headers before one member, at byte {start:,}")

    def _plain(self, block: bytes, kind: bytes, start: int, data: int, about: dict[str, Any]) -> tuple[Member, int]:
        """A member with its own header."""
        name = _text(block[:100])
        if kind == b"\0" and name.endswith("/"):
            kind = FOLDER  # in the oldest form
        prefix = _text(block[345:500])
        if prefix and block[257:264] != GNU_MAGIC and kind != SPARSE:
            name = f"{prefix}/{name}"
        stored = about.get("size", _number(block[124:136], data - BLOCK))
        size, holes = about.get("real size", stored), about.get("holes")
        if kind == SPARSE:
            size, holes = _number(block[483:495], data - BLOCK), self._gnu_map(block)
            data = self._place
        name = about.get("sparse name", about.get("name", name))
        end = data if kind in WITHOUT_DATA else _after(data, stored)
        return Member(name, size, kind in FILES, start, data, stored, holes), end

    def _gnu_map(self, block: bytes) -> list[int]:
        """The map of holes in GNU's sparse header and in the blocks that follow it."""
        place = self._place - BLOCK
        entries, more = [block[386:482]], block[482]
        while more:
            if len(entries) * BLOCK > LARGEST_HEADER:
                raise BrokenTarError(f"the map of holes at byte {place:,} is larger than {LARGEST_HEADER >> 20} MiB")
            block = self._exactly(BLOCK)
            entries.append(block[:504])
            more = block[504]
        numbers: list[int] = []
        for entry in (entries[i][j : j + 24] for i in range(len(entries)) for j in range(0, len(entries[i]), 24)):
            if not entry.strip(b"\0"):
                break
            numbers += [_number(entry[:12], place), _number(entry[12:], place)]
        return numbers

    def _map_in_data(self, member: Member) -> list[int]:
        """The map of holes in pax's newest form: one number per line, the number of pairs first, in whole blocks before the data."""
        content = bytearray()
        lines, wanted = 0, 1
        while lines < wanted:
            if len(content) >= min(member.stored, LARGEST_HEADER):
                raise BrokenTarError(f"the map of holes is broken at byte {member.data:,}")
            content += (block := self._exactly(BLOCK))
            lines += block.count(b"\n")
            if lines and wanted == 1:
                wanted += 2 * _decimal(bytes(content[: content.index(b"\n")]), member.place)
        return [_decimal(line, member.place) for line in bytes(content).split(b"\n")[1:wanted]]

    def _exactly(self, size: int) -> bytes:
        content = self._file.read(size)
        self._place += len(content)
        if len(content) < size:
            raise _cut_short(self._place)
        return content

    def _go_to(self, place: int) -> None:
        if self._seekable and place != self._place:
            try:
                self._file.seek(place)
                self._place = place
            except (OSError, ValueError):  # compressed, on a server without ranges, or a place that no file has
                self._seekable = False
        while self._place < place:
            self._exactly(min(SKIPPED_AT_ONCE, place - self._place))


def _is_header(block: bytes) -> bool:
    """Does the block have the checksum that it states? Some old programs added the bytes as signed numbers."""
    if len(block) < BLOCK:
        return False
    named = block[148:156].partition(b"\0")[0].strip()
    if not named or not OCTAL.fullmatch(named):
        return False
    plain = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    return int(named, 8) == plain or int(named, 8) == plain - 256 * sum(byte > 127 for byte in block[:148] + block[156:])


def _number(field: bytes, place: int) -> int:
    """A number in a header: octal, or as GNU writes large ones."""
    if field[0] == 0x80:
        number = int.from_bytes(field[1:], "big")
    else:
        digits = field.partition(b"\0")[0].strip()
        number = int(digits or b"0", 8) if OCTAL.fullmatch(digits) else -1
    return _checked(number, place)


def _decimal(digits: bytes, place: int) -> int:
    return _checked(int(digits) if len(digits) <= DIGITS and digits.isdigit() else -1, place)


def _checked(number: int, place: int) -> int:
    if not 0 <= number <= LARGEST_SIZE:
        raise BrokenTarError(f"the header at byte {place:,} has an implausible size")
    return number


def _pax(content: bytes, place: int) -> dict[str, Any]:
    """A member's name, size and holes from a pax header, which has lines of "length key=value"."""
    said: dict[bytes, bytes] = {}
    pairs: list[int] = []
    start = 0
    while start < len(content) and content[start]:
        space = content.find(b" ", start, start + DIGITS)
        end = start + _decimal(content[start:space], place) if space > start else 0
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if not (start < space < end <= len(content) and equals and content[end - 1 : end] == b"\n"):
            raise BrokenTarError(f"the pax header at byte {place:,} is broken")
        if key in SPARSE_KEYS:
            pairs.append(_decimal(value, place))
        elif key in (b"path", b"size") or key.startswith(b"GNU.sparse."):
            said[key] = value
        start = end
    about: dict[str, Any] = {}
    if b"path" in said:
        about["name"] = _text(said[b"path"]).rstrip("/")
    if b"size" in said:
        about["size"] = _decimal(said[b"size"], place)
    if b"GNU.sparse.name" in said:
        about["sparse name"] = _text(said[b"GNU.sparse.name"])
    real_size = said.get(b"GNU.sparse.realsize", said.get(b"GNU.sparse.size"))
    if real_size is not None:
        about["real size"] = _decimal(real_size, place)
        listed = said.get(b"GNU.sparse.map")
        about["holes"] = "in data" if said.get(b"GNU.sparse.major") == b"1" else pairs
        if listed:
            about["holes"] = [_decimal(number, place) for number in listed.split(b",")]
        if len(about["holes"]) % 2 and about["holes"] != "in data":
            raise BrokenTarError(f"the map of holes is broken at byte {place:,}")
    return about


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _after(data: int, size: int) -> int:
    """Where the next header begins."""
    return data + -(-size // BLOCK) * BLOCK


def _cut_short(place: int) -> BrokenTarError:
    return BrokenTarError(f"the tar is cut short at byte {place:,}")
