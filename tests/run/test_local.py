"""Worker processes: what a task gives comes back, and a task that kills its worker is blamed for it and no other."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tallyclip.errors import OutputError, SourceError
from tallyclip.io.files import writing
from tallyclip.run.runners.attempts import AGAIN, FIRST_DELAY, Cause
from tallyclip.run.runners.base import Advanced, Done, Event, Failed, Task
from tallyclip.run.runners.local import Workers
from tallyclip.run.runners.tries import LONGEST_SAID
from tests.tools import PATIENCE, assert_calm, assert_gone, eventually, family

Tick = Callable[[int], None]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(3) as workers:
        yield workers


def double(number: int, tick: Tick) -> int:
    return 2 * number


def large(size: int, tick: Tick) -> bytes:
    return bytes(size)


def count_up(steps: int, tick: Tick) -> int:
    for _ in range(steps):
        tick(7)
        time.sleep(0.05)
    return 7 * steps


def own_process(_: int, tick: Tick) -> int:
    return os.getpid()


def unsendable(_: int, tick: Tick) -> object:
    return lambda: None


def raise_it(error: BaseException, tick: Tick) -> None:
    raise error


def write_something(path: Path, tick: Tick) -> int:
    with writing(path), path.open("w") as file:
        return file.write("something")


def die(how: str, tick: Tick) -> str:
    match how:
        case "abort":
            os.abort()
        case "exit":
            os._exit(3)
        case "be killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "be killed by a nameless signal":
            os.kill(os.getpid(), signal.SIGRTMIN + 3)
    return "lived"


def die_the_first_times(tries: Path, tick: Tick) -> int:
    tick(1)
    number = len(list(tries.iterdir()))
    (tries / str(number)).touch()
    if number < AGAIN[Cause.CRASH]:
        os.abort()
    return number


def sleep_long(started: Path, tick: Tick) -> None:
    (started / str(os.getpid())).touch()
    time.sleep(PATIENCE)


def outcomes(events: Iterator[Event]) -> dict[str, Event]:
    """What became of each task, leaving out progress."""
    ended = [event for event in events if not isinstance(event, Advanced)]
    assert max(Counter(event.key for event in ended).values(), default=1) == 1
    return {event.key: event for event in ended}


def test_every_task_gives_its_own_result(workers: Workers) -> None:
    events = outcomes(workers.map(double, [Task(str(n), n) for n in range(50)]))
    assert events == {str(n): Done(str(n), 2 * n) for n in range(50)}


def test_no_tasks_need_no_workers(workers: Workers) -> None:
    assert outcomes(workers.map(double, [])) == {}


def test_workers_are_kept_from_one_call_to_the_next(workers: Workers) -> None:
    seen = [{event.result for event in workers.map(own_process, [Task(str(n), n) for n in range(20)])} for _ in range(3)]  # type: ignore[union-attr]
    assert len(set.union(*seen)) <= 3


def test_a_result_of_many_megabytes_comes_back_whole(workers: Workers) -> None:
    events = outcomes(workers.map(large, [Task(str(n), 30_000_000 + n) for n in range(4)]))
    assert [len(events[str(n)].result) for n in range(4)] == [30_000_000 + n for n in range(4)]  # type: ignore[union-attr]


def test_ticks_add_up_to_the_rows_that_were_told(workers: Workers) -> None:
    said: Counter[str] = Counter()
    for event in workers.map(count_up, [Task(str(n), n) for n in range(8)]):
        if isinstance(event, Advanced):
            said[event.key] += event.rows
        else:
            assert event == Done(event.key, said[event.key])
    assert said == Counter({str(n): 7 * n for n in range(1, 8)})


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (SourceError("a.parquet: cut short", "copy it again"), "a.parquet: cut short", "copy it again"),
        (MemoryError(), "memory ran out (tried 2 times)", "try fewer --workers"),
        (ZeroDivisionError("by nought"), "ZeroDivisionError: by nought", None),
        (BrokenPipeError("of something else"), "BrokenPipeError: of something else", None),
    ],
)
def test_a_task_that_raises_fails_alone_and_says_why(workers: Workers, error: Exception, what: str, hint: str | None) -> None:
    good = outcomes(workers.map(double, [Task("good", 1)]))
    bad = outcomes(workers.map(raise_it, [Task("bad", error)]))
    assert (good, bad) == ({"good": Done("good", 2)}, {"bad": Failed("bad", what, hint)})


def test_what_is_said_of_a_failed_task_is_short_whatever_is_in_the_error(workers: Workers) -> None:
    long = "x" * 5_000_000
    for error in (ValueError(long), SourceError(long, long)):
        (event,) = outcomes(workers.map(raise_it, [Task("bad", error)])).values()
        assert isinstance(event, Failed)
        assert max(len(event.what), len(event.hint or "")) < LONGEST_SAID + 10


def test_a_result_that_cannot_be_sent_fails_its_task_alone(workers: Workers) -> None:
    (event,) = outcomes(workers.map(unsendable, [Task("odd", 0)])).values()
    assert isinstance(event, Failed)
    assert "pickle" in event.what
    assert outcomes(workers.map(double, [Task("next", 4)])) == {"next": Done("next", 8)}


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("abort", "by signal SIGABRT"),
        ("be killed", "by signal SIGKILL"),
        ("be killed by a nameless signal", f"by signal {signal.SIGRTMIN + 3}"),
        ("exit", "with exit code 3"),
    ],
)
def test_a_task_that_kills_its_workers_is_blamed_and_all_others_finish(workers: Workers, how: str, cause: str) -> None:
    tasks = [Task(f"good {n}", "live") for n in range(6)]
    tasks.insert(3, Task("bad", how))
    events = outcomes(workers.map(die, tasks))
    bad = events.pop("bad")
    assert isinstance(bad, Failed)
    assert bad.what == f"its worker died {cause} (tried {AGAIN[Cause.CRASH] + 1} times)"
    assert bad.hint is not None
    assert "--workers" in bad.hint
    assert events == {f"good {n}": Done(f"good {n}", "lived") for n in range(6)}


def test_a_task_is_tried_again_after_a_crash(workers: Workers, tmp_path: Path) -> None:
    events = outcomes(workers.map(die_the_first_times, [Task("unlucky", tmp_path)]))
    assert events == {"unlucky": Done("unlucky", AGAIN[Cause.CRASH])}


def fail_the_first_times(of: tuple[Path, OSError, int], tick: Tick) -> int:
    tries, error, times = of
    number = len(list(tries.iterdir()))
    (tries / str(number)).touch()
    if number < times:
        raise error
    return number


def test_a_task_whose_reading_failed_in_a_way_that_may_pass_is_tried_again_after_a_while(workers: Workers, tmp_path: Path) -> None:
    started = time.monotonic()
    events = outcomes(workers.map(fail_the_first_times, [Task("unlucky", (tmp_path, OSError(errno.EIO, "flaky"), 1))]))
    assert events == {"unlucky": Done("unlucky", 1)}
    assert time.monotonic() - started >= FIRST_DELAY


def sleep_or_double(of: tuple[Path, int | None], tick: Tick) -> int:
    tries, number = of
    if number is None:
        (tries / str(os.getpid())).touch()
        time.sleep(PATIENCE)
    return 2 * (number or 0)


def test_a_task_that_hangs_is_stopped_and_tried_once_more_and_all_others_finish(tmp_path: Path) -> None:
    tasks = [Task(str(n), (tmp_path, None if n == 3 else n)) for n in range(9)]
    with Workers(2, longest=1.0) as workers:
        events = outcomes(workers.map(sleep_or_double, tasks))
    hung = events.pop("3")
    assert isinstance(hung, Failed)
    assert hung.what == "it took longer than --shard-timeout 1 (tried 2 times)"
    assert len(list(tmp_path.iterdir())) == 2
    assert events == {str(n): Done(str(n), 2 * n) for n in range(9) if n != 3}


def note_neighbours(of: tuple[Path, bool], tick: Tick) -> int:
    """How many tasks run beside this one; it may run out of memory the first time."""
    folder, greedy = of
    mine = folder / f"running {os.getpid()}"
    mine.touch()
    try:
        time.sleep(0.3)
        if greedy and not (folder / "tried").exists():
            (folder / "tried").touch()
            raise MemoryError
        return len(list(folder.glob("running *"))) - 1
    finally:
        mine.unlink()


def test_a_task_that_ran_out_of_memory_is_done_last_with_none_beside_it(workers: Workers, tmp_path: Path) -> None:
    tasks = [Task(str(n), (tmp_path, n == 0)) for n in range(7)]
    ended = [event for event in workers.map(note_neighbours, tasks) if isinstance(event, Done)]
    assert ended[-1] == Done("0", 0)
    assert max(event.result for event in ended) > 0


def test_a_worker_that_dies_between_tasks_is_replaced() -> None:
    with Workers(1) as workers:
        events = workers.map(double, [Task(str(n), n) for n in range(4)])
        ended = [next(events)]
        for _ in range(2):
            (idle,) = workers._workers
            idle.process.kill()
            idle.process.join()
            ended.append(next(events))
        assert [*ended, *events] == [Done(str(n), 2 * n) for n in range(4)]


def test_a_task_that_cannot_write_stops_the_work(workers: Workers) -> None:
    with pytest.raises(OutputError) as raised:
        outcomes(workers.map(raise_it, [Task("full", OutputError("/run/x: no room", "free some"))]))
    assert (raised.value.what, raised.value.hint) == ("/run/x: no room", "free some")


def test_work_given_up_midway_gives_nothing_to_the_next_call(workers: Workers, tmp_path: Path) -> None:
    events = workers.map(count_up, [Task(str(n), 40) for n in range(3)])
    assert isinstance(next(events), Advanced)
    events.close()  # type: ignore[attr-defined]
    assert outcomes(workers.map(double, [Task(str(n), n) for n in range(9)])) == {str(n): Done(str(n), 2 * n) for n in range(9)}


def test_no_worker_outlives_its_block(tmp_path: Path) -> None:
    with Workers(2) as workers:
        assert len(outcomes(workers.map(double, [Task(str(n), n) for n in range(4)]))) == 4
        children = [worker.process.pid for worker in workers._workers]
    assert [pid for pid in children if pid is not None and psutil.pid_exists(pid)] == []


DRIVER = """
import sys
from pathlib import Path
from tallyclip.run.runners.base import Task
from tallyclip.run.runners.local import Workers
from tests.run.test_local import sleep_long

