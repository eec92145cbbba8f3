"""Which rows of a pool repeat others: sorted keys, and of each key one row that stays; or none, if it comes too often.

Rows are known by four numbers: the two halves of the key (the pair's uid, or that of its address), a number made of the row's content
that says who stays, and where the row is. So who stays depends on what the rows are, not on their order, nor on how they are split; only
of rows that are equal in everything the place decides, and then it does not matter.

Keys are spread evenly, so buckets by their first bits hold about as many each; a bucket is resolved by itself (section 6 of the design's
notes on scale: a file shuffle, but over files that are sorted already, so that a bucket is one slice of each).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt64

from tallyclip.core.compiled import as_compiled_takes
from tallyclip.core.hashing import mix_in
from tallyclip.core.sorting import sort_rows
from tallyclip.errors import OptionError

ROW_BITS = 40  # of a place: the rest says which shard
MOST_ROWS, MOST_SHARDS = 1 << ROW_BITS, 1 << (64 - ROW_BITS)
KNOWN = np.uint64(0)  # who stays: a key of an earlier pool, before any row


def preferences(*parts: UInt64[np.ndarray, " N"]) -> UInt64[np.ndarray, " N"]:
    """A number for each of N rows, made of several of its content: one order for all rows that favours none."""
    numbers = np.zeros(len(parts[0]), np.uint64)
    for part in parts:
        mix_in(numbers, as_compiled_takes(part, np.uint64))
    return numbers


def sorted_records(
    keys: UInt64[np.ndarray, "N 2"], preferences: UInt64[np.ndarray, " N"], places: UInt64[np.ndarray, " N"]
) -> UInt64[np.ndarray, "N 4"]:
    """N rows as records of two halves of a key, preference and place, in ascending order.

    Args:
        keys: equal for rows of which one is to stay.
        preferences: of equal keys the smallest stays; 0 counts as 1, for ``KNOWN`` comes before all.
        places: of equal preferences the first stays.
    """
    return sort_rows(np.column_stack([keys, np.maximum(preferences, np.uint64(1)), places]))


def first_of_each(records: UInt64[np.ndarray, "N 4"]) -> Bool[np.ndarray, " N"]:
    """Of sorted records, the first with each key."""
    first = np.ones(len(records), np.bool_)
    first[1:] = (records[1:, :2] != records[:-1, :2]).any(axis=1)
    return first


def bucket_bits(rows: int, rows_per_bucket: int) -> int:
    """How many bits of a key say its bucket, so that buckets hold about so many rows; 0 for a single one."""
    return (max(1, -(-rows // rows_per_bucket)) - 1).bit_length()


def shard_places(shard: int, rows: UInt64[np.ndarray, " N"]) -> UInt64[np.ndarray, " N"]:
    """Places in the whole pool, of rows of one of its shards.

    Raises:
        OptionError: there are more shards than a place has room for.
    """
    if shard >= MOST_SHARDS:
        raise OptionError(f"more than {MOST_SHARDS:,} shards", "put several crawl files into one")
    return rows | np.uint64(shard << ROW_BITS)


def resolve(
    runs: Sequence[UInt64[np.ndarray, "_ 4"]], known: Sequence[UInt64[np.ndarray, "_ 2"]] = ()
) -> tuple[UInt64[np.ndarray, " L"], int]:
    """Of the records of one bucket, from several sorted runs: who goes.

    Args:
        runs: sorted records.
        known: keys of earlier pools; no row with one of them stays.

    Returns:
        the places of the rows that go, ascending; and how many of them because their key is known.
    """
    earlier = [np.column_stack([keys, np.full((len(keys), 2), KNOWN)]) for keys in known]
    records = sort_rows(np.concatenate([np.zeros((0, 4), np.uint64), *earlier, *runs]))
    first = first_of_each(records)
    is_known = records[:, 2] == KNOWN
    leaders = np.flatnonzero(first)
    led_by_known = np.repeat(is_known[leaders], np.diff(np.append(leaders, len(records))))
    going = ~is_known & (~first | led_by_known)
    return np.sort(records[going, 3]), int(np.count_nonzero(led_by_known & ~is_known))


def without(records: UInt64[np.ndarray, "N 4"], going: UInt64[np.ndarray, " L"]) -> UInt64[np.ndarray, "n 4"]:
    """The records whose places are not among ascending ones."""
    if len(going) == 0:
        return records
    spots = np.minimum(np.searchsorted(going, records[:, 3]), len(going) - 1)
    return records[going[spots] != records[:, 3]]


def frequent(runs: Sequence[UInt64[np.ndarray, "_ 4"]], limit: int) -> UInt64[np.ndarray, " L"]:
    """Of the records of one bucket: the places, ascending, of all rows whose key comes with more than ``limit`` different third numbers."""
    records = sort_rows(np.concatenate([np.zeros((0, 4), np.uint64), *runs]))
    first = first_of_each(records)
    fresh = first.copy()
    fresh[1:] |= records[1:, 2] != records[:-1, 2]
    starts = np.flatnonzero(first)
    different = np.add.reduceat(fresh, starts, dtype=np.int64) if len(starts) else np.zeros(0, np.int64)
    return np.sort(records[np.repeat(different > limit, np.diff(np.append(starts, len(records)))), 3])
