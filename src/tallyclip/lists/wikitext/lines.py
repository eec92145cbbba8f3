"""Rule 7: markup in a line or at its ends; entities are in entities.py."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.lists.wikitext.entities import decode_entity
from tallyclip.lists.wikitext.signs import (
    AMPERSAND,
    APOSTROPHE,
    BRACE,
    BRACE_END,
    CLOSING,
    COLON,
    COMMA,
    EQUALS,
    GAP,
    HYPHEN,
    NEWLINE,
    OPENING,
    PIPE,
    SEMICOLON,
    THREE,
    TWO,
    UNDERSCORE,
    copier,
    end_text,
    finder,
    is_list_marker,
    is_narrow,
    put,
    run_end,
)
from tallyclip.lists.wikitext.tables import MarkupTables

find_line_end = finder("\n\3")
copy_to_sign = copier("\n\3'_{}[](&")


@compiled
def without_line_markup(
    source: UInt8[np.ndarray, " B"], size: np.uint64, tables: MarkupTables, target: UInt8[np.ndarray, " B"]
) -> np.uint64:
    """Rule 7."""
    i = o = ZERO
    while True:
        line_end = find_line_end(source, i)
        start, end = _trimmed(source, i, line_end)
        o = _without_inline_markup(source, start, end, tables, target, o)
        i = line_end + ONE
        if i > size:
            return end_text(target, o)
        o = put(target, o, NEWLINE)


@inlined
def _trimmed(source: UInt8[np.ndarray, " B"], i: np.uint64, end: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Where a line begins and ends without the markup at its ends."""
    while i < end and (is_narrow(u64(source[i])) or is_list_marker(u64(source[i]))):
        i += ONE
    while i < end and is_narrow(u64(source[end - ONE])):
        end -= ONE
    if i == end:
        return i, end
    byte = u64(source[i])
    following = u64(source[i + ONE]) if i + ONE < end else ZERO
    if (byte == BRACE and following == PIPE) or (byte == PIPE and following == HYPHEN):
        i = end
    elif byte == PIPE and following == BRACE_END:
        i += TWO
    elif byte == EQUALS and u64(source[end - ONE]) == EQUALS:
        while i < end and u64(source[i]) == EQUALS:
            i += ONE
        while i < end and u64(source[end - ONE]) == EQUALS:
            end -= ONE
    elif byte == HYPHEN:
        rule_end = min(end, run_end(source, i, HYPHEN))
        if rule_end - i > THREE:
            i = rule_end
    return i, end


@inlined
def _without_inline_markup(
    source: UInt8[np.ndarray, " B"], i: np.uint64, end: np.uint64, tables: MarkupTables, target: UInt8[np.ndarray, " B"], o: np.uint64
) -> np.uint64:
    """Write a part of a line without markup; returns where to write next."""
    while i < end:
        i, o = copy_to_sign(source, i, target, o)
        if i >= end:
            return o - (i - end)
        sign = u64(source[i])
        found = ZERO  # how many bytes of markup begin here
        if sign == AMPERSAND:
            found, written = decode_entity(source, i, end, tables, target, o)
            o += written
        elif sign == UNDERSCORE:
            found = _magic_word(source, i, end)
            if found > ZERO:
                o = put(target, o, GAP)
        elif sign == OPENING:
            found, kept = _emptied_parentheses(source, i, end)
            if found > ZERO:
                o = put(target, o, kept)
        else:
            found = min(end, run_end(source, i, sign)) - i
            if found == ONE:
                found = ZERO
            elif sign != APOSTROPHE:
                o = put(target, o, GAP)
            elif found == u64(4):
                o = put(target, o, APOSTROPHE)
            elif found > u64(5):
                for _ in range(found - u64(5)):
                    o = put(target, o, APOSTROPHE)
        if found == ZERO:
            o = put(target, o, sign)
            found = ONE
        i += found
    return o


@compiled
def _magic_word(source: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64) -> np.uint64:
    """The length of a word like __TOC__ at ``start``, or 0 if there is none."""
    if end - start < u64(5) or u64(source[start + ONE]) != UNDERSCORE:
        return ZERO
    i = start + TWO
    while True:
        part = i
        while i < end and (u64(0x41) <= u64(source[i]) <= u64(0x5A) or u64(source[i]) >= u64(0x80)):
            i += ONE
        if i == part or i >= end or u64(source[i]) != UNDERSCORE:
            return ZERO
        i += ONE
        if i < end and u64(source[i]) == UNDERSCORE:
            return i + ONE - start


@compiled
def _emptied_parentheses(source: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64) -> tuple[np.uint64, np.uint64]:
    """How many bytes to remove from a parenthesis with a GAP in it and no word, or 0; and what to write: the parenthesis, or a GAP."""
    i = start + ONE
    has_gap = False
    while i < end:
        byte = u64(source[i])
        if not (is_narrow(byte) or byte in (COMMA, SEMICOLON, COLON, APOSTROPHE)):
            break
        has_gap |= byte == GAP
        i += ONE
    if not has_gap:
        return ZERO, OPENING
    if i < end and u64(source[i]) == CLOSING:
        return i + ONE - start, GAP
    return i - start, OPENING
