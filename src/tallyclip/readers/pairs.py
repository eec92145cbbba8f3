"""From records to pairs: each an image with one caption, and a uid.

Longer than others: every form that captions and uids come in is made into pairs here, and each pair is hashed here alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from jaxtyping import Bool, Int32, Int64, UInt64

from tallyclip.core.uids import ImageKind, make_uids, parse_uids, uid_column, uid_strings
from tallyclip.errors import OptionError
from tallyclip.readers.columns import Columns
from tallyclip.readers.content import LONGEST_SAMPLE, is_utf8, shown
from tallyclip.readers.records import Drop, Records

PAIRS_AT_ONCE = 131_072  # more than a batch has records
SUCCESS = "success"
FAILURES = ("failed_to_download", "failed_to_resize")  # other values that img2dataset writes
pc: Any = pyarrow.compute  # its functions are made on import, where no type checker sees them


@dataclass(frozen=True)
class Pairs:
    """N pairs made from the records of one batch.

    Attributes:
        records: int64[N], rising: the place of each pair's record in the batch's table.
        rows: int64[N]: the record's number in its file.
        text_numbers: int32[N]: which of its record's captions this is, from 0.
        texts: the captions, N strings, none null, all UTF-8.
        uids: uint64[N, 2].
        are_own: bool[N]: whether the uid is the pool's own.
        drops: records and captions that are not pairs.
    """

    records: Int64[np.ndarray, " N"]
    rows: Int64[np.ndarray, " N"]
    text_numbers: Int32[np.ndarray, " N"]
    texts: pa.Array
    uids: UInt64[np.ndarray, "N 2"]
    are_own: Bool[np.ndarray, " N"]
    drops: list[Drop]

    @property
    def own_uids(self) -> int:
        """How many of the uids are the pool's own."""
        return int(np.count_nonzero(self.are_own))

    def take(self, places: Int64[np.ndarray, " K"]) -> Pairs:
        """The pairs at some places, with all drops."""
        texts = self.texts.take(pa.array(places))
        some = (self.rows[places], self.text_numbers[places], texts, self.uids[places], self.are_own[places])
        return Pairs(self.records[places], *some, self.drops)


def pairs_in_parts(records: Records, columns: Columns) -> Iterator[Pairs]:
    """The pairs of a batch of records as ``pairs_of`` makes them, in parts: a batch of images with hundreds of captions each has
    millions of pairs.

    A part has about ``PAIRS_AT_ONCE`` pairs, or those of one record that has more: the captions of a record are never split. A batch of
    records with one caption each is one part. The places of records in a part are those in the part's own table.

    Raises:
        OptionError: a column with a role holds something else.
    """
    ends = _text_ends(records.table, columns.caption)
    start, drops = 0, records.drops
    while start < len(ends) or start == 0:
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + PAIRS_AT_ONCE, side="right")))
        yield pairs_of(Records(records.rows[start:end], records.table.slice(start, end - start), drops), columns)
        start, drops = end, []


def pairs_of(records: Records, columns: Columns) -> Pairs:
    """The pairs of a batch of records: records that failed to download, null captions and captions that are not UTF-8 are dropped.

    Raises:
        OptionError: a column with a role holds something else.
    """
    table = records.table
    drops = list(records.drops)
    chosen = np.arange(len(table))
    if columns.status is not None:
        chosen = _successes(table, columns.status, records.rows, drops)
    parents, numbers, texts, singles = _flat_texts(table, columns.caption)
    keep = np.ones(len(parents), np.bool_)
    if len(chosen) < len(table):
        keep = np.isin(parents, chosen)
    rows, own = records.rows[parents], np.arange(len(parents))
    keep &= _note(texts.is_null().to_numpy(zero_copy_only=False), keep, "no caption", rows, texts, own, drops)
    keep &= _note(~_are_utf8(texts), keep, "not UTF-8", rows, texts, own, drops)
    without_texts = np.bincount(parents, minlength=len(table)) == 0
    drops += [Drop("no caption", int(records.rows[i]), "") for i in chosen[without_texts[chosen]]]
    urls = _strings(table, columns.url, "--url-column") if columns.url is not None else None
    if urls is not None and not (good_urls := _are_utf8(urls)).all():
        keep &= _note(~good_urls[parents], keep, "URL is not UTF-8", rows, urls, parents, drops)
    if not keep.all():
        places = np.flatnonzero(keep)
        parents, numbers, texts, singles = (
            parents[places],
            numbers[places],
            texts.take(pa.array(places)),
            singles[places],
        )
    uids, own = _uids(table, columns, urls, parents, texts, singles)
    return Pairs(parents, records.rows[parents], numbers, texts, uids, own, drops)


