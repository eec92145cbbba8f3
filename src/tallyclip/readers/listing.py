"""Lists the files of paths, folders, globs and URLs, and gives their kinds."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, NamedTuple, cast

from tallyclip.errors import OptionError, TallyclipError
from tallyclip.io.mirror import files_below
from tallyclip.io.streams import WEB, chain_of, compression_of, file_name, filesystem, forget, is_url, without_compression
from tallyclip.io.suffixes import KINDS
from tallyclip.readers.content import NEVER_COMPRESSED, is_utf8

CRAWL_KINDS = ("wat", "warc")
BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")


class Listing(NamedTuple):
    """The files that a path, folder, glob or URL gives.

    Attributes:
        files: all files except the hidden ones.
        hidden: files in folders whose name, or a folder's, begins with a dot or an underscore.
        strange: neither files nor folders.
        named: of ``files`` the one that was given by its own path; the others were found in folders or by a glob.
    """

    files: set[str]
    hidden: set[str]
    strange: set[str]
    named: set[str]


def kind_of(path: str) -> str | None:
    """The kind of a file by its name, which decides on the reader; None if there is no reader."""
    suffix = os.path.splitext(without_compression(path))[1].lower()
    return None if suffix in NEVER_COMPRESSED and compression_of(path) else KINDS.get(suffix)


def suffix_of(path: str) -> str:
    """The suffix of a name, with that of its compression."""
    name = without_compression(path)
    return os.path.splitext(name)[1] + file_name(path)[len(name) :]


def last_suffix(path: str) -> str:
    """The last suffix of a name in lower case; of a compressed file that of its compression."""
    return os.path.splitext(file_name(path))[1].lower()


def list_files(name: str) -> Listing:
    """The files that a path, folder, glob or URL gives; folders are searched recursively.

    Raises:
        OptionError: the folder cannot be read, there is nothing at the URL, or the name of a file of the pool is not UTF-8.
    """
    name = name.removeprefix("file://")
    listing = Listing(set(), set(), set(), set())
    if is_url(name):
        _list_by_fsspec(name, listing)
        return listing
    path = os.path.abspath(os.path.expanduser(name))
    on_store = files_below(path)
    for file in on_store or ():
        _add(file, listing, inner=file.removeprefix(path), on_store=True)
    if on_store is not None:
        return listing
    named = os.path.lexists(path)
    for found in [path] if named else glob.glob(path, recursive=True):
        if os.path.isdir(found):
            for file in _walk(found):
                _add(file, listing, inner=file.removeprefix(found))
        else:
            _add(found, listing, named=named)
    return listing


def named_by(name: str) -> list[str]:
    """The names that a name with braces stands for, unless there is something of that very name."""
    return [name] if os.path.lexists(name) else in_braces(name)


def in_braces(name: str) -> list[str]:
    """The names that a name with braces stands for, as in shells and WebDataset.

    >>> in_braces("s3://b/{08..10}.tar")
    ['s3://b/08.tar', 's3://b/09.tar', 's3://b/10.tar']
    >>> in_braces("{a,b}/{0..1}.tar")
    ['a/0.tar', 'a/1.tar', 'b/0.tar', 'b/1.tar']
    """
    found = BRACES.search(name)
    if found is None:
        return [name]
    first, last, words = found.groups()
    if words is not None:
        values = words.split(",")
    else:
        values = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    rest = in_braces(name[found.end() :])
    return [f"{name[: found.start()]}{value}{end}" for value in values for end in rest]


def _add(path: str, listing: Listing, inner: str = "", *, named: bool = False, on_store: bool = False) -> None:
    """Add a file.

    Args:
        path: of the file.
        listing: to add it to.
        inner: its path within the folder in which it was found.
        named: was it named itself?
        on_store: it is a file on a store, by the path of its local copy.
    """
    if any(part.startswith((".", "_")) for part in PurePath(inner).parts):
        listing.hidden.add(path)
    elif is_url(path) or os.path.isfile(path) or on_store:
        if kind_of(path) and not is_utf8(os.fsencode(path)):
            raise OptionError(f"{path!a}: the name of this file is not UTF-8", "rename it: results contain the names of their files")
        listing.files.add(path)
        if named:
            listing.named.add(path)
    else:
        listing.strange.add(path)


def _walk(folder: str) -> Iterator[str]:
    """The files below a folder; links are followed, but no folder is visited twice."""
    seen: set[str] = set()
    for root, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (os.path.join(root, file) for file in files)


def _refuse(error: OSError) -> None:
    raise OptionError(f"{error.filename}: {error.strerror}", "the pool's folders must be readable")


def _list_by_fsspec(name: str, listing: Listing) -> None:
    before, link, behind = chain_of(name)
    web = link.startswith(WEB)
    scheme = "" if web else link[: link.index("://") + 3]  # which fsspec strips, but not from web URLs
    magic = "*[" if web else "*?["

    def add(path: str, inner: str = "", *, named: bool = False) -> None:
        url = f"{before}{scheme}{path}{behind}"
        if "::" in path and kind_of(path):
            raise OptionError(f"{path!a}: fsspec cannot open a file with '::' in its name", "rename it, or copy it to this machine")
        _add(url, listing, inner, named=named)

    try:
        forget(name)
        fs, inner = filesystem(name)
        found: dict[str, Any]
        is_glob = any(sign in inner for sign in magic)
        found = cast(Any, fs.glob(inner, detail=True)) if is_glob else {inner: fs.info(inner)}
        for path, info in found.items():
            if info["type"] == "directory" or (web and not kind_of(path) and fs.isdir(path)):
                for file in cast(list[str], fs.find(path)):
                    add(file, inner=file.removeprefix(path))
            else:
                add(path, named=not is_glob)
    except FileNotFoundError:
        raise OptionError(f"{name}: there is no such file or folder", "check the URL and your access to it") from None
    except TallyclipError:
        raise
    except Exception as error:  # whatever the package for these URLs raises
        raise OptionError(f"{name}: {type(error).__name__}: {error}", "check the URL and your access to it") from error
