"""Hashes of 64-bit numbers, and a hash table of them: what matching, counting, drawing and deduplication share.

A pair table is one array of (key, value) pairs with open addressing: its length is a power of two, a key of 0 marks a free slot, and a
search goes on to the next slot until it finds its key or a free slot. So a table always keeps some slots free.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt64

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.core.machine import trailing_zeros

SPREAD = u64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, and odd: multiplying by it loses nothing


@inlined
def mix(x: np.uint64) -> np.uint64:
    """One step of the generator SplitMix64 (Steele, Lea, Flood, 2014)."""
    x += SPREAD
    x = (x ^ (x >> u64(30))) * u64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> u64(27))) * u64(0x94D049BB133111EB)
    return x ^ (x >> u64(31))


@compiled
def mix_in(hashes: UInt64[np.ndarray, " N"], numbers: UInt64[np.ndarray, " N"]) -> None:
    """Make each of N numbers a part of its hash, in place."""
    for i in range(u64(len(hashes))):
        hashes[i] = mix(hashes[i] ^ numbers[i])


def make_pair_table(pairs: int) -> UInt64[np.ndarray, " T"]:
    """An empty table that stays at most half full with that many pairs."""
    return np.zeros(1 << max(3, (4 * pairs - 1).bit_length()), np.uint64)


@inlined
def first_slot(table: UInt64[np.ndarray, " T"], key: np.uint64) -> np.uint64:
    """Where the search for a key begins."""
    return (key * SPREAD >> (u64(65) - trailing_zeros(u64(len(table))))) << ONE


@inlined
def find_pair(table: UInt64[np.ndarray, " T"], key: np.uint64) -> np.uint64:
    """The value of a key, 0 if the table does not have it."""
    last = u64(len(table)) - u64(2)
    slot = first_slot(table, key)
    while table[slot] != key:
        if table[slot] == ZERO:
            return ZERO
        slot = (slot + u64(2)) & last
    return table[slot + ONE]


@inlined
def put_pair(table: UInt64[np.ndarray, " T"], key: np.uint64, value: np.uint64) -> None:
    """Set the value of a key (not 0); a slot must be free."""
    last = u64(len(table)) - u64(2)
    slot = first_slot(table, key)
    while table[slot] != ZERO and table[slot] != key:
        slot = (slot + u64(2)) & last
    table[slot] = key
    table[slot + ONE] = value


@compiled
def put_pairs(table: UInt64[np.ndarray, " T"], keys: UInt64[np.ndarray, " N"], values: UInt64[np.ndarray, " N"]) -> None:
    """Set the values of N keys; slots must be free for them."""
    for i in range(u64(len(keys))):
        put_pair(table, keys[i], values[i])
