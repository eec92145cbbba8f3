"""What the passes share: the signs they search for, and how they get from one to the next.

``i`` is the position where a pass reads, ``o`` where it writes. Every text ends with a zero byte, which the first pass removes everywhere
else, so that no look-ahead needs to check for the end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from tallyclip.core.compiled import ONE, inlined, u64
from tallyclip.core.machine import byte_mask, trailing_zeros
from tallyclip.lists.wikitext import reference

STEP = 64  # bytes compared at once
PAD = 2 * STEP
TWO, THREE = u64(2), u64(3)
GAP, JOIN, BREAK = u64(reference.GAP[0]), u64(reference.JOIN[0]), u64(reference.BREAK[0])
NEWLINE, BLANK, EXCLAMATION, QUOTE, HASH, AMPERSAND, APOSTROPHE = (u64(ord(sign)) for sign in "\n !\"#&'")
OPENING, CLOSING, STAR, COMMA, HYPHEN, STOP, SLASH = (u64(ord(sign)) for sign in "()*,-./")
COLON, SEMICOLON, LESS, EQUALS, MORE, QUESTION = (u64(ord(sign)) for sign in ":;<=>?")
BRACKET, BRACKET_END, UNDERSCORE, BRACE, PIPE, BRACE_END = (u64(ord(sign)) for sign in "[]_{|}")

Find = Callable[[UInt8[np.ndarray, " B"], np.uint64], np.uint64]
Copy = Callable[[UInt8[np.ndarray, " B"], np.uint64, UInt8[np.ndarray, " B"], np.uint64], tuple[np.uint64, np.uint64]]


def finder(signs: str) -> Find:
    """A function that finds the next of some signs, or the end."""
    mask = byte_mask(signs + "\0")

    @inlined
    def find(source: UInt8[np.ndarray, " B"], i: np.uint64) -> np.uint64:
        while True:
            step = trailing_zeros(mask(source, i))
            i += step
            if step < u64(STEP):
                return i

    return find


def copier(signs: str) -> Copy:
    """A function that copies up to the next of some signs, or the end, and returns where to read and where to write next."""
    mask = byte_mask(signs + "\0")

    @inlined
    def copy_to(
        source: UInt8[np.ndarray, " B"], i: np.uint64, target: UInt8[np.ndarray, " B"], o: np.uint64
    ) -> tuple[np.uint64, np.uint64]:
        while True:
            for k in range(u64(STEP)):
                target[o + k] = source[i + k]  # bytes after the sign will be overwritten
            step = trailing_zeros(mask(source, i))
            i += step
            o += step
            if step < u64(STEP):
                return i, o

    return copy_to


@inlined
def put(target: UInt8[np.ndarray, " B"], o: np.uint64, sign: np.uint64) -> np.uint64:
    """Write a sign; returns where to write next."""
    target[o] = np.uint8(sign)
    return o + ONE


@inlined
def copy(source: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, target: UInt8[np.ndarray, " B"], o: np.uint64) -> np.uint64:
    """Copy from ``start`` to ``end``; returns where to write next."""
    for k in range(end - start):
        target[o + k] = source[start + k]
    return o + end - start


@inlined
def end_text(target: UInt8[np.ndarray, " B"], o: np.uint64) -> np.uint64:
    """Write zeros after the text that a pass has written; returns its size."""
    for k in range(u64(STEP)):
        target[o + k] = np.uint8(0)
    return o


@inlined
def run_end(source: UInt8[np.ndarray, " B"], i: np.uint64, sign: np.uint64) -> np.uint64:
    """Where a run of one sign ends."""
    while u64(source[i]) == sign:
        i += ONE
    return i


@inlined
def lower(byte: np.uint64) -> np.uint64:
    """ASCII letters in lower case."""
    return byte | u64(0x20) if u64(0x41) <= byte <= u64(0x5A) else byte


@inlined
def is_letter(byte: np.uint64) -> np.bool_:
    """Whether it is an ASCII letter."""
    return u64(0x61) <= byte | u64(0x20) <= u64(0x7A)


@inlined
def is_digit(byte: np.uint64) -> np.bool_:
    """Whether it is an ASCII digit."""
    return u64(0x30) <= byte <= u64(0x39)


@inlined
def is_narrow(byte: np.uint64) -> bool:
    """Whether it is a blank or a GAP."""
    return byte in (BLANK, GAP)


@inlined
def is_list_marker(byte: np.uint64) -> bool:
    """Whether it makes a line an item of a list."""
    return byte in (COLON, SEMICOLON, STAR, HASH)


@inlined
def is_fresh(target: UInt8[np.ndarray, " B"], known: np.uint64, o: np.uint64, fresh: bool, markers: bool) -> bool:
    """Whether the line written so far has only blanks and GAPs, and list markers if they are allowed.

    Args:
        target: what has been written.
        known: up to where the answer is known.
        o: where to write next.
        fresh: the answer up to ``known``.
        markers: whether list markers are allowed.
    """
    while o > known:
        o -= ONE
        byte = u64(target[o])
        if byte in (NEWLINE, BREAK):
            return True
        if not is_narrow(byte) and not (markers and is_list_marker(byte)):
            return False
    return fresh
