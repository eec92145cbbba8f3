"""UTF-8 in compiled code: how long a character is, and which code point; whether bytes are UTF-8; and writing it."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.core.machine import load_u64


@inlined
def size_of(lead: np.uint64) -> np.uint64:
    """How many bytes a character has that begins with this byte, which is not ASCII."""
    return u64(2) if lead < u64(0xE0) else u64(3) if lead < u64(0xF0) else u64(4)


@inlined
def code_point(data: UInt8[np.ndarray, " B"], place: np.uint64, size: np.uint64) -> np.uint64:
    """The code point of the character of two to four bytes at a place, of which nothing is checked."""
    code = u64(data[place]) & (u64(0x7F) >> size)
    for i in range(ONE, size):
        code = (code << u64(6)) | (u64(data[place + i]) & u64(0x3F))
    return code


@inlined
def checked_code_point(data: UInt8[np.ndarray, " B"], place: np.uint64, end: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The code point of the character at a place, and its bytes; code point 0 of one byte where no character begins or is cut off.

    Surrogates are characters, as in ``strings.py``.
    """
    lead = u64(data[place])
    if lead < u64(0x80):
        return lead, ONE
    size = size_of(lead)
    if lead < u64(0xC2) or lead > u64(0xF4) or place + size > end:
        return ZERO, ONE
    code = lead & (u64(0x7F) >> size)
    for i in range(ONE, size):  # checked byte by byte: two loops, with `code_point` as the second, take 5% longer
        byte = u64(data[place + i])
        if byte & u64(0xC0) != u64(0x80):
            return ZERO, ONE
        code = (code << u64(6)) | (byte & u64(0x3F))
    smallest = u64(0x80) if size == u64(2) else u64(0x800) if size == u64(3) else u64(0x10000)
    if code < smallest or code > u64(0x10FFFF):
        return ZERO, ONE
    return code, size


@compiled
def is_utf8(data: UInt8[np.ndarray, " B"], place: np.uint64, end: np.uint64) -> bool | np.bool_:
    """Whether the bytes between two places are UTF-8, of which surrogates are none."""
    while place < end:
        if place + u64(8) <= end and load_u64(data, place) & u64(0x8080808080808080) == ZERO:
            place += u64(8)
            continue
        code, size = checked_code_point(data, place, end)
        if u64(data[place]) >= u64(0x80) and (code == ZERO or u64(0xD800) <= code < u64(0xE000)):
            return False
        place += size
    return True


@inlined
def put_character(code: np.uint64, target: UInt8[np.ndarray, " T"], o: np.uint64) -> np.uint64:
    """Write a code point; returns how many bytes it has."""
    if code < u64(0x80):
        target[o] = np.uint8(code)
        return ONE
    more = ONE if code < u64(0x800) else u64(2) if code < u64(0x10000) else u64(3)
    lead = u64(0xC0) if more == ONE else u64(0xE0) if more == u64(2) else u64(0xF0)
    target[o] = np.uint8(lead | (code >> (more * u64(6))))
    for k in range(more):
        target[o + ONE + k] = np.uint8(u64(0x80) | ((code >> ((more - ONE - k) * u64(6))) & u64(0x3F)))
    return more + ONE
