"""What ``status`` says of a job that is under way, from files alone: what is done, failed and running, how fast, and what takes long."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tallyclip.io.files import write_json
from tallyclip.run.engine import make
from tallyclip.run.items import Mark, Report, Running, StageFolder, Work, write_work
from tallyclip.run.metrics import metrics_of
from tallyclip.run.pace import WINDOW, pace_of, running_shards
from tallyclip.run.stage import Finished, Making, Section, Stage, Stages
from tallyclip.run.status import FailedShard, RunStatus, StageStatus, read_status
from tallyclip.run.workspace import Kind, Workspace
from tests.run.driver import Inline

HERE = socket.gethostname()
HOUR = 3600.0
CLOCKS = (0.0, HOUR, -HOUR)


class Numbered(msgspec.Struct, frozen=True):
    """A piece of work, by its number."""

    number: int


def look_around(_: None, item: Numbered, folder: StageFolder, tick: Callable[[int], None]) -> Report:
    """Leaves what is said of the pieces at work while it is one of them."""
    write_json(folder.path / "seen" / f"{item.number}.json", msgspec.to_builtins(folder.at_work()))
    if item.number < 0:
        raise ValueError("negative")
    return Report(rows=10)


def cut(making: Making[StageFolder, list[int]]) -> Work:
    return Work({f"p{number}": Numbered(number) for number in making.options})


STAGE = Stage(name="numbers", version=1, command="a test", sections=(Section(cut, look_around),), finish=lambda _: Finished({}))
KIND = Kind(noun="test", record="test.json", stages=Stages(STAGE), start="a test")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(KIND, tmp_path / "run", Inline()) as run:
        run.create([], 0)
        yield run


def mark(seconds: float, rows: int = 10) -> Mark:
    return Mark({}, seconds, None, "", {"rows": rows})


class Begun(NamedTuple):
    """A piece that has been under way for so many seconds, on a host whose clock is so many ahead of this one's."""

    ago: float
    host: str = "elsewhere"
    pid: int = 1
    ahead: float = 0.0


def under_way(run: Workspace, keys: list[str], done: dict[str, float], running: dict[str, Begun], ahead: float = 0.0) -> StageStatus:
    """The status of a stage some of whose pieces were done so many seconds ago, where the clock of the file system is so many ahead."""
    folder = StageFolder(run.under_way(STAGE, "0" * 64))
    write_work(folder, "items", Work({key: Numbered(0) for key in keys}), "")
    for key, ago in done.items():
        write_json(folder.done(key), msgspec.to_builtins(mark(2.0)))
        os.utime(folder.done(key), (at := time.time() + ahead - ago, at))
    for key, each in running.items():
        began = time.time() - each.ago
        write_json(folder.running(key), msgspec.to_builtins(Running(each.host, each.pid, began + each.ahead)))
        os.utime(folder.running(key), (began + ahead, began + ahead))
    return read_status(KIND.outline, run.root).stages[0]


def test_a_piece_is_said_to_run_while_it_does_however_it_ends_and_never_in_what_is_published(run: Workspace) -> None:
    with pytest.raises(Exception, match="negative"):
        make(run, STAGE, [1, -2])
    folder = StageFolder(run.attempts(STAGE)[0])
    assert folder.at_work() == {}
    seen = {key: json.loads((folder.path / "seen" / f"{key}.json").read_text()) for key in (1, -2)}
    assert {key: [*found] for key, found in seen.items()} == {1: ["p1"], -2: ["p-2"]}
    assert {(found["host"], found["pid"]) for each in seen.values() for found in each.values()} == {(HERE, os.getpid())}
    make(run, STAGE, [1, 2])
    assert not list(run.root.rglob("_running"))


def test_what_a_killed_process_left_is_replaced_or_goes_with_the_publication(run: Workspace) -> None:
    with pytest.raises(Exception, match="negative"):
        make(run, STAGE, [-1, 2])
    folder = StageFolder(run.attempts(STAGE)[0])
    for key in ("p-1", "p2"):
        write_json(folder.running(key), {"host": "elsewhere", "pid": 1, "started": 0.0})
    with pytest.raises(Exception, match="negative"):
        make(run, STAGE, [-1, 2])
    assert [*folder.at_work()] == ["p2"]
    assert read_status(KIND.outline, run.root).stages[0].running == []  # it is done


@pytest.mark.parametrize("ahead", CLOCKS)
def test_pace_and_time_left_are_of_the_marks_of_the_last_ten_minutes(run: Workspace, ahead: float) -> None:
    keys = [f"p{n}" for n in range(40)]
    done = {f"p{n}": 98.0 - n for n in range(10)} | {f"p{n}": 3 * WINDOW for n in range(10, 15)}
    found = under_way(run, keys, done, {"p20": Begun(2.0)}, ahead)
    assert (found.shards_done, found.shards, found.unit) == (15, 40, "rows")
    assert found.rows_per_second == pytest.approx(10 * 10 / 100, rel=0.05)  # the first of them took two seconds
    assert found.eta_seconds == pytest.approx(25 / (10 / 100), rel=0.05)


