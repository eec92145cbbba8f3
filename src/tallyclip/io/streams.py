"""Opening files, local or behind an fsspec URL, as streams.

Arrow decompresses rather than fsspec because it notices when a compressed file was cut short, Zstandard included. Gzip and bzip2 files are
decompressed by zlib and bz2, with the same check: Arrow fails on zeros after the last member, which tapes and block devices add, and on
empty bzip2 streams.
"""

from __future__ import annotations

import bz2
import io
import os
import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import fsspec
import pyarrow as pa

from tallyclip.errors import MissingExtraError, OptionError
from tallyclip.extras import install_line
from tallyclip.io.suffixes import COMPRESSIONS

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 8 << 20
MOST_ARCHIVES = 32  # kept open in a process
PACKED_CHUNK = 64 << 10  # of a gzip or bzip2 file, read at a time
UNPACKED_CHUNK = 1 << 20
MAGIC = {"gzip": b"\x1f\x8b", "bz2": b"BZh"}
CUT_SHORT = "the compressed data is cut short"
BEHIND_THE_END = "other data follows the end of the compressed data"


class TrailingDataError(OSError):
    """Other data follows the end of the compressed data, at byte ``place`` of the file."""

    def __init__(self, place: int) -> None:
        super().__init__(f"{BEHIND_THE_END}, at byte {place:,}")
        self.place = place


class Problem(NamedTuple):
    """What is wrong with a file, and what may help."""

    what: str
    hint: str | None


# Arrow's messages for compressed files that it cannot decompress, and what they mean.
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
WEB = ("http://", "https://")


def is_url(path: str) -> bool:
    """Is this an fsspec URL rather than a local path?"""
    return "://" in path


def chain_of(url: str) -> tuple[str, str, str]:
    """The parts of a chained URL: the links before the one that has the path, that link, and the links after it.

    fsspec chains URLs with ``::``. A cache (``simplecache::s3://bucket/a.csv``) takes its path from the next link; an archive
    (``zip://a.csv::s3://bucket/x.zip``) is the file of the next link. Joined, the parts are the URL again.
    """
    links = url.split("::") if is_url(url) else [url]
    place = next((i for i, link in enumerate(links) if "://" in link), 0)
    return "".join(f"{link}::" for link in links[:place]), links[place], "".join(f"::{link}" for link in links[place + 1 :])


def filesystem(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a path or URL, and the path within it.

    Raises:
        OptionError: fsspec does not know this kind of URL.
        MissingExtraError: the package for it is not installed.
    """
    before, link, behind = chain_of(path)
    try:
        if not behind:
            return fsspec.core.url_to_fs(path)
        scheme, _, inner = link.partition("://")
        return _archive(f"{before}{scheme}://{behind}"), inner.strip("/")
    except ImportError as error:
        extra = next((EXTRAS[link.split("://")[0]] for link in path.split("::") if link.split("://")[0] in EXTRAS), None)
        install = install_line(extra) if extra else "install the package that the message names"
        raise MissingExtraError(f"{path}: {error}", install) from None
    except ValueError as error:
        raise OptionError(f"{path}: {error}", "URLs are those of fsspec: s3://, gs://, https://, hf://, ...") from None


@lru_cache(maxsize=MOST_ARCHIVES)
def _archive(url: str) -> fsspec.AbstractFileSystem:
    """The file system inside an archive. fsspec does not cache these: it would read the archive's list again for each file, and close the
    archive while a file in it is being read."""
    return fsspec.core.url_to_fs(url)[0]


def exists(path: str) -> bool:
    """Is there something at a path or URL?"""
    if not is_url(path):
        return os.path.exists(path)
    fs, inner = filesystem(path)
    return bool(fs.exists(inner))


def real_path(path: str) -> str:
    """A path without links, by which two names of one file are known to be that; of a URL the URL itself."""
    return path if is_url(path) else os.path.realpath(path)


def forget(path: str) -> None:
    """Forget cached listings of the place where a URL leads, which may be out of date."""
    if chain_of(path)[2]:
        _archive.cache_clear()
    filesystem(path)[0].invalidate_cache()


def open_file(path: str, *, ahead: bool = True) -> pa.NativeFile:
    """Open a file for reading at any place, as it is.

    Args:
        path: local path or URL.
        ahead: may a read from a URL fetch more than was asked for? It helps callers that read on from there in small pieces.
    """
    if not is_url(path):
        return pa.OSFile(path)
    fs, inner = filesystem(path)
    plain = ahead or chain_of(path)[0]  # a cache in a chain has its own way to read ahead
    return pa.PythonFile(fs.open(inner, "rb") if plain else fs.open(inner, "rb", cache_type="none"), mode="r")


def open_stream(path: str) -> pa.NativeFile | io.BufferedReader:
    """Open a file for reading from start to end, decompressed if its name ends in .gz, .zst, .bz2 or .lz4."""
    return unpacked(open_file(path), compression_of(path))


def unpacked(file: pa.NativeFile, compression: str | None) -> pa.NativeFile | io.BufferedReader:
    """The decompressed content of a file from its current position: all members, streams or frames."""
    if compression is None:
        return file
    if compression in ("gzip", "bz2"):
        return io.BufferedReader(_Members(file, compression), UNPACKED_CHUNK)
    return pa.CompressedInputStream(file, compression)


class _Members(io.RawIOBase):
    """The content of a gzip file's members or a bzip2 file's streams, one after another; zeros between and after them are skipped."""

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
        """Start the next member, if there is one."""
        while not (rest := self._packed.lstrip(b"\0")):
            self._packed = self._file.read(PACKED_CHUNK)
            if not self._packed:
                return False
        magic = MAGIC[self._compression]
        if len(rest) < len(magic):
            rest += self._file.read(PACKED_CHUNK)
        if not (rest.startswith(magic) or magic.startswith(rest)):
            raise TrailingDataError(self._file.tell() - len(rest))
        self._packed, self._member = rest, self._new_member()
        return True


def explain(error: BaseException) -> Problem:
    """What is wrong with a file that cannot be read, in words that users know, and what may help."""
    if isinstance(error, TrailingDataError):
        return Problem(str(error), f"if you do not need it, cut it off: head -c {error.place} FILE > NEW, and give NEW the suffix of FILE")
    text = " ".join(str(error).split()) or type(error).__name__
    return next((problem for fragment, problem in PROBLEMS.items() if fragment in text), Problem(text, None))


def file_name(path: str) -> str:
    """The part of a path or URL that names a file: of a web URL what comes before ``?`` and ``#``; of a file in an archive, chained to the
    archive's URL, the archive's path and the path inside it."""
    if not is_url(path):
        return path
    _, link, behind = chain_of(path)
    if behind:
        return f"{file_name(behind.removeprefix('::'))}/{link.partition('://')[2]}"
    return re.split("[?#]", link, maxsplit=1)[0] if link.startswith(WEB) else link


def compression_of(path: str) -> str | None:
    """The compression of a file by its name: gzip, zstd, bz2 or lz4."""
    return COMPRESSIONS.get(os.path.splitext(_spelled_out(path))[1].lower())


def without_compression(path: str) -> str:
    """The name without the suffix of its compression."""
    name = _spelled_out(path)
    return os.path.splitext(name)[0] if compression_of(path) else name


def _spelled_out(path: str) -> str:
    """The name of a file, with .tar.gz for .tgz."""
    name = file_name(path)
    return f"{name[:-4]}.tar.gz" if name.lower().endswith(".tgz") else name
