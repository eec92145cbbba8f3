"""From patterns back to entries, where several entries have the same pattern in a mode."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt32

from tallyclip.core.csr import offsets_of, positions_of
from tallyclip.core.data import Matches
from tallyclip.core.strings import Strings


class PatternGroups(NamedTuple):
    """Pattern p stands for ``entries[offsets[p]:offsets[p + 1]]``."""

    offsets: Int64[np.ndarray, " P1"]
    entries: UInt32[np.ndarray, " V"]


def group_patterns(written: Strings) -> tuple[Strings, PatternGroups | None]:
    """The distinct patterns in order of first use, and their entries, or None if every entry has a pattern of its own."""
    data = written.data.tobytes()
    bounds = written.offsets.tolist()
    groups: dict[bytes, list[int]] = {}
    for entry, (start, end) in enumerate(pairwise(bounds)):
        groups.setdefault(data[start:end], []).append(entry)
    if len(groups) == len(bounds) - 1:
        return written, None
    lengths = np.cumsum([0] + [len(group) for group in groups.values()])
    entries = np.array([entry for group in groups.values() for entry in group], dtype=np.uint32)
    ends = np.cumsum([0] + [len(pattern) for pattern in groups])
    return Strings(np.frombuffer(b"".join(groups), np.uint8), ends, None), PatternGroups(lengths, entries)


def expand(matches: Matches, groups: PatternGroups) -> Matches:
    """Replace patterns by their entries; the entries of a caption ascend again."""
    ends = offsets_of(np.diff(groups.offsets)[matches.entry_ids])
    entries = groups.entries[positions_of(groups.offsets[matches.entry_ids], ends)]
    offsets = ends[matches.offsets]
    captions = np.repeat(np.arange(len(matches)), np.diff(offsets))
    return Matches(offsets, entries[np.lexsort((entries, captions))])
