"""One try of a task, in the process that does it: every error becomes a message that says how the try ended."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from tallyclip.errors import OutputError, StepError, TallyclipError, shows_tracebacks
from tallyclip.io.mirror import begin_task
from tallyclip.run.runners.attempts import Cause, Outcome, cause_of
from tallyclip.run.runners.base import Payload, Result, Tick

STARTED = ("started",)  # said before a try: what it needs is loaded, and from now on it takes time
LONGEST_SAID = 2_000  # characters of why a task failed: an error of a library may have the data in it


def try_task(function: Callable[[Payload, Tick], Result], payload: Payload, tick: Tick) -> Outcome:
    """Do a task, whatever comes of it."""
    begin_task(getattr(payload, "inputs", None))
    try:
        return ("done", function(payload, tick))
    except Exception as error:
        return outcome_of(error)


def outcome_of(error: Exception) -> Outcome:
    """How a try ended that raised."""
    cause = cause_of(error)
    match error:
        case OutputError():
            return ("stop", error, cause)
        case StepError():
            return ("stop", error, Cause.OTHER)
        case TallyclipError():
            return ("failed", _cut(error.what), None if error.hint is None else _cut(error.hint), cause)
        case MemoryError():
            return ("failed", "memory ran out", "try fewer --workers", cause)
        case _:  # a shard that fails in a way nobody foresaw fails alone, and says how
            if shows_tracebacks():
                traceback.print_exception(error)
            return ("failed", _cut(f"{type(error).__name__}: {error}"), None, cause)


def too_long(seconds: float) -> Outcome:
    """How a try ended that was stopped."""
    return ("failed", f"it took longer than --shard-timeout {seconds:g}", "look at it alone, or give it more time", Cause.HANG)


def _cut(said: str) -> str:
    return said if len(said) <= LONGEST_SAID else f"{said[:LONGEST_SAID]} ..."
