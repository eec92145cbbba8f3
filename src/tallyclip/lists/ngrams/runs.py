"""Sorted runs of counts, and merging any number of them in bounded memory.

Words are sorted by a hash and, of the few that may share one, by their bytes. So a range of hashes is a slice of every run, and ranges
can be merged one by one, in any order and at the same time; the result is sorted as well. Pairs refer to their words by position in the
run. When these become positions among the words of all runs, pairs remain sorted, since both lists of words have the same order.

Longer than others: how runs are laid out, written, cut and merged is read as one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64, UInt8, UInt32, UInt64

from tallyclip.core.compiled import ONE, as_compiled_takes, compiled, u64
from tallyclip.core.csr import offsets_of, take_bytes
from tallyclip.core.sorting import bucket_slice
from tallyclip.core.strings import Strings, from_arrow, joined
from tallyclip.errors import ArtifactError
from tallyclip.io.files import replacing
from tallyclip.lists.ngrams.kernel import BETWEEN_BITS, SECOND_BITS, rename

FIRST_SHIFT = SECOND_BITS + BETWEEN_BITS
SECOND_MASK, BETWEEN_MASK = (1 << SECOND_BITS) - 1, (1 << BETWEEN_BITS) - 1
LARGEST_PLACE = (1 << 32) - 1
WORDS = pa.schema([("hash", pa.uint64()), ("word", pa.large_binary()), ("count", pa.int64())])
PAIRS = pa.schema([("key", pa.uint64()), ("count", pa.int64())])


class DamagedError(ArtifactError):
    """Counted words or pairs are not as they were written."""


class CountedWords(NamedTuple):
    """W words with their counts, sorted by hash and then by bytes."""

    hashes: UInt64[np.ndarray, " W"]
    words: Strings
    counts: Int64[np.ndarray, " W"]


class CountedPairs(NamedTuple):
    """P pairs of words with their counts, sorted by key.

    A key is ``first << 32 | second << 2 | between``: the positions of two words, and an index of ``characters.BETWEEN``.
    """

    keys: UInt64[np.ndarray, " P"]
    counts: Int64[np.ndarray, " P"]


class SortedRun(NamedTuple):
    """What was counted until memory was full."""

    words: CountedWords
    pairs: CountedPairs


def write_words(path: Path, words: CountedWords) -> None:
    """Write words as an Arrow file, which many processes can map."""
    texts = words.words
    column = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(texts.offsets) - 1, [None, pa.py_buffer(texts.offsets), pa.py_buffer(texts.data)]
    )
    _write(path, pa.record_batch({"hash": words.hashes, "word": column, "count": words.counts}))


def read_words(path: Path) -> CountedWords:
    """Map a file of ``write_words``."""
    batch = _read(path)
    return CountedWords(_numbers(batch, "hash"), from_arrow(batch.column("word")), _numbers(batch, "count"))


def write_pairs(path: Path, pairs: CountedPairs) -> None:
    """Write pairs as an Arrow file."""
    _write(path, pa.record_batch({"key": pairs.keys, "count": pairs.counts}))


def read_pairs(path: Path) -> CountedPairs:
    """Map a file of ``write_pairs``."""
    batch = _read(path)
    return CountedPairs(_numbers(batch, "key"), _numbers(batch, "count"))


def _write(path: Path, batch: pa.RecordBatch) -> None:
    with replacing(path) as part, pa.OSFile(str(part), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def _read(path: Path) -> pa.RecordBatch:
    """Map a file. Its content is checked where it is used, since a merge uses one range of it at a time.

    Raises:
        ArtifactError: the file is incomplete.
    """
    try:
        batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        batch.validate()  # of sizes: for this Arrow does not read the numbers
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: not readable: {error}", _count_again(path)) from error
    if batch.schema not in (WORDS, PAIRS):
        raise damaged(path)
    return batch


def _numbers(batch: pa.RecordBatch, name: str) -> np.ndarray:
    return cast(np.ndarray, batch.column(name).to_numpy(zero_copy_only=True))


def damaged(path: Path) -> DamagedError:
    """The error for a damaged file of counts."""
    return DamagedError(f"{path} is damaged: its counted words and pairs cannot be used", _count_again(path))


@contextmanager
def of_file(path: Path) -> Generator[None]:
    """Name this file in the error if the words or pairs used in the block are damaged."""
    try:
        yield
    except DamagedError:
        raise damaged(path) from None


def _count_again(path: Path) -> str:
    folder = path.parent.parent  # all counts of a build, which are made together
    return f"delete the folder {folder} and run the same command again"


def _broken() -> DamagedError:
    return DamagedError("counted words or pairs are damaged")


def _check(words: Strings) -> None:
    """Check the offsets of words, since compiled code reads wherever they point.

    Raises:
        DamagedError: they do not ascend, or point outside of the bytes.
    """
    offsets = words.offsets
    if offsets[0] < 0 or offsets[-1] > len(words.data) or (offsets[1:] < offsets[:-1]).any():
        raise _broken()


def order_of_words(hashes: UInt64[np.ndarray, " W"], words: Strings) -> Int64[np.ndarray, " W"]:
    """The order of words by hash and then by bytes."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    tied = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(tied):  # rare, unless words repeat
        for start, end in _groups(tied):
            order[start:end] = sorted(order[start:end].tolist(), key=lambda i: _bytes_of(words, i))
    return order