if __name__ == "__main__":
    with Workers(2) as workers:
        try:
            for _ in workers.map(sleep_long, [Task(str(n), Path(sys.argv[1])) for n in range(2)]):
                pass
        except KeyboardInterrupt:
            print("interrupted")
"""


def busy_driver(folder: Path) -> subprocess.Popen[str]:
    """A process whose two workers are at work."""
    (folder / "driver.py").write_text(DRIVER)
    (folder / "started").mkdir()
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    driver = subprocess.Popen(
        [sys.executable, folder / "driver.py", folder / "started"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    eventually(lambda: len(list((folder / "started").iterdir())) == 2, "two tasks have started")
    return driver


def test_the_workers_of_a_killed_driver_leave(tmp_path: Path) -> None:
    driver = busy_driver(tmp_path)
    processes = family(driver.pid)
    assert len(processes) >= 3  # the fork server and two workers
    driver.kill()
    _, said = driver.communicate(timeout=PATIENCE)
    assert_gone(processes)
    assert_calm(said)


def test_ctrl_c_reaches_the_driver_alone(tmp_path: Path) -> None:
    driver = busy_driver(tmp_path)
    processes = family(driver.pid)
    os.killpg(driver.pid, signal.SIGINT)
    printed, said = driver.communicate(timeout=PATIENCE)
    assert (printed, said, driver.returncode) == ("interrupted\n", "", 0)
    assert_gone(processes)


BESIDE = """import sys, psutil
from pathlib import Path
from tallyclip.run.runners.base import Task
from tallyclip.run.runners.choose import runner_of
from tests.run.test_local import double
with runner_of(2, "local", None, None, folder=Path(sys.argv[1]), preload=()) as runner:
    for tasks in ([], [], [Task("one", 1)]):
        print(bool(psutil.Process().children()), end=" ")
        list(runner.map(double, tasks))
    print(bool(psutil.Process().children()))
"""


@pytest.mark.parametrize("there", ["nothing", "a folder", "a folder with something"])
def test_processes_start_at_once_in_a_new_folder_and_else_with_the_first_task(there: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    if there != "nothing":
        folder.mkdir()
    if there == "a folder with something":
        (folder / "something").touch()
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    command = [sys.executable, "-c", BESIDE, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True, env={**os.environ, "PYTHONPATH": path})
    assert done.stdout.split() == (["False"] * 3 + ["True"] if there == "a folder with something" else ["True"] * 4)
