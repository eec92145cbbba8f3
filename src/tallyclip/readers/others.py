"""Files in a pool's folders that are not part of it: files that tools write beside their data, documents, and data of other kinds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tallyclip.io.streams import chain_of, file_name, is_url
from tallyclip.io.suffixes import KINDS
from tallyclip.readers.listing import kind_of, last_suffix, suffix_of
from tallyclip.wording import plural

# Files that tools write beside their data: open_clip and DataComp; `datasets` and the Hub; webdataset, timm, MosaicML; datatrove; wandb.
BOOKKEEPING = {
    *("sizes.json", "meta.json"),
    *("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "croissant.json", "dataset-metadata.json"),
    *("shardindex.json", "info.json"),
    *("stats.json", "executor.json"),
    *("wandb-summary.json", "wandb-metadata.json"),
}
STATS_SUFFIX = "_stats.json"  # img2dataset's, beside its shards
DOCUMENT = re.compile(
    r"(read[-_]?me([-_.].*)?|licen[cs]es?|copying|copyright|notice|authors|contributors|contributing|changelog|citation"
    r"|requirements([-_.].*)?|cmakelists|robots|llms|(md5|sha1|sha256|sha512)sums?|checksums?|bagit|bag-info"
    r"|(tag)?manifest-(md5|sha1|sha256|sha512))\.txt",
    re.IGNORECASE,
)
PACKINGS = (".gz", ".zst", ".bz2", ".lz4", ".xz", ".zip", ".br", ".z", ".7z", ".lzma")
ARCHIVES = (".zip", ".7z", ".rar", ".tgz", ".tbz2", ".txz")
# Kinds of data that no reader reads.
TABLES = (
    *(".avro", ".db", ".h5", ".hdf5", ".lance", ".lmdb", ".mdb", ".mds", ".msgpack", ".npy", ".npz", ".ods", ".orc", ".pickle", ".pkl"),
    *(".pt", ".rds", ".sqlite", ".sqlite3", ".tfrecord", ".tfrecords", ".xls", ".xlsx", ".xml"),
)
NAMES_SHOWN, KINDS_SHOWN = 3, 12


class WayOut(NamedTuple):
    """Files that look like data but are not read, and what to do with them."""

    what: str
    hint: str


def no_data(path: str) -> str | None:
    """What a message calls a file that by its name is bookkeeping or a document; None for all others."""
    name = os.path.basename(file_name(path))
    if name.endswith(STATS_SUFFIX):
        return f"*{STATS_SUFFIX}"
    return name.lower() if name.lower() in BOOKKEEPING else name if DOCUMENT.fullmatch(name) else None


def long_suffix(path: str) -> str:
    """The suffix of a name; of a packed file of a pool with the suffix before it, such as .parquet.xz."""
    suffix = suffix_of(path)
    inner = os.path.splitext(file_name(path).removesuffix(suffix))[1]
    return inner + suffix if suffix.lower() in PACKINGS and inner.lower() in KINDS else suffix


def looks_like_data(suffix: str) -> bool:
    """Does a suffix from ``long_suffix`` say that the file may hold a pool?"""
    known = suffix.lower()
    return known in TABLES + ARCHIVES or (os.path.splitext(known)[0] in KINDS and os.path.splitext(known)[1] in PACKINGS)


def skipped_notes(skipped: Mapping[str, int]) -> list[str]:
    """Messages about files that are not read, by the kinds of ``find_files``: first those that may hold pairs."""
    data = {suffix: count for suffix, count in skipped.items() if looks_like_data(suffix)}
    others = {what: count for what, count in skipped.items() if what not in data}
    notes = [f"not read (unpack them or convert them to Parquet first): {counted(data)}"] if data else []
    return notes + ([f"skipped: {counted(others)}"] if others else [])


def counted(counts: Mapping[str, int]) -> str:
    """How many files there are of each kind, for a message: the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count:,} {what or 'without suffix'}" for what, count in ordered[:KINDS_SHOWN]]
    more = ordered[KINDS_SHOWN:]
    return ", ".join(shown) + (f", and {sum(count for _, count in more):,} of {plural(len(more), 'more kind')}" if more else "")


def ways_out(paths: Iterable[str]) -> list[WayOut]:
    """What to do with files that are not read, by their kinds."""
    ordered = sorted(paths)
    packed = [path for path in ordered if _is_packed(path)]
    archives = [path for path in ordered if last_suffix(path) in ARCHIVES and not _is_packed(path)]
    tables = [path for path in ordered if last_suffix(path) in TABLES]
    found: list[WayOut] = []
    if packed:
        found.append(WayOut(f"packed files: {_some(packed)}", "unpack them first"))
    if archives:
        found.append(WayOut(f"archives: {_some(archives)}", f"unpack them first{_zip_url(archives)}"))
    if tables:
        found.append(WayOut(f"data of other kinds: {_some(tables)}", "convert it to Parquet or JSONL first"))
    return found


def _is_packed(path: str) -> bool:
    inner, packing = os.path.splitext(file_name(path))
    return packing.lower() in PACKINGS and kind_of(inner) is not None and kind_of(path) is None


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - NAMES_SHOWN:,} more" if len(paths) > NAMES_SHOWN else ""
    return ", ".join(os.path.basename(file_name(path)) for path in paths[:NAMES_SHOWN]) + more


def _zip_url(archives: list[str]) -> str:
    first = next((path for path in archives if last_suffix(path) == ".zip" and not chain_of(path)[2]), None)
    return (
        "" if first is None else f", or give the files in a zip archive by the URL zip://::{first if is_url(first) else f'file://{first}'}"
    )
