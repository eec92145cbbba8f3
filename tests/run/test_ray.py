"""Ray as a runner: what a task gives comes back; one that fails is blamed, and no other, and tried as often as its cause allows."""

from __future__ import annotations

import errno
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallyclip.errors import OptionError, OutputError, SourceError
from tallyclip.places import SCRATCH, place_of
from tallyclip.run.runners import attempts
from tallyclip.run.runners.attempts import AGAIN, FIRST_DELAY, STRAGGLER_DONE, Cause
from tallyclip.run.runners.base import Done, Failed, Task, Tick
from tallyclip.run.runners.ray import RayWorkers
from tests.run.clusters import MODULES
from tests.run.test_local import (
    die,
    die_the_first_times,
    double,
    fail_the_first_times,
    outcomes,
    raise_it,
    sleep_or_double,
    write_something,
)
from tests.tools import PATIENCE


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayWorkers]:
    """A private Ray with two processors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", MODULES)
        with RayWorkers(None, 2, tmp_path_factory.mktemp("seen")) as workers:
            yield workers


def test_every_task_gives_its_own_result(workers: RayWorkers) -> None:
    assert workers.count == 2
    events = outcomes(workers.map(double, [Task(str(n), n) for n in range(30)]))
    assert events == {str(n): Done(str(n), 2 * n) for n in range(30)}


def test_no_tasks_are_done_at_once(workers: RayWorkers) -> None:
    assert outcomes(workers.map(double, [])) == {}


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (SourceError("a.parquet: cut short", "copy it again"), "a.parquet: cut short", "copy it again"),
        (ZeroDivisionError("by nought"), "ZeroDivisionError: by nought", None),
    ],
)
def test_a_task_that_raises_fails_alone_and_says_why(workers: RayWorkers, error: Exception, what: str, hint: str | None) -> None:
    assert outcomes(workers.map(raise_it, [Task("bad", error)])) == {"bad": Failed("bad", what, hint)}


def test_a_task_that_cannot_write_stops_the_work_and_its_machine_is_named(workers: RayWorkers) -> None:
    with pytest.raises(OutputError) as raised:
        outcomes(workers.map(raise_it, [Task("full", OutputError("/run/x: no room", "free some"))]))
    assert (raised.value.what, raised.value.hint) == (f"/run/x: no room (on {socket.gethostname()})", "free some")


def test_a_task_on_a_machine_whose_own_disk_is_full_fails_alone_and_all_others_finish(
    workers: RayWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run on a store, machines write to copies of their own. A file that is always full stands for such a disk."""
    monkeypatch.setenv(SCRATCH, str(tmp_path))
    monkeypatch.setattr(attempts, "FIRST_DELAY", 0.01)
    full = place_of("s3://bucket/run") / "full"
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    tasks = [Task(str(n), full if n == 2 else tmp_path / str(n)) for n in range(5)]
    events = outcomes(workers.map(write_something, tasks))
    why = f"no room to write: No space left on device (on {socket.gethostname()})"
    said = f"s3://bucket/run/full: {why} (tried {AGAIN[Cause.IO] + 1} times)"
    assert events.pop("2") == Failed("2", said, "free some space and run the same command again: finished work is kept")
    assert events == {str(n): Done(str(n), 9) for n in (0, 1, 3, 4)}
    with pytest.raises(OutputError) as raised:  # the disk of the results, which is all machines'
        outcomes(workers.map(write_something, [Task("full", Path("/dev/full"))]))
    assert raised.value.what == f"/dev/full: {why}"


def test_a_task_that_kills_its_workers_is_blamed_and_all_others_finish(workers: RayWorkers) -> None:
    tasks = [Task(f"good {n}", "live") for n in range(6)]
    tasks.insert(3, Task("bad", "abort"))
    events = outcomes(workers.map(die, tasks))
    bad = events.pop("bad")
    assert isinstance(bad, Failed)
    assert bad.what == f"its worker died (tried {AGAIN[Cause.CRASH] + 1} times)"
    assert events == {f"good {n}": Done(f"good {n}", "lived") for n in range(6)}


