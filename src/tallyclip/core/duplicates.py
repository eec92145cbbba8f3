"""Which rows of a pool are duplicates: of all rows with the same key one is kept, or none if the key is too frequent.

A row is represented by a record of four numbers: the two halves of its key (the pair's uid, or that of its URL), a preference hashed from
the row's content, and the row's place. Of equal keys the smallest preference is kept. So the result depends on what the rows are, not on
their order, nor on how they are split into files; the place decides only between rows that are equal in everything.

Keys are hashes, so buckets by their first bits are of about equal size, and each bucket is resolved by itself. The records of a file are
sorted, so a bucket is one slice of each file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt64

from tallyclip.core.compiled import as_compiled_takes
from tallyclip.core.hashing import mix_in
from tallyclip.core.sorting import sort_rows
from tallyclip.errors import OptionError

ROW_BITS = 40  # of a place; the other bits are the shard's number
MOST_ROWS, MOST_SHARDS = 1 << ROW_BITS, 1 << (64 - ROW_BITS)
KNOWN = np.uint64(0)  # the preference of a key of an existing pool: smaller than that of any row


def preferences(*parts: UInt64[np.ndarray, " N"]) -> UInt64[np.ndarray, " N"]:
    """A hash for each of N rows of several numbers of its content: an order of all rows that favors none."""
    numbers = np.zeros(len(parts[0]), np.uint64)
    for part in parts:
        mix_in(numbers, as_compiled_takes(part, np.uint64))
    return numbers


def sorted_records(
    keys: UInt64[np.ndarray, "N 2"], preferences: UInt64[np.ndarray, " N"], places: UInt64[np.ndarray, " N"]
) -> UInt64[np.ndarray, "N 4"]:
    """N rows as records (two halves of a key, preference, place) in ascending order.

    Args:
        keys: equal for rows of which one is to be kept.
        preferences: of equal keys the smallest is kept; 0 counts as 1, since ``KNOWN`` must be smaller.
        places: of equal preferences the first is kept.
    """
    return sort_rows(np.column_stack([keys, np.maximum(preferences, np.uint64(1)), places]))


def first_of_each(records: UInt64[np.ndarray, "N K"]) -> Bool[np.ndarray, " N"]:
    """True for the first of sorted records with each key; the key is in the first two columns."""
    first = np.ones(len(records), np.bool_)
    first[1:] = (records[1:, 0] != records[:-1, 0]) | (records[1:, 1] != records[:-1, 1])
    return first


def bucket_bits(rows: int, rows_per_bucket: int) -> int:
    """How many bits of a key select its bucket, for about ``rows_per_bucket`` rows in each; 0 for a single bucket."""
    return (max(1, -(-rows // rows_per_bucket)) - 1).bit_length()


def shard_places(shard: int, rows: UInt64[np.ndarray, " N"]) -> UInt64[np.ndarray, " N"]:
    """The places in the whole pool of rows of one shard.

    Raises:
        OptionError: the number of the shard has too many bits for a place.
    """
    if shard >= MOST_SHARDS:
        raise OptionError(f"more than {MOST_SHARDS:,} shards", "put several crawl files into one")
    return rows | np.uint64(shard << ROW_BITS)


def resolve(
    runs: Sequence[UInt64[np.ndarray, "_ 4"]], known: Sequence[UInt64[np.ndarray, "_ 2"]] = ()
) -> tuple[UInt64[np.ndarray, " L"], UInt64[np.ndarray, " K"]]:
    """Find the duplicates in one bucket of several sorted runs.

    Args:
        runs: sorted records.
        known: keys of existing pools; all rows with one of them are removed.

    Returns:
        the places of the removed rows, ascending: of those that repeat another row, and of those with a known key.
    """
    existing = [np.column_stack([keys, np.full((len(keys), 2), KNOWN)]) for keys in known]
    records = sort_rows(np.concatenate([np.zeros((0, 4), np.uint64), *existing, *runs]))
    first = first_of_each(records)
    is_known = records[:, 2] == KNOWN
    firsts = np.flatnonzero(first)
    has_known_key = np.repeat(is_known[firsts], np.diff(np.append(firsts, len(records))))
    return np.sort(records[~first & ~has_known_key, 3]), np.sort(records[has_known_key & ~is_known, 3])


def without(records: UInt64[np.ndarray, "N 4"], removed: UInt64[np.ndarray, " L"]) -> UInt64[np.ndarray, "n 4"]:
    """The records without those at the removed places, which ascend."""
    if len(removed) == 0:
        return records
    spots = np.minimum(np.searchsorted(removed, records[:, 3]), len(removed) - 1)
    return records[removed[spots] != records[:, 3]]


def frequent(runs: Sequence[UInt64[np.ndarray, "_ 4"]], limit: int) -> UInt64[np.ndarray, " L"]:
    """The places, ascending, of all rows of a bucket whose key has more than ``limit`` different preferences."""
    records = sort_rows(np.concatenate([np.zeros((0, 4), np.uint64), *runs]))
    first = first_of_each(records)
    is_new = first.copy()
    is_new[1:] |= records[1:, 2] != records[:-1, 2]
    starts = np.flatnonzero(first)
    different = np.add.reduceat(is_new, starts, dtype=np.int64) if len(starts) else np.zeros(0, np.int64)
    return np.sort(records[np.repeat(different > limit, np.diff(np.append(starts, len(records)))), 3])
