"""The files of a pool, and the shards they are worked on in; and tars of images.

Longer than others: whatever is named is found, keyed and described in one way.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import msgspec

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.mirror import state_on_store
from tallyclip.io.streams import chain_of, exists, file_name, filesystem, forget, is_url, real_path, without_compression
from tallyclip.places import shown
from tallyclip.readers import parquet
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.content import reading
from tallyclip.readers.formats import kind_as
from tallyclip.readers.layouts import repeats
from tallyclip.readers.listing import CRAWL_KINDS, kind_of, list_files, named_by, suffix_of
from tallyclip.readers.missing import KNOWN, nothing_there
from tallyclip.readers.others import counted, long_suffix, no_data, ways_out
from tallyclip.readers.run_folders import pool_of_run
from tallyclip.readers.sample_folders import END, folders_of, state_of_folder
from tallyclip.wording import plural

ROWS_PER_SHARD = 1_000_000  # of a Parquet file; other files cannot be cut
LONGEST_KEY = 120  # file names are made of it
FILES_AT_ONCE = 16  # whose footers are read
STAMPS = (  # one for each store
    *("ETag", "etag", "Last-Modified", "LastModified", "last_modified", "mtime", "updated", "blob_id", "created", "CRC"),
)
ARCHIVES = 32  # whose states are remembered while their files are described
NOTHING_SAID = ColumnChoice()


class PoolFile(msgspec.Struct, frozen=True):
    """One file of the pool.

    Attributes:
        path: local and absolute, or a URL.
        key: a name that no other file of the pool has, made from the path's end.
        kind: one of the values of KINDS.
        size: in bytes; 0 where a server does not say.
        fingerprint: changes when the file does: its size, its ETag or time, and for Parquet a hash of its footer.
        rows: how many records, where the format says so.
        groups: rows of each row group of a Parquet file.
    """

    path: str
    key: str
    kind: str
    size: int
    fingerprint: str
    rows: int | None = None
    groups: list[int] | None = None

    @property
    def named(self) -> str:
        """The file as results and people name it: its path, or its URL, also where it is read from a copy on this machine."""
        return shown(self.path)

    @property
    def is_gathered(self) -> bool:
        """Are its pairs written down before they are matched? Those of crawl files are, which take long to read and repeat each other."""
        return self.kind in CRAWL_KINDS


class Pool(msgspec.Struct, frozen=True):
    """What is read: the pool as it was named and found, and what was said of its columns."""

    names: list[str]
    choice: ColumnChoice
    files: list[PoolFile]


class Shard(msgspec.Struct, frozen=True):
    """A file, or some row groups of one: what is read, matched and written at a time."""

    key: str
    file: PoolFile
    groups: tuple[int, int] | None = None
    first_row: int = 0

    @property
    def rows(self) -> int | None:
        if self.groups is None or self.file.groups is None:
            return self.file.rows
        return sum(self.file.groups[slice(*self.groups)])


def find_files(
    pool: Sequence[str], choice: ColumnChoice = NOTHING_SAID, keep: Callable[[PoolFile, parquet.Footer], None] | None = None
) -> tuple[list[PoolFile], dict[str, int]]:
    """The files that paths, folders, globs and URLs name, in a fixed order, and how many of what were skipped.

    In folders and globs, names that begin with a dot or an underscore are skipped, and so are bookkeeping, documents, and files with what
    another one holds (``layouts``). A file that is named by its own path is read. Of a run folder its pool or curated set is read.

    Args:
        pool: the names.
        choice: what the user said of columns: it may tell which of several files has the captions.
        keep: is given the footers of Parquet files, in any order and from any thread.

    Raises:
        OptionError: a name leads nowhere, to nothing that can be read, or to a folder of ours that is no pool; or its files cannot have
            the format that was named.
        SourceError: a file has gone meanwhile.
    """
    found: set[str] = set()
    named: set[str] = set()
    files: set[str] = set()
    labels: dict[str, str] = {}  # of what is skipped
    _archive_state.cache_clear()
    for name in pool:
        listing = list_files(name)
        pool_within = pool_of_run(name, listing)
        if pool_within is not None:
            outside = f"other files of the folder (only {os.path.basename(pool_within)}/ is read)"
            labels |= {path: outside for path in listing.files if not path.startswith(f"{pool_within}/")}
            listing = list_files(pool_within)
        for path in sorted(listing.strange):
            if kind_of(path):
                raise OptionError(f"{path}: no regular file, or a link that leads nowhere", "remove it, or name the other files alone")
        usable = {path for path in listing.files if kind_of(path) and (path in listing.named or no_data(path) is None)}
        if not usable:
            raise _nothing_found(name, listing.files)
        labels |= {path: no_data(path) or long_suffix(path) for path in (listing.files | listing.strange) - usable}
        labels |= {path: f"hidden {suffix_of(path)} (name begins with . or _)" for path in listing.hidden if kind_of(path)}
        found |= usable
        named |= listing.named
        files |= listing.files
    repeated = repeats(found, files, named, choice)
    labels = {path: label for path, label in labels.items() if path not in found} | repeated
    once = {real_path(path): path for path in sorted(found, reverse=True)}
    ordered = sorted(set(once.values()) - repeated.keys())
    keys = file_keys(ordered)

    def describe(path: str) -> PoolFile:
        file, footer = _describe(path, keys[path])
        file = msgspec.structs.replace(file, kind=kind_as(path, file.kind, choice))
        if footer is not None and keep is not None:
            keep(file, footer)
        return file

    at_once = 1 if any(chain_of(path)[2] for path in ordered) else FILES_AT_ONCE  # readers of one archive may share a place in it
    with ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(describe, ordered)), dict(Counter(labels.values()))


def find_tars(names: Sequence[str]) -> tuple[list[PoolFile], dict[str, str]]:
    """The tars that paths, folders, globs, URLs and ranges such as ``{00000..00099}.tar`` name, in a fixed order; and by their keys, where
    there is a Parquet file of the same name beside a tar, as img2dataset writes it, its path. Local folders of samples as files count as
    tars; their paths end with a slash.

    Raises:
        OptionError: a name leads to no tar, or there are no names.
        SourceError: a file has gone meanwhile.
    """
    if not names:
        raise OptionError("no tars of images are named", "name tars, or a folder of them")
    tars: dict[str, str] = {}  # by their real paths, so that each is there once
    files: set[str] = set()
    _archive_state.cache_clear()
    for name in names:
        found = [list_files(each) for each in named_by(name)]
        files |= {path for listing in found for path in listing.files}
        some = sorted(path for listing in found for path in listing.files if kind_of(path) == "tar")
        some += folders_of(path for listing in found for path in listing.files if not is_url(path))
        if not some:
            what = f"{name}: no tar there" if any(listing.files for listing in found) else f"{name}: there is nothing"
            raise OptionError(what, "give tars of images, or a folder of them, such as img2dataset writes with --output_format webdataset")
        tars |= {real_path(path): path for path in reversed(some)}
    ordered = sorted(tars.values())
    keys = file_keys(ordered)
    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        described_tars = list(threads.map(lambda path: _described_tar(path, keys[path], files), ordered))
    return [file for file, _ in described_tars], {file.key: table for file, table in described_tars if table is not None}


def _described_tar(path: str, key: str, listed: set[str]) -> tuple[PoolFile, str | None]:
    """A tar, or a folder of samples, in its present state, which is also that of the table beside it; and the path of this table."""
    if path.endswith(END):
        size, fingerprint = state_of_folder(path)
        file = PoolFile(path, key, "tar", size, fingerprint)
    else:
        file = _describe(path, key)[0]
    table = f"{without_compression(path).removesuffix('.tar').removesuffix(END)}.parquet"
    with reading(table):
        if table not in listed and not exists(table):
            return file, None
    state = f"{file.fingerprint} {state_of(table)}"
    return msgspec.structs.replace(file, fingerprint=hashlib.sha256(state.encode()).hexdigest()[:32]), table


def cut(files: Iterable[PoolFile]) -> list[Shard]:
    """The shards of files: one each, or for a large Parquet file one for each million rows or so."""
    shards: list[Shard] = []
    for file in files:
        if file.groups is None or file.rows is None or file.rows <= ROWS_PER_SHARD * 3 // 2 or len(file.groups) == 1:
            shards.append(Shard(file.key, file))
            continue
        start = first_row = rows = 0
        for group, size in enumerate(file.groups, 1):
            rows += size
            if rows >= ROWS_PER_SHARD or group == len(file.groups):
                shards.append(Shard(f"{file.key}+{start:05d}", file, (start, group), first_row))  # no file's key has a "+"
                start, first_row, rows = group, first_row + rows, 0
    return shards


def described(path: str, key: str = "") -> tuple[PoolFile, parquet.Footer | None]:
    """A file in its present state, and its footer if it is a Parquet file.

    Raises:
        SourceError: the file is gone.
    """
    _ask_again(path)
    return _describe(path, key)


def present_state(path: str) -> tuple[int, str]:
    """A file's size and stamp, asked for anew: see ``state_of``."""
    _ask_again(path)
    return state_of(path)


