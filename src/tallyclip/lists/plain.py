"""Plain text in batches of whole lines, read in parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from tallyclip.io.streams import CHUNK, compression_of, is_url, open_file, unpacked
from tallyclip.lists.dump import UTF16, as_utf8
from tallyclip.readers.content import is_utf8, reading

PART = 128 << 20
NOT_UTF8 = "not UTF-8"


def find_parts(path: str, part_bytes: int | None = None) -> list[tuple[int, int | None]]:
    """Split a file into parts of whole lines, each from one byte to another or to the end; compressed, remote and UTF-16 files are one."""
    if is_url(path) or compression_of(path) is not None:
        return [(0, None)]
    with reading(path), open(path, "rb") as file:
        if file.read(2) in UTF16:
            return [(0, None)]
        starts = [0]
        size = os.path.getsize(path)
        for place in range(part_bytes or PART, size, part_bytes or PART):
            if place > starts[-1]:
                file.seek(place - 1)
                while (line := file.readline(CHUNK)) and not line.endswith(b"\n"):
                    pass
                if place <= file.tell() < size:
                    starts.append(file.tell())
    return list(zip(starts, [*starts[1:], None], strict=True))


def read_lines(
    path: str, part: tuple[int, int | None], batch: int, drop: Callable[[str, int], None], tick: Callable[[int], None]
) -> Iterator[bytes]:
    """The lines of one part in UTF-8, in batches; a line longer than a batch is split at a space, or anywhere if it has none.

    Args:
        path: a file on this machine, or a URL.
        part: one of ``find_parts``.
        batch: bytes of a batch, at most.
        drop: called with the reason for dropped lines, and their number.
        tick: called with the number of bytes of the part read since the last call.

    Raises:
        SourceError: the file is truncated or damaged.
    """
    with reading(path):
        pieces = _pieces(path, part, batch, tick)
        for lines in _batches(pieces if part[0] else as_utf8(pieces), batch):
            good = lines if is_utf8(lines) else _good_lines(lines, drop)
            if good:
                yield good


def _pieces(path: str, part: tuple[int, int | None], size: int, tick: Callable[[int], None]) -> Iterator[bytes]:
    """The uncompressed content of a part."""
    reported, end = part
    compression = compression_of(path)
    with open_file(path) as file:
        file.seek(reported)
        stream = unpacked(file, compression)
        while piece := stream.read(size if end is None else min(size, end - reported)):
            tick(file.tell() - reported)
            reported = file.tell()
            yield piece


def _batches(pieces: Iterable[bytes], batch: int) -> Iterator[bytes]:
    """Whole lines; a longer one is split at a space, or where a character begins."""
    rest = b""
    for piece in pieces:
        rest += piece
        while len(rest) >= batch:
            end = rest.rfind(b"\n", 0, batch) + 1 or rest.rfind(b" ", 0, batch) + 1 or _character_start(rest, batch)
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _character_start(text: bytes, place: int) -> int:
    """The last position up to this one where a character begins, if the text is UTF-8."""
    for start in range(place, max(0, place - 4), -1):
        if start == len(text) or text[start] & 0xC0 != 0x80:
            return start
    return place


def _good_lines(lines: bytes, drop: Callable[[str, int], None]) -> bytes:
    every = lines.splitlines(keepends=True)
    good = [line for line in every if is_utf8(line)]
    drop(NOT_UTF8, len(every) - len(good))
    return b"".join(good)
