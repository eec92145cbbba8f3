"""Work that is done is known from a few lists, however much of it there is."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tallyclip.errors import IncompleteError
from tallyclip.run.engine import make
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.runners.base import Tick
from tallyclip.run.stage import Finished, Making, Section, Stage, Stages
from tallyclip.run.workspace import Kind, Workspace
from tests.run.driver import Inline

LISTS = 40  # of folders, in a command that finds all pieces done


class Numbered(msgspec.Struct, frozen=True):
    number: int


def pass_over(_: None, item: Numbered, folder: StageFolder, tick: Tick) -> Report:
    return Report(rows=item.number % 7)


def finish(making: Making[StageFolder, int]) -> Finished:
    if not (making.run.root / "publish").exists():
        raise IncompleteError("interrupted before the stage was whole")
    return Finished({"rows": sum(report.rows for report in making.reports(PIECES).values())})


PIECES = Section(lambda making: Work({f"piece-{number:06}": Numbered(number) for number in range(making.options)}), pass_over)
STAGE = Stage(name="passed", version=1, command="a test", sections=(PIECES,), asked=lambda *_: {}, finish=finish)
KIND = Kind(noun="test", record="test.json", stages=Stages(STAGE), start="a test", others=("publish",))


class Listed:
    """Which folders this process lists: the interpreter tells of each."""

    def __init__(self) -> None:
        self.folders: Counter[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.folders is not None and event in ("os.listdir", "os.scandir"):
            self.folders[str(arguments[0])] += 1


@pytest.fixture(scope="module")
def listed() -> Iterator[Listed]:
    heard = Listed()  # no hook can be taken away again
    yield heard
    heard.folders = None


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.matrix)])
def test_a_command_that_finds_all_pieces_done_lists_a_few_folders_and_does_nothing(count: int, tmp_path: Path, listed: Listed) -> None:
    def made() -> list[str]:
        runner = Inline()
        with Workspace(KIND, tmp_path / "run", runner) as run:
            run.create([], count)
            assert make(run, STAGE, count).result == {"rows": sum(number % 7 for number in range(count))}
        return runner.done

    with pytest.raises(IncompleteError):
        made()
    (tmp_path / "run" / "publish").touch()
    for what in ("all pieces are done", "the stage is in place"):
        listed.folders = Counter()
        assert made() == [], what
        assert 0 < listed.folders.total() < LISTS, listed.folders
