"""Words as 64-bit keys, and the hash table of words.

A word of up to seven bytes is its own key: its bytes and its length. A longer word's key is a hash, which a comparison of bytes must
confirm. Keys have 60 significant bits and are spread by an odd multiplication, which loses nothing; so a table of 2^b buckets needs to
store only the 60 - b bits that the bucket's number does not imply, and the rest of a 64-bit slot holds the number of the word.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8, UInt64

from tallyclip.core.compiled import ONE, ZERO, inlined, u64
from tallyclip.core.hashing import SPREAD, find_pair
from tallyclip.core.machine import find_in_bucket, load_u64

SHORT_WORD = u64(8)  # words below this length are their own key
SPREAD_2 = u64(0xD6E8FEB86659FD93)
LONG_WORD_BIT = u64(1 << 63)
KEY_BITS = u64(0xFFFF_FFFF_FFFF_FFF0)
NEVER_A_WORD = ONE  # length 0 but a byte: makes every key differ from 0, which marks a free slot
SLOTS = u64(8)  # in a bucket: 64 bytes, one cache line


@inlined
def absorb(state: np.uint64, value: np.uint64) -> np.uint64:
    """A step of the hash of a long word."""
    state = (state ^ value) * SPREAD_2
    return state ^ (state >> u64(32))


@inlined
def word_key(data: UInt8[np.ndarray, " B"], start: np.uint64, length: np.uint64, seed: np.uint64) -> np.uint64:
    """The spread key of a word; ``data`` must be readable from 8 bytes before the word to 8 bytes after its start."""
    head = load_u64(data, start)
    tail = load_u64(data, start + length - SHORT_WORD)
    short = min(length, u64(7))
    exact = (((head & ((ONE << (short << u64(3))) - ONE)) | (short << u64(56))) ^ NEVER_A_WORD) << u64(4)
    state = absorb(absorb(seed ^ length, head), tail)
    if length > u64(16):
        middle = start + u64(8)
        while middle + u64(8) < start + length:
            state = absorb(state, load_u64(data, middle))
            middle += u64(8)
    hashed = (state * SPREAD & KEY_BITS) | LONG_WORD_BIT
    return (exact if length < SHORT_WORD else hashed) * SPREAD


@inlined
def bucket_of(key: np.uint64, bits: np.uint64) -> np.uint64:
    """The index of the first slot of a key's bucket."""
    return (key >> (u64(64) - bits)) << u64(3)


@inlined
def find_word(words: UInt64[np.ndarray, " W"], bits: np.uint64, spill: UInt64[np.ndarray, " S"], key: np.uint64) -> np.uint64:
    """The number of the word with this key, 0 if there is none; the bytes of a long word must still be compared."""
    bucket = bucket_of(key, bits)
    low_bits = bits + u64(4)
    hit = find_in_bucket(words, bucket, key << bits, low_bits)
    full = u64(words[bucket + SLOTS - ONE] != ZERO)
    if full & u64(hit == ZERO):  # one branch, rarely taken; ``and`` would make two, the first of them unpredictable
        return find_pair(spill, key)
    return hit & ((ONE << low_bits) - ONE)


@inlined
def filter_bit(parent: np.uint64, word: np.uint64, bits: np.uint64) -> np.uint64:
    """The bit in the phrase filter for a word that follows a node; bit 0 if either is in no entry: all these read one place."""
    return parent * word * SPREAD >> (u64(64) - bits)


@inlined
def same_bytes(
    left: UInt8[np.ndarray, " L"],
    at_left: np.uint64,
    right: UInt8[np.ndarray, " R"],
    at_right: np.uint64,
    length: np.uint64,
) -> bool:
    """Whether two runs of at least eight bytes are equal. The first and the last eight, which may overlap, cover most words."""
    last = length - u64(8)
    difference = load_u64(left, at_left) ^ load_u64(right, at_right)
    difference |= load_u64(left, at_left + last) ^ load_u64(right, at_right + last)
    if length > u64(16):
        middle = u64(8)
        while middle < last:
            difference |= load_u64(left, at_left + middle) ^ load_u64(right, at_right + middle)
            middle += u64(8)
    return difference == ZERO
