"""The compiled counting: texts into tables of words and of pairs of words.

A word is looked up by its hash and confirmed by its bytes; words are numbered in order of first occurrence. A pair is two such numbers and
what is between the words, in one 64-bit key. Tables have a fixed size: the kernel stops at a break in the text when they might not have
room for the text up to the next break, and continues from there once its caller has made room.

A pair is not added at once but after a few dozen more, and its slot is prefetched as soon as it is known: nearly every pair is in another
cache line, and the processor would wait for each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.core.hashing import SPREAD, first_slot
from tallyclip.core.machine import prefetch
from tallyclip.core.utf8 import code_point, size_of
from tallyclip.lists.ngrams.characters import BLANK, BREAK, EDGE, JOINT, WORD
from tallyclip.lists.ngrams.reference import LONGEST_STRETCH, LONGEST_WORD

# The bits of a pair's key below those of its first word: the second word, and what is between them (an index of ``BETWEEN``).
SECOND_BITS, BETWEEN_BITS = 30, 2

# The most text between two breaks: the stretch, and one more word that begins in it.
ROOM_BYTES = LONGEST_STRETCH + 2 * LONGEST_WORD
ROOM_WORDS = ROOM_BYTES // 2

WORDS_USED, ARENA_USED, PAIRS_USED, TOTAL, PENDING, ROW, POSITION, STATE_SIZE = range(8)
PENDING_PAIRS = 64

PRIME = u64(0x100000001B3)  # FNV-1a's
BASIS = u64(0xCBF29CE484222325)
HIGH = u64(0xFFFF_FFFF_0000_0000)
LOW = u64(0xFFFF_FFFF)
NOWHERE = u64(0xFFFF_FFFF_FFFF_FFFF)
LONGEST = u64(LONGEST_WORD)
STRETCH = u64(LONGEST_STRETCH)


class CountTables(NamedTuple):
    """At most W words, numbered from 1 in order of first occurrence; S and P are powers of two, and at most 7/10 of the slots are used."""

    word_slots: UInt64[np.ndarray, " S"]  # high half of the hash, and number
    hashes: UInt64[np.ndarray, " W"]
    starts: UInt64[np.ndarray, " W"]  # word n is arena[starts[n]:starts[n + 1]]
    counts: Int64[np.ndarray, " W"]
    arena: UInt8[np.ndarray, " A"]
    pair_slots: UInt64[np.ndarray, " 2*P"]  # a pair table (core/hashing.py) of keys and counts
    pending: UInt64[np.ndarray, " PENDING_PAIRS"]
    state: UInt64[np.ndarray, " STATE_SIZE"]


@compiled
def count_texts(
    data: UInt8[np.ndarray, " B"], offsets: Int64[np.ndarray, " N1"], classes: UInt8[np.ndarray, " C"], tables: CountTables
) -> bool:
    """Count from the row and position in the state until all texts are done, or the tables may be too small for what comes next.

    Returns whether all texts are done.
    """
    state = tables.state
    rows = u64(len(offsets)) - ONE
    row, position = state[ROW], state[POSITION]
    while row < rows:
        end = u64(offsets[row + ONE])
        position = max(position, u64(offsets[row]))
        if not _has_room(tables):
            state[ROW], state[POSITION] = row, position
            return False
        piece = stretch = position
        word_start, word_end = NOWHERE, position
        separator, between = NOWHERE, u64(BREAK)  # the position and the class of the character before the piece
        previous, previous_end = ZERO, NOWHERE
        while True:
            kind, width = u64(BREAK), ONE
            if position < end:
                kind, width = _character(data, position, end, classes)
            if kind <= u64(EDGE):
                if kind == u64(WORD):
                    if word_start == NOWHERE:
                        word_start = position
                    word_end = position + width
                position += width
                continue
            if word_start != NOWHERE:
                word = ZERO
                if word_end - word_start <= LONGEST:
                    word = _add_word(data, word_start, word_end, tables)
                    tables.counts[word] += 1
                    state[TOTAL] += ONE
                    if previous != ZERO and word_start == piece and previous_end == separator and between != u64(BREAK):
                        _add_pair(_pair_key(previous, word, between), tables)
                previous, previous_end = word, word_end
                word_start = NOWHERE
            if position >= end:
                break
            separator, between = position, kind
            position += width
            piece = position
            if kind == u64(BREAK) or position - stretch > STRETCH:
                previous, between, stretch = ZERO, u64(BREAK), position
                if not _has_room(tables):
                    state[ROW], state[POSITION] = row, position
                    return False
        row += ONE
        position = ZERO
    flush(tables)
    state[ROW], state[POSITION] = ZERO, ZERO
    return True


@inlined
def _character(
    data: UInt8[np.ndarray, " B"], position: np.uint64, end: np.uint64, classes: UInt8[np.ndarray, " C"]
) -> tuple[np.uint64, np.uint64]:
    """The class of the character at a position, and how many bytes it has."""
    first = u64(data[position])
    if first < u64(0x80):
        return u64(classes[first]), ONE
    width = size_of(first)
    if position + width > end:  # not valid UTF-8
        return u64(WORD), ONE
    return u64(classes[min(code_point(data, position, width), u64(len(classes)) - ONE)]), width


@inlined
def _pair_key(first: np.uint64, second: np.uint64, between: np.uint64) -> np.uint64:
    middle = ZERO if between == u64(BLANK) else ONE if between == u64(JOINT) else u64(2)
    return (first << u64(SECOND_BITS + BETWEEN_BITS)) | (second << u64(BETWEEN_BITS)) | middle


@inlined
def _has_room(tables: CountTables) -> bool:
    state = tables.state
    return (
        state[WORDS_USED] + u64(ROOM_WORDS) < u64(len(tables.counts)) - ONE
        and state[ARENA_USED] + u64(ROOM_BYTES) < u64(len(tables.arena))
        and (state[PAIRS_USED] + u64(PENDING_PAIRS + ROOM_WORDS)) * u64(10) < u64(len(tables.pair_slots) // 2) * u64(7)
    )


@inlined
def _add_word(data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: CountTables) -> np.uint64:
    """The number of a word, a new one if the word is new."""
    state, slots, arena = tables.state, tables.word_slots, tables.arena
    hashed = BASIS
    for i in range(start, end):
        hashed = (hashed ^ u64(data[i])) * PRIME
    hashed ^= hashed >> u64(32)
    hashed *= SPREAD
    hashed ^= hashed >> u64(29)
    last = u64(len(slots)) - ONE
    place = hashed & last
    while slots[place] != ZERO:
        if (slots[place] ^ hashed) & HIGH == ZERO:
            number = slots[place] & LOW
            if tables.starts[number + ONE] - tables.starts[number] == end - start:
                at, same = tables.starts[number], True
                for i in range(end - start):
                    if arena[at + i] != data[start + i]:
                        same = False
                        break
                if same:
                    return number
        place = (place + ONE) & last
    number = state[WORDS_USED] + ONE
    used = state[ARENA_USED]
    slots[place] = (hashed & HIGH) | number
    tables.hashes[number] = hashed
    tables.starts[number] = used
    tables.counts[number] = 0
    for i in range(end - start):
        arena[used + i] = data[start + i]
    tables.starts[number + ONE] = used + end - start
    state[WORDS_USED] = number
    state[ARENA_USED] = used + end - start
    return number


@inlined
def _add_pair(key: np.uint64, tables: CountTables) -> None:
    state = tables.state
    prefetch(tables.pair_slots, first_slot(tables.pair_slots, key))
    tables.pending[state[PENDING]] = key
    state[PENDING] += ONE
    if state[PENDING] == u64(PENDING_PAIRS):
        flush(tables)


@compiled
def flush(tables: CountTables) -> None:
    """Add the pending pairs."""
    for i in range(tables.state[PENDING]):
        _add_to_pair(tables.pair_slots, tables.pending[i], ONE, tables.state)
    tables.state[PENDING] = ZERO


@inlined
def _add_to_pair(slots: UInt64[np.ndarray, " 2*P"], key: np.uint64, count: np.uint64, state: UInt64[np.ndarray, " STATE_SIZE"]) -> None:
    last = u64(len(slots)) - u64(2)
    place = first_slot(slots, key)
    while slots[place] != key:
        if slots[place] == ZERO:
            slots[place] = key
            state[PAIRS_USED] += ONE
            break
        place = (place + u64(2)) & last
    slots[place + ONE] += count


@compiled
def add_counted(
    data: UInt8[np.ndarray, " B"], offsets: Int64[np.ndarray, " N1"], counts: Int64[np.ndarray, " N"], first: np.uint64, tables: CountTables
) -> np.uint64:
    """Add strings with given counts, each as one word, from ``first`` on; returns the first for which there is no room."""
    for row in range(first, u64(len(counts))):
        if not _has_room(tables):
            return u64(row)
        start, end = u64(offsets[row]), u64(offsets[row + ONE])
        if end - start <= LONGEST and start < end:
            tables.counts[_add_word(data, start, end, tables)] += counts[row]
            tables.state[TOTAL] += u64(counts[row])
    return u64(len(counts))


@compiled
def add_counted_pairs(
    data: UInt8[np.ndarray, " B"], offsets: Int64[np.ndarray, " N1"], counts: Int64[np.ndarray, " N"], first: np.uint64, tables: CountTables
) -> np.uint64:
    """Add pairs with given counts: strings 2i and 2i + 1 with a blank between them. The words themselves are not counted."""
    for row in range(first, u64(len(counts))):
        if not _has_room(tables):
            return u64(row)
        one, middle, end = u64(offsets[u64(2) * row]), u64(offsets[u64(2) * row + ONE]), u64(offsets[u64(2) * row + u64(2)])
        if one < middle and middle < end and middle - one <= LONGEST and end - middle <= LONGEST:
            left = _add_word(data, one, middle, tables)
            right = _add_word(data, middle, end, tables)
            _add_to_pair(tables.pair_slots, _pair_key(left, right, u64(BLANK)), u64(counts[row]), tables.state)
    return u64(len(counts))


@compiled
def place_words(tables: CountTables) -> None:
    """Fill the empty slots of words from the list of words."""
    slots = tables.word_slots
    last = u64(len(slots)) - ONE
    for number in range(ONE, tables.state[WORDS_USED] + ONE):
        hashed = tables.hashes[number]
        place = hashed & last
        while slots[place] != ZERO:
            place = (place + ONE) & last
        slots[place] = (hashed & HIGH) | number


@compiled
def move_pairs(old: UInt64[np.ndarray, " O"], tables: CountTables) -> None:
    """Fill the empty slots of pairs from a smaller table."""
    for place in range(ZERO, u64(len(old)), u64(2)):
        if old[place] != ZERO:
            _add_to_pair(tables.pair_slots, old[place], old[place + ONE], tables.state)


@compiled
def rank_pairs(slots: UInt64[np.ndarray, " 2*P"], rank: UInt64[np.ndarray, " W1"]) -> np.uint64:
    """Move all pairs to the front of their table, with ranks of words instead of numbers; returns how many there are."""
    used = ZERO
    for place in range(ZERO, u64(len(slots)), u64(2)):
        if slots[place] != ZERO:
            slots[used] = rename(slots[place], rank)
            slots[used + ONE] = slots[place + ONE]
            used += u64(2)
    return used >> ONE


@inlined
def rename(key: np.uint64, names: np.ndarray) -> np.uint64:
    """The key of the same pair if word n gets the number ``names[n]``."""
    low = u64(SECOND_BITS + BETWEEN_BITS)
    first = u64(names[key >> low])
    second = u64(names[(key >> u64(BETWEEN_BITS)) & ((ONE << u64(SECOND_BITS)) - ONE)])
    return (first << low) | (second << u64(BETWEEN_BITS)) | (key & ((ONE << u64(BETWEEN_BITS)) - ONE))