def _ask_again(path: str) -> None:
    if is_url(path):
        _archive_state.cache_clear()
        with reading(path):
            forget(path)


def _describe(path: str, key: str) -> tuple[PoolFile, parquet.Footer | None]:
    kind = kind_of(path)
    assert kind is not None
    size, stamp = state_of(path)
    parts = [str(size), stamp]
    rows = groups = footer = None
    if kind == "parquet":
        try:
            footer = parquet.read_footer(path)
            parts.append(footer.fingerprint)
            rows, groups = footer.metadata.num_rows, [footer.metadata.row_group(i).num_rows for i in range(footer.metadata.num_row_groups)]
        except SourceError:
            parts.append("no footer")  # the shard will fail and say why; the others go on
    return PoolFile(path, key, kind, size, hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32], rows, groups), footer


def state_of(path: str) -> tuple[int, str]:
    """A file's size, and its ETag or time, if there is one.

    Raises:
        SourceError: the file is gone.
    """
    on_store = None if is_url(path) else state_on_store(path)
    if on_store is not None:
        return on_store
    if not is_url(path):
        try:
            status = os.stat(path)
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}", "a pool's files must stay where they are until the run is done") from error
        return status.st_size, str(status.st_mtime_ns)
    with reading(path):
        fs, inner = filesystem(path)
        info: dict[str, Any] = fs.info(inner)
    stamp = next((str(info[name]) for name in STAMPS if info.get(name)), "")
    behind = chain_of(path)[2].removeprefix("::")
    if behind:
        stamp = f"{stamp} {_archive_state(behind)}"
    return int(info.get("size") or 0), stamp