def strings_at(table: pa.Table, name: str, places: Int64[np.ndarray, " K"]) -> pa.Array:
    """The values of a column of text at some places, empty where there are none."""
    return pc.fill_null(_combined(table[name]).take(pa.array(places)).cast(pa.string()), "")


def urls_of(pairs: Pairs, records: Records, name: str) -> pa.Array:
    """The URLs of pairs from the column with this name, empty where there are none."""
    return strings_at(records.table, name, np.searchsorted(records.rows, pairs.rows))


def table_of(pairs: Pairs, records: Records, columns: Columns, places: Int64[np.ndarray, " K"] | None = None) -> pa.Table:
    """Pairs as a table with the columns ``uid``, ``url`` (empty where there is none), ``text``, ``row`` and ``text_number``: all, or those
    at some places."""
    if places is not None:
        pairs = pairs.take(places)
    urls = pa.array([""] * len(pairs.rows)) if columns.url is None else urls_of(pairs, records, columns.url)
    texts = pairs.texts.cast(pa.string())
    return pa.table({"uid": uid_column(pairs.uids), "url": urls, "text": texts, "row": pairs.rows, "text_number": pairs.text_numbers})


class Texts:
    """The captions of a batch of records, flattened once for several lookups."""

    def __init__(self, records: Records, columns: Columns) -> None:
        self._rows = records.rows
        self._parents, _, self._texts, _ = _flat_texts(records.table, columns.caption)

    def places(self, rows: Int64[np.ndarray, " K"]) -> Int64[np.ndarray, " K"]:
        """Where in the batch's table the records with these numbers are."""
        return np.searchsorted(self._rows, rows)

    def at(self, places: Int64[np.ndarray, " K"], text_numbers: Int32[np.ndarray, " K"]) -> pa.Array:
        """The captions with these numbers of the records at some places."""
        return self._texts.take(pa.array(np.searchsorted(self._parents, places) + text_numbers))


def check_types(schema: pa.Schema, columns: Columns) -> None:
    """Can pairs be made from these columns?

    Raises:
        OptionError: a column with a role holds something else.
    """
    nothing = schema.empty_table()
    _flat_texts(nothing, columns.caption)
    if columns.url is not None:
        _strings(nothing, columns.url, "--url-column")
    for name in (columns.status, columns.key):
        if name is not None:
            _printed(nothing, name)


def _successes(table: pa.Table, name: str, rows: Int64[np.ndarray, " N"], drops: list[Drop]) -> Int64[np.ndarray, " n"]:
    status = _printed(table, name)
    good = pc.fill_null(pc.equal(status, SUCCESS), False).to_numpy(zero_copy_only=False)
    for i in np.flatnonzero(~good):
        value = _beginning(status[int(i)]).decode("utf-8", "replace") or "no status"
        known = value in FAILURES or value == "no status"
        drops.append(Drop(f"download: {value if known else 'other status'}", int(rows[i]), "" if known else value))
    return np.flatnonzero(good)


