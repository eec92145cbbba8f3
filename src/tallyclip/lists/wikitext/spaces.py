"""Rule 8: blanks and line breaks between words, and in place of removed markup."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.lists.wikitext.signs import (
    BLANK,
    CLOSING,
    COLON,
    COMMA,
    EXCLAMATION,
    GAP,
    NEWLINE,
    QUESTION,
    SEMICOLON,
    STOP,
    is_digit,
    is_letter,
    put,
)
from tallyclip.lists.wikitext.tables import MarkupTables


@compiled
def spaced(source: UInt8[np.ndarray, " B"], size: np.uint64, tables: MarkupTables, out: UInt8[np.ndarray, " C"], o: np.uint64) -> np.uint64:
    """Rule 8, written to the output from ``o`` on; returns where the text ends in it."""
    table = tables.last_pass
    start = o
    i = ZERO
    while i < size:
        byte = table[source[i]]
        if byte != 0:
            out[o] = byte
            o += ONE
            i += ONE
            continue
        breaks = blanks = gaps = ZERO
        while i < size and table[source[i]] == 0:
            sign = u64(source[i])
            breaks += u64(sign == NEWLINE)
            blanks += u64(sign == BLANK)
            gaps += u64(sign == GAP)
            i += ONE
        if i >= size or o == start:
            continue
        if breaks > ZERO:
            o = put(out, o, NEWLINE)
            if breaks > ONE:
                o = put(out, o, NEWLINE)
        elif gaps == ZERO:
            if blanks > ZERO:
                o = put(out, o, BLANK)
        elif _wants_blank(out, start, o, u64(table[source[i]]), u64(source[i + ONE]), blanks > ZERO):
            o = put(out, o, BLANK)
    return o


@inlined
def _wants_blank(
    out: UInt8[np.ndarray, " C"], start: np.uint64, o: np.uint64, right: np.uint64, following: np.uint64, has_blank: np.bool_
) -> bool | np.bool_:
    """Whether to write a blank where something was removed."""
    if right in (COMMA, STOP, COLON, SEMICOLON, EXCLAMATION, QUESTION, CLOSING):
        return False
    lead = o - ONE
    while lead > start and o - lead < u64(4) and u64(out[lead]) & u64(0xC0) == u64(0x80):
        lead -= ONE
    return has_blank or (_is_word(u64(out[lead]), u64(out[lead + ONE]) if lead + ONE < o else ZERO) and _is_word(right, following))


@inlined
def _is_word(lead: np.uint64, second: np.uint64) -> bool | np.bool_:
    """Whether a character of words begins with these bytes: not one from U+2000 to U+303F or U+E000 to U+FFFF, mostly punctuation."""
    if lead < u64(0xC3):
        return is_letter(lead) or is_digit(lead)
    return not (lead == u64(0xE2) or (lead == u64(0xE3) and second == u64(0x80)) or lead == u64(0xEE) or lead == u64(0xEF))
