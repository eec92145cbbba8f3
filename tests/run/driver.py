"""A driver of its own, for tests of several in one folder: ``python -m tests.run.driver RUN STAGE POOL SHARE AFTER [SIGNAL [WAIT]]``.

It does its share (such as 0/2) of a stage's work, in its own process, and sends itself a signal, by default KILL, before the piece after
the first AFTER, if that is not empty. With WAIT it waits so many seconds for ranks that are not at work.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tallyclip.errors import TallyclipError
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.sources import Pool, find_files
from tallyclip.run.engine import make
from tallyclip.run.ranks import PartDone, Rank
from tallyclip.run.runners.base import Done, Event, Failed, Payload, Result, Task, Tick
from tallyclip.run.stage import Stage
from tallyclip.run.workspace import Kind, Workspace
from tallyclip.stages.balance import options_for
from tallyclip.stages.gather import GatherOptions, PoolOptions
from tallyclip.stages.match import MatchOptions
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN
from tests.run.toy_stage import CROWDED, CrowdedOptions

WITH_CROWDED = Kind(noun=RUN.noun, record=RUN.record, stages=RUN.stages.plus(CROWDED), start=RUN.start)


class Inline:
    """A runner that does every task in this process, and says which."""

    count = 1

    def __init__(self, after: int | None = None, sent: signal.Signals = signal.SIGKILL) -> None:
        self.done: list[str] = []
        self._after, self._sent = after, sent

    def map(self, function: Callable[[Payload, Tick], Result], tasks: Iterable[Task[Payload]]) -> Iterator[Event]:
        for task in tasks:
            if self._after == len(self.done):
                os.kill(os.getpid(), self._sent)
            try:
                yield Done(task.key, function(task.payload, lambda _: None))
            except Exception as error:
                yield Failed(task.key, str(error))
            self.done.append(task.key)


def options_of(run: Workspace, stage: Stage, pool: Path) -> Any:
    """What is asked of a stage in these tests."""
    match stage.name:
        case "match":
            return MatchOptions(Pool([str(pool)], ColumnChoice(), find_files([str(pool)])[0]))
        case "balance":
            return options_for(run, Aim(t=20.0), 0, "pairs")
        case "gather":
            return GatherOptions(Pool([str(pool)], ColumnChoice(), find_files([str(pool)])[0]), PoolOptions())
        case "crowded":
            return CrowdedOptions(3)
        case _:
            return None


def main(root: str, name: str, pool: str, share: str, after: str, sent: str = "SIGKILL", wait: str = "") -> None:
    rank, ranks = map(int, share.split("/"))
    runner = Inline(int(after) if after else None, signal.Signals[sent])
    try:
        with Workspace(WITH_CROWDED, root, runner, role=Rank(rank, ranks, name, float(wait) if wait else None)) as run:
            run.open()
            stage = run.stages[name]
            with suppress(PartDone):
                make(run, stage, options_of(run, stage, Path(pool)))
    except TallyclipError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
