"""What is written on one machine and read on another, or by the next command, goes through the store: each file that is, one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallyclip.core.data import Metadata
from tallyclip.flows.curate import curate
from tallyclip.places import place_of
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run.runners.base import Failed
from tallyclip.run.workspace import Workspace
from tallyclip.stages import sums
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN
from tests.run.driver import Inline
from tests.run.test_on_store import FarAway, content, curate_into, endpoint, entries, on_disk, pool, reach, stored, url

__all__ = ["endpoint", "entries", "pool", "reach", "url"]


def test_sums_of_groups_that_other_machines_add_up(url: str, pool: Path, entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "SHARDS_OF_A_GROUP", 1)
    curate_into(url, pool, entries, FarAway())


def test_an_exact_size_counts_the_pairs_that_other_machines_read(
    url: str, endpoint: str, tmp_path: Path, pool: Path, entries: Path
) -> None:
    for root, runner in ((tmp_path / "run", Inline()), (place_of(url), FarAway())):
        with Workspace(RUN, root, runner) as run:
            curate(run, [str(pool)], ColumnChoice(), Metadata.load(str(entries)), Aim(size=40, exactly=True))
    assert content(stored(endpoint, url)) == content(on_disk(tmp_path / "run"))
