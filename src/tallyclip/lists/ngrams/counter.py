"""Counting in bounded memory: tables grow up to a limit and are then written as a sorted run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64

from tallyclip.core.compiled import u64
from tallyclip.core.strings import Strings
from tallyclip.errors import OptionError
from tallyclip.lists.ngrams.characters import character_classes
from tallyclip.lists.ngrams.kernel import (
    ARENA_USED,
    PAIRS_USED,
    PENDING_PAIRS,
    ROOM_BYTES,
    ROOM_WORDS,
    STATE_SIZE,
    TOTAL,
    WORDS_USED,
    CountTables,
    add_counted,
    add_counted_pairs,
    count_texts,
    flush,
    move_pairs,
    place_words,
    rank_pairs,
)
from tallyclip.lists.ngrams.runs import CountedPairs, CountedWords, SortedRun, order_of_words, take

LEAST_MEMORY = 16 << 20
SHARE_OF_TABLES = 0.4  # of the memory; the rest is for sorting, and for the texts


class NgramCounter:
    """Counts words and pairs of words, and passes a sorted run to ``write`` whenever its memory is full.

    Args:
        memory: the most bytes that counting may use in total.
        write: writes a run.
        joints: whether the texts come from a segmenter.
    """

    def __init__(self, memory: int, write: Callable[[SortedRun], None], *, joints: bool = False) -> None:
        if memory < LEAST_MEMORY:
            raise OptionError(f"{memory >> 20} MiB is too little memory for counting", f"give at least {LEAST_MEMORY >> 20} MiB per worker")
        self._limit = int(memory * SHARE_OF_TABLES)
        self._write = write
        self._classes = character_classes(joints=joints)
        self._tables = _tables(words=1 << 16, arena=1 << 19, pair_slots=1 << 17)
        self.total = 0

    def add(self, texts: Strings) -> None:
        """Count the words and pairs of texts; a null has none."""
        while not count_texts(texts.data, texts.offsets, self._classes, self._tables):
            self._make_room()

    def add_words(self, words: Strings, counts: Int64[np.ndarray, " N"]) -> None:
        """Add words, or other entries, with given counts."""
        self._add_all(add_counted, words, counts)

    def add_pairs(self, words: Strings, counts: Int64[np.ndarray, " N"]) -> None:
        """Add pairs with given counts: words 2i and 2i + 1 of 2N words. The words themselves are not counted."""
        self._add_all(add_counted_pairs, words, counts)

    def _add_all(self, function: Callable[..., np.uint64], words: Strings, counts: Int64[np.ndarray, " N"]) -> None:
        done = 0
        while (done := int(function(words.data, words.offsets, counts, u64(done), self._tables))) < len(counts):
            self._make_room()

    def finish(self) -> None:
        """Write the last run."""
        if self._tables.state[WORDS_USED]:
            self._spill()

    def _make_room(self) -> None:
        tables, state = self._tables, self._tables.state
        flush(tables)
        words, arena, pair_slots = len(tables.counts), len(tables.arena), len(tables.pair_slots) // 2
        if int(state[WORDS_USED]) + ROOM_WORDS >= words - 1:
            words *= 2
        if int(state[ARENA_USED]) + ROOM_BYTES >= arena:
            arena *= 2
        if (int(state[PAIRS_USED]) + PENDING_PAIRS + ROOM_WORDS) * 10 >= pair_slots * 7:
            pair_slots *= 2
        # While a table is moved, the old and the new one take memory.
        if _bytes(words, arena, pair_slots) + tables.pair_slots.nbytes * (pair_slots * 2 > len(tables.pair_slots)) > self._limit:
            self._spill()
        else:
            self._tables = _grown(tables, words, arena, pair_slots)

    def _spill(self) -> None:
        """Write everything as a run, and empty the tables."""
        tables, state = self._tables, self._tables.state
        flush(tables)
        self.total += int(state[TOTAL])
        self._write(_sorted_run(tables))
        state[WORDS_USED] = state[ARENA_USED] = state[PAIRS_USED] = state[TOTAL] = 0  # not row and position
        tables.word_slots.fill(0)
        tables.pair_slots.fill(0)


def _bytes(words: int, arena: int, pair_slots: int) -> int:
    return words * (2 * 8 + 3 * 8) + arena + pair_slots * 16


def _tables(words: int, arena: int, pair_slots: int) -> CountTables:
    """Empty tables, with two slots for each word."""
    return CountTables(
        word_slots=np.zeros(2 * words, np.uint64),
        hashes=np.zeros(words, np.uint64),
        starts=np.zeros(words, np.uint64),
        counts=np.zeros(words, np.int64),
        arena=np.zeros(arena, np.uint8),
        pair_slots=np.zeros(2 * pair_slots, np.uint64),
        pending=np.zeros(PENDING_PAIRS, np.uint64),
        state=np.zeros(STATE_SIZE, np.uint64),
    )


def _grown(tables: CountTables, words: int, arena: int, pair_slots: int) -> CountTables:
    """The same content in larger tables; arrays whose size does not change are reused."""
    if words > len(tables.counts):
        tables = tables._replace(
            word_slots=np.zeros(2 * words, np.uint64),
            hashes=_longer(tables.hashes, words),
            starts=_longer(tables.starts, words),
            counts=_longer(tables.counts, words),
        )
        place_words(tables)
    if arena > len(tables.arena):
        tables = tables._replace(arena=_longer(tables.arena, arena))
    if 2 * pair_slots > len(tables.pair_slots):
        old = tables.pair_slots
        tables = tables._replace(pair_slots=np.zeros(2 * pair_slots, np.uint64))
        tables.state[PAIRS_USED] = 0
        move_pairs(old, tables)
    return tables


def _longer(array: np.ndarray, size: int) -> np.ndarray:
    longer = np.zeros(size, array.dtype)
    longer[: len(array)] = array
    return longer


def _sorted_run(tables: CountTables) -> SortedRun:
    """The content of the tables as a sorted run; it overwrites the table of pairs."""
    number = int(tables.state[WORDS_USED])
    words = Strings(tables.arena[: int(tables.state[ARENA_USED])], tables.starts[1 : number + 2].astype(np.int64), None)
    hashes = tables.hashes[1 : number + 1]
    order = order_of_words(hashes, words)
    rank = np.zeros(number + 1, np.uint64)
    rank[order + 1] = np.arange(number, dtype=np.uint64)
    pairs = int(rank_pairs(tables.pair_slots, rank))
    keys, counts = tables.pair_slots[: 2 * pairs : 2], tables.pair_slots[1 : 2 * pairs : 2]
    by_key = np.argsort(keys)
    return SortedRun(
        CountedWords(hashes[order], take(words, order), tables.counts[1 : number + 1][order]),
        CountedPairs(keys[by_key], counts[by_key].view(np.int64)),
    )
