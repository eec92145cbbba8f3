"""The rule of ``links.py`` for whole columns, compiled. An address that is not plain is left to ``links.web_address``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int8, Int32, Int64, UInt8

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.core.strings import from_python
from tallyclip.core.utf8 import checked_code_point
from tallyclip.readers.crawl.links import BLANKS, Base

PLAIN, DATA, CAREFUL = (np.int8(kind) for kind in range(3))  # kinds of addresses; the last for ``links.web_address``
BLANK_CODES = tuple(u64(ord(blank)) for blank in BLANKS)
TAB, NEWLINE, BREAK, SPACE, HASH, DOT, SLASH, COLON, SEMICOLON, QUESTION, OPEN_BRACKET, CLOSE_BRACKET = (
    u64(ord(sign)) for sign in "\t\n\r #./:;?[]"
)
HTTP, DATA_SCHEME = (tuple(u64(ord(letter)) for letter in text) for text in ("http", "data"))
SURROGATE_LEAD, FIRST_SURROGATE = u64(0xED), u64(0xA0)  # the first two bytes of the least
REPLACEMENT = np.uint8(ord("?"))  # for a surrogate, as Python's "replace"
TWO, THREE = u64(2), u64(3)


class Bases(NamedTuple):
    """What the addresses of P pages are resolved against, as in ``links.Base``: scheme and origin are the beginnings of the folder.

    A page without a simple base has an empty folder.
    """

    folders: UInt8[np.ndarray, " B"]
    folder_offsets: Int64[np.ndarray, " P1"]
    scheme_sizes: Int64[np.ndarray, " P"]
    origin_sizes: Int64[np.ndarray, " P"]


def bases_of(bases: Sequence[Base]) -> Bases:
    """Bases as columns."""
    folders = from_python([base.folder or "" for base in bases])
    schemes, origins = (np.array([len(getattr(base, name) or "") for base in bases], np.int64) for name in ("scheme", "origin"))
    return Bases(folders.data, folders.offsets, schemes, origins)


@compiled
def clean_texts(
    data: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    out: UInt8[np.ndarray, " B"],
    out_offsets: Int32[np.ndarray, " N1"],
    is_unicode: Bool[np.ndarray, " N"],
) -> None:
    """Write texts as ``links.clean_text`` gives them, with question marks for surrogates; in place, those with one are not Unicode."""
    o = out_offsets[0] = ZERO
    for row in range(u64(len(is_unicode))):
        i, end = u64(offsets[row]), u64(offsets[row + ONE])
        while i < end:
            code, size = checked_code_point(data, i, end)
            if not _is_blank(code):
                break
            i += size
        while end > i:
            last = end - ONE
            while last > i and u64(data[last]) & u64(0xC0) == u64(0x80):
                last -= ONE
            if not _is_blank(checked_code_point(data, last, end)[0]):
                break
            end = last
        while i < end:
            byte = u64(data[i])
            if byte in (NEWLINE, BREAK):
                out[o] = np.uint8(SPACE)
                i += u64(byte == BREAK and u64(data[i + ONE]) == NEWLINE)  # a text does not end with a line break
            elif byte == SURROGATE_LEAD and u64(data[i + ONE]) >= FIRST_SURROGATE:
                out[o] = REPLACEMENT
                is_unicode[row] = False
                i += TWO
            else:
                out[o] = np.uint8(byte)
            i += ONE
            o += ONE
        out_offsets[row + ONE] = np.int32(o)


@inlined
def _is_blank(code: np.uint64) -> bool | np.bool_:
    if SPACE < code < u64(0x85):
        return False
    found = False
    for blank in BLANK_CODES:
        found |= code == blank
    return found


@compiled
def resolve_plain(
    data: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    pages: Int64[np.ndarray, " N"],
    bases: Bases,
    out: UInt8[np.ndarray, " U"],
    out_offsets: Int32[np.ndarray, " N1"],
    kinds: Int8[np.ndarray, " N"],
    is_unicode: Bool[np.ndarray, " N"],
) -> None:
    """Write the plain ones of addresses as ``links.web_address`` gives them, and nothing for the others.

    Eight arguments: two columns of strings are two arrays each.

    Args:
        pages: which page each is on.
        out: with room for the addresses, and the folder of its page for each.
        kinds: filled in.
        is_unicode: in place, addresses with a surrogate are not.
    """
    o = out_offsets[0] = ZERO
    for row in range(u64(len(kinds))):
        start, end = u64(offsets[row]), u64(offsets[row + ONE])
        while start < end and u64(data[start]) <= SPACE:
            start += ONE
        while start < end and u64(data[end - ONE]) <= SPACE:
            end -= ONE
        page, head, folder = u64(pages[row]), ZERO, u64(bases.folder_offsets[u64(pages[row])])
        kinds[row] = CAREFUL
        if _is_data(data, start, end):
            kinds[row] = DATA
        elif not _is_printable(data, start, end):
            is_unicode[row] &= not _has_surrogate(data, start, end)
        elif _is_whole(data, start, end):
            kinds[row] = PLAIN
        elif u64(bases.folder_offsets[page + ONE]) > folder and not _needs_care(data, start, end):
            kinds[row] = PLAIN
            if u64(data[start]) != SLASH:
                head = u64(bases.folder_offsets[page + ONE]) - folder
            elif start + ONE == end or u64(data[start + ONE]) != SLASH:
                head = u64(bases.origin_sizes[page])
            else:
                head = u64(bases.scheme_sizes[page])
        if kinds[row] == PLAIN:
            for i in range(head):
                out[o + i] = bases.folders[folder + i]
            o += head
            for i in range(end - start):
                out[o + i] = data[start + i]
            o += end - start
        out_offsets[row + ONE] = np.int32(o)


@inlined
def _is_printable(data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64) -> bool | np.bool_:
    """Whether an address is printable ASCII, without spaces."""
    found = True
    for i in range(start, end):
        found &= np.uint8(0x21) <= data[i] <= np.uint8(0x7E)
    return found


@inlined
def _needs_care(data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64) -> bool | np.bool_:
    """Whether a printable address is more than a piece to append to the page's (``links.NEEDS_CARE``)."""
    if start == end:
        return True
    first = u64(data[start])
    has_host = first == SLASH and end - start > ONE and u64(data[start + ONE]) == SLASH
    found = first in (DOT, QUESTION, HASH, SEMICOLON)
    if has_host:
        found |= end - start == TWO or u64(data[start + TWO]) in (SLASH, QUESTION, HASH, COLON)
    may_be_scheme, is_path, before = True, True, ZERO
    for i in range(start, end):
        byte = u64(data[i])
        if byte in (SLASH, QUESTION, HASH):
            found |= before == DOT or (byte == SLASH and before == SLASH and is_path and first != SLASH)
            found |= byte != SLASH and (before == SEMICOLON or (before == QUESTION and byte == HASH))
            may_be_scheme = False
            is_path &= byte == SLASH
        elif byte in (COLON, SEMICOLON):
            found |= may_be_scheme if byte == COLON else before == DOT
        elif byte in (OPEN_BRACKET, CLOSE_BRACKET):
            found |= has_host
        before = byte
    return found or before in (DOT, QUESTION, HASH, SEMICOLON)


