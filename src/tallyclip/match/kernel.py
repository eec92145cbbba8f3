"""The compiled matcher: captions in, entry ids out.

Captions are processed in blocks that fit the cache, and a block in steps that are plain loops over flat arrays, so that the processor works
on many independent look-ups at once:

1. split     64 bytes at a time become bit masks of blanks and punctuation, and the masks become words
2. key       a word becomes a 64-bit key, and the cache line where it will be looked up is prefetched
3. look up   the key becomes a node of the trie (tables.py); the bytes of long words are compared
4. filter    pairs of neighbors that may start a phrase are selected by a bitmap
5. collect   the words and phrases of each caption are collected, and phrases of three words or more are looked up
6. write     the entry ids of each caption are sorted, mostly in registers, and repeats dropped

A caption longer than a block, and the captions of a block whose matches might outgrow the scratch, are matched by ``_match_long``: the
same rule, word by word. It is also the simplest description of what the steps above compute.

Over 300 lines, because the steps share their scratch and are read as one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8, UInt32, UInt64

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.core.hashing import find_pair, first_slot
from tallyclip.core.machine import byte_mask, prefetch, sort_8, sort_16, sort_32, sort_64, trailing_zeros
from tallyclip.match.spacing import BLANKS, PUNCTUATION
from tallyclip.match.tables import HAS_LONGER, NODE, PAD, MatchTables
from tallyclip.match.words import SHORT_WORD, bucket_of, filter_bit, find_word, same_bytes, word_key

BLOCK_BYTES = 8192
BLOCK_ROWS = 2048
SPARE = 64  # what sorting in fixed steps reads and writes beyond a row

blank_mask = byte_mask(BLANKS)
punctuation_mask = byte_mask(PUNCTUATION)
BLANK_BYTES = tuple(map(np.uint8, BLANKS.encode()))
PUNCTUATION_BYTES = tuple(map(np.uint8, PUNCTUATION.encode()))


class MatchScratch(NamedTuple):
    """Working memory of one thread, reused for every batch. T is the most words of a block: two per byte, and one per row."""

    text: UInt8[np.ndarray, " BLOCK_BYTES+2*PAD"]
    starts: UInt32[np.ndarray, " T"]  # of words, in ``text``
    lengths: UInt32[np.ndarray, " T"]
    keys: UInt64[np.ndarray, " T"]
    nodes: UInt32[np.ndarray, " T"]
    picked: UInt32[np.ndarray, " T"]  # positions of words that a step looks at twice
    phrases: UInt32[np.ndarray, " T"]  # nodes of the phrases of two words that start at each word
    longer: UInt64[np.ndarray, " T"]  # (word << 32) + node, where such a phrase may continue
    ids: UInt32[np.ndarray, " 4*T"]  # entry ids in the order of the words
    id_ends: UInt32[np.ndarray, " T"]  # for each word, how many ids there are up to it
    row_ends: UInt64[np.ndarray, " BLOCK_ROWS"]  # in words
    row: UInt32[np.ndarray, " R"]  # the entry ids of one caption, unsorted


def make_scratch(patterns: int) -> MatchScratch:
    """Scratch for tables of that many patterns. ``row`` has room for all of them, and for some repeats before these are dropped."""
    words = 2 * BLOCK_BYTES + BLOCK_ROWS + SPARE
    return MatchScratch(
        text=np.zeros(BLOCK_BYTES + 2 * PAD, np.uint8),
        starts=np.zeros(words, np.uint32),
        lengths=np.zeros(words, np.uint32),
        keys=np.zeros(words, np.uint64),
        nodes=np.zeros(words, np.uint32),
        picked=np.zeros(words, np.uint32),
        phrases=np.zeros(words, np.uint32),
        longer=np.zeros(words, np.uint64),
        ids=np.zeros(4 * words, np.uint32),
        id_ends=np.zeros(words, np.uint32),
        row_ends=np.zeros(BLOCK_ROWS, np.uint64),
        row=np.zeros(patterns + (1 << 16) + SPARE, np.uint32),
    )


@compiled
def match_rows(
    data: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    tables: MatchTables,
    scratch: MatchScratch,
    first: np.uint64,
    out_ids: UInt32[np.ndarray, " C"],
    out_offsets: Int64[np.ndarray, " N1"],
) -> np.uint64:
    """Match captions from ``first`` on until all are done or ``out_ids`` is full; returns the first caption not done.

    If a caption is longer than BLOCK_BYTES, PAD bytes of ``data`` before the first caption and after the last must be readable.

    Ids are written from ``out_offsets[first]`` on; ``out_offsets`` is filled in up to the returned caption.
    """
    rows = u64(len(offsets)) - ONE
    while first < rows:
        start = u64(offsets[first])
        last = first
        while last < rows and last - first < u64(BLOCK_ROWS) and u64(offsets[last + ONE]) - start <= u64(BLOCK_BYTES):
            last += ONE
        if last == first:
            last = first + ONE
            done = _match_each(data, offsets, ZERO, first, last, tables, scratch, out_ids, out_offsets)
        else:
            _copy(data, start, u64(offsets[last]), scratch.text)
            words = _split(offsets, first, last, scratch)
            _key(words, tables, scratch)
            _look_up(words, tables, scratch)
            longer = _find_phrases(words, last - first, tables, scratch)
            if words * u64(2) + longer * tables.sizes[u64(2)] + u64(SPARE) > u64(len(scratch.ids)):
                done = _match_each(scratch.text, offsets, start - u64(PAD), first, last, tables, scratch, out_ids, out_offsets)
            else:
                _collect(words, longer, tables, scratch)
                done = _write(first, last, scratch, out_ids, out_offsets)
        if done < last:
            return done
        first = last
    return first


@inlined
def _copy(data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, text: UInt8[np.ndarray, " BLOCK_BYTES+2*PAD"]) -> None:
    for i in range(end - start):
        text[u64(PAD) + i] = data[start + i]


@compiled
def _split(offsets: Int64[np.ndarray, " N1"], first: np.uint64, last: np.uint64, scratch: MatchScratch) -> np.uint64:
    """Split the block's captions into words; returns how many.

    A blank or a mark ends a word, which may be empty, and a mark is a word of its own: the same as splitting the spaced caption at each
    space. Every step writes two words and counts one or two of them, which is faster than a branch.
    """
    text, starts, lengths, row_ends = scratch.text, scratch.starts, scratch.lengths, scratch.row_ends
    shift = u64(offsets[first]) - u64(PAD)
    words = ZERO
    for row in range(first, last):
        word_start = place = u64(offsets[row]) - shift
        end = u64(offsets[row + ONE]) - shift
        while place < end:
            marks = punctuation_mask(text, place)
            breaks = blank_mask(text, place) | marks
            if end - place < u64(64):
                breaks &= (ONE << (end - place)) - ONE
            while breaks != ZERO:
                bit = trailing_zeros(breaks)
                breaks &= breaks - ONE
                at = place + bit
                starts[words] = np.uint32(word_start)
                lengths[words] = np.uint32(at - word_start)
                starts[words + ONE] = np.uint32(at)
                lengths[words + ONE] = np.uint32(1)
                words += ONE + ((marks >> bit) & ONE)
                word_start = at + ONE
            place += u64(64)
        starts[words] = np.uint32(word_start)
        lengths[words] = np.uint32(end - word_start)
        words += ONE
        row_ends[row - first] = words
    return words


@compiled
def _key(words: np.uint64, tables: MatchTables, scratch: MatchScratch) -> None:
    text, starts, lengths, keys, table = scratch.text, scratch.starts, scratch.lengths, scratch.keys, tables.words
    seed = tables.sizes[ONE]
    bits = _bucket_bits(table)
    for i in range(words):
        key = word_key(text, u64(starts[i]), u64(lengths[i]), seed)
        keys[i] = key
        prefetch(table, bucket_of(key, bits))


@compiled
def _look_up(words: np.uint64, tables: MatchTables, scratch: MatchScratch) -> None:
    """Nodes of words; 0 for a word that is in no entry."""
    text, starts, lengths, keys = scratch.text, scratch.starts, scratch.lengths, scratch.keys
    nodes, picked = scratch.nodes, scratch.picked
    table, spill, known_starts, known_bytes = tables.words, tables.spill, tables.word_starts, tables.word_bytes
    bits = _bucket_bits(table)
    for i in range(words):
        nodes[i] = np.uint32(find_word(table, bits, spill, keys[i]))
    long_words = ZERO
    for i in range(words):
        picked[long_words] = np.uint32(i)
        long_words += u64(lengths[i] >= SHORT_WORD) & u64(nodes[i] != 0)
    for k in range(long_words):
        prefetch(known_starts, u64(nodes[picked[k]]))
    for k in range(long_words):
        prefetch(known_bytes, u64(known_starts[nodes[picked[k]]]))
    for k in range(long_words):
        i = u64(picked[k])
        known, length = u64(known_starts[nodes[i]]), u64(lengths[i])
        if known + length > u64(len(known_bytes)) or not same_bytes(text, u64(starts[i]), known_bytes, known, length):
            nodes[i] = np.uint32(0)


@compiled
def _find_phrases(words: np.uint64, rows: np.uint64, tables: MatchTables, scratch: MatchScratch) -> np.uint64:
    """Nodes of phrases of two words; returns how many of them may continue, which ``_collect`` looks up."""
    nodes, picked, phrases, longer, row_ends = (
        scratch.nodes,
        scratch.picked,
        scratch.phrases,
        scratch.longer,
        scratch.row_ends,
    )
    bitmap, table = tables.phrase_filter, tables.phrases
    bits = trailing_zeros(u64(len(bitmap))) + u64(6)
    count = ZERO
    for i in range(words - ONE):
        bit = filter_bit(u64(nodes[i]), u64(nodes[i + ONE]), bits)
        picked[count] = np.uint32(i)
        count += (bitmap[bit >> u64(6)] >> (bit & u64(63))) & ONE
    for k in range(count):
        i = u64(picked[k])
        prefetch(table, first_slot(table, (u64(nodes[i]) << u64(32)) | u64(nodes[i + ONE])))
    for i in range(words):
        phrases[i] = np.uint32(0)
    continued = ZERO
    for k in range(count):
        i = u64(picked[k])
        node = find_pair(table, (u64(nodes[i]) << u64(32)) | u64(nodes[i + ONE]))
        phrases[i] = np.uint32(node & NODE)
        longer[continued] = (i << u64(32)) | (node & NODE)
        bit = filter_bit(node & NODE, u64(nodes[i + u64(2)]), bits)
        continued += (node >> u64(31)) & (bitmap[bit >> u64(6)] >> (bit & u64(63)))
    for k in range(continued):
        prefetch(table, first_slot(table, (longer[k] << u64(32)) | u64(nodes[(longer[k] >> u64(32)) + u64(2)])))
    for row in range(rows):
        phrases[row_ends[row] - ONE] = np.uint32(0)  # the last word of a caption and the first of the next are not a phrase
    return continued


@compiled
def _collect(words: np.uint64, longer: np.uint64, tables: MatchTables, scratch: MatchScratch) -> None:
    """Collect the entries among the nodes, caption by caption, with phrases of three words or more, which may begin at ``longer`` places.

    Node 0 becomes the largest number, which is not an entry.
    """
    patterns = np.uint32(tables.sizes[ZERO])
    nodes, phrases, ids, id_ends, row_ends = scratch.nodes, scratch.phrases, scratch.ids, scratch.id_ends, scratch.row_ends
    count = row = i = ZERO
    for k in range(longer + ONE):
        last = words if k == longer else (scratch.longer[k] >> u64(32)) + ONE
        while i < last:
            word, phrase = nodes[i] - np.uint32(1), phrases[i] - np.uint32(1)
            ids[count] = word
            count += u64(word < patterns)
            ids[count] = phrase
            count += u64(phrase < patterns)
            id_ends[i] = np.uint32(count)
            i += ONE
        if k < longer:
            while row_ends[row] < last:
                row += ONE
            count = _follow(scratch.longer[k], row_ends[row], tables, scratch, count)
            id_ends[last - ONE] = np.uint32(count)


@inlined
def _follow(longer: np.uint64, word_end: np.uint64, tables: MatchTables, scratch: MatchScratch, count: np.uint64) -> np.uint64:
    """Add the phrases of three or more words that begin with a phrase of two."""
    nodes, ids, table = scratch.nodes, scratch.ids, tables.phrases
    patterns = np.uint32(tables.sizes[ZERO])
    node = longer & NODE
    after = (longer >> u64(32)) + u64(2)
    while after < word_end:
        node = find_pair(table, ((node & NODE) << u64(32)) | u64(nodes[after]))
        if node == ZERO:
            break
        entry = np.uint32(node & NODE) - np.uint32(1)
        ids[count] = entry
        count += u64(entry < patterns)
        if node < HAS_LONGER:
            break
        after += ONE
    return count


@compiled
def _write(
    first: np.uint64, last: np.uint64, scratch: MatchScratch, out_ids: UInt32[np.ndarray, " C"], out_offsets: Int64[np.ndarray, " N1"]
) -> np.uint64:
    """Write each caption's entry ids in order and without repeats; returns the first caption for which there was no room."""
    ids, id_ends, row_ends = scratch.ids, scratch.id_ends, scratch.row_ends
    start = ZERO
    at = u64(out_offsets[first])
    for text in range(first, last):
        end = u64(id_ends[row_ends[text - first] - ONE])
        count = end - start
        if at + count + u64(SPARE) > u64(len(out_ids)):
            return u64(text)
        repeats = False
        if count <= u64(8):
            repeats = sort_8(ids, start, count, out_ids, at)
        elif count <= u64(16):
            repeats = sort_16(ids, start, count, out_ids, at)
        elif count <= u64(32):
            repeats = sort_32(ids, start, count, out_ids, at)
        elif count <= u64(64):
            repeats = sort_64(ids, start, count, out_ids, at)
        else:
            for i in range(count):
                out_ids[at + i] = ids[start + i]
            count = _sort_distinct(out_ids, at, count)
        if repeats:
            count = _drop_repeats(out_ids, at, count)
        at += count
        out_offsets[text + ONE] = np.int64(at)
        start = end
    return last


