"""Compressed sparse rows (CSR): N rows of any lengths in one array, where row i is ``values[offsets[i]:offsets[i + 1]]``."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, UInt8

from tallyclip.core.compiled import ONE, as_compiled_takes, compiled, u64


def offsets_of(lengths: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N1"]:
    """The offsets of N rows of these lengths, one after the other.

    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def positions_of(starts: Int64[np.ndarray, " N"], offsets: Int64[np.ndarray, " N1"]) -> Int64[np.ndarray, " M"]:
    """Where to find the values of N rows that begin at ``starts``, to write the rows one after the other with these offsets.

    >>> positions_of(np.array([7, 0]), np.array([0, 2, 5])).tolist()
    [7, 8, 0, 1, 2]
    """
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], np.diff(offsets))


def take_bytes(
    data: UInt8[np.ndarray, " B"], starts: Int64[np.ndarray, " N"], offsets: Int64[np.ndarray, " N1"]
) -> UInt8[np.ndarray, " C"]:
    """``data[positions_of(starts, offsets)]`` in a tenth of the time. The caller makes sure that all rows lie in the data."""
    out = np.empty(int(offsets[-1]), np.uint8)
    _take_bytes(data, as_compiled_takes(starts, np.int64), offsets, out)
    return out


@compiled
def _take_bytes(
    data: UInt8[np.ndarray, " B"], starts: Int64[np.ndarray, " N"], offsets: Int64[np.ndarray, " N1"], out: UInt8[np.ndarray, " C"]
) -> None:
    for row in range(u64(len(starts))):
        start, to = u64(starts[row]), u64(offsets[row])
        for i in range(u64(offsets[row + ONE]) - to):
            out[to + i] = data[start + i]