def test_a_task_is_tried_again_after_a_crash(workers: RayWorkers, tmp_path: Path) -> None:
    events = outcomes(workers.map(die_the_first_times, [Task("unlucky", tmp_path)]))
    assert events == {"unlucky": Done("unlucky", AGAIN[Cause.CRASH])}


def test_a_task_whose_reading_failed_in_a_way_that_may_pass_is_tried_again_after_a_while(workers: RayWorkers, tmp_path: Path) -> None:
    started = time.monotonic()
    events = outcomes(workers.map(fail_the_first_times, [Task("unlucky", (tmp_path, OSError(errno.ESTALE, "stale"), 1))]))
    assert events == {"unlucky": Done("unlucky", 1)}
    assert time.monotonic() - started >= FIRST_DELAY


def test_a_task_that_hangs_is_stopped_and_tried_once_more_and_all_others_finish(workers: RayWorkers, tmp_path: Path) -> None:
    tasks = [Task(str(n), (tmp_path, None if n == 3 else n)) for n in range(9)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "_longest", 1.0)
        events = outcomes(workers.map(sleep_or_double, tasks))
    hung = events.pop("3")
    assert isinstance(hung, Failed)
    assert hung.what == "it took longer than --shard-timeout 1 (tried 2 times)"
    assert len(list(tmp_path.iterdir())) == 2
    assert events == {str(n): Done(str(n), 2 * n) for n in range(9) if n != 3}


def take_memory(of: tuple[Path, bool], tick: Tick) -> int:
    """Run out of memory, if so asked; how often that was tried is in files."""
    tries, greedy = of
    if not greedy:
        return 0
    (tries / f"{os.getpid()}-{time.monotonic_ns()}").touch()
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), before[1]))
    try:
        return len(bytearray(10 << 30))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_task_that_runs_out_of_memory_is_tried_once_more_and_all_others_finish(workers: RayWorkers, tmp_path: Path) -> None:
    events = outcomes(workers.map(take_memory, [Task(str(n), (tmp_path, n == 1)) for n in range(4)]))
    greedy = events.pop("1")
    assert isinstance(greedy, Failed)
    assert greedy.what == "memory ran out (tried 2 times)"
    assert len(list(tmp_path.iterdir())) == 2
    assert events == {str(n): Done(str(n), 0) for n in (0, 2, 3)}


def sleep_the_first_time(of: tuple[Path, int], tick: Tick) -> int:
    tries, number = of
    if number == 0 and not (tries / "tried").exists():
        (tries / "tried").touch()
        time.sleep(PATIENCE)
    return number


def test_a_task_that_takes_much_longer_than_all_others_is_overtaken_by_its_copy(workers: RayWorkers, tmp_path: Path) -> None:
    started = time.monotonic()
    events = outcomes(workers.map(sleep_the_first_time, [Task(str(n), (tmp_path, n)) for n in range(STRAGGLER_DONE + 1)]))
    assert events == {str(n): Done(str(n), n) for n in range(STRAGGLER_DONE + 1)}
    assert time.monotonic() - started < PATIENCE


def test_work_given_up_midway_gives_nothing_to_the_next_call(workers: RayWorkers, tmp_path: Path) -> None:
    events = workers.map(sleep_or_double, [Task(str(n), (tmp_path, n or None)) for n in range(3)])
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert outcomes(workers.map(double, [Task(str(n), n) for n in range(9)])) == {str(n): Done(str(n), 2 * n) for n in range(9)}


def test_one_process_is_connected_once(workers: RayWorkers, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="connected to Ray already"), RayWorkers(None, 1, tmp_path):
        pass


@pytest.mark.parametrize("address", ["localhost:1", "no such host:6379", "nonsense", "ray://localhost:10001"])
def test_a_cluster_that_is_not_there_is_an_option_error_at_once(workers: RayWorkers, tmp_path: Path, address: str) -> None:
    started = time.monotonic()
    with pytest.raises(OptionError, match="ray-address"), RayWorkers(address, None, tmp_path):
        pass
    assert time.monotonic() - started < PATIENCE / 4
