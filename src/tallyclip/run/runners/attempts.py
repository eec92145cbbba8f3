"""How often a task is tried, by what it failed of: one policy for every runner, as arithmetic on what happened and when."""

from __future__ import annotations

import errno
import heapq
import math
from bisect import insort
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Generic

from tallyclip.run.runners.base import Done, Failed, Payload, Task


class Cause(StrEnum):
    """What a task failed of."""

    NODE = "its machine was lost"
    CRASH = "its worker died"
    MEMORY = "memory ran out"
    IO = "reading or writing failed in a way that may pass"
    HANG = "it took too long"
    OTHER = "an error that comes again"


# How often a task that failed of this is tried again. Of a lost machine no task is to blame, so that bound only ends what would go on for
# ever; a task that kills its worker takes what else the worker has loaded with it.
AGAIN = {Cause.NODE: 20, Cause.CRASH: 2, Cause.MEMORY: 1, Cause.IO: 5, Cause.HANG: 1, Cause.OTHER: 0}
FIRST_DELAY = 1.0  # seconds before a task is tried again whose reading or writing failed; each further wait is twice as long
PASSING = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EINTR,
    errno.EIO,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.ENETUNREACH,
    errno.ENOLCK,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
PASSING_KINDS = (TimeoutError, ConnectionAbortedError, ConnectionRefusedError, ConnectionResetError)  # libraries raise them without errno
STRAGGLER_FACTOR, STRAGGLER_SHARE, STRAGGLER_SECONDS, STRAGGLER_DONE = 4.0, 0.95, 10.0, 20

Outcome = tuple[Any, ...]  # ("done", result), ("failed", what, hint, cause) or ("stop", error, cause): how a try ended


def cause_of(error: BaseException) -> Cause:
    """What an error is about: itself, or the one that it was raised from."""
    known: BaseException | None = error
    while known is not None:
        if isinstance(known, MemoryError):
            return Cause.MEMORY
        if isinstance(known, PASSING_KINDS) or (isinstance(known, OSError) and known.errno in PASSING):
            return Cause.IO
        known = known.__cause__ or (None if known.__suppress_context__ else known.__context__)
    return Cause.OTHER


@dataclass(frozen=True)
class Again:
    """A task is to be tried again, not before so many seconds."""

    cause: Cause
    delay: float


class Attempts:
    """The tries of tasks, by their keys, that failed so far."""

    def __init__(self) -> None:
        self._failed: dict[str, Counter[Cause]] = {}

    def failed_of(self, key: str, cause: Cause) -> int:
        """How many tries of a task failed of that."""
        return self._failed[key][cause] if key in self._failed else 0

    def judge(self, key: str, outcome: Outcome) -> Done[Any] | Failed | Again:
        """What follows from how a try ended.

        Raises:
            OutputError: nothing can be written, so that all tasks would fail.
            StepError: a step of the user's own does not work; likewise.
        """
        match outcome:
            case ("done", result):
                self._failed.pop(key, None)
                return Done(key, result)
            case ("failed", what, hint, cause):
                again = self._again(key, cause)
                if again is not None:
                    return again
                return Failed(key, what + self._tries(key, cause), hint)
            case ("stop", error, cause):
                again = self._again(key, cause)
                if again is not None:
                    return again
                raise error
            case _:
                raise AssertionError(outcome)

    def _again(self, key: str, cause: Cause) -> Again | None:
        failed = self._failed.setdefault(key, Counter())
        failed[cause] += 1
        if failed[cause] > AGAIN[cause]:
            return None
        return Again(cause, FIRST_DELAY * 2 ** (failed[cause] - 1) if cause is Cause.IO else 0.0)

    def _tries(self, key: str, cause: Cause) -> str:
        """What the message of a task says of its tries, where there was more than one."""
        failed = self._failed[key]
        if failed.total() == 1:
            return ""
        before = [f"{count:,} times {other}" for other, count in failed.items() if other is not cause]
        return f" (tried {failed.total():,} times{''.join(f'; {each}' for each in before)})"


class Waiting(Generic[Payload]):
    """Tasks that are to be done, in order, and those that wait for their next try. Tasks are taken from where they come from one at a time:
    of a million, most are not made yet."""

    def __init__(self, tasks: Iterable[Task[Payload]]) -> None:
        self._more = iter(tasks)
        self._ready = deque[Task[Payload]]()
        self._later: list[tuple[float, int, Task[Payload]]] = []
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._later) or self.up_to(1) == 1

    def up_to(self, count: int) -> int:
        """How many tasks are ready, counted up to so many."""
        self._ready.extend(islice(self._more, max(0, count - len(self._ready))))
        return min(count, len(self._ready))

    def put(self, task: Task[Payload], at: float) -> None:
        """Take up a task that is not to be tried before that time."""
        self._number += 1  # of two with one time the first comes first
        heapq.heappush(self._later, (at, self._number, task))

    def put_first(self, task: Task[Payload]) -> None:
        """Take back a task that could not be begun."""
        self._ready.appendleft(task)

    def take(self, now: float) -> Task[Payload] | None:
        """The next task, if there is one to be begun now."""
        if self.up_to(1):
            return self._ready.popleft()
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2]
        return None

    def next_at(self) -> float | None:
        """When the first of those will be ready that have to wait."""
        return self._later[0][0] if self._later else None


def slow_from(durations: Sequence[float]) -> float:
    """The seconds beyond which a task takes much longer than nearly all others did: four times what 95 of 100 took at most.

    Args:
        durations: of the others, in seconds, ascending; of too few nothing can be said, and it is infinity.
    """
    if len(durations) < STRAGGLER_DONE:
        return math.inf
    return STRAGGLER_FACTOR * durations[math.ceil(STRAGGLER_SHARE * len(durations)) - 1]


class Durations:
    """How long tasks took, in seconds, and which take much longer than the others."""

    def __init__(self) -> None:
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        insort(self._sorted, seconds)

    def straggles(self, seconds: float) -> bool:
        """Does a task that has run for so long take much longer than nearly all others did?"""
        return seconds >= STRAGGLER_SECONDS and seconds > slow_from(self._sorted)