def _combined(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array, of plain strings where it has bytes, a dictionary or nothing but nulls."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no chunk, in old versions of Arrow
        array = pa.array([], column.type)
    return _as_text(array)


def _as_text(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if pa.types.is_binary(array.type):
        return array.view(pa.string())
    if pa.types.is_large_binary(array.type):
        return array.view(pa.large_string())
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _text_ends(table: pa.Table, name: str) -> Int64[np.ndarray, " N"]:
    """How many captions the records have up to and including each."""
    sizes = [np.zeros(0, np.int64)]
    chunks: list[pa.Array] = table[name].chunks
    for chunk in chunks:
        lengths = pc.fill_null(pc.list_value_length(chunk), 0).to_numpy() if _is_list(chunk.type) else np.ones(len(chunk), np.int64)
        sizes.append(lengths.astype(np.int64))
    return np.cumsum(np.concatenate(sizes))


def _flat_texts(table: pa.Table, name: str) -> tuple[Int64[np.ndarray, " N"], Int32[np.ndarray, " N"], pa.Array, Bool[np.ndarray, " N"]]:
    """Captions, with the place of their record, their number in it, and whether each is its only one."""
    captions = _combined(table[name])
    kind = captions.type
    if _is_string(kind):
        count = len(captions)
        return np.arange(count), np.zeros(count, np.int32), captions, np.ones(count, np.bool_)
    if not _is_list(kind):
        raise OptionError(f"column {name!r} holds {kind}, not text", "name the caption column with --caption-column")
    parents = pc.list_parent_indices(captions).to_numpy().astype(np.int64)
    values = captions.flatten()
    if pa.types.is_struct(values.type) and values.type.get_field_index("text") >= 0:
        values = pc.struct_field(values, "text")
    elif _is_list(values.type):
        values = _second_of(values)  # of key and text
    values = _as_text(values)
    if not _is_string(values.type):
        raise OptionError(
            f"column {name!r} holds {kind}, not text, lists of texts or lists of (key, text) pairs", "name another with --caption-column"
        )
    first = np.searchsorted(parents, parents)
    sizes = np.bincount(parents, minlength=len(captions))
    return parents, (np.arange(len(parents)) - first).astype(np.int32), values, sizes[parents] == 1


def _second_of(lists: pa.Array) -> pa.Array:
    """The second value of each list, null where there is none."""
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    ends = np.cumsum(sizes)  # flattened, null lists have no values
    return lists.flatten().take(pa.array(np.where(sizes > 1, ends - sizes + 1, 0), mask=sizes < 2))


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _are_utf8(texts: pa.Array) -> Bool[np.ndarray, " N"]:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        values = texts.cast(pa.large_binary()).to_pylist()
        return np.array([value is None or is_utf8(value) for value in values], np.bool_)
    return np.ones(len(texts), np.bool_)


def _note(
    bad: Bool[np.ndarray, " N"],
    keep: Bool[np.ndarray, " N"],
    reason: str,
    rows: Int64[np.ndarray, " N"],
    values: pa.Array,
    places: Int64[np.ndarray, " N"],
    drops: list[Drop],
) -> Bool[np.ndarray, " N"]:
    """Record the pairs that are dropped for a reason, unless they were before; returns which are not bad.

    Seven arguments: the bad value of a pair is that at its place in ``places``, which other pairs may share.
    """
    for i in np.flatnonzero(bad & keep):
        content = _beginning(values[int(places[i])])
        drops.append(Drop(reason, int(rows[i]), shown(content) if content else ""))
    return ~bad


def _beginning(text: pa.Scalar) -> bytes:
    """The first bytes of a text, which may not be UTF-8; none of a null."""
    return bytes(memoryview(text.as_buffer())[:LONGEST_SAMPLE]) if text.is_valid else b""


def _strings(table: pa.Table, name: str, flag: str) -> pa.Array:
    array = _combined(table[name])
    if not _is_string(array.type):
        raise OptionError(f"column {name!r} holds {array.type}, not text", f"name another with {flag}")
    return array


def _printed(table: pa.Table, name: str) -> pa.Array:
    """A column of text or numbers as text."""
    array = _combined(table[name])
    if not (_is_string(array.type) or pa.types.is_integer(array.type)):
        raise OptionError(f"column {name!r} holds {array.type}, not text or numbers", "rename it, or name others with --caption-column")
    return array.cast(pa.string()) if pa.types.is_integer(array.type) else array


def _uids(
    table: pa.Table,
    columns: Columns,
    urls: pa.Array | None,
    parents: Int64[np.ndarray, " N"],
    texts: pa.Array,
    singles: Bool[np.ndarray, " N"],
) -> tuple[UInt64[np.ndarray, "N 2"], Bool[np.ndarray, " N"]]:
    """The pool's own uid where it is one and the image has one caption, else a hash of the best name that the image has, and the caption.

    Each pair is hashed at most once. Nothing of an image is repeated for its captions: a URL may be long, and the captions many.
    """
    uids = np.zeros((len(parents), 2), np.uint64)

    def hash_(chosen: Bool[np.ndarray, " N"], images: pa.Array | None, kind: ImageKind) -> None:
        places = np.flatnonzero(chosen)
        if len(places):
            some = texts if len(places) == len(texts) else texts.take(pa.array(places))
            uids[places] = make_uids(images, some, image_kind=kind, image_of=None if images is None else parents[places])

    own = np.zeros(len(parents), np.bool_)
    if columns.uid is not None and _is_string((column := _combined(table[columns.uid])).type):
        of_images, are_own = parse_uids(column)
        own = are_own[parents]
        uids[own] = of_images[parents[own]]
        if (own & ~singles).any():
            hash_(own & ~singles, uid_strings(of_images), "uid")
    nameless = np.zeros(len(parents), np.bool_)
    if columns.key is not None:
        nameless |= True if urls is None else urls.is_null().to_numpy(zero_copy_only=False)[parents]
        if (nameless & ~own).any():
            hash_(nameless & ~own, _printed(table, columns.key), "key")
    hash_(~own & ~nameless, urls, "url")
    return uids, own
