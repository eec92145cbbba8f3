"""Finding uids in a sorted table of them, which may be mapped from a file and larger than memory."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, UInt64

from tallyclip.core.compiled import ONE, ZERO, as_compiled_takes, compiled, read_only, u64


def find_uids(table: UInt64[np.ndarray, "N K"], uids: UInt64[np.ndarray, "M 2"]) -> Int64[np.ndarray, " M"]:
    """The row of each uid in a table, or -1.

    Args:
        table: its first two columns are uids in ascending order, each once; K is 2 or more.
        uids: in any order.

    >>> table = np.array([[1, 5, 70], [1, 9, 71], [3, 0, 72]], dtype=np.uint64)
    >>> find_uids(table, np.array([[3, 0], [1, 6], [1, 9]], dtype=np.uint64)).tolist()
    [2, -1, 1]
    """
    rows = np.empty(len(uids), np.int64)
    order = np.argsort(uids[:, 0])  # so that neighbours in the table are looked up one after another
    found = np.empty(len(uids), np.int64)
    _find(read_only(table), read_only(as_compiled_takes(uids[order], np.uint64)), found)
    rows[order] = found
    return rows


@compiled
def _find(table: UInt64[np.ndarray, "N K"], uids: UInt64[np.ndarray, "M 2"], found: Int64[np.ndarray, " M"]) -> None:
    size = u64(len(table))
    for i in range(u64(len(uids))):
        high, low = uids[i, ZERO], uids[i, ONE]
        first, end = ZERO, size
        while first < end:
            middle = (first + end) >> ONE
            if table[middle, ZERO] < high or (table[middle, ZERO] == high and table[middle, ONE] < low):
                first = middle + ONE
            else:
                end = middle
        there = first < size and table[first, ZERO] == high and table[first, ONE] == low
        found[i] = np.int64(first) if there else np.int64(-1)


COMPILED = (_find,)
