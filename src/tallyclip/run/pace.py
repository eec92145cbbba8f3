"""How fast the work of a stage gets on, and which of it takes long: from when its marks were made, and a sample of what is in them.

Marks are dated by one clock, that of the file system or store, which may be another than that of this machine or those that work.
"""

from __future__ import annotations

import heapq
import socket
from collections.abc import Mapping, Sequence
from statistics import median

import msgspec

from tallyclip.io.locks import is_alive
from tallyclip.run.items import Mark, Running, StageFolder
from tallyclip.run.runners.attempts import slow_from

WINDOW = 600.0  # seconds before now whose marks count
SAMPLED = 100  # marks that are read, the last


class RunningShard(msgspec.Struct):
    """A piece of work that is being done.

    Attributes:
        shard: its key.
        host, pid: by which process.
        seconds: for how long.
        straggler: it takes more than four times as long as 95 of 100 others, of which at least 20 are known.
    """

    shard: str
    host: str
    pid: int
    seconds: float
    straggler: bool


class Pace(msgspec.Struct, frozen=True):
    """What is done in a second: of pieces, and of what these count."""

    pieces: float
    rows: float


def clock_ahead(running: Mapping[str, Running], began_at: Mapping[str, float]) -> float:
    """By how many seconds the clock that dates marks is ahead of this machine's.

    What is being done says when it began by the clock of its machine, and its mark is dated. If none of it is done here, the clock of this
    machine is taken for that of most.
    """
    ahead = [(each.host, began_at[key] - each.started) for key, each in running.items() if key in began_at]
    here = [seconds for host, seconds in ahead if host == socket.gethostname()]
    return median(here or [seconds for _, seconds in ahead] or [0.0])


def sample(folder: StageFolder, marked_at: Mapping[str, float]) -> list[Mark]:
    """The marks that were made last."""
    last = heapq.nlargest(SAMPLED, marked_at, key=marked_at.__getitem__)
    return [mark for key in last if (mark := folder.mark(key)) is not None]


def pace_of(marked_at: Mapping[str, float], marks: Sequence[Mark], now: float) -> Pace | None:
    """How fast it went lately, or None if nothing was done.

    The time that counts begins with the first piece that ended in it, since work may have begun a minute ago, or again after a week.

    Args:
        marked_at: when pieces were done, in seconds since 1970.
        marks: of some of them.
        now: in seconds since 1970, by the same clock, as far as that is known.
    """
    now = max([now, *marked_at.values()])
    recent = [at for at in marked_at.values() if at > now - WINDOW]
    if not recent or not marks:
        return None
    span = min(WINDOW, now - min(recent) + sum(mark.seconds for mark in marks) / len(marks))
    pieces = len(recent) / max(span, 0.001)
    return Pace(pieces, pieces * sum(mark.report["rows"] for mark in marks) / len(marks))


def running_shards(running: Mapping[str, Running], began_at: Mapping[str, float], marks: Sequence[Mark], now: float) -> list[RunningShard]:
    """What is being done, the longest first; without what a process of this host left that is gone.

    Args:
        running: what is being done.
        began_at: since when, in seconds since 1970.
        marks: of some that were done.
        now: in seconds since 1970, by the same clock, as far as that is known.
    """
    slow = slow_from(sorted(mark.seconds for mark in marks))
    known = {key: each for key, each in running.items() if key in began_at and not _is_gone(each)}
    now = max([now, *(began_at[key] for key in known)])
    found = [
        RunningShard(key, each.host, each.pid, round(seconds := now - began_at[key], 1), seconds > slow) for key, each in known.items()
    ]
    return sorted(found, key=lambda each: (-each.seconds, each.shard))


def _is_gone(running: Running) -> bool:
    return running.host == socket.gethostname() and not is_alive(running.pid)
