"""Building the matcher's tables: a trie over words, laid out in flat arrays.

A pattern is a sequence of words with one space between neighbors, and it matches where the spaced caption has the same words in sequence.
So the patterns form a trie whose edges are words. Its nodes are numbered from 1: pattern p ends at node p + 1, and nodes where no pattern
ends have the numbers after these. First edges are in the table ``words`` (key of a word → node); all others are in ``phrases`` ((node,
node of the next word alone) → node), behind the bitmap ``phrase_filter``, which is small enough to stay in cache and rejects nearly every
pair of words that does not start a phrase.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8, UInt32, UInt64

from tallyclip.core.compiled import ONE, ZERO, compiled, u64
from tallyclip.core.csr import offsets_of, take_bytes
from tallyclip.core.hashing import find_pair, make_pair_table, put_pair, put_pairs
from tallyclip.core.strings import Strings
from tallyclip.errors import ArtifactError
from tallyclip.match.words import SHORT_WORD, SLOTS, bucket_of, filter_bit, same_bytes, word_key
from tallyclip.wording import plural

LAYOUT = 2  # part of every fingerprint: raise it when a table's meaning changes
PAD = 64  # readable bytes before and after the text of words
WORDS_PER_BUCKET = 3  # of eight slots, at most, on average: a full bucket costs a mispredicted branch
FILTER_BITS_PER_PHRASE = 16
LARGER_FILTERS = 3  # tried where a phrase has bit 0, each twice as large; half of them are rid of it
CACHE_LINE = 64  # bytes
MAX_NODES = (1 << 31) - 2  # the top bit of a phrase's node says that longer phrases follow
HAS_LONGER = u64(1 << 31)
NODE = u64((1 << 31) - 1)


class MatchTables(NamedTuple):
    """The arrays; every length but those of ``word_starts`` and ``word_bytes`` is a power of two."""

    words: UInt64[np.ndarray, " W"]  # buckets of eight slots: the bits of a word's key that its bucket does not imply, above its node
    spill: UInt64[np.ndarray, " S"]  # (key, node) of the words whose bucket was full
    word_starts: UInt32[np.ndarray, " nodes"]  # where the bytes of a node's word are, if it is long
    word_bytes: UInt8[np.ndarray, " B"]
    phrase_filter: UInt64[np.ndarray, " F"]
    phrases: UInt64[np.ndarray, " P"]  # ((node << 32) + node of the next word, node and HAS_LONGER)
    sizes: UInt64[np.ndarray, " 3"]  # patterns, seed of the hash of long words, words of the longest pattern


def build_tables(patterns: Strings) -> MatchTables:
    """Lay out the trie of distinct, non-empty patterns; about a second for 500,000.

    Raises:
        ArtifactError: the patterns have more words than 31 bits can number.
    """
    count = len(patterns.offsets) - 1
    words = count + int(np.count_nonzero(patterns.data == ord(" ")))
    if words > MAX_NODES:
        raise ArtifactError(
            f"{plural(count, 'entry', 'entries')} with {plural(words, 'word')} are more than one matcher can hold", "split the list"
        )
    text = np.concatenate([np.zeros(PAD, np.uint8), patterns.data, np.zeros(PAD, np.uint8)])
    starts = (patterns.offsets + PAD).astype(np.uint64)
    for seed in range(1 << 32):  # a second seed is needed when two long words share a hash: one list in a hundred million
        trie = _walk(text, starts, u64(seed), words)
        if trie is not None:
            return _lay_out(text, trie, count, seed)
    raise AssertionError("two words have the same hash with every seed")


class _Trie(NamedTuple):
    """Words and edges, both numbered from 1 by first use. The parent of an edge is a word or, with HAS_LONGER, an edge."""

    keys: UInt64[np.ndarray, " n"]
    word_spans: UInt64[np.ndarray, " 2 n"]  # start and length in the text
    word_ends: UInt64[np.ndarray, " n"]  # the number, from 1, of the pattern that consists of the word alone; 0 for none
    edges: UInt64[np.ndarray, " m"]  # (parent << 32) + word
    edge_ends: UInt64[np.ndarray, " m"]
    depth: int


def _walk(text: UInt8[np.ndarray, " B"], starts: UInt64[np.ndarray, " N1"], seed: np.uint64, words: int) -> _Trie | None:
    keys, edges = np.zeros(words, np.uint64), np.zeros(words, np.uint64)
    word_spans, ends = np.zeros((2, words), np.uint64), np.zeros((2, words), np.uint64)
    n, m, depth = _number(text, starts, seed, make_pair_table(words), make_pair_table(words), keys, word_spans, edges, ends)
    if depth == ZERO:
        return None
    return _Trie(keys[:n], word_spans[:, :n], ends[0, :n], edges[:m], ends[1, :m], int(depth))


@compiled
def _next_word(text: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64) -> np.uint64:
    """Where the word from ``start`` on ends: at the next space, or at the end of the pattern."""
    while start < end and text[start] != np.uint8(32):
        start += ONE
    return start


@compiled
def _number(
    text: UInt8[np.ndarray, " B"],
    starts: UInt64[np.ndarray, " N1"],
    seed: np.uint64,
    word_table: UInt64[np.ndarray, " T"],
    edge_table: UInt64[np.ndarray, " T"],
    keys: UInt64[np.ndarray, " E"],
    word_spans: UInt64[np.ndarray, " 2 E"],
    edges: UInt64[np.ndarray, " E"],
    ends: UInt64[np.ndarray, " 2 E"],
) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Number words and edges by first use, and record which pattern ends at each.

    Returns the numbers of words, of edges, and of words in the longest pattern; (0, 0, 0) if two long words have the same key.
    """
    n_words = n_edges = depth = ZERO
    for pattern in range(u64(len(starts)) - ONE):
        start = starts[pattern]
        pattern_end = starts[pattern + ONE]
        parent = ZERO  # a word's number, or an edge's number with the top bit set
        length = ZERO
        while True:
            end = _next_word(text, start, pattern_end)
            key = word_key(text, start, end - start, seed)
            word = find_pair(word_table, key)
            if word == ZERO:
                n_words += ONE
                word = n_words
                put_pair(word_table, key, word)
                keys[word - ONE] = key
                word_spans[0, word - ONE] = start
                word_spans[1, word - ONE] = end - start
            elif end - start >= SHORT_WORD:
                known = word_spans[0, word - ONE], word_spans[1, word - ONE]
                if known[1] != end - start or not same_bytes(text, known[0], text, start, end - start):
                    return ZERO, ZERO, ZERO
            length += ONE
            if length == ONE:
                parent = word
            else:
                edge = find_pair(edge_table, (parent << u64(32)) | word)
                if edge == ZERO:
                    n_edges += ONE
                    edge = n_edges
                    put_pair(edge_table, (parent << u64(32)) | word, edge)
                    edges[edge - ONE] = (parent << u64(32)) | word
                parent = edge | HAS_LONGER
            if end == pattern_end:
                break
            start = end + ONE
        ends[u64(1) if parent >= HAS_LONGER else ZERO, (parent & NODE) - ONE] = pattern + ONE
        depth = max(depth, length)
    return n_words, n_edges, depth


