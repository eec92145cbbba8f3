"""Entry counts of shards, added up by workers in groups: the same sum however they are grouped, and a broken file is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.run.progress import Silent
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages import sums
from tallyclip.stages.match import write_shard_counts
from tallyclip.stages.runs import RUN
from tallyclip.stages.sums import SHARDS_OF_A_GROUP, sum_of_shards

ENTRIES = 1000


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2) as workers:
        yield workers


def write(folder: Path, shards: int) -> tuple[list[Path], np.ndarray]:
    """Files of sparse counts, some of none, and their sum."""
    draw, total, paths = np.random.default_rng(0), np.zeros(ENTRIES, np.int64), []
    for number in range(shards):
        counts = draw.integers(0, 2**40, ENTRIES) * (draw.random(ENTRIES) < draw.choice([0, 0.01, 0.5]))
        paths.append(folder / f"{number}.npz")
        write_shard_counts(paths[-1], counts, np.frombuffer(b"schema", np.uint8))
        total += counts
    return paths, total


@pytest.mark.parametrize("shards", [0, 1, SHARDS_OF_A_GROUP, SHARDS_OF_A_GROUP + 1, 2 * SHARDS_OF_A_GROUP + 3])
def test_the_sum_is_that_of_all_shards(shards: int, tmp_path: Path, workers: Workers) -> None:
    paths, total = write(tmp_path, shards)
    run = Workspace(RUN, tmp_path / "run", workers)
    found = sum_of_shards(run, paths, ENTRIES, tmp_path / "groups")
    assert found.dtype == np.int64
    assert np.array_equal(found, total)
    assert np.array_equal(sum_of_shards(run, paths[::-1], ENTRIES, tmp_path / "groups"), total)
    assert (tmp_path / "groups").exists() == (shards > SHARDS_OF_A_GROUP)


@pytest.mark.parametrize("shards", [5, SHARDS_OF_A_GROUP + 1])
def test_shards_are_not_counted_as_rows(shards: int, tmp_path: Path, workers: Workers) -> None:
    class Rows(Silent):
        seen = 0

        def advance(self, rows: int) -> None:
            self.seen += rows

    paths, _ = write(tmp_path, shards)
    progress = Rows()
    sum_of_shards(Workspace(RUN, tmp_path / "run", workers, progress), paths, ENTRIES, tmp_path / "groups")
    assert progress.seen == 0


@pytest.mark.parametrize("group", [2, 100])
def test_a_broken_file_is_named(group: int, tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "SHARDS_OF_A_GROUP", group)
    paths, _ = write(tmp_path, 5)
    paths[3].write_bytes(paths[3].read_bytes()[:-20])
    run = Workspace(RUN, tmp_path / "run", workers)
    with pytest.raises(IncompleteError if group == 2 else ArtifactError, match=r"3\.npz: broken"):
        sum_of_shards(run, paths, ENTRIES, tmp_path / "groups")