@lru_cache(maxsize=ARCHIVES)
def _archive_state(path: str) -> tuple[int, str]:
    """The state of an archive, asked for once and not for each of its files."""
    return state_of(path)


def _nothing_found(name: str, found: Iterable[str]) -> OptionError:
    labels = {path: no_data(path) or long_suffix(path) for path in found}
    if not labels:
        return nothing_there(name)
    what = f"{name}: nothing that can be read among {plural(len(labels), 'file')} ({counted(Counter(labels.values()))})"
    ways = ways_out(labels)
    hints = [f"{way.what}: {way.hint}" for way in ways] or [f"known are {KNOWN}"]
    if not ways and any(kind_of(path) for path in labels):
        hints.append("a file that seems to hold no captions by its name is read if you name it by its path")
    return OptionError(what, "; ".join(hints))


def file_keys(paths: list[str]) -> dict[str, str]:
    """For each path the shortest end of it by which no two are the same, without its suffix if that is enough."""
    for depth in range(1, 2 + max((path.count("/") for path in paths), default=0)):
        for suffix in (False, True):
            keys = {path: _key(path.rstrip(END), depth, suffix) for path in paths}
            if len({key.lower() for key in keys.values()}) == len(paths) and max(map(len, keys.values()), default=0) <= LONGEST_KEY:
                return keys
    return {path: f"{_key(path, 1, suffix=True)[:LONGEST_KEY]}-{hashlib.sha256(path.encode()).hexdigest()[:8]}" for path in paths}


def _key(path: str, depth: int, suffix: bool) -> str:
    name = file_name(path) if suffix else os.path.splitext(without_compression(path))[0]
    return re.sub(r"[^A-Za-z0-9._-]", "_", "-".join(name.split("/")[-depth:])).lstrip("._-") or "pool"