@pytest.mark.parametrize("ahead", CLOCKS)
def test_a_job_that_stands_still_has_no_pace(run: Workspace, ahead: float) -> None:
    found = under_way(run, ["p1", "p2"], {"p1": 2 * WINDOW}, {"p2": Begun(2 * WINDOW)}, ahead)
    assert (found.rows_per_second, found.eta_seconds) == (None, None)


def test_a_full_window_is_ten_minutes_long() -> None:
    marked_at = {str(second): float(second) for second in range(1000)}
    pace = pace_of(marked_at, [mark(5.0)], 999.0)
    assert pace is not None
    assert (pace.pieces, pace.rows) == (1.0, 10.0)
    assert pace_of(marked_at, [mark(5.0)], 990.0) == pace  # the clock of the file system is ahead


@pytest.mark.parametrize("ahead", CLOCKS)
def test_what_runs_is_shown_the_longest_first_without_what_is_done_failed_or_of_a_process_that_is_gone(
    run: Workspace, ahead: float
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    running = {
        "p1": Begun(5, HERE, os.getpid()),
        "p2": Begun(50, pid=gone.pid),
        "p3": Begun(500, HERE, gone.pid),
        "p4": Begun(500),
        "p5": Begun(500),
        "p6": Begun(20, "an hour ahead", ahead=HOUR),
        "p8": Begun(30, "an hour behind", ahead=-HOUR),
    }
    folder = StageFolder(run.under_way(STAGE, "0" * 64))
    write_json(folder.failed("p5"), {"what": "broken"})
    write_json(folder.running("p7"), {"host": "half"})
    found = under_way(run, [f"p{n}" for n in range(9)], {"p4": 1.0}, running, ahead)
    assert [(each.shard, each.host) for each in found.running] == [
        ("p2", "elsewhere"),
        ("p8", "an hour behind"),
        ("p6", "an hour ahead"),
        ("p1", HERE),
    ]
    assert [each.seconds for each in found.running] == [pytest.approx(seconds, abs=5) for seconds in (50, 30, 20, 5)]
    assert [each.shard for each in found.failures] == ["p5"]


@pytest.mark.parametrize("ahead", CLOCKS)
def test_where_only_others_work_the_clock_of_most_of_them_counts_and_no_time_is_below_nothing(run: Workspace, ahead: float) -> None:
    running = {"p1": Begun(40), "p2": Begun(30), "p3": Begun(20, "an hour ahead", ahead=HOUR)}
    found = under_way(run, [f"p{n}" for n in range(4)], {}, running, ahead)
    assert [each.seconds for each in found.running] == [pytest.approx(seconds, abs=5) for seconds in (40, 30, 20)]
    alone = under_way(run, [f"p{n}" for n in range(4)], {}, {key: Begun(40, ahead=HOUR) for key in running}, ahead)
    assert [each.seconds for each in alone.running] == [pytest.approx(0, abs=5)] * 3


@pytest.mark.parametrize(("known", "slow"), [(20, ["a", "b"]), (19, [])])
def test_a_straggler_takes_four_times_as_long_as_nearly_all_others_if_enough_are_known(known: int, slow: list[str]) -> None:
    marks = [mark(1000.0), *(mark(float(n)) for n in range(1, known))]  # the 95th percentile is 19
    began_at = {key: 1000.0 - seconds for key, seconds in {"a": 900.0, "b": 77.0, "c": 76.0, "d": 1.0}.items()}
    found = running_shards({key: Running("x", 1, 0.0) for key in began_at}, began_at, marks, 1000.0)
    assert [each.shard for each in found] == ["a", "b", "c", "d"]
    assert [each.shard for each in found if each.straggler] == slow


def test_metrics_are_in_the_format_of_prometheus_with_their_values_escaped() -> None:
    stages = [
        StageStatus("done", "done", 4, 4, failures=[FailedShard("x", "")]),
        StageStatus('odd\\"\n', "under way", 3, 10, rows_per_second=2.5, eta_seconds=60.0, failures=[FailedShard("x", "")]),
        StageStatus("later", "to do"),
    ]
    text = metrics_of(RunStatus("run", [], 0, stages))
    assert text.endswith("\n")
    names = re.findall(r"^# HELP (\w+) .+\n# TYPE \1 gauge$", text, re.MULTILINE)
    assert names == ["tallyclip_shards", "tallyclip_rows_per_second", "tallyclip_eta_seconds", "tallyclip_stage_done"]
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    line = re.compile(r'(\w+)\{stage="((?:[^"\\\n]|\\[\\"n])*)"(?:,state="(\w+)")?\} ([0-9.]+)')
    values = {match.groups()[:3]: float(match[4]) for match in map(line.fullmatch, samples) if match}
    assert len(values) == len(samples)
    odd = r"odd\\\"\n"
    assert {state: values["tallyclip_shards", odd, state] for state in ("done", "failed", "running", "waiting")} == {
        "done": 3,
        "failed": 1,
        "running": 0,
        "waiting": 6,
    }
    assert values["tallyclip_shards", "done", "waiting"] == 0
    assert (values["tallyclip_rows_per_second", odd, None], values["tallyclip_eta_seconds", odd, None]) == (2.5, 60)
    assert [values["tallyclip_stage_done", stage, None] for stage in ("done", odd, "later")] == [1, 0, 0]
    assert not any(key[:2] == ("tallyclip_shards", "later") for key in values)
