"""Titles and their views, from Wikimedia's hourly dumps or from a table of titles and views.

A dump has a line for each page of each project that was viewed within an hour: ``en Main_Page 242332 0`` (pageviews, since 2015), or
``en Barack_Obama%27s_first_100_days 8 850127`` (pagecounts, before). A table has a title, a tab and its views, and may have a header.

Nearly all of the five million lines of an hour are of other projects, or of pages with hardly any views. A compiled loop removes them, and
slower code handles the encodings and namespaces of the few that are left. Longer than others: both ways are in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
from jaxtyping import Int64, UInt8

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.core.strings import Strings, from_arrow
from tallyclip.errors import SourceError
from tallyclip.io.streams import CHUNK, compression_of, open_file, unpacked
from tallyclip.readers.content import BOM, LARGEST, is_utf8, read_chunks, reading, shown

OTHER_PROJECT = "other project"
FIELDS = "wrong number of fields"
NO_NUMBER = "views are not a whole number"
IMPLAUSIBLE = "implausible view count"
FEW_VIEWS = "too few views"
SCANNED = (OTHER_PROJECT, FIELDS, NO_NUMBER, IMPLAUSIBLE, FEW_VIEWS)  # the reasons of the compiled loop, in its order
NOT_UNICODE = "title is not UTF-8"
NO_TITLE = "title is empty"
PLACEHOLDER = "title is -"  # stands for pages of unknown title
CONTROLS = "title has control characters"
NAMESPACE = "not in the article namespace"
COLON = "title has a colon"

MOST_VIEWS = 10**12  # all of Wikimedia in several years; the sum of millions of such rows still fits an int64
MOBILE = (".m", ".mw", ".zero")
# Of all wikis, from MediaWiki's manual (Manual:Namespace constants), and of English Wikipedia (Wikipedia:Namespace); each has a talk
# namespace too.
NAMESPACES = (
    *("Special", "Media", "Talk", "User", "Project", "Wikipedia", "WP", "WT", "File", "Image", "MediaWiki", "Template", "Help"),
    *("Category", "Portal", "Draft", "MOS", "TimedText", "Module", "Book", "Gadget", "Gadget definition", "Education Program", "Topic"),
)
TABLE = "each line of a table must have a title, a tab and a whole number of views"
CONTROL = "[\\x00-\\x1f\\x7f\u0080-\u009f\u2028\u2029\ufffd]"
pc: Any = pyarrow.compute


class ViewChoice(msgspec.Struct, frozen=True):
    """Which rows count.

    Args:
        project: its code in the dumps.
        mobile: count the rows of its mobile sites too, ``en.m`` (and ``en.mw`` and ``en.zero`` in older dumps).
        min_hourly_views: rows of hourly dumps with fewer views are dropped, as in the released code of arXiv 2309.16671.
        colons: drop every title with a colon, as that code does, or only those in a namespace without articles.
        namespaces: the project's own names of such namespaces; the English ones work everywhere.
    """

    project: str = "en"
    mobile: bool = False
    min_hourly_views: int = 50
    colons: Literal["drop", "namespaces"] = "drop"
    namespaces: list[str] = []


class _Layout(NamedTuple):
    """The layout of lines, and which are wanted."""

    codes: UInt8[np.ndarray, " C"]  # of projects, each followed by a separator; empty if lines have no project
    separator: np.uint64
    fields: np.uint64
    title: np.uint64  # its field; the views are in the next
    least: np.uint64  # views


class _WantedRows(NamedTuple):
    """The wanted rows of L lines, and the number of dropped lines by reason."""

    titles: UInt8[np.ndarray, " B"]
    offsets: Int64[np.ndarray, " L1"]
    views: Int64[np.ndarray, " L"]
    dropped: Int64[np.ndarray, " R"]


def read_views(
    path: str, choice: ViewChoice, drops: Counter[str], tick: Callable[[int], None]
) -> Iterator[tuple[Strings, Int64[np.ndarray, " N"]]]:
    """The titles of a file and their views, in batches; a title may occur more than once.

    Underscores become spaces, runs of spaces one space, and none is at the ends; percent-encoding is decoded where that gives UTF-8.

    Args:
        path: of a dump or a table; it may be compressed.
        choice: which rows count.
        drops: counts the dropped rows by reason. Rows of other projects are not checked further.
        tick: called with the number of bytes of the file, as stored, done since the last call.

    Raises:
        SourceError: the file is missing, empty, damaged or of another kind, or a table without a usable row.
    """
    names = [name.replace("_", " ") for name in (*NAMESPACES, *choice.namespaces)]
    elsewhere = "(?i)^ *((" + "|".join(map(re.escape, names)) + ")( talk)? *)?:"
    layout, some, refused = None, False, Counter[str]()
    for block in _blocks(path, tick):
        if layout is None:
            block = block.lstrip(b"\r\n")
            if not block:
                continue
            first, _, rest = block.partition(b"\n")
            layout = _layout(path, first, choice)
            if b"\t" in first and not re.search(rb"\t.*[0-9]", first):  # a header
                block = rest
        found = _scan_block(block, layout)
        refused.update({reason: count for reason, count in zip(SCANNED, found.dropped.tolist(), strict=True) if count})
        titles, views = _usable(found, elsewhere, choice.colons == "drop", refused)
        if len(titles):
            some = True
            yield from_arrow(titles), views
    if not some and (layout is None or len(layout.codes) == 0):  # a dump may have no row of a small project
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in refused.most_common()) or "it has no rows"
        raise SourceError(f"{path}: no usable row: {reasons}", TABLE)
    drops += refused


def _layout(path: str, first: bytes, choice: ViewChoice) -> _Layout:
    """The layout of a table or a dump, from its first line."""
    if b"\t" in first:
        return _Layout(np.zeros(0, np.uint8), u64(ord("\t")), u64(2), u64(0), u64(0))
    if not re.fullmatch(rb"[^ ]* [^ ]* [0-9]+ [0-9]+\r?", first):
        what = f"{path}: not an hourly dump or a table, by its first line: {shown(first)}"
        raise SourceError(what, f"a dump has lines such as 'en Main_Page 242332 0'; {TABLE}")
    codes = "".join(f"{choice.project}{suffix} " for suffix in ("", *(MOBILE if choice.mobile else ())))
    return _Layout(np.frombuffer(codes.encode(), np.uint8), u64(ord(" ")), u64(4), u64(1), u64(choice.min_hourly_views))


def _chunks(path: str, tick: Callable[[int], None]) -> Iterator[bytes]:
    """The uncompressed pieces of a file; its bytes as stored are reported when a piece is done."""
    with reading(path), open_file(path) as file:
        if file.read(4) == b"PAR1":
            raise SourceError(f"{path}: this is a Parquet file", f"give an hourly dump or a table: {TABLE}")
        next(read_chunks(path))  # raises for files of other kinds
        file.seek(0)
        compression, reported = compression_of(path), 0
        stream = unpacked(file, compression)
        while chunk := stream.read(CHUNK):
            yield chunk if reported else chunk.removeprefix(BOM)
            tick(file.tell() - reported)
            reported = file.tell()


def _blocks(path: str, tick: Callable[[int], None]) -> Iterator[bytes]:
    """A file in pieces of whole lines, with their line ends."""
    rest, place = b"", 0
    for chunk in _chunks(path, tick):
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
            place += len(rest) + end
            rest = b""
        rest += chunk[end:]
        if len(rest) > LARGEST:
            raise SourceError(f"{path}: the line at byte {place:,} is larger than {LARGEST >> 20} MiB", "check that this is a text file")
    if rest:
        yield rest + b"\n"


def _scan_block(block: bytes, layout: _Layout) -> _WantedRows:
    """The wanted rows, and the number of others by reason."""
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    lines, dropped = len(ends), np.zeros(len(SCANNED), np.int64)
    found = _WantedRows(np.empty(len(data), np.uint8), np.zeros(lines + 1, np.int64), np.empty(lines, np.int64), dropped)
    count = int(_scan(data, ends, layout, found))
    offsets = found.offsets[: count + 1]
    return found._replace(titles=found.titles[: offsets[-1]], offsets=offsets, views=found.views[:count])


def _usable(
    found: _WantedRows, elsewhere: str, no_colons: bool, drops: Counter[str]
) -> tuple[pa.LargeStringArray, Int64[np.ndarray, " N"]]:
    """The titles that can become entries, decoded, and their views."""
    buffers = [None, pa.py_buffer(found.offsets), pa.py_buffer(found.titles)]
    titles, views = _decoded(pa.Array.from_buffers(pa.large_binary(), len(found.views), buffers)), found.views

    def drop(reason: str, bad: Any) -> None:
        nonlocal titles, views
        bad = np.asarray(bad)
        if bad.any():
            drops[reason] += int(np.count_nonzero(bad))
            titles, views = titles.filter(pa.array(~bad)), views[~bad]

    try:
        titles = titles.cast(pa.large_string())
    except pa.ArrowInvalid:
        drop(NOT_UNICODE, [not is_utf8(title) for title in titles.to_pylist()])
        titles = titles.cast(pa.large_string())
    titles = pc.utf8_trim(pc.replace_substring_regex(titles, " {2,}", " "), " ")
    drop(NO_TITLE, pc.equal(titles, ""))
    drop(PLACEHOLDER, pc.equal(titles, "-"))
    drop(CONTROLS, pc.match_substring_regex(titles, CONTROL))
    drop(NAMESPACE, pc.match_substring_regex(titles, elsewhere))
    if no_colons:
        drop(COLON, pc.match_substring(titles, ":"))
    return titles, views


def _decoded(titles: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    """Titles with percent-encoding decoded once, where the result is UTF-8; others keep their percent signs."""
    encoded = pc.match_substring_regex(titles, "%[0-9A-Fa-f]{2}")
    if not pc.any(encoded).as_py():
        return titles
    before = titles.filter(encoded).to_pylist()
    after = [unquote_to_bytes(title).replace(b"_", b" ") for title in before]
    chosen = [new if is_utf8(new) else old for old, new in zip(before, after, strict=True)]
    return pc.replace_with_mask(titles, encoded, pa.array(chosen, pa.large_binary()))


@compiled
def _scan(data: UInt8[np.ndarray, " B"], ends: Int64[np.ndarray, " L"], layout: _Layout, found: _WantedRows) -> np.uint64:
    """Find the wanted rows, and replace underscores in their titles by spaces; returns their number."""
    count = start = at = ZERO
    for line in range(u64(len(ends))):
        end = u64(ends[line])
        following = end + ONE
        if end > start and data[end - ONE] == 13:
            end -= ONE
        reason, title, title_end, views = _row(data, start, end, layout)
        start = following
        if reason < u64(len(found.dropped)):
            found.dropped[reason] += 1
            continue
        for place in range(title, title_end):
            found.titles[at] = 32 if data[place] == 95 else data[place]
            at += ONE
        found.views[count] = np.int64(views)
        count += ONE
        found.offsets[count] = np.int64(at)
    return count


@inlined
def _row(
    data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, layout: _Layout
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Why a line is dropped (an index in SCANNED, or its length for a wanted line); start and end of its title; its views."""
    if not _is_ours(data, start, end, layout):
        return u64(0), start, start, ZERO
    title = title_end = start
    views_end = end
    fields = ONE
    for place in range(start, end):
        if data[place] == layout.separator:
            if fields == layout.title:
                title = place + ONE
            elif fields == layout.title + ONE:
                title_end = u64(place)
            elif fields == layout.title + u64(2):
                views_end = u64(place)
            fields += ONE
    if fields != layout.fields:
        return u64(1), start, start, ZERO
    views = ZERO
    is_number = title_end + ONE < views_end
    for place in range(title_end + ONE, views_end):
        is_number = is_number and 48 <= data[place] <= 57
        if views <= u64(MOST_VIEWS):
            views = views * u64(10) + (u64(data[place]) & u64(15))
    if not is_number:
        return u64(2), start, start, ZERO
    if views > u64(MOST_VIEWS):
        return u64(3), start, start, ZERO
    if views < layout.least:
        return u64(4), start, start, ZERO
    return u64(5), title, title_end, views


@inlined
def _is_ours(data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, layout: _Layout) -> bool:
    """Does a line begin with one of the codes?"""
    codes = layout.codes
    at, place = ZERO, start
    while at < u64(len(codes)):
        byte = u64(data[place]) if place < end else layout.separator
        if byte == codes[at]:
            if byte == layout.separator:
                return True
            at += ONE
            place += ONE
        else:
            while codes[at] != layout.separator:
                at += ONE
            at += ONE
            place = start
    return len(codes) == 0
