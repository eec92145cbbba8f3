"""Worker processes on this machine, with exact blame.

Every worker has a pipe of its own and works on one task at a time, so when a worker dies it is known which task it died of; an executor
with a shared queue can only say that some process is gone. A worker notices within moments that the driver has died, and ends too.
Longer than others: how workers are started, used and ended is read as one.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from tallyclip.errors import OptionError
from tallyclip.run.runners.attempts import Again, Attempts, Cause, Waiting
from tallyclip.run.runners.base import Advanced, Event, Payload, Result, Task, Tick
from tallyclip.run.runners.tries import STARTED, outcome_of, too_long, try_task

_STARTING = threading.Lock()
SAFE_PATH = "PYTHONSAFEPATH"  # an environment variable of Python's
SECONDS_BETWEEN_TICKS = 0.2
SECONDS_TO_LEAVE = 2.0


class _Worker:
    def __init__(self, context: Any) -> None:
        self.pipe, theirs = context.Pipe()
        watched, self.alive = context.Pipe(duplex=False)  # closes when this process ends, however it ends
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, watched), daemon=True)
        with _undisturbed(), _without_main():
            self.process.start()
        theirs.close()
        watched.close()
        self.task: Task[Any] | None = None
        self.began: float | None = None  # when it had loaded what the task needs

    def give(self, function: Callable[..., Any], task: Task[Any]) -> bool:
        """Hand over a task; False if the worker died before there was one to blame."""
        try:
            self.pipe.send((function, task.payload))
        except (BrokenPipeError, ConnectionResetError):
            return False
        self.task, self.began = task, None
        return True

    def close(self) -> None:
        self.alive.close()
        self.pipe.close()
        self.process.join(SECONDS_TO_LEAVE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Workers:
    """A number of worker processes, started when first needed and used until the block ends.

    ``preload`` names modules that every worker needs; they are imported once, by the process that workers are forked from, and shared.
    ``longest`` is how many seconds a task may take. That there is work may be ``certain``: then what is to be preloaded is imported while
    the driver prepares the work; else with the first task, so that a driver that finds nothing to do has not paid for it.
    """

    def __init__(self, count: int, preload: Sequence[str] = (), longest: float | None = None, *, certain: bool = False) -> None:
        self.count = count
        self._preload = list(preload)
        self._longest = longest
        self._certain = certain
        self._context = get_context("forkserver")
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        if self._certain:
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._dismiss(self._workers)

    def map(self, function: Callable[[Payload, Tick], Result], tasks: Iterable[Task[Payload]]) -> Iterator[Event]:
        """Run every task, yielding what happens as it happens; tasks finish in any order.

        A task is tried again, in another worker where its own died, as often as ``attempts.py`` says. One that ran out of memory is done
        at the end, when nothing runs beside it.

        Raises:
            OutputError: a worker cannot write; going on would only fail again and again.
            StepError: a step of the user's own does not work; likewise.
        """
        waiting = Waiting(tasks)
        self._dismiss([worker for worker in self._workers if not worker.process.is_alive()])
        while len(self._workers) < waiting.up_to(self.count):
            self._workers.append(self._fresh())
        try:
            yield from self._run(function, waiting)
        finally:  # a worker that has not finished would give its answer to the next call
            self._dismiss([worker for worker in self._workers if worker.task])

    def _run(self, function: Callable[[Payload, Tick], Result], waiting: Waiting[Payload]) -> Iterator[Event]:
        attempts = Attempts()
        alone: deque[Task[Payload]] = deque()
        idle = list(self._workers)
        while waiting or alone or any(worker.task for worker in self._workers):
            if alone and not waiting and len(idle) == len(self._workers):
                waiting.put(alone.popleft(), 0.0)
            while idle and (task := waiting.take(time.monotonic())):
                worker = idle.pop()
                if not worker.give(function, task):
                    waiting.put_first(task)
                    idle.append(self._replace(worker))
            for worker, message in self._heard(waiting.next_at() if idle else None):
                task = worker.task
                assert task is not None
                if message == STARTED:
                    worker.began = time.monotonic()
                    continue
                if message[0] == "tick":
                    yield Advanced(task.key, message[1])
                    continue
                worker.task = None
                idle.append(worker if message[0] != "gone" else self._replace(worker))
                judged = attempts.judge(task.key, message[1] if message[0] == "gone" else message)
                if not isinstance(judged, Again):
                    yield judged
                elif judged.cause is Cause.MEMORY:
                    alone.append(task)
                else:
                    waiting.put(task, time.monotonic() + judged.delay)

    def _heard(self, until: float | None) -> Iterator[tuple[_Worker, tuple[Any, ...]]]:
        """What workers say, as soon as one says something or dies, at the latest at a time; of one that is to be replaced "gone" and how
        its task ended."""
        busy = [worker for worker in self._workers if worker.task]
        ends = {} if self._longest is None else {worker: worker.began + self._longest for worker in busy if worker.began is not None}
        times = [*ends.values(), *([] if until is None else [until])]
        ready = wait([worker.pipe for worker in busy], max(0.0, min(times) - time.monotonic()) if times else None)
        for worker in busy:
            if worker.pipe in ready:
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.close()
                    message = ("gone", ("failed", f"its worker died {_cause(worker.process)}", _CRASH_HINT, Cause.CRASH))
                yield worker, message
            elif self._longest is not None and time.monotonic() > ends.get(worker, math.inf):
                worker.process.kill()
                yield worker, ("gone", too_long(self._longest))

    def _replace(self, dead: _Worker) -> _Worker:
        dead.close()
        fresh = self._fresh()
        self._workers[self._workers.index(dead)] = fresh
        return fresh

    def _fresh(self) -> _Worker:
        self._start()
        return _Worker(self._context)

    def _start(self) -> None:
        """Start the process that workers are forked from, unless it runs."""
        with _blind_to_the_folder(), _deaf_to_interrupts():
            self._context.set_forkserver_preload(self._preload)
            forkserver.ensure_running()

    def _dismiss(self, leaving: list[_Worker]) -> None:
        for worker in leaving:
            worker.process.terminate()
        for worker in leaving:
            worker.close()
        self._workers = [worker for worker in self._workers if worker not in leaving]


_CRASH_HINT = "memory may have run out: try fewer --workers; or the file makes a library crash, or a --step the process: look at it alone"


def _cause(process: BaseProcess) -> str:
    code = process.exitcode or 0
    if code >= 0:
        return f"with exit code {code}"
    names = {known.value: known.name for known in signal.Signals}
    return f"by signal {names.get(-code, -code)}"


@contextmanager
def _deaf_to_interrupts() -> Generator[None]:
    """Processes started in this block, and theirs, never see Ctrl-C, which is the driver's to handle."""
    resource_tracker.ensure_running()  # before, for it would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _blind_to_the_folder() -> Generator[None]:
    """Processes started in this block do not look for modules in the current folder, where a random.py may be anybody's."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


@contextmanager
def _undisturbed() -> Generator[None]:
    """Ctrl-C waits until the block ends: a process that is only half started would have something to say of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupts: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt


