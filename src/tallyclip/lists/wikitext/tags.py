"""Rules 1 and 2: control characters, comments and tags."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.lists.wikitext.signs import (
    APOSTROPHE,
    BLANK,
    BREAK,
    EQUALS,
    EXCLAMATION,
    GAP,
    HYPHEN,
    JOIN,
    LESS,
    MORE,
    NEWLINE,
    QUOTE,
    SLASH,
    THREE,
    TWO,
    copier,
    end_text,
    finder,
    is_digit,
    is_letter,
    lower,
    put,
)
from tallyclip.lists.wikitext.tables import BREAKING, DROPPED, NOWIKI, MarkupTables, find_tag

copy_to_tag, find_less = copier("<"), finder("<")


@compiled
def without_controls(
    data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: MarkupTables, target: UInt8[np.ndarray, " C"]
) -> np.uint64:
    """Rule 1, of the text from ``start`` to ``end``; returns the size of what is left, as all passes do."""
    table = tables.first_pass
    o, i = ZERO, start
    while i < end:
        byte = u64(data[i])
        if byte == u64(0xC2) and i + ONE < end and u64(data[i + ONE]) == u64(0xA0):
            byte = BLANK
            i += ONE
        target[o] = table[byte]
        o += ONE
        i += ONE
    return end_text(target, o)


@compiled
def without_tags(
    source: UInt8[np.ndarray, " B"],
    size: np.uint64,
    tables: MarkupTables,
    missing: UInt8[np.ndarray, " T"],
    target: UInt8[np.ndarray, " B"],
) -> np.uint64:
    """Rule 2. ``missing`` marks tags without a closing tag in the rest of the text, so that each is searched for to the end only once."""
    literal, tags = tables.literal, tables.tags
    for k in range(u64(len(missing))):
        missing[k] = np.uint8(0)
    i = o = ZERO
    while True:
        i, o = copy_to_tag(source, i, target, o)
        if i >= size:
            return end_text(target, o)
        if u64(source[i + ONE]) == EXCLAMATION and u64(source[i + TWO]) == HYPHEN and u64(source[i + THREE]) == HYPHEN:
            i = _comment_end(source, i + u64(4), size)
            continue
        is_closing = u64(source[i + ONE]) == SLASH
        name = i + (TWO if is_closing else ONE)
        name_end, tag_end = _read_tag(source, name)
        if tag_end == name:
            o = put(target, o, LESS)
            i += ONE
            continue
        i = tag_end
        tag = find_tag(source, name, name_end, tags)
        if tag == u64(len(tags)):
            continue
        kind = tags[tag, TWO]
        if kind == BREAKING:
            o = put(target, o, BREAK)
            continue
        o = put(target, o, GAP if kind == DROPPED else JOIN)
        if is_closing or u64(source[tag_end - TWO]) == SLASH or missing[tag]:
            continue
        closing, closing_end = _find_closing(source, i, size, name, name_end)
        if closing == size:
            missing[tag] = np.uint8(1)
            continue
        if kind == NOWIKI:
            for k in range(i, closing):
                target[o] = literal[source[k]]
                o += ONE
            o = put(target, o, JOIN)
        i = closing_end


@compiled
def _comment_end(source: UInt8[np.ndarray, " B"], i: np.uint64, size: np.uint64) -> np.uint64:
    while i < size:
        if u64(source[i]) == HYPHEN and u64(source[i + ONE]) == HYPHEN and u64(source[i + TWO]) == MORE:
            return i + THREE
        i += ONE
    return size


@compiled
def _read_tag(source: UInt8[np.ndarray, " B"], name: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Where the name of a tag ends, and where the tag does; if there is no tag, ``name`` twice."""
    name_end = name
    if is_letter(u64(source[name])):
        while is_letter(u64(source[name_end])) or is_digit(u64(source[name_end])):
            name_end += ONE
    if name_end > name and u64(source[name_end]) in (BLANK, NEWLINE, SLASH, MORE):
        end = _tag_end(source, name, name_end)
        if end > ZERO:
            return name_end, end
        end = name_end
        while u64(source[end]) not in (ZERO, LESS, MORE):
            end += ONE
        if u64(source[end]) == MORE:
            return name_end, end + ONE
    return name, name