def _lay_out(text: UInt8[np.ndarray, " B"], trie: _Trie, count: int, seed: int) -> MatchTables:
    word_nodes, free = _name_nodes(trie.word_ends, count + 1)
    edge_nodes, _ = _name_nodes(trie.edge_ends, free)
    parents, followers = trie.edges >> u64(32), (trie.edges & u64(0xFFFF_FFFF)).astype(np.int64)
    from_edge = parents >= HAS_LONGER
    parent_index = (parents & NODE).astype(np.int64) - 1
    parent_nodes = np.empty(len(parents), np.uint64)
    parent_nodes[from_edge] = edge_nodes[parent_index[from_edge]]
    parent_nodes[~from_edge] = word_nodes[parent_index[~from_edge]]
    follower_nodes = word_nodes[followers - 1]
    edge_nodes[parent_index[from_edge]] |= HAS_LONGER

    most_nodes = int(max(word_nodes.max(), (edge_nodes & NODE).max(initial=0))) + 1
    bits = max(3, (len(trie.keys) // WORDS_PER_BUCKET).bit_length(), most_nodes.bit_length() - 4)
    words = _on_cache_lines(int(SLOTS) << bits)
    spilled = np.zeros(len(trie.keys), np.bool_)
    _fill_buckets(words, u64(bits), trie.keys, word_nodes, spilled)
    spill = make_pair_table(int(spilled.sum()))
    put_pairs(spill, trie.keys[spilled], word_nodes[spilled])

    is_long = trie.word_spans[1] >= SHORT_WORD
    long_starts, long_lengths = trie.word_spans[:, is_long].astype(np.int64)
    long_offsets = offsets_of(long_lengths)
    long_bytes = take_bytes(text, long_starts, long_offsets)
    word_starts = np.zeros(most_nodes, np.uint32)
    word_starts[word_nodes[is_long].astype(np.int64)] = long_offsets[:-1]

    phrases = make_pair_table(len(parents))
    put_pairs(phrases, (parent_nodes << u64(32)) | follower_nodes, edge_nodes)
    phrase_filter = _make_filter(parent_nodes, follower_nodes)
    return MatchTables(words, spill, word_starts, long_bytes, phrase_filter, phrases, np.array([count, seed, trie.depth], np.uint64))


def _on_cache_lines(slots: int) -> UInt64[np.ndarray, " W"]:
    """Empty slots, the first at the beginning of a cache line: a bucket on two lines would be waited for twice."""
    room = np.zeros(slots + int(SLOTS) - 1, np.uint64)
    first = -room.ctypes.data % CACHE_LINE // room.itemsize
    return room[first : first + slots]


def _make_filter(parents: UInt64[np.ndarray, " m"], followers: UInt64[np.ndarray, " m"]) -> UInt64[np.ndarray, " F"]:
    """The bitmap. A larger one is tried if a phrase has bit 0, which words have that are in no entry: each of these would be looked up."""
    bits = smallest = max(6, (FILTER_BITS_PER_PHRASE * len(parents)).bit_length())
    while True:
        phrase_filter = np.zeros(1 << (bits - 6), np.uint64)
        _fill_filter(phrase_filter, u64(bits), parents, followers)
        if not phrase_filter[0] & ONE or bits == smallest + LARGER_FILTERS:  # the last is as right, if slower
            return phrase_filter
        bits += 1


def _name_nodes(ends: UInt64[np.ndarray, " n"], free: int) -> tuple[UInt64[np.ndarray, " n"], int]:
    """Node numbers: that of the pattern if one ends there, else the next free number."""
    nodes = ends.copy()
    unnamed = ends == 0
    nodes[unnamed] = np.arange(free, free + np.count_nonzero(unnamed), dtype=np.uint64)
    return nodes, free + int(np.count_nonzero(unnamed))


@compiled
def _fill_buckets(
    words: UInt64[np.ndarray, " W"],
    bits: np.uint64,
    keys: UInt64[np.ndarray, " n"],
    nodes: UInt64[np.ndarray, " n"],
    spilled: Bool[np.ndarray, " n"],
) -> None:
    """Put words into the first free slot of their buckets, and mark those whose bucket is full."""
    for i in range(u64(len(keys))):
        slot = bucket_of(keys[i], bits)
        last = slot + SLOTS - ONE
        while slot < last and words[slot] != ZERO:
            slot += ONE
        if words[slot] == ZERO:
            words[slot] = (keys[i] << bits) | nodes[i]
        else:
            spilled[i] = True


@compiled
def _fill_filter(
    phrase_filter: UInt64[np.ndarray, " F"],
    bits: np.uint64,
    parents: UInt64[np.ndarray, " m"],
    followers: UInt64[np.ndarray, " m"],
) -> None:
    for i in range(u64(len(parents))):
        bit = filter_bit(parents[i], followers[i], bits)
        phrase_filter[bit >> u64(6)] |= ONE << (bit & u64(63))


COMPILED = (_fill_filter,)  # what callers of this module wait for where it was never compiled