@contextmanager
def _without_main() -> Generator[None]:
    """Processes started in this block do not import the script that this process runs.

    A worker needs nothing of it, and would run it again, with the call that started the worker, unless it is guarded. A script that was
    typed in, or read from standard input, has no file to import.
    """
    with _STARTING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def count_of(workers: int | None) -> int:
    """The number of worker processes: as given, or one per processor.

    Raises:
        OptionError: it is below 1.
    """
    if workers is not None:
        if workers < 1:
            raise OptionError(f"--workers {workers} would do nothing", "give a number of at least 1")
        return workers
    if sys.platform == "linux":  # the process may be restricted to some of the processors
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _serve(pipe: Connection, watched: Connection) -> None:
    """What a worker does: take a task, send the result, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for a driver that had a fork server before we came
    threading.Thread(target=_leave_with_driver, args=(watched,), daemon=True).start()
    while True:
        try:
            function, payload = pipe.recv()
        except (EOFError, OSError):
            return
        _send(pipe, STARTED)
        tick = _Ticker(pipe)
        outcome = try_task(function, payload, tick)
        tick.say()
        try:
            _send(pipe, outcome)
        except Exception as error:  # a result that cannot be sent
            _send(pipe, outcome_of(error))


def _send(pipe: Connection, message: tuple[Any, ...]) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # the driver has gone, and this process is about to
        pipe.send(message)


def _leave_with_driver(watched: Connection) -> None:
    try:
        watched.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


class _Ticker:
    """Tells the driver of rows done, not too often."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._rows_unsaid = 0
        self._said = time.monotonic()

    def __call__(self, rows: int) -> None:
        self._rows_unsaid += rows
        if time.monotonic() - self._said >= SECONDS_BETWEEN_TICKS:
            self.say()

    def say(self) -> None:
        if self._rows_unsaid:
            _send(self._pipe, ("tick", self._rows_unsaid))
        self._rows_unsaid, self._said = 0, time.monotonic()
