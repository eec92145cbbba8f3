"""Rules 1 and 2: control characters, comments and tags."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from tallyclip.compiled import ONE, ZERO, compiled, u64
from tallyclip.metadata.wikitext.signs import (
    BLANK,
    BREAK,
    EXCLAMATION,
    GAP,
    HYPHEN,
    JOIN,
    LESS,
    MORE,
    NEWLINE,
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
from tallyclip.metadata.wikitext.tables import BREAKING, DROPPED, NOWIKI, Tables, find_tag

copy_to_tag, find_less = copier("<"), finder("<")


@compiled
def without_controls(
    data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: Tables, target: UInt8[np.ndarray, " C"]
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
    source: UInt8[np.ndarray, " B"], size: np.uint64, tables: Tables, missing: UInt8[np.ndarray, " T"], target: UInt8[np.ndarray, " B"]
) -> np.uint64:
    """Rule 2. In ``missing`` is noted which tags are closed nowhere from here on, so that the end of the text is looked for once."""
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
    """Where the name of a tag ends, and the tag; if this is none, where it would begin."""
    name_end = name
    if is_letter(u64(source[name])):
        while is_letter(u64(source[name_end])) or is_digit(u64(source[name_end])):
            name_end += ONE
    if name_end > name and u64(source[name_end]) in (BLANK, NEWLINE, SLASH, MORE):
        end = name_end
        while u64(source[end]) not in (ZERO, LESS, MORE):
            end += ONE
        if u64(source[end]) == MORE:
            return name_end, end + ONE
    return name, name


@compiled
def _find_closing(
    source: UInt8[np.ndarray, " B"], i: np.uint64, size: np.uint64, name: np.uint64, name_end: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Where the next closing tag of this name begins and ends; the size if there is none."""
    length = name_end - name
    while True:
        i = find_less(source, i)
        if i >= size:
            return size, size
        if u64(source[i + ONE]) == SLASH:
            k = ZERO
            while k < length and lower(u64(source[i + TWO + k])) == lower(u64(source[name + k])):
                k += ONE
            if k == length:
                end = i + TWO + length
                while u64(source[end]) in (BLANK, NEWLINE):
                    end += ONE
                if u64(source[end]) == MORE:
                    return i, end + ONE
        i += ONE
