"""Opening files, local or behind an fsspec URL, as Arrow streams.

Arrow's decompression is used rather than fsspec's because it notices when a compressed file was cut short, Zstandard's included.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

import fsspec
import pyarrow as pa

from tallyclip.errors import MissingExtraError, OptionError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
CHUNK = 8 << 20
ARCHIVES = 32  # kept open in a process
EXTRAS = {"s3": "s3", "s3a": "s3", "hf": "hf", "http": "http", "https": "http"}
WEB = ("http://", "https://")


def is_url(path: str) -> bool:
    """Is this an fsspec URL, not a path on this machine?"""
    return "://" in path


def chain_of(url: str) -> tuple[str, str, str]:
    """The parts of a URL: links without a path of their own, the link that has the path, and the links behind that.

    fsspec chains URLs with ``::``. A cache (``simplecache::s3://bucket/a.csv``) takes the path of the next link; an archive
    (``zip://a.csv::s3://bucket/x.zip``) is what the next link names. Joined, the parts are the URL again.
    """
    links = url.split("::") if is_url(url) else [url]
    place = next((i for i, link in enumerate(links) if "://" in link), 0)
    return "".join(f"{link}::" for link in links[:place]), links[place], "".join(f"::{link}" for link in links[place + 1 :])


def filesystem(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a path or URL, and the path within it.

    Raises:
        OptionError: nobody knows this kind of URL.
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
        install = f"pip install 'tallyclip[{extra}]'" if extra else "install the package that the message names"
        raise MissingExtraError(f"{path}: {error}", install) from None
    except ValueError as error:
        raise OptionError(f"{path}: {error}", "URLs are those of fsspec: s3://, gs://, https://, hf://, ...") from None


@lru_cache(maxsize=ARCHIVES)
def _archive(url: str) -> fsspec.AbstractFileSystem:
    """The file system within an archive. fsspec keeps none of these: it would read the archive's list anew for each file, and close the
    archive under a file that is being read."""
    return fsspec.core.url_to_fs(url)[0]


def forget(path: str) -> None:
    """Forget what is remembered of the place where a URL leads: its listings, which would tell of an earlier state."""
    if chain_of(path)[2]:
        _archive.cache_clear()
    filesystem(path)[0].invalidate_cache()


def open_file(path: str, *, ahead: bool = True) -> pa.NativeFile:
    """Open a file for reading at any place, as it is.

    Args:
        path: local path or URL.
        ahead: may a read from a URL fetch more than was asked for? It helps those who read on from there in small bites.
    """
    if not is_url(path):
        return pa.OSFile(path)
    fs, inner = filesystem(path)
    plain = ahead or chain_of(path)[0]  # a cache in a chain has its own way to read ahead
    return pa.PythonFile(fs.open(inner, "rb") if plain else fs.open(inner, "rb", cache_type="none"), mode="r")


def open_stream(path: str) -> pa.NativeFile:
    """Open a file for reading from start to end, unpacked if its name ends in .gz, .zst or .bz2."""
    file, compression = open_file(path), compression_of(path)
    return file if compression is None else pa.CompressedInputStream(file, compression)


def file_name(path: str) -> str:
    """A path as far as it names a file: of a web address what comes before ``?`` and ``#``; of a file in an archive, chained to the URL of
    that, the archive's path and the file's within it."""
    if not is_url(path):
        return path
    _, link, behind = chain_of(path)
    if behind:
        return f"{file_name(behind.removeprefix('::'))}/{link.partition('://')[2]}"
    return re.split("[?#]", link, maxsplit=1)[0] if link.startswith(WEB) else link


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
