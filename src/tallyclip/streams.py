"""Opening files, local or behind an fsspec URL, as streams.

Arrow's decompression is used rather than fsspec's because it notices when a compressed file was cut short, Zstandard's included. Gzip and
bzip2 files are unpacked by their libraries themselves, and noticed likewise: Arrow fails on zeros behind the last member, which tapes and
block devices put there, and on empty bzip2 streams.
"""

from __future__ import annotations

import bz2
import io
import os
import re
import zlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import fsspec
import pyarrow as pa

from tallyclip.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
CHUNK = 8 << 20
PACKED_CHUNK = 64 << 10  # of a gzip or bzip2 file, read at a time
UNPACKED_CHUNK = 1 << 20
MAGIC = {"gzip": b"\x1f\x8b", "bz2": b"BZh"}
CUT_SHORT = "the compressed data is cut short"
BEHIND_THE_END = "other data follows the end of the compressed data"


class Problem(NamedTuple):
    """What is wrong with a file, and what may help."""

    what: str
    hint: str | None


# What Arrow says of compressed files that it cannot unpack, and what that means.
BROKEN = Problem(f"the compressed data is broken, or {BEHIND_THE_END}", None)
PROBLEMS = {
    "Truncated compressed stream": Problem(CUT_SHORT, None),
    "Dictionary mismatch": Problem(
        "it was compressed with a dictionary, which is not in the file", "compress it again without a dictionary"
    ),
    "requires too much memory": Problem("its compression window is larger than 128 MiB", "compress it again, with --long=27 or less"),
    "Unknown frame descriptor": BROKEN,
    "frameType_unknown": BROKEN,
}
EXTRAS = {"s3": "s3", "s3a": "s3", "hf": "hf", "http": "http", "https": "http"}


def is_url(path: str) -> bool:
    """Is this an fsspec URL, not a path on this machine?"""
    return "://" in path


def filesystem(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a path or URL, and the path within it.

    Raises:
        OptionError: nobody knows this kind of URL.
        MissingExtraError: the package for it is not installed.
    """
    protocol = path.split("://")[0] if is_url(path) else "file"
    try:
        return fsspec.core.url_to_fs(path)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        install = f"pip install 'tallyclip[{extra}]'" if extra else "install the package that the message names"
        raise MissingExtraError(f"{path}: {error}", install) from None
    except ValueError as error:
        raise OptionError(f"{path}: {error}", "URLs are those of fsspec: s3://, gs://, https://, hf://, ...") from None


def open_file(path: str, *, ahead: bool = True) -> pa.NativeFile:
    """Open a file for reading at any place, as it is.

    Args:
        path: local path or URL.
        ahead: may a read from a URL fetch more than was asked for? It helps those who read on from there in small bites.
    """
    if not is_url(path):
        return pa.OSFile(path)
    fs, inner = filesystem(path)
    return pa.PythonFile(fs.open(inner, "rb") if ahead else fs.open(inner, "rb", cache_type="none"), mode="r")


def open_stream(path: str) -> pa.NativeFile | io.BufferedReader:
    """Open a file for reading from start to end, unpacked if its name ends in .gz, .zst, .bz2 or .lz4."""
    return unpacked(open_file(path), compression_of(path))


def unpacked(file: pa.NativeFile, compression: str | None) -> pa.NativeFile | io.BufferedReader:
    """The content of a compressed file from where it stands, of all its members, streams or frames."""
    if compression is None:
        return file
    if compression in ("gzip", "bz2"):
        return io.BufferedReader(_Members(file, compression), UNPACKED_CHUNK)
    return pa.CompressedInputStream(file, compression)


class _Members(io.RawIOBase):
    """The content of a gzip file's members or a bzip2 file's streams, one after another; zeros between and behind them are left out."""

    def __init__(self, file: pa.NativeFile, compression: Literal["gzip", "bz2"]) -> None:
        self._file = file
        self._compression: Literal["gzip", "bz2"] = compression
        self._packed: bytes = b""
        self._member = self._new_member()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        content = self._read(len(view))
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _read(self, size: int) -> bytes:
        while not self._member.eof or self._next_member():
            hungry = self._member.needs_input if isinstance(self._member, bz2.BZ2Decompressor) else True
            packed = self._packed or (self._file.read(PACKED_CHUNK) if hungry else b"")
            try:
                content = self._member.decompress(packed, size)
            except (zlib.error, OSError) as error:
                raise OSError(f"broken {self._compression} data: {error}") from error
            self._packed = self._member.unused_data if self._member.eof else getattr(self._member, "unconsumed_tail", b"")
            if content:
                return content
            if hungry and not packed and not self._member.eof:
                raise OSError(CUT_SHORT)
        return b""

    def _new_member(self) -> Any:
        return bz2.BZ2Decompressor() if self._compression == "bz2" else zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def _next_member(self) -> bool:
        """Begin with the member behind the one that is done, if there is one."""
        while not (rest := self._packed.lstrip(b"\0")):
            self._packed = self._file.read(PACKED_CHUNK)
            if not self._packed:
                return False
        magic = MAGIC[self._compression]
        if len(rest) < len(magic):
            rest += self._file.read(PACKED_CHUNK)
        if not (rest.startswith(magic) or magic.startswith(rest)):
            raise OSError(f"{BEHIND_THE_END}, at byte {self._file.tell() - len(rest):,}")
        self._packed, self._member = rest, self._new_member()
        return True


def explain(error: BaseException) -> Problem:
    """What is wrong with a file that cannot be read, in the words that users know, and what may help."""
    text = " ".join(str(error).split()) or type(error).__name__
    return next((problem for fragment, problem in PROBLEMS.items() if fragment in text), Problem(text, None))


def file_name(path: str) -> str:
    """A path as far as it names a file: of a web address what comes before ``?`` and ``#``."""
    return re.split("[?#]", path, maxsplit=1)[0] if path.startswith(("http://", "https://")) else path


def compression_of(path: str) -> str | None:
    """How a file is compressed, as its name says: gzip, zstd or bz2."""
    return COMPRESSIONS.get(os.path.splitext(file_name(path))[1].lower())


def without_compression(path: str) -> str:
    """The name without the suffix of its compression."""
    name = file_name(path)
    return os.path.splitext(name)[0] if compression_of(path) else name
