"""Rows sorted by their first column, and what follows from that: buckets, ranges and samples of sorted runs.

First columns are halves of hashes, so ties are rare and sorting by one column is nearly all of the work.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped, UInt64

GOLDEN = 0.6180339887  # the golden ratio's fraction: multiples of it, less their whole parts, are spread evenly


def sort_rows(rows: UInt64[np.ndarray, "N K"]) -> UInt64[np.ndarray, "N K"]:
    """Rows in ascending order of their columns; equal rows are all kept.

    >>> sort_rows(np.array([[2, 9], [1, 5], [2, 3]], dtype=np.uint64)).tolist()
    [[1, 5], [2, 3], [2, 9]]
    """
    rows = rows[np.argsort(rows[:, 0], kind="stable")]  # Timsort, which only merges where rows are runs that are sorted already
    same = rows[1:, 0] == rows[:-1, 0]
    tied = np.zeros(len(rows), np.bool_)
    tied[1:] |= same
    tied[:-1] |= same
    positions = np.flatnonzero(tied)
    if len(positions):
        some = rows[positions]
        rows[positions] = some[np.lexsort(some.T[::-1])]
    return rows


def bucket_slice(hashes: UInt64[np.ndarray, " N"], bucket: int, bits: int) -> slice:
    """Where a bucket is in ascending hashes: those whose first ``bits`` bits are its number.

    >>> bucket_slice(np.array([1, 2, 1 << 63], dtype=np.uint64), bucket=1, bits=1)
    slice(2, 3, None)
    """
    if bits == 0:
        return slice(0, len(hashes))
    low = np.searchsorted(hashes, np.uint64(bucket << (64 - bits)))
    is_last = bucket + 1 == 1 << bits
    high = len(hashes) if is_last else np.searchsorted(hashes, np.uint64((bucket + 1) << (64 - bits)))
    return slice(int(low), int(high))


def sample_of_run(run: Shaped[np.ndarray, "N ..."], number: int, step: int) -> Shaped[np.ndarray, "n ..."]:
    """Every ``step``-th row of the sorted run with this number, to choose the ranges by in which runs are merged.

    The first row is another one in each run: if all began at 0, the sample of many short runs would hold only their smallest rows.
    """
    return run[int(number * GOLDEN % 1 * step) :: step]
