"""What a stage is expected to cost, before anything is read but a sample: stages say it of themselves, ``dry-run`` adds it up."""

from __future__ import annotations

import msgspec


class Expected(msgspec.Struct, frozen=True):
    """What a run over a pool would meet, scaled up from a sample of it.

    Attributes:
        pairs: image-text pairs.
        matched: those that match an entry.
        matches: of entries, over all pairs.
        match_seconds: to read the captions and match them, in one process.
        read_seconds: to read all columns, in one process.
        row_bytes: of a pair's row with all its columns, in memory.
    """

    pairs: float
    matched: float
    matches: float
    match_seconds: float
    read_seconds: float
    row_bytes: float


class Cost(msgspec.Struct, frozen=True):
    """Of a stage: seconds of work, over all processes, and bytes that it leaves on disk."""

    seconds: float = 0.0
    disk_bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.disk_bytes + other.disk_bytes)