@compiled
def _tag_end(source: UInt8[np.ndarray, " B"], name: np.uint64, i: np.uint64) -> np.uint64:
    """Where a tag ends if all its quotes belong to values, or 0.

    A page of tags that do not end is still read in linear time. A tag inside another can only be in a value, two tags that are read
    past the same position are in different states (in no value, or in one with either quote), and no sign leads from two states to one.
    So of all tags that begin before a position, at most three are still read there.
    """
    name_end = i
    while True:
        byte = u64(source[i])
        while byte > MORE:
            i += ONE
            byte = u64(source[i])
        if byte == MORE:
            return i + ONE
        if byte in (ZERO, QUOTE, APOSTROPHE):
            return ZERO
        if byte == EQUALS:
            value = i + ONE
            while u64(source[value]) in (BLANK, NEWLINE):
                value += ONE
            if u64(source[value]) in (QUOTE, APOSTROPHE):
                i = _value_end(source, value, name, name_end)
                if i == ZERO:
                    return ZERO
                continue
        elif byte == LESS:
            i = _simple_comment_end(source, i)
            if i == ZERO:
                return ZERO
            continue
        i += ONE


@compiled
def _value_end(source: UInt8[np.ndarray, " B"], start: np.uint64, name: np.uint64, name_end: np.uint64) -> np.uint64:
    """Where the quoted value that begins at ``start`` ends, or 0."""
    quote = u64(source[start])
    i = start + ONE
    while u64(source[i]) not in (ZERO, NEWLINE, quote):
        if u64(source[i]) == LESS and u64(source[i + ONE]) == SLASH and _is_name(source, i + TWO, name, name_end):
            return ZERO
        i += ONE
    if u64(source[i]) == quote and u64(source[i + ONE]) in (BLANK, NEWLINE, SLASH, MORE):
        return i + ONE
    return ZERO


@compiled
def _simple_comment_end(source: UInt8[np.ndarray, " B"], i: np.uint64) -> np.uint64:
    """Where a comment without ``<`` and ``>`` in it ends, or 0 if there is none at ``i``."""
    if u64(source[i + ONE]) != EXCLAMATION or u64(source[i + TWO]) != HYPHEN or u64(source[i + THREE]) != HYPHEN:
        return ZERO
    start = i + u64(4)
    i = start
    while u64(source[i]) not in (ZERO, LESS, MORE):
        i += ONE
    is_end = i >= start + TWO and u64(source[i]) == MORE and u64(source[i - ONE]) == HYPHEN and u64(source[i - TWO]) == HYPHEN
    return i + ONE if is_end else ZERO


@inlined
def _is_name(source: UInt8[np.ndarray, " B"], i: np.uint64, name: np.uint64, name_end: np.uint64) -> bool:
    """Whether the name of a tag is also at ``i``."""
    k = ZERO
    while k < name_end - name and lower(u64(source[i + k])) == lower(u64(source[name + k])):
        k += ONE
    return k == name_end - name


@compiled
def _find_closing(
    source: UInt8[np.ndarray, " B"], i: np.uint64, size: np.uint64, name: np.uint64, name_end: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Where the next closing tag of this name begins and ends; the size twice if there is none."""
    while True:
        i = find_less(source, i)
        if i >= size:
            return size, size
        if u64(source[i + ONE]) == SLASH and _is_name(source, i + TWO, name, name_end):
            end = i + TWO + name_end - name
            while u64(source[end]) in (BLANK, NEWLINE):
                end += ONE
            if u64(source[end]) == MORE:
                return i, end + ONE
        i += ONE
