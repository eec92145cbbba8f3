"""What a runner is: something that does pieces of work somewhere, and says of each how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from tallyclip.errors import IncompleteError
from tallyclip.run.progress import Progress
from tallyclip.wording import plural

Tick = Callable[[int], None]
Payload = TypeVar("Payload")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Task(Generic[Payload]):
    """A piece of work: ``function(payload, tick)`` runs somewhere, where ``tick(rows)`` reports progress."""

    key: str
    payload: Payload


@dataclass(frozen=True)
class Advanced:
    """A task has done that many more rows."""

    key: str
    rows: int


@dataclass(frozen=True)
class Done(Generic[Result]):
    key: str
    result: Result


@dataclass(frozen=True)
class Failed:
    """A task did not work: ``what`` says why, ``hint`` what may help."""

    key: str
    what: str
    hint: str | None = None


Event = Advanced | Done[Any] | Failed


class Runner(Protocol):
    """Runs tasks, in any order and in any number of places.

    A stage needs no more of a runner than this. Tasks are small: they name the files that they work on, and what they do is in files when
    they are done, so a runner may do one twice, or lose its answer.
    """

    count: int  # how many tasks run at a time

    def map(self, function: Callable[[Payload, Tick], Result], tasks: Iterable[Task[Payload]]) -> Iterator[Event]:
        """Run every task, yielding what happens as it happens. A task that raises, or whose process dies, fails alone.

        Raises:
            OutputError: nothing can be written; going on would only fail again and again.
            StepError: a step of the user's own does not work; likewise.
        """
        ...


class Nowhere:
    """The runner of a folder that is only read."""

    count = 0

    def map(self, function: Callable[[Payload, Tick], Result], tasks: Iterable[Task[Payload]]) -> Iterator[Event]:
        """There is nothing to run."""
        raise AssertionError(function, tasks)


def collect(
    runner: Runner, progress: Progress, function: Callable[[Payload, Tick], Result], tasks: Iterable[Task[Payload]], *, count: bool = True
) -> tuple[dict[str, Result], list[Failed]]:
    """Run tasks whose results are small and come as answers: what they return, by key, and those that failed.

    They leave no marks: an answer that is lost cannot be found in files.

    Args:
        runner: where.
        progress: is told of rows, and if ``count`` is set of each task that has ended.
        function: what a task does.
        tasks: the tasks.
        count: see ``progress``.

    Raises:
        IncompleteError: the runner lost an answer.
    """
    tasks = list(tasks)
    results: dict[str, Result] = {}
    failures: list[Failed] = []
    for event in runner.map(function, tasks):
        match event:
            case Advanced(_, rows):
                progress.advance(rows)
            case Done(key, result):
                results[key] = result
                if count:
                    progress.shard_done(key)
            case Failed(key, what):
                failures.append(event)
                if count:
                    progress.shard_failed(key, what)
    if len(results) + len(failures) < len(tasks):
        raise IncompleteError(
            f"{len(tasks) - len(results) - len(failures):,} of {plural(len(tasks), 'task')} did not answer", "run the same command again"
        )
    return results, failures


def answers(runner: Runner, progress: Progress, function: Callable[[Any, Tick], Result], jobs: Sequence[Any]) -> list[Result]:
    """What small jobs return, each of which has a ``key``, in their order; see ``collect``.

    Raises:
        IncompleteError: one failed, or the runner lost an answer.
    """
    results, failures = collect(runner, progress, function, [Task(job.key, job) for job in jobs], count=False)
    if failures:
        raise IncompleteError(failures[0].what, failures[0].hint)
    return [results[job.key] for job in jobs]
