"""Case folding of many texts at once, by Python's own table."""

from __future__ import annotations

import sys
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8, UInt32

from tallyclip.core.compiled import ONE, ZERO, compiled, u64
from tallyclip.core.strings import Strings, from_python
from tallyclip.core.utf8 import checked_code_point

GROWTH = 3  # two bytes become at most six (U+03B0), and no other code point grows by a larger factor


class FoldTable(NamedTuple):
    """The folded form of code point c is ``data[offsets[c]:offsets[c + 1]]``; an empty form means that c does not change."""

    offsets: UInt32[np.ndarray, " 1114113"]
    data: UInt8[np.ndarray, " B"]


@cache
def build_fold_table() -> FoldTable:
    """``str.casefold`` of every code point. Folding looks at one code point at a time, so this table is all of it.

    The table follows the Unicode version of the Python that builds it; a saved matcher keeps its table.
    """
    folded = (chr(code).casefold() for code in range(sys.maxunicode + 1))
    strings = from_python([form if form != chr(code) else "" for code, form in enumerate(folded)])
    return FoldTable(strings.offsets.astype(np.uint32), strings.data)


def fold(texts: Strings, table: FoldTable) -> Strings:
    """Fold every text; bytes that are not valid UTF-8 do not change."""
    size = int(texts.offsets[-1] - texts.offsets[0])
    data = np.empty(size * GROWTH, np.uint8)
    offsets = np.zeros_like(texts.offsets)
    _fold(texts.data, texts.offsets, table, data, offsets)
    return Strings(data[: offsets[-1]], offsets, texts.valid)


@compiled
def _fold(
    data: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    table: FoldTable,
    out: UInt8[np.ndarray, " 3*B"],
    out_offsets: Int64[np.ndarray, " N1"],
) -> None:
    at = ZERO
    for text in range(u64(len(offsets)) - ONE):
        place, end = u64(offsets[text]), u64(offsets[text + ONE])
        while place < end:
            code, size = checked_code_point(data, place, end)
            form, form_end = u64(table.offsets[code]), u64(table.offsets[code + ONE])
            if form == form_end:
                for i in range(size):
                    out[at + i] = data[place + i]
                at += size
            else:
                for i in range(form, form_end):
                    out[at] = table.data[i]
                    at += ONE
            place += size
        out_offsets[text + ONE] = np.int64(at)
