"""Opening files, local or behind an fsspec URL, as Arrow streams.

Arrow's decompression is used rather than fsspec's because it notices when a compressed file was cut short, Zstandard's included.
"""

from __future__ import annotations

import os
import re

import fsspec
import pyarrow as pa

from tallyclip.errors import MissingExtraError, OptionError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
CHUNK = 8 << 20
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


def open_stream(path: str) -> pa.NativeFile:
    """Open a file for reading from start to end, unpacked if its name ends in .gz, .zst or .bz2."""
    file, compression = open_file(path), compression_of(path)
    return file if compression is None else pa.CompressedInputStream(file, compression)


def file_name(path: str) -> str:
    """A path as far as it names a file: of a web address what comes before ``?`` and ``#``."""
    return re.split("[?#]", path, maxsplit=1)[0] if path.startswith(("http://", "https://")) else path


def compression_of(path: str) -> str | None:
    """How a file is compressed, as its name says: gzip, zstd or bz2."""
    return COMPRESSIONS.get(os.path.splitext(_spelled_out(path))[1].lower())


def without_compression(path: str) -> str:
    """The name without the suffix of its compression."""
    name = _spelled_out(path)
    return os.path.splitext(name)[0] if compression_of(path) else name


def _spelled_out(path: str) -> str:
    """The name of a file, with .tar.gz for .tgz."""
    name = file_name(path)
    return f"{name[:-4]}.tar.gz" if name.lower().endswith(".tgz") else name
