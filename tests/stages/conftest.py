"""A pool, an entry list, a run on them that nothing disturbed, and a way to run the stages without starting a command each time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tallyclip.core.balance import TextsPolicy
from tallyclip.core.data import Metadata
from tallyclip.flows.curate import balance, match
from tallyclip.match.reference import Mode
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run.engine import make
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages import PRELOAD
from tallyclip.stages.card import CARD
from tallyclip.stages.counts import COUNTS
from tallyclip.stages.plan import PLAN, Aim, PlanOptions
from tallyclip.stages.runs import RUN
from tests.tools import results, succeeds, write_entries, write_pool


class Example(NamedTuple):
    """A pool, an entry list, and a run that one command made of them; ``arguments`` are the command's, but for ``--out``."""

    pool: Path
    entries: Path
    arguments: tuple[object, ...]
    run: Path
    results: dict[str, bytes]


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    folder = tmp_path_factory.mktemp("example")
    pool, entries, run = write_pool(folder / "pool"), write_entries(folder / "entries.json"), folder / "run"
    arguments = ("curate", pool, "--metadata", entries, "--t", 20, "--workers", 2)
    succeeds(*arguments, "--out", run)
    return Example(pool, entries, arguments, run, results(run))


class Stages:
    """The stages of ``curate`` with workers that many runs share; those that draw pictures, which take the longest, only if asked to."""

    def __init__(self, workers: Workers, entries: Path) -> None:
        self.workers = workers
        self.entries = entries

    def run(
        self,
        root: Path,
        *pool: Path,
        aim: Aim = Aim(t=20.0),  # noqa: B008 - it is frozen
        mode: Mode = "exact",
        seed: int = 0,
        policy: TextsPolicy = "pairs",
        accept_failed: bool = False,
        pictures: bool = False,
    ) -> dict[str, bytes]:
        """Make a run, or go on with it, and return its results."""
        with Workspace(RUN, root, self.workers, command=["test"]) as run:
            metadata = Metadata.load(str(self.entries))
            match(run, [str(path) for path in pool], ColumnChoice(), metadata, mode, accept_failed=accept_failed)
            make(run, COUNTS)
            if pictures:
                make(run, PLAN, PlanOptions(aim, policy))
            balance(run, aim, seed=seed, policy=policy)
            if pictures:
                make(run, CARD)
        return results(root)


@pytest.fixture(scope="session")
def stages(example: Example) -> Iterator[Stages]:
    with Workers(2, PRELOAD) as workers:
        yield Stages(workers, example.entries)
