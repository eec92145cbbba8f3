"""How often a task is tried: by what it failed of, and by nothing else."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import OutputError, SourceError, StepError
from tallyclip.readers.content import reading
from tallyclip.run.runners.attempts import (
    AGAIN,
    FIRST_DELAY,
    STRAGGLER_DONE,
    STRAGGLER_FACTOR,
    STRAGGLER_SECONDS,
    Again,
    Attempts,
    Cause,
    Durations,
    Waiting,
    cause_of,
)
from tallyclip.run.runners.base import Done, Failed, Task
from tallyclip.run.runners.tries import outcome_of


def failure(cause: Cause) -> tuple[Any, ...]:
    return ("failed", "it broke", "mend it", cause)


@pytest.mark.parametrize("cause", list(Cause))
def test_a_task_is_tried_as_often_as_its_cause_allows_and_then_fails_with_the_number_of_tries(cause: Cause) -> None:
    attempts = Attempts()
    judged = [attempts.judge("a", failure(cause)) for _ in range(AGAIN[cause] + 1)]
    assert [type(each) for each in judged] == [Again] * AGAIN[cause] + [Failed]
    tries = f" (tried {AGAIN[cause] + 1} times)" if AGAIN[cause] else ""
    assert judged[-1] == Failed("a", f"it broke{tries}", "mend it")


def test_other_causes_and_other_tasks_do_not_count_and_are_named() -> None:
    attempts = Attempts()
    for _ in range(AGAIN[Cause.NODE]):
        assert isinstance(attempts.judge("a", failure(Cause.NODE)), Again)
    assert isinstance(attempts.judge("a", failure(Cause.CRASH)), Again)
    assert isinstance(attempts.judge("b", failure(Cause.NODE)), Again)
    assert attempts.judge("a", failure(Cause.OTHER)) == Failed(
        "a", "it broke (tried 22 times; 20 times its machine was lost; 1 times its worker died)", "mend it"
    )


def test_only_reading_and_writing_waits_and_twice_as_long_each_time() -> None:
    attempts = Attempts()
    judged = [attempts.judge("a", failure(Cause.IO)) for _ in range(AGAIN[Cause.IO])]
    assert judged == [Again(Cause.IO, FIRST_DELAY * 2**number) for number in range(AGAIN[Cause.IO])]
    others = [cause for cause in Cause if AGAIN[cause] and cause is not Cause.IO]
    assert [attempts.judge("b", failure(cause)) for cause in others] == [Again(cause, 0.0) for cause in others]


def test_what_stops_all_stops_at_once_unless_it_may_pass() -> None:
    attempts, full = Attempts(), OutputError("disk full")
    with pytest.raises(OutputError, match="disk full"):
        attempts.judge("a", ("stop", full, Cause.OTHER))
    for _ in range(AGAIN[Cause.IO]):
        assert isinstance(attempts.judge("a", ("stop", full, Cause.IO)), Again)
    with pytest.raises(OutputError, match="disk full"):
        attempts.judge("a", ("stop", full, Cause.IO))


def test_a_task_that_is_done_has_failed_of_nothing() -> None:
    attempts = Attempts()
    attempts.judge("a", failure(Cause.MEMORY))
    assert attempts.failed_of("a", Cause.MEMORY) == 1
    assert attempts.judge("a", ("done", 7)) == Done("a", 7)
    assert attempts.failed_of("a", Cause.MEMORY) == 0


def raised_by_reader(error: BaseException) -> Exception:
    with pytest.raises(SourceError) as raised, reading("a.csv"):
        raise error
    return raised.value


@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET, errno.ESTALE, errno.EAGAIN, errno.ENETUNREACH])
def test_a_system_error_that_may_pass_is_known_wherever_it_was_raised(number: int) -> None:
    error = OSError(number, os.strerror(number))
    assert cause_of(error) is Cause.IO
    assert outcome_of(raised_by_reader(error))[-1] is Cause.IO


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError("by peer")])
def test_so_is_one_of_a_library_that_gives_no_number(error: OSError) -> None:
    assert cause_of(raised_by_reader(error)) is Cause.IO


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EISDIR, errno.EPIPE])
def test_one_that_comes_again_is_not(number: int) -> None:
    assert cause_of(OSError(number, os.strerror(number))) is Cause.OTHER
    assert cause_of(raised_by_reader(ValueError("no number"))) is Cause.OTHER


def test_memory_that_ran_out_while_reading_is_known_as_that() -> None:
    assert outcome_of(raised_by_reader(MemoryError()))[-1] is Cause.MEMORY


def test_a_cause_that_an_error_hides_on_purpose_is_none_of_it() -> None:
    try:
        try:
            raise TimeoutError
        except TimeoutError:
            raise ValueError("of its own") from None
    except ValueError as error:
        assert cause_of(error) is Cause.OTHER


def test_a_step_that_does_not_work_stops_all_whatever_it_met() -> None:
    error = StepError("keep raised")
    error.__cause__ = TimeoutError()
    assert outcome_of(error) == ("stop", error, Cause.OTHER)


@given(st.lists(st.integers(0, 5)))
def test_tasks_wait_for_their_time_and_none_is_lost(times: list[int]) -> None:
    waiting: Waiting[int] = Waiting(Task(f"first {n}", n) for n in range(3))
    for number, at in enumerate(times):
        waiting.put(Task(str(number), number), float(at))
    taken: list[tuple[float, str]] = []
    for now in range(7):
        while task := waiting.take(float(now)):
            taken.append((now, task.key))
        assert waiting.next_at() is None or waiting.next_at() > now  # type: ignore[operator]
    assert [key for _, key in taken[:3]] == ["first 0", "first 1", "first 2"]
    assert sorted(taken[3:]) == sorted((at, str(number)) for number, at in enumerate(times))
    assert not waiting


def test_tasks_are_made_when_they_are_taken() -> None:
    made: list[int] = []

    def tasks() -> Iterator[Task[int]]:
        for number in range(5):
            made.append(number)
            yield Task(str(number), number)

    waiting = Waiting(tasks())
    assert waiting
    assert waiting.up_to(2) == 2
    assert made == [0, 1]
    waiting.put_first(Task("back", 9))
    assert waiting.up_to(1) == 1
    assert [task.key for _ in range(6) if (task := waiting.take(0.0))] == ["back", *"01234"]
    assert (waiting.take(0.0), bool(waiting), waiting.up_to(3)) == (None, False, 0)


def test_a_task_straggles_that_takes_much_longer_than_nearly_all_others_did() -> None:
    durations = Durations()
    for _ in range(STRAGGLER_DONE - 1):
        durations.add(20.0)
    assert not durations.straggles(1e6)  # too few to tell
    durations.add(1000.0)  # one that took long says nothing of the others
    assert not durations.straggles(20.0 * STRAGGLER_FACTOR)
    assert durations.straggles(20.0 * STRAGGLER_FACTOR + 0.1)


def test_no_task_straggles_that_is_quick() -> None:
    durations = Durations()
    for _ in range(STRAGGLER_DONE):
        durations.add(0.01)
    assert not durations.straggles(STRAGGLER_SECONDS - 0.1)
    assert durations.straggles(STRAGGLER_SECONDS + 0.1)