@compiled
def _match_each(
    text: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    shift: np.uint64,
    first: np.uint64,
    last: np.uint64,
    tables: MatchTables,
    scratch: MatchScratch,
    out_ids: UInt32[np.ndarray, " C"],
    out_offsets: Int64[np.ndarray, " N1"],
) -> np.uint64:
    """Match captions one by one; returns the first for which there was no room. Caption i begins at ``offsets[i] - shift`` in the text."""
    row = scratch.row
    for i in range(first, last):
        count = _match_long(text, u64(offsets[i]) - shift, u64(offsets[i + ONE]) - shift, tables, row)
        at = u64(out_offsets[i])
        if at + count > u64(len(out_ids)):
            return u64(i)
        count = _sort_distinct(row, ZERO, count)
        for k in range(count):
            out_ids[at + k] = row[k]
        out_offsets[i + ONE] = np.int64(at + count)
    return last


@compiled
def _match_long(
    text: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: MatchTables, row: UInt32[np.ndarray, " R"]
) -> np.uint64:
    """Collect the entry ids of one caption of any length, word by word; returns how many, with repeats. PAD bytes before and after the
    caption must be readable."""
    patterns = np.uint32(tables.sizes[ZERO])
    count = ZERO
    cursor = start << ONE
    while True:
        word_start, word_end, following = _next_word(text, cursor, end)
        node = _find_word(text, word_start, word_end, tables)
        inner = following
        while node != ZERO:
            if count + u64(SPARE) >= u64(len(row)):
                count = _sort_distinct(row, ZERO, count)
            entry = np.uint32(node & NODE) - np.uint32(1)
            row[count] = entry
            count += u64(entry < patterns)
            if inner == ZERO:
                break
            next_start, next_end, inner = _next_word(text, inner, end)
            follower = _find_word(text, next_start, next_end, tables)
            node = find_pair(tables.phrases, ((node & NODE) << u64(32)) | follower)
        if following == ZERO:
            return count
        cursor = following


