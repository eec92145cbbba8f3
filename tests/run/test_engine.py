"""Making a stage of several sections, some of whose pieces fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallyclip.errors import IncompleteError
from tallyclip.run.engine import make
from tallyclip.run.items import Report, Source, StageFolder, Work
from tallyclip.run.progress import Silent
from tallyclip.run.ranks import PartDone, Rank
from tallyclip.run.runners.base import Done, Event, Payload, Result, Task, collect
from tallyclip.run.runners.local import Workers
from tallyclip.run.stage import Finished, Making, Section, Stage, Stages
from tallyclip.run.workspace import Kind, Workspace
from tests.run.driver import Inline
from tests.tools import leftovers

Tick = Callable[[int], None]


class Number(msgspec.Struct, frozen=True):
    """A file, by its number."""

    value: int

    @property
    def source(self) -> Source:
        return Source(f"file {self.value}", "as it was")


class Half(msgspec.Struct, frozen=True):
    """A piece of the second section."""

    value: int


class Sum(Report):
    """What a piece came to."""

    value: int


def read(_: None, item: Number, folder: StageFolder, tick: Tick) -> Sum:
    if item.value < 0:
        raise ValueError(f"{item.value} is negative")
    return Sum(value=item.value)


def add(_: None, item: Half, folder: StageFolder, tick: Tick) -> Sum:
    if item.value > 1000:
        raise ValueError(f"{item.value} is too much")
    return Sum(value=item.value)


def cut_files(making: Making[StageFolder, list[int]]) -> Work:
    return Work({f"file{value}": Number(value) for value in making.options})


def cut_sums(making: Making[StageFolder, list[int]]) -> Work:
    return Work({"sum": Half(sum(report.value for report in making.reports(FILES).values()))})


def finish(making: Making[StageFolder, list[int]]) -> Finished:
    return Finished({"sum": making.reports(SUMS)["sum"].value})


def nothing_asked(*_: Any) -> dict[str, Any]:
    return {}


FILES, SUMS = Section(cut_files, read, "files"), Section(cut_sums, add, "sums")
TOTAL = Stage(name="total", version=1, command="a test", sections=(FILES, SUMS), reads_files=True, asked=nothing_asked, finish=finish)
KIND = Kind(noun="test", record="test.json", stages=Stages(TOTAL), start="a test")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Workspace]:
    with Workers(1) as workers, Workspace(KIND, tmp_path / "run", workers) as run:
        run.create([], 0)
        yield run


def test_pieces_that_failed_and_were_accepted_do_not_stop_the_sections_behind_them(run: Workspace) -> None:
    with pytest.raises(IncompleteError, match="1 of 3 shards failed"):
        make(run, TOTAL, [1, -2, 3])
    made = make(run, TOTAL, [1, -2, 3], accept_failed=True)
    assert made.result == {"sum": 4}
    assert made.failed == {"file-2": "ValueError: -2 is negative"}
    assert run.whole(TOTAL) == made


def test_a_piece_of_a_later_section_that_fails_is_named_whatever_was_accepted_before(run: Workspace) -> None:
    with pytest.raises(IncompleteError, match="sum: ValueError: 1001 is too much"):
        make(run, TOTAL, [1, -2, 1000], accept_failed=True)
    assert run.whole(TOTAL) is None


class Forgetful:
    """A runner that loses tasks, answers or marks."""

    count = 1

    def __init__(self, loses: Callable[[str], bool], run: Callable[[], Workspace] | None = None) -> None:
        self._loses, self._run = loses, run

    def map(self, function: Callable[[Payload, Tick], Result], tasks: Iterable[Task[Payload]]) -> Iterator[Event]:
        for task in tasks:
            if self._loses(task.key) and self._run is None:
                continue
            yield Done(task.key, function(task.payload, lambda _: None))
            if self._loses(task.key) and self._run is not None:
                next(self._run().root.rglob(f"_done/{task.key}.json")).write_text("{")


@pytest.mark.parametrize("what", ["task", "mark"])
def test_a_piece_that_was_lost_is_not_left_out_without_a_word_and_done_the_next_time(tmp_path: Path, what: str) -> None:
    lost = ["file2"]
    runner = Forgetful(lambda key: key in lost, (lambda: run) if what == "mark" else None)
    with Workspace(KIND, tmp_path / "run", runner) as run:
        run.create([], 0)
        for accept_failed in (False, True):
            with pytest.raises(IncompleteError, match=r"total: 1 of . shards ended without a mark in .*: file2"):
                make(run, TOTAL, [1, 2, 3], accept_failed=accept_failed)
        assert run.whole(TOTAL) is None
        lost.clear()
        assert make(run, TOTAL, [1, 2, 3]).result == {"sum": 6}


def test_answers_that_are_kept_in_no_file_are_missed() -> None:
    tasks = [Task(key, 1) for key in "abc"]
    with pytest.raises(IncompleteError, match="1 of 3 tasks did not answer"):
        collect(Forgetful(lambda key: key == "b"), Silent(), lambda value, _: value, tasks)
    assert collect(Forgetful(lambda _: False), Silent(), lambda value, _: value, tasks) == ({"a": 1, "b": 1, "c": 1}, [])


class Told(Silent):
    """Adds up what is said of rows."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.done = 0

    def start(self, stage: str, shards: int, shards_done: int, rows: int | None, unit: str = "rows") -> None:  # noqa: ARG002
        self.total = rows

    def advance(self, rows: int) -> None:
        self.done += rows


