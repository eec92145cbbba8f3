"""A store that refuses, is slow, cuts connections, and lists late or twice, may have work done again; it is never lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tallyclip.errors import IncompleteError
from tallyclip.io.arrays import read_array, write_array
from tallyclip.io.stores import Store
from tallyclip.places import place_of
from tallyclip.run.engine import make
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.runners.base import Done, Event, Failed, Payload, Result, Task, Tick
from tallyclip.run.stage import Finished, Making, Section, Stage, Stages
from tallyclip.run.workspace import Kind, Workspace
from tests.run.fault_proxy import Faults
from tests.run.stores import FaultProxy, fault_proxy, moto_server, new_bucket, reach

__all__ = ["reach"]
INTERRUPTED = "interrupted"
OBJECTS_OF_A_LIST = 1_000
LISTS = 12  # of a command with few objects: for the lock, at its start, after the pieces, and for what it moves and deletes
FAULTS = Faults(
    refuse=0.05, slow=0.02, cut_get=0.05, cut_put=0.05, lose_answer=0.05, late_list_seconds=2, repeat_list=True, slow_seconds=0.05
)


class SquareItem(msgspec.Struct, frozen=True):
    value: int


class SquaresFolder(StageFolder):
    """A file for each piece, and their sum."""

    def square(self, key: str) -> Path:
        return self.path / "squares" / f"{key}.npy"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return (self.square(key),)


def square(_: None, item: SquareItem, folder: SquaresFolder, tick: Tick) -> Report:
    write_array(folder.square(str(item.value)), np.array([item.value**2]))
    return Report(rows=1)


def finish(making: Making[SquaresFolder, int]) -> Finished:
    if making.run.command == [INTERRUPTED]:
        raise IncompleteError("interrupted before the stage was whole")
    found = [int(read_array(making.folder.square(key))[0]) for key in making.reports(SQUARES)]
    return Finished({"squares": len(found), "sum": sum(found)})


SQUARES = Section(lambda making: Work({str(value): SquareItem(value) for value in range(making.options)}), square)
STAGE = Stage(
    name="added",
    version=1,
    command="a test",
    sections=(SQUARES,),
    folder=SquaresFolder,
    asked=lambda _, count: {"count": count},
    finish=finish,
    results=("squares",),
)
KIND = Kind(noun="test", record="test.json", stages=Stages(STAGE), start="a test")


class Several:
    """A runner that does several tasks at a time in this process, so that they wait for the store together."""

    count = 8

    def __init__(self) -> None:
        self.done: list[str] = []

    def map(self, function: Callable[[Payload, Tick], Result], tasks: Iterable[Task[Payload]]) -> Iterator[Event]:
        def do(task: Task[Payload]) -> Event:
            try:
                result = function(task.payload, lambda _: None)
            except Exception as error:
                return Failed(task.key, str(error))
            return Done(task.key, result)

        with ThreadPoolExecutor(self.count) as threads:
            for event in threads.map(do, tasks):
                self.done.append(event.key)
                yield event


@pytest.fixture
def proxy(reach: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    monkeypatch.setenv("TALLYCLIP_SCRATCH", str(tmp_path / "scratch"))
    with moto_server() as endpoint, fault_proxy(endpoint) as between:
        reach(between.endpoint)
        yield between


def made(root: Path, count: int, *command: str) -> list[str]:
    """Make the stage, or what is left of it; returns the pieces that were done."""
    runner = Several()
    with Workspace(KIND, root, runner, command=command) as run:
        run.create([], count)
        manifest = make(run, STAGE, count)
    assert manifest.result == {"squares": count, "sum": sum(value**2 for value in range(count))}
    return runner.done


@pytest.mark.parametrize("count", [60, pytest.param(2_000, marks=pytest.mark.matrix)])
def test_nothing_is_lost(count: int, proxy: FaultProxy, tmp_path: Path) -> None:
    url = f"s3://{new_bucket(proxy.endpoint)}/run"
    proxy.inject(FAULTS)
    assert len({*made(place_of(url), count)}) == count
    made(place_of(url), count)  # what a late list had not is done again at most
    injected = proxy.injected
    assert min(injected[fault] for fault in ("refuse", "slow", "cut_put", "lose_answer")) > 0, injected
    proxy.inject(Faults())
    made(tmp_path / "run", count)
    assert made(place_of(url), count) == []
    store, files = Store(url), sorted((tmp_path / "run" / "squares").glob("*.npy"))
    assert sorted(store.list("squares")) == [f"squares/{path.name}" for path in files]
    assert [path.name for path in files if store.read(f"squares/{path.name}") != path.read_bytes()] == []


@pytest.mark.parametrize("count", [60, pytest.param(2_000, marks=pytest.mark.matrix)])
def test_what_is_done_is_known_from_lists(count: int, proxy: FaultProxy) -> None:
    """No list for each piece, whatever their number; and what is known from a list is not asked for."""
    root = place_of(f"s3://{new_bucket(proxy.endpoint)}/run")
    with pytest.raises(IncompleteError):
        made(root, count, INTERRUPTED)
    before = proxy.requests
    assert made(root, count) == []
    asked = proxy.requests - before
    pages = 3 * count // OBJECTS_OF_A_LIST + 1
    assert asked["LIST"] <= LISTS * pages
    assert asked["GET"] + asked["HEAD"] + asked["PUT"] < 40, asked  # the marks are here still
    assert asked["COPY"] == pytest.approx(2 * count, abs=10)