def _groups(tied: Int64[np.ndarray, " T"]) -> list[tuple[int, int]]:
    """Start and end of each group of equal values, given the positions of values that equal the next."""
    ends = np.flatnonzero(np.diff(tied, append=np.int64(-1)) != 1)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    return [(int(tied[start]), int(tied[end]) + 2) for start, end in zip(starts, ends, strict=True)]


def _bytes_of(words: Strings, position: int) -> bytes:
    return words.data[words.offsets[position] : words.offsets[position + 1]].tobytes()


def take(words: Strings, positions: Int64[np.ndarray, " K"]) -> Strings:
    """The words at some positions, in the order of the positions."""
    starts, ends = words.offsets[positions], words.offsets[positions + 1]
    if (starts < 0).any() or (ends < starts).any() or (ends > len(words.data)).any():
        raise _broken()
    offsets = offsets_of(ends - starts)
    return Strings(take_bytes(words.data, starts, offsets), offsets, None)


# merging


def hash_range(words: CountedWords, bucket: int, bits: int) -> slice:
    """Where a bucket is in sorted words: those whose hashes begin with the ``bits`` bits of its number."""
    return bucket_slice(words.hashes, bucket, bits)


def copy_words(words: CountedWords, some: slice) -> CountedWords:
    """A slice of words. It is a copy, since a view would keep the whole file mapped."""
    offsets = words.words.offsets[some.start : some.stop + 1]
    _check(Strings(words.words.data, offsets, None))
    data = words.words.data[offsets[0] : offsets[-1]].copy()
    return CountedWords(words.hashes[some].copy(), Strings(data, offsets - offsets[0], None), words.counts[some].copy())


def merge_words(parts: Sequence[CountedWords]) -> CountedWords:
    """The different words of several sorted lists, with the sums of their counts."""
    hashes = np.concatenate([np.zeros(0, np.uint64), *(part.hashes for part in parts)])
    counts = np.concatenate([np.zeros(0, np.int64), *(part.counts for part in parts)])
    words = joined([part.words for part in parts])
    order = np.argsort(hashes, kind="stable")
    new = np.ones(len(order), np.bool_)
    collides = _mark_new(hashes, words.data, words.offsets, order, new)
    if collides:
        order = order_of_words(hashes, words)
        _mark_new(hashes, words.data, words.offsets, order, new)
    firsts = np.flatnonzero(new)
    summed = np.add.reduceat(counts[order], firsts) if len(firsts) else counts
    return CountedWords(hashes[order[firsts]], take(words, order[firsts]), summed)


@compiled
def _mark_new(
    hashes: UInt64[np.ndarray, " N"],
    data: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    order: Int64[np.ndarray, " N"],
    new: Bool[np.ndarray, " N"],
) -> bool:
    """Mark the words that differ from the one before in the given order; returns whether two with the same hash differ."""
    collides = False
    for i in range(ONE, u64(len(order))):
        one, other = order[i - ONE], order[i]
        new[i] = hashes[one] != hashes[other]
        if not new[i] and not _same(data, offsets, one, data, offsets, other):
            new[i] = collides = True
    return collides


@compiled
def _same(
    data: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    one: np.int64,
    other_data: UInt8[np.ndarray, " C"],
    other_offsets: Int64[np.ndarray, " M1"],
    other: np.int64,
) -> bool:
    start, length = u64(offsets[one]), u64(offsets[one + 1] - offsets[one])
    other_start = u64(other_offsets[other])
    if length != u64(other_offsets[other + 1]) - other_start:
        return False
    for i in range(length):  # noqa: SIM110 - compiled
        if data[start + i] != other_data[other_start + i]:
            return False
    return True