@inlined
def _is_whole(data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64) -> bool:
    """Whether a printable address is a complete URL (``links.WHOLE``)."""
    for letter in HTTP:
        if start >= end or u64(data[start]) != letter:
            return False
        start += ONE
    if start < end and u64(data[start]) == u64(ord("s")):
        start += ONE
    if start + THREE >= end or u64(data[start]) != COLON or u64(data[start + ONE]) != SLASH or u64(data[start + TWO]) != SLASH:
        return False
    return u64(data[start + THREE]) not in (SLASH, QUESTION, HASH, COLON)


@inlined
def _is_data(data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64) -> bool | np.bool_:
    """Whether an address begins with ``data:``, in letters of any case; tabs and line breaks do not count."""
    for letter in DATA_SCHEME:
        while start < end and u64(data[start]) in (TAB, NEWLINE, BREAK):
            start += ONE
        if start >= end or u64(data[start]) | u64(0x20) != letter:
            return False
        start += ONE
    while start < end and u64(data[start]) in (TAB, NEWLINE, BREAK):
        start += ONE
    return start < end and u64(data[start]) == COLON


@inlined
def _has_surrogate(data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64) -> bool | np.bool_:
    found = False
    for i in range(start, end):
        found |= u64(data[i]) == SURROGATE_LEAD and u64(data[i + ONE]) >= FIRST_SURROGATE
    return found