def count_rows(_: None, item: Half, folder: StageFolder, tick: Tick) -> Report:
    tick(item.value)
    return Report(rows=item.value)


@pytest.mark.parametrize(("estimates", "done"), [((0, 100), 100), ((3, 50), 53), ((0, 0), 130), ((40, 200), 240)])
def test_progress_never_goes_beyond_what_was_estimated(tmp_path: Path, estimates: tuple[int, int], done: int) -> None:
    """Of a piece about which nothing is known nothing is counted, as long as there are others."""
    rows = {"a": estimates[0], "b": estimates[1]}
    section = Section(
        lambda _: Work({"a": Half(30), "b": Half(100)}), count_rows, rows=lambda _, item: rows["a" if item.value == 30 else "b"]
    )
    stage = Stage(name="counted", version=1, command="test", sections=(section,), finish=lambda _: Finished({}, ""))
    kind = Kind(noun="test", record="test.json", start="test", stages=Stages(stage))
    told = Told()
    with Workers(1) as workers, Workspace(kind, tmp_path / "folder", workers, told) as run:
        run.create([], 0)
        make(run, stage)
    assert (told.total, told.done) == (sum(estimates), done)


NO_MORE = Section(lambda _: Work({}), add, "more")  # has nothing to do, as far as is known when all before it is done
TAILED = Stage(name="tailed", version=1, command="a test", sections=(FILES, SUMS, NO_MORE), asked=nothing_asked, finish=finish)
TAILED_KIND = Kind(noun="test", record="test.json", stages=Stages(TAILED), start="a test")


class Overtaken(Rank):
    """A rank that comes from a section only when another process has made the whole stage."""

    by: Callable[[], object]

    def did(self, making: Making[Any, Any], stage: Stage, section: Section, work: Work) -> None:  # noqa: ARG002 - of one stage
        if section is SUMS:
            self.by()


def shared(root: Path, role: Rank) -> Workspace:
    return Workspace(TAILED_KIND, root, Inline(), role=role)


def test_a_stage_that_another_has_made_before_its_last_section_is_left_as_it_is(tmp_path: Path) -> None:
    role = Overtaken(0, 1, wait=60)
    with shared(tmp_path / "run", role) as run, shared(tmp_path / "run", Rank(0, 1, wait=60)) as other:
        run.create([], 0)
        role.by = lambda: make(other, TAILED, [1, 3])
        assert make(run, TAILED, [1, 3]).result == {"sum": 4}
        assert (run.root / "tailed" / "_done" / "sum.json").exists()
    assert leftovers(tmp_path / "run") == []


def test_a_rank_that_does_not_wait_makes_no_result_though_the_last_section_has_nothing_to_do(tmp_path: Path) -> None:
    with shared(tmp_path / "run", Rank(0, 1)) as run:
        run.create([], 0)
        with pytest.raises(PartDone):
            make(run, TAILED, [1, 3])
        assert run.whole(TAILED) is None
        assert (run.root / "log.txt").read_text().count("its share of tailed, 3 shards, is done; next: tallyclip finish") == 1
