"""The content of pool files: bytes and lines in bounded pieces, and clear errors for files that are damaged or of another kind."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from tallyclip.errors import TRACEBACK, SourceError, TallyclipError, shows_tracebacks
from tallyclip.io.streams import CHUNK, compression_of, explain, is_url, open_stream
from tallyclip.io.suffixes import COMPRESSIONS

LARGEST = 64 << 20  # bytes of a line, a row, an object or a tar's text: anything larger is not a caption
LONGEST_SAMPLE = 200
BOM = b"\xef\xbb\xbf"
EMPTY = "the file is empty: its download or copy may have failed"
DAMAGED = "it may have been cut short or damaged: download or copy it again"
# First bytes that no pool file of text has, what a file with them is, and the suffixes it should have; without one it must be unpacked.
OTHER_KINDS = [
    (rb"\s*<(!doctype|html|head|\?xml)\b", "a web page: an error page may have been saved in its place", ()),
    (rb"PAR1\x15", "a Parquet file: give it the suffix .parquet", (".parquet",)),
    (rb"ARROW1", "an Arrow file: give it the suffix .arrow", (".arrow", ".feather", ".ipc")),
    (rb"PK\x03\x04", "a zip archive: unpack it", ()),
    (rb"\xfd7zXZ\x00", "an xz file: unpack it", ()),
    (rb"\x02\x21\x4c\x18", "a legacy LZ4 file: unpack it", ()),
    (rb"\xff\xfe|\xfe\xff", "text in UTF-16: convert it to UTF-8", ()),
]
# The same for compressed files, with the compressions that their suffixes should name.
COMPRESSED_KINDS = [
    (rb"\x1f\x8b", "a gzip file", ("gzip",)),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard file", ("zstd",)),
    (rb"BZh[1-9]1AY&SY", "a bzip2 file", ("bz2",)),
    (rb"\x04\x22\x4d\x18", "an LZ4 file", ("lz4",)),
    (rb"[\x50-\x5f]\x2a\x4d\x18", "a Zstandard or LZ4 file", ("zstd", "lz4")),  # a skippable frame, which both have
]
NEVER_COMPRESSED = (".parquet", ".arrow", ".feather", ".ipc")  # as whole files


@contextmanager
def reading(path: str) -> Generator[None]:
    """Turn any error in reading a file into a SourceError that names it, so that the other files are still read."""
    try:
        yield
    except TallyclipError:
        raise
    except MemoryError as error:
        raise SourceError(f"{path}: out of memory while reading it", "try fewer --workers, or read this file alone") from error
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        what, hint = explain(error)
        raise SourceError(f"{path}: {what}", hint or _hint(path)) from error
    except Exception as error:
        if is_url(path):  # libraries for URLs raise errors of their own, which are not OSErrors
            raise SourceError(f"{path}: {type(error).__name__}: {explain(error).what}", _hint(path)) from error
        if shows_tracebacks():
            raise
        hints = [_hint(path), f"this may be a bug in tallyclip: set {TRACEBACK}=1 before the command to see where"]
        raise SourceError(f"{path}: {type(error).__name__}: {explain(error).what}", "; or ".join(filter(None, hints))) from error


def read_chunks(path: str) -> Iterator[bytes]:
    """The decompressed content of a text file in chunks, without its byte order mark.

    Raises:
        SourceError: the file is empty, cut short, or begins like a file of another kind.
    """
    with reading(path), open_stream(path) as stream:
        start = stream.read(CHUNK)
        if not start:
            raise SourceError(f"{path}: there is nothing in it", EMPTY)
        kind = _other_kind(start, path, unpacked=True)
        if kind is not None:
            raise SourceError(f"{path}: the content does not match the suffix", f"the file begins like {kind}")
        yield start.removeprefix(BOM)
        while chunk := stream.read(CHUNK):
            yield chunk


def read_lines(path: str, chunks: Iterable[bytes] | None = None) -> Iterator[bytes]:
    """The lines of a file, or of its chunks, without line ends; the last line may lack one.

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
            raise SourceError(f"{path}: line {number + 1:,} is larger than {LARGEST >> 20} MiB", "is this a text file?")
    if rest:
        yield rest


def is_utf8(content: bytes) -> bool:
    """Are these bytes valid UTF-8?"""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def shown(content: bytes) -> str:
    """The beginning of bytes that are not text, for a message."""
    return repr(content[:LONGEST_SAMPLE])


def _hint(path: str) -> str | None:
    """A hint: the first bytes of a local file may say why it could not be read."""
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
    """What begins like this, if not what the suffix says; with ``unpacked``, the suffix's compression is already undone."""
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
    """The suffixes of these compressions, for a message."""
    return " or ".join(suffix for suffix, name in COMPRESSIONS.items() if name in compressions)
