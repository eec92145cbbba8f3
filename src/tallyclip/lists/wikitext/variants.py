"""Rule 4: markup for conversion in wikis with two scripts."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.lists.wikitext.signs import (
    BLANK,
    BRACE,
    BRACE_END,
    COLON,
    GAP,
    HYPHEN,
    NEWLINE,
    PIPE,
    SEMICOLON,
    THREE,
    TWO,
    copier,
    copy,
    end_text,
    is_letter,
    put,
    run_end,
)

LETTER_H, LETTER_T, LETTER_Z = (u64(ord(letter)) for letter in "HTz")
SMALL_H = LETTER_H | u64(0x20)

copy_to_hyphen = copier("-")


@compiled
def without_variants(source: UInt8[np.ndarray, " B"], size: np.uint64, target: UInt8[np.ndarray, " B"]) -> np.uint64:
    """Rule 4."""
    i = o = ZERO
    while True:
        i, o = copy_to_hyphen(source, i, target, o)
        if i >= size:
            return end_text(target, o)
        start = end = i + TWO
        if u64(source[i + ONE]) == BRACE:
            while u64(source[end]) not in (ZERO, NEWLINE, BRACE, BRACE_END):
                end += ONE
        if u64(source[i + ONE]) != BRACE or u64(source[end]) != BRACE_END or u64(source[end + ONE]) != HYPHEN:
            o = put(target, o, HYPHEN)
            i += ONE
            continue
        i = end + TWO
        content, is_hidden = _after_flags(source, start)
        if is_hidden:
            o = put(target, o, GAP)
            continue
        start = _after_code(source, content)
        if start > content:
            variant_end = start
            while variant_end < end and u64(source[variant_end]) != SEMICOLON:
                variant_end += ONE
            end = variant_end
            while start < end and u64(source[start]) == BLANK:
                start += ONE
            while start < end and u64(source[end - ONE]) == BLANK:
                end -= ONE
        o = copy(source, start, end, target, o)


@compiled
def _after_flags(source: UInt8[np.ndarray, " B"], start: np.uint64) -> tuple[np.uint64, bool]:
    """Where the content after optional flags begins, and whether the flags hide it."""
    i = start
    is_hidden = False
    signs = hyphens = ZERO
    byte = u64(source[i])
    while is_letter(byte) or byte in (SEMICOLON, BLANK, HYPHEN):
        is_hidden |= byte in (LETTER_T, LETTER_H)
        signs += u64(byte != BLANK)
        hyphens += u64(byte == HYPHEN)
        i += ONE
        byte = u64(source[i])
    if byte != PIPE:
        return start, False
    return i + ONE, is_hidden or (signs == ONE and hyphens == ONE)


@compiled
def _after_code(source: UInt8[np.ndarray, " B"], start: np.uint64) -> np.uint64:
    """Where a variant begins after its code and colon; ``start`` if it has no code."""
    code = run_end(source, start, BLANK)
    i = code
    while _is_small(u64(source[i])):
        i += ONE
    letters = i - code
    if u64(source[i]) == HYPHEN and letters in (TWO, THREE):
        more = i + ONE
        while _is_small(u64(source[more])) or u64(source[more]) == HYPHEN:
            more += ONE
        if more == i + ONE:
            return start
        i = more
    elif letters != TWO or u64(source[code]) != LETTER_Z or u64(source[code + ONE]) != SMALL_H:
        return start
    i = run_end(source, i, BLANK)
    return i + ONE if u64(source[i]) == COLON else start


@inlined
def _is_small(byte: np.uint64) -> np.bool_:
    return u64(0x61) <= byte <= u64(0x7A)