@inlined
def _next_word(text: UInt8[np.ndarray, " B"], cursor: np.uint64, end: np.uint64) -> tuple[np.uint64, np.uint64, np.uint64]:
    """The word at a cursor, and the cursor of the next word, or 0. A cursor is twice a position, plus 1 if the word is a mark."""
    start = cursor >> ONE
    if cursor & ONE:
        return start, start + ONE, (start + ONE) << ONE
    place = start
    while place < end:
        byte = text[place]
        if byte in BLANK_BYTES:
            return start, place, (place + ONE) << ONE
        if byte in PUNCTUATION_BYTES:
            return start, place, (place << ONE) + ONE
        place += ONE
    return start, end, ZERO


@inlined
def _find_word(text: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: MatchTables) -> np.uint64:
    """The node of one word, 0 if it is in no entry."""
    key = word_key(text, start, end - start, tables.sizes[ONE])
    node = find_word(tables.words, _bucket_bits(tables.words), tables.spill, key)
    length = end - start
    if node == ZERO or length < SHORT_WORD:
        return node
    known = u64(tables.word_starts[node])
    if known + length > u64(len(tables.word_bytes)) or not same_bytes(text, start, tables.word_bytes, known, length):
        return ZERO
    return node


@inlined
def _bucket_bits(words: UInt64[np.ndarray, " W"]) -> np.uint64:
    return trailing_zeros(u64(len(words))) - u64(3)


@compiled
def _sort_distinct(ids: UInt32[np.ndarray, " C"], start: np.uint64, count: np.uint64) -> np.uint64:
    """Sort ``count`` numbers from ``start`` on in place (Shell's sort) and drop repeats; returns how many are left."""
    gap = ONE
    while gap < count // u64(3):
        gap = gap * u64(3) + ONE
    while gap > ZERO:
        for i in range(start + gap, start + count):
            value = ids[i]
            place = u64(i)
            while place >= start + gap and ids[place - gap] > value:
                ids[place] = ids[place - gap]
                place -= gap
            ids[place] = value
        gap //= u64(3)
    return _drop_repeats(ids, start, count)


@inlined
def _drop_repeats(ids: UInt32[np.ndarray, " C"], start: np.uint64, count: np.uint64) -> np.uint64:
    """Of ``count`` numbers in ascending order from ``start`` on, keep one of each; returns how many are left."""
    left = start
    for i in range(start, start + count):
        ids[left] = ids[i]
        left += u64(i + ONE == start + count or ids[i + ONE] != ids[i])
    return left - start