def places_of(words: CountedWords, among: CountedWords) -> UInt32[np.ndarray, " W"]:
    """The position of every word among sorted words, which must include them all.

    Raises:
        DamagedError: a word is missing.
    """
    _check(words.words)
    _check(among.words)
    places = np.zeros(len(words.hashes), np.uint32)
    if not _find_all(words.hashes, words.words.data, words.words.offsets, among.hashes, among.words.data, among.words.offsets, places):
        raise _broken()
    return places


@compiled
def _find_all(
    hashes: UInt64[np.ndarray, " N"],
    data: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    among: UInt64[np.ndarray, " M"],
    among_data: UInt8[np.ndarray, " C"],
    among_offsets: Int64[np.ndarray, " M1"],
    places: UInt32[np.ndarray, " N"],
) -> bool:
    """Fill in ``places``; returns whether all words are there. Seven arguments, since two lists of words have three arrays each."""
    at, last = np.int64(0), np.int64(len(among))
    for n in range(len(hashes)):
        i = np.int64(n)
        while at < last and (among[at] != hashes[i] or not _same(data, offsets, i, among_data, among_offsets, at)):
            at += 1
        if at == last:
            return False
        places[i] = at
    return True


def key_range(pairs: CountedPairs, places: UInt32[np.ndarray, " W"], low: int, high: int) -> slice:
    """Where the pairs of a run are whose keys, as pairs of the words of all runs, are at least ``low`` and below ``high``."""
    low, high = (_own_key(bound, places) for bound in (low, high))
    first, end = np.searchsorted(pairs.keys, np.array([low, high], np.uint64))
    return slice(int(first), int(end))


def _own_key(bound: int, places: UInt32[np.ndarray, " W"]) -> int:
    """The least key of a run that is not below a key of all runs; ``places`` ascend, so both have the same order."""
    first, second, between = bound >> FIRST_SHIFT, (bound >> BETWEEN_BITS) & SECOND_MASK, bound & BETWEEN_MASK
    own_first = int(np.searchsorted(places, min(first, LARGEST_PLACE)))
    if own_first == len(places) or places[own_first] != first:
        return own_first << FIRST_SHIFT
    own_second = int(np.searchsorted(places, second))
    if own_second == len(places) or places[own_second] != second:
        between = 0
    return (own_first << FIRST_SHIFT) | (own_second << BETWEEN_BITS) | between


def split_keys(keys: UInt64[np.ndarray, " P"]) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """For every pair the positions of its first and second word, and the index in ``BETWEEN`` of what is between them."""
    second = (keys >> np.uint64(BETWEEN_BITS)) & np.uint64(SECOND_MASK)
    between = keys & np.uint64(BETWEEN_MASK)
    return (keys >> np.uint64(FIRST_SHIFT)).astype(np.int64), second.astype(np.int64), between.astype(np.int64)


def renamed(keys: UInt64[np.ndarray, " P"], places: UInt32[np.ndarray, " W"]) -> UInt64[np.ndarray, " P"]:
    """Pairs of a run as pairs of the words of all runs.

    Raises:
        DamagedError: a pair has a word that is not in the run.
    """
    renamed = np.zeros(len(keys), np.uint64)
    if not _rename(as_compiled_takes(keys, np.uint64), places, renamed):
        raise _broken()
    return renamed


@compiled
def _rename(keys: UInt64[np.ndarray, " P"], places: UInt32[np.ndarray, " W"], out: UInt64[np.ndarray, " P"]) -> bool:
    """Fill in ``out``; returns whether all words are there."""
    words = u64(len(places))
    for i in range(u64(len(keys))):
        if keys[i] >> u64(FIRST_SHIFT) >= words or (keys[i] >> u64(BETWEEN_BITS)) & u64(SECOND_MASK) >= words:
            return False
        out[i] = rename(keys[i], places)
    return True


def merge_pairs(parts: Sequence[CountedPairs]) -> CountedPairs:
    """The different pairs of several lists, with the sums of their counts."""
    keys = np.concatenate([np.zeros(0, np.uint64), *(part.keys for part in parts)])
    counts = np.concatenate([np.zeros(0, np.int64), *(part.counts for part in parts)])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    firsts = np.flatnonzero(np.concatenate([np.ones(min(1, len(keys)), np.bool_), keys[1:] != keys[:-1]]))
    return CountedPairs(keys[firsts], np.add.reduceat(counts[order], firsts) if len(firsts) else counts)
