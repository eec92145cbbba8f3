"""Making a stage of several sections, some of whose pieces fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallyclip.errors import IncompleteError
from tallyclip.run.engine import make
from tallyclip.run.items import Report, Source, StageFolder, Work
from tallyclip.run.runners.local import Workers
from tallyclip.run.stage import Finished, Making, Section, Stage, Stages
from tallyclip.run.workspace import Kind, Workspace

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
