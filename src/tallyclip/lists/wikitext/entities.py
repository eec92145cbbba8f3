"""Entities such as ``&amp;``, a part of rule 7."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from tallyclip.core.compiled import ONE, ZERO, compiled, u64
from tallyclip.core.hashing import find_pair
from tallyclip.core.utf8 import put_character
from tallyclip.lists.wikitext.signs import BLANK, HASH, SEMICOLON, TWO, is_digit, is_letter, lower
from tallyclip.lists.wikitext.tables import MarkupTables

LETTER_X, LETTER_A, LETTER_F = (u64(ord(letter)) for letter in "xaf")
ZERO_DIGIT = u64(ord("0"))
LAST_CHARACTER = u64(0x10FFFF)


@compiled
def decode_entity(
    source: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: MarkupTables, target: UInt8[np.ndarray, " B"], o: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Write the character of an entity; returns the lengths of both, or zeros if there is no entity at ``start``."""
    if u64(source[start + ONE]) == HASH:
        code, i = _read_number(source, start + TWO, end)
    else:
        code, i = _read_name(source, start + ONE, end, tables)
    if i >= end or u64(source[i]) != SEMICOLON or not _is_character(code):
        return ZERO, ZERO
    return i + ONE - start, _encode(code, target, o)


@compiled
def _read_number(source: UInt8[np.ndarray, " B"], i: np.uint64, end: np.uint64) -> tuple[np.uint64, np.uint64]:
    """A code point, or a number that is too large for one, and where its digits end."""
    code = ZERO
    is_hex = lower(u64(source[i])) == LETTER_X
    i += u64(is_hex)
    while i < end:
        digit = lower(u64(source[i]))
        if is_digit(digit):
            digit -= ZERO_DIGIT
        elif is_hex and LETTER_A <= digit <= LETTER_F:
            digit -= LETTER_A - u64(10)
        else:
            break
        if code <= LAST_CHARACTER:
            code = code * (u64(16) if is_hex else u64(10)) + digit
        i += ONE
    return code, i


@compiled
def _read_name(source: UInt8[np.ndarray, " B"], i: np.uint64, end: np.uint64, tables: MarkupTables) -> tuple[np.uint64, np.uint64]:
    """The code point of a name, or 0, and where the name ends. No name has more than 8 bytes."""
    key, first = ZERO, i
    while i < end and i - first < u64(8) and (is_letter(u64(source[i])) or is_digit(u64(source[i]))):
        key |= u64(source[i]) << ((i - first) * u64(8))
        i += ONE
    return find_pair(tables.entities, key), i


@compiled
def _is_character(code: np.uint64) -> bool | np.bool_:
    """Whether a code point is allowed in a text: blanks and line breaks are, other controls, surrogates and noncharacters are not."""
    if code < u64(0x20):
        return code in (u64(9), u64(10), u64(13))
    if u64(0x7F) <= code < u64(0xA0) or u64(0xD800) <= code < u64(0xE000):
        return False
    return code <= LAST_CHARACTER and code not in (u64(0xFFFE), u64(0xFFFF))


@compiled
def _encode(code: np.uint64, target: UInt8[np.ndarray, " B"], o: np.uint64) -> np.uint64:
    """Write a character as UTF-8, blanks and line breaks as a space; returns how many bytes it has."""
    return put_character(BLANK if code < BLANK or code == u64(0xA0) else code, target, o)
