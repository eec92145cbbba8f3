"""Reading the files of a pool: text in bounded pieces, and what to say when a file is not what it should be."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from tallyclip.errors import TRACEBACK, SourceError, TallyclipError, shows_tracebacks
from tallyclip.io.streams import CHUNK, COMPRESSIONS, compression_of, explain, is_url, open_stream

LARGEST = 64 << 20  # bytes of a line, a row, an object or a tar's text: what is larger is no caption
LONGEST_SAMPLE = 200
BOM = b"\xef\xbb\xbf"
EMPTY = "the file is empty: its download or copy may have failed"
DAMAGED = "it may have been cut short or damaged: download or copy it again"
# Beginnings that no caption has, what a file with one is, and the suffixes it should have; without one it must be unpacked.
OTHER_KINDS = [
    (rb"\s*<(!doctype|html|head|\?xml)\b", "a web page: an error page may have been saved in its place", ()),
    (rb"PAR1\x15", "a Parquet file: give it the suffix .parquet", (".parquet",)),
    (rb"PK\x03\x04", "a zip archive: unpack it", ()),
    (rb"\xfd7zXZ\x00", "an xz file: unpack it", ()),
    (rb"\x02\x21\x4c\x18", "an LZ4 file of the legacy form: unpack it", ()),
    (rb"\xff\xfe|\xfe\xff", "text in UTF-16: convert it to UTF-8", ()),
]
# The same of compressed files, and the compressions that their suffixes should name.
COMPRESSED_KINDS = [
    (rb"\x1f\x8b", "a gzip file", ("gzip",)),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard file", ("zstd",)),
    (rb"BZh[1-9]1AY&SY", "a bzip2 file", ("bz2",)),
    (rb"\x04\x22\x4d\x18", "an LZ4 file", ("lz4",)),
    (rb"[\x50-\x5f]\x2a\x4d\x18", "a Zstandard or LZ4 file", ("zstd", "lz4")),  # with a frame to skip, which both have
]
NEVER_COMPRESSED = (".parquet",)  # as a whole


@contextmanager
def reading(path: str) -> Generator[None]:
    """Turn whatever goes wrong in reading a file into a SourceError that names it, so that the other files are read."""
    try:
        yield
    except TallyclipError:
        raise
    except MemoryError as error:
        raise SourceError(f"{path}: memory ran out while it was read", "try fewer --workers, or look at the file alone") from error
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        what, hint = explain(error)
        raise SourceError(f"{path}: {what}", hint or _hint(path)) from error
    except Exception as error:
        if is_url(path):  # libraries behind a URL have errors of their own, which are no OSErrors
            raise SourceError(f"{path}: {type(error).__name__}: {explain(error).what}", _hint(path)) from error
        if shows_tracebacks():
            raise
        hints = [_hint(path), f"this may be a defect of tallyclip: {TRACEBACK}=1 set before the command shows where"]
        raise SourceError(f"{path}: {type(error).__name__}: {explain(error).what}", "; or ".join(filter(None, hints))) from error


def read_chunks(path: str) -> Iterator[bytes]:
    """The content of a file of text, unpacked, in chunks; a byte order mark is left out.

    Raises:
        SourceError: the file is empty, cut short, or begins like a file of another kind.
    """
    with reading(path), open_stream(path) as stream:
        start = stream.read(CHUNK)
        if not start:
            raise SourceError(f"{path}: there is nothing in it", EMPTY)
        kind = _other_kind(start, path, unpacked=True)
        if kind is not None:
            raise SourceError(f"{path}: this is not what its name says", f"the file begins like {kind}")
        yield start.removeprefix(BOM)
        while chunk := stream.read(CHUNK):
            yield chunk


def read_lines(path: str, chunks: Iterable[bytes] | None = None) -> Iterator[bytes]:
    """The lines of a file, or of its chunks, without their ends; a last line need not have one.

    Raises:
        SourceError: as ``read_chunks``, or a line is larger than any caption.
    """
    rest, number = b"", 0
    for chunk in read_chunks(path) if chunks is None else chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        number += len(lines)
        yield from lines
        if len(rest) > LARGEST:
            raise SourceError(f"{path}: line {number + 1:,} is larger than {LARGEST >> 20} MiB", "is this a file of text?")
    if rest:
        yield rest


def is_utf8(content: bytes) -> bool:
    """Are these bytes text?"""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def shown(content: bytes) -> str:
    """The beginning of bytes that are no text, for people to read."""
    return repr(content[:LONGEST_SAMPLE])


def _hint(path: str) -> str | None:
    """What may help; of a local file the first bytes may say why it could not be read."""
    if is_url(path):
        return "try again, or copy it to this machine first"
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError:
        return None
    if not start:
        return EMPTY
    kind = _other_kind(start, path)
    return f"the file begins like {kind}" if kind else DAMAGED


def _other_kind(start: bytes, path: str, *, unpacked: bool = False) -> str | None:
    """What a file with this beginning is, if not what its suffix says; unpacked, no suffix says that it is compressed."""
    for pattern, kind, suffixes in OTHER_KINDS:
        if re.match(pattern, start, re.IGNORECASE) and not path.lower().endswith(suffixes or "/"):
            return kind
    compression = compression_of(path)
    for pattern, kind, compressions in COMPRESSED_KINDS:
        if re.match(pattern, start) and (unpacked or compression not in compressions):
            named = not path.lower().endswith(NEVER_COMPRESSED) and compression is None
            return f"{kind}: " + (f"give it a suffix with {suffixes_of(compressions)}" if named else "unpack it")
    return None


def suffixes_of(compressions: tuple[str, ...]) -> str:
    """The suffixes of files that are compressed in one of these ways, for a message."""
    return " or ".join(suffix for suffix, name in COMPRESSIONS.items() if name in compressions)
