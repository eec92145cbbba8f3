"""Ray as the place where the work runs: it says which machine does a task next, and nothing else.

What is sent is a task, a path and a key, and what comes back is how it ended; the data is in files that all machines see. Nothing is kept
in Ray's object store, so a machine that is lost takes no result with it, and Ray tries nothing again: ``attempts.py`` says what is.
Longer than others: how machines are looked at, and how tasks are sent, watched and given up, is read as one.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tallyclip.errors import IncompleteError, NoRoomError, OptionError, OutputError
from tallyclip.extras import load
from tallyclip.io.files import PART
from tallyclip.io.mirror import discard, fetched, send
from tallyclip.places import root_of
from tallyclip.run.runners.attempts import Again, Attempts, Cause, Durations, Outcome, Waiting
from tallyclip.run.runners.base import Event, Payload, Result, Task, Tick
from tallyclip.run.runners.tries import STARTED, too_long, try_task
from tallyclip.run.versions import versions

TASKS_PER_PROCESSOR = 4  # sent ahead: enough that no processor waits for the next, and few enough to keep track of
SECONDS_TO_LISTEN = 1.0
SECONDS_TO_CONNECT = 5.0
SECONDS_WITHOUT_HEAD = 20.0  # Ray ends the driver itself after 60, without a word that helps
SECONDS_TO_LOOK = 120.0  # for a machine to say what it sees: it has to load tallyclip first
# Silent, with no word to Ray's makers, and with no modules from the folder that the command runs in, where a random.py may be anybody's.
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONSAFEPATH": "1"}
CRASH_HINT = "memory may have run out: give Ray fewer processors of a machine; or the file makes a library crash: look at it alone"


def do_task(function: Callable[[Payload, Tick], Result], payload: Payload) -> Iterator[Any]:
    """What a machine does: it says that it begins, for until then the task waited for a processor, and then how the task ended."""
    yield STARTED
    pa.set_cpu_count(1)  # a task is given one processor; its neighbours have the others
    yield _of_this_machine(try_task(function, payload, lambda _: None))


def _of_this_machine(outcome: Outcome) -> Outcome:
    """How a try ended, with the name of the machine where something could not be written. A full disk that is this machine's alone, such as
    that of the copies of what is on a store, fails the task, and stops no others: other machines may have room."""
    match outcome:
        case ("stop", NoRoomError() as error, _) if root_of(str(error.path)) is not None:
            return ("failed", f"{error.what} (on {socket.gethostname()})", error.hint, Cause.IO)
        case ("stop", OutputError() as error, cause):
            return ("stop", OutputError(f"{error.what} (on {socket.gethostname()})", error.hint), cause)
        case _:
            return outcome


def look(seen: str, expected: str) -> tuple[dict[str, str], bool]:
    """What a machine has: the versions of what computes, and whether it sees a file and what is in it."""
    try:
        return versions(), fetched(Path(seen)).read_text() == expected
    except OSError:
        return versions(), False


@dataclass
class _Try:
    """A task that was sent; ``began`` is when it was first heard of."""

    task: Task[Any]
    began: float | None = None


class RayWorkers:
    """The processors of a Ray cluster, or of a private Ray on this machine, until the block ends.

    Args:
        address: of a running cluster that this machine belongs to, "host:port", or "auto" for the one that runs here; None for a private
            one, which ends with the block.
        count: how many tasks run at a time; None for as many as there are processors.
        folder: that all machines have to see.
        longest: seconds that a task may take.
    """

    def __init__(self, address: str | None, count: int | None, folder: Path, longest: float | None = None) -> None:
        self._ray = load("ray", "Ray", "ray")
        self._address, self._most, self._folder, self._longest = address, count, folder.absolute(), longest
        self._looked_at: set[str] = set()
        self._doubled: set[str] = set()  # keys of tasks of which a second copy was sent
        self._heard_of_head = self._asked_head = 0.0
        self._processors = self.count = 1
        self._twice_its_share = 0

    def __enter__(self) -> RayWorkers:
        self._connect()
        self._do = self._ray.remote(do_task)
        self._head = str(self._ray.get_runtime_context().gcs_address)
        self._heard_of_head = time.monotonic()
        self._note_machines()
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def map(self, function: Callable[[Payload, Tick], Result], tasks: Iterable[Task[Payload]]) -> Iterator[Event]:
        """Run every task, yielding how it ended; tasks finish in any order. What fails is tried again as often as ``attempts.py`` says.

        When all tasks are sent, one that takes much longer than the others is sent once more, and whichever copy ends first counts.

        Raises:
            OutputError: a machine cannot write; going on would only fail again and again.
            StepError: a step of the user's own does not work; likewise.
            OptionError: a machine has other versions than this one, or does not see the folder.
            IncompleteError: the cluster does not answer any more.
        """
        self._look_at_machines()
        self._doubled.clear()
        waiting, attempts, durations = Waiting(tasks), Attempts(), Durations()
        tries: dict[Any, _Try] = {}
        try:
            while waiting or tries:
                while len(tries) < self._ahead() and (task := waiting.take(time.monotonic())):
                    tries[self._send(function, task, attempts)] = _Try(task)
                for sent, outcome in self._heard(tries):
                    ended = tries.pop(sent)
                    key = ended.task.key
                    copies = [other for other, each in tries.items() if each.task.key == key] if key in self._doubled else []
                    if copies and outcome[0] == "failed":
                        continue  # what another copy comes to is what counts
                    self._doubled.discard(key)
                    judged = attempts.judge(key, outcome)
                    if isinstance(judged, Again):
                        waiting.put(ended.task, time.monotonic() + judged.delay)
                        continue
                    for copy in copies:
                        del tries[copy]
                        self._ray.cancel(copy, force=True)
                    if ended.began is not None:
                        durations.add(time.monotonic() - ended.began)
                    yield judged
                if not waiting:
                    now = time.monotonic()
                    slow = [each.task for each in tries.values() if each.began is not None and durations.straggles(now - each.began)]
                    for task in slow:
                        if task.key not in self._doubled:
                            self._doubled.add(task.key)
                            tries[self._send(function, task, attempts)] = _Try(task)
                if time.monotonic() - self._asked_head > SECONDS_TO_LISTEN:
                    self._asked_head = time.monotonic()
                    if self._head_answers():
                        self._note_machines()
        finally:
            for sent in tries:
                self._ray.cancel(sent, force=True)

    def _ahead(self) -> int:
        """How many tasks may be sent and not ended."""
        return self._most if self._address is not None and self._most is not None else TASKS_PER_PROCESSOR * self._processors

    def _send(self, function: Callable[[Payload, Tick], Result], task: Task[Payload], attempts: Attempts) -> Any:
        wants: dict[str, Any] = {"num_returns": "streaming", "max_retries": 0, "num_cpus": 1, "scheduling_strategy": "SPREAD"}
        if attempts.failed_of(task.key, Cause.MEMORY):
            wants["memory"] = self._twice_its_share
        return self._do.options(**wants).remote(function, task.payload)

    def _heard(self, tries: dict[Any, _Try]) -> Iterator[tuple[Any, Outcome]]:
        """How tries ended, as soon as one does; those that take too long are ended."""
        if not tries:
            time.sleep(SECONDS_TO_LISTEN)  # all that is left waits for its next try
            return
        ready, _ = self._ray.wait(list(tries), num_returns=1, timeout=SECONDS_TO_LISTEN)
        if ready:
            ready, _ = self._ray.wait(list(tries), num_returns=len(tries), timeout=0)
        now = time.monotonic()
        for sent in ready:
            if sent not in tries:
                continue  # another copy of its task was faster
            answer = self._answer(sent)
            if answer == STARTED:
                tries[sent].began = now
            else:
                yield sent, answer
        if self._longest is None:
            return
        for sent in [sent for sent, each in tries.items() if each.began is not None and now - each.began > self._longest]:
            if sent in tries:
                self._ray.cancel(sent, force=True)
                yield sent, too_long(self._longest)

    def _answer(self, sent: Any) -> Any:
        """What a try has to say next."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(next(sent))
        except (errors.NodeDiedError, errors.LocalRayletDiedError, errors.ObjectLostError):
            return ("failed", "its machine was lost", None, Cause.NODE)
        except errors.WorkerCrashedError:
            return ("failed", "its worker died", CRASH_HINT, Cause.CRASH)
        except errors.OutOfMemoryError:
            return ("failed", "memory ran out on its machine", "give Ray fewer processors of a machine", Cause.MEMORY)
        except (errors.RayError, StopIteration) as error:  # what could not be sent, or not be loaded
            cause = getattr(error, "cause", None) or error
            return ("failed", f"{type(cause).__name__}: {cause}", None, Cause.OTHER)

    # The cluster

    def _connect(self) -> None:
        """Start a private Ray, or join one that runs.

        Raises:
            OptionError: there is none, it does not let us in, or has other versions.
        """
        if self._address is None:
            how: dict[str, Any] = {"address": "local", "num_cpus": self._most, "include_dashboard": False}
        elif "://" in self._address:
            raise OptionError(
                f"--ray-address {self._address}: not a HOST:PORT", "run this on a machine of the cluster, with --ray-address auto"
            )
        elif self._address != "auto" and not _answers(self._address):  # Ray itself would try for minutes
            raise OptionError(f"--ray-address {self._address}: there is no Ray cluster", _NO_CLUSTER)
        else:
            how = {"address": self._address}
        if self._ray.is_initialized():
            raise OptionError("this process is connected to Ray already", "call ray.shutdown() before")
        self._ray._private.worker._worker_logs_enabled = False  # else what Ray says of machines and workers goes to standard output
        with _silently(), chdir("/"):  # Ray lets its workers find modules in the folder that is current now
            try:
                self._ray.init(**how, log_to_driver=False, logging_level=logging.CRITICAL)
            except (OSError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
                self._ray.shutdown()
                what = " ".join(str(error).split())
                hint = "the same versions of Ray and Python must be everywhere" if "ersion mismatch" in what else _NO_CLUSTER
                raise OptionError(f"--runner ray: no connection{_at(self._address)}: {what}", hint) from None

    def _note_machines(self) -> list[dict[str, Any]]:
        """The machines that do tasks, and what they have together."""
        alive = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        self._processors = max(1, int(sum(node["Resources"]["CPU"] for node in alive)))  # one, where machines come only when there is work
        self.count = self._processors if self._most is None else min(self._most, self._processors)
        memory = [node["Resources"].get("memory", 0.0) for node in alive]
        self._twice_its_share = int(min(2 * sum(memory) / self._processors, max(memory, default=0.0)))  # of memory, of a processor
        return alive

    def _look_at_machines(self) -> None:
        """See that all machines that are there, and were not there before, compute as this one does, and see the folder.

        Raises:
            OptionError: one does not.
            IncompleteError: the cluster does not answer any more.
        """
        while not self._head_answers():  # Ray itself would end this process
            time.sleep(SECONDS_TO_LISTEN)
        machines = {node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})" for node in self._note_machines()}
        machines = {node: name for node, name in machines.items() if node not in self._looked_at}
        if not machines:
            return
        seen, expected = self._folder / f".machines{PART}{os.getpid()}-{secrets.token_hex(4)}", secrets.token_hex(16)
        seen.write_text(expected)
        send([seen])
        try:
            on = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
            ask = {
                node: self._ray.remote(look)
                .options(num_cpus=0, max_retries=3, scheduling_strategy=on(node, soft=False))
                .remote(str(seen), expected)
                for node in machines
            }
            found = [(machines[node], *self._reply(machines[node], asked)) for node, asked in ask.items()]
        finally:
            discard(seen)
        ours = versions()
        for name, theirs, _ in found:
            other = [f"{what} {theirs.get(what, 'missing')}, here {ours[what]}" for what in ours if theirs.get(what) != ours[what]]
            if other:
                raise OptionError(f"{name} of the Ray cluster has {'; '.join(other)}", "the same versions must be everywhere")
        blind = [name for name, _, sees in found if not sees]
        if blind:
            hint = "give an --out on a file system that all machines share, under the same path; or on an object store that all can reach"
            raise OptionError(f"{self._folder}: not to be seen from {', '.join(blind)} of the Ray cluster", hint)
        self._looked_at |= machines.keys()

    def _reply(self, name: str, asked: Any) -> tuple[dict[str, str], bool]:
        try:
            return self._ray.get(asked, timeout=SECONDS_TO_LOOK)
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            what = f"{name} of the Ray cluster cannot run tallyclip {versions()['tallyclip']}: {cause}"
            raise OptionError(what, "install the same version, with its packages, on every machine") from None

    def _head_answers(self) -> bool:
        """Is the head of the cluster there? Without it, whatever asks it for something waits, and then this process is ended.

        Raises:
            IncompleteError: it has not answered for a while.
        """
        if _answers(self._head):
            self._heard_of_head = time.monotonic()
            return True
        if time.monotonic() - self._heard_of_head > SECONDS_WITHOUT_HEAD:
            what = f"the head of the Ray cluster, {self._head}, does not answer any more"
            raise IncompleteError(what, "start the cluster again, and run the same command again: finished work is kept")
        return False


_NO_CLUSTER = "start one with 'ray start', or leave --ray-address away to use this machine alone"


def _at(address: str | None) -> str:
    return "" if address is None else f" with the cluster at {address}"


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


@contextmanager
def _silently() -> Generator[None]:
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
