"""Sorted uids merged by workers: what sorting everything at once gives, whatever the groups and ranges."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyclip.core.sorting import sort_rows
from tallyclip.core.uids import SUBSET
from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.export.uids import Merged, RunWriter, merge_runs
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages import merged_uids
from tallyclip.stages.merged_uids import MOST_RUNS, merge_uids
from tallyclip.stages.runs import RUN
from tests.run.driver import Inline

# Few values, so that repeats, equal halves and halves of zero are common; and the ends of the range.
HALF = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2) as some:
        yield some


def write_runs(folder: Path, runs: list[list[tuple[int, ...]]], columns: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number}.npy" for number in range(len(runs))]
    for path, run in zip(paths, runs, strict=True):
        np.save(path, sort_rows(np.array(run, np.uint64).reshape(len(run), columns)))
    return paths


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([2, 3]).flatmap(
        lambda columns: st.tuples(st.just(columns), st.lists(st.lists(st.tuples(*[HALF] * columns), max_size=25), max_size=12))
    ),
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(1, 6),
    st.booleans(),
)
def test_the_merge_is_what_one_process_makes(
    given_runs: tuple[int, list[list[tuple[int, ...]]]], of_a_group: int, of_a_range: int, sampled: int, repeats: bool
) -> None:
    columns, runs = given_runs
    rows = [row for run in runs for row in run]
    first: dict[tuple[int, ...], tuple[int, ...]] = {}
    for row in sorted(rows):
        first.setdefault(row[:2], row)
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(merged_uids, "MOST_RUNS", 0)
        patch.setattr(merged_uids, "RUNS_OF_A_GROUP", of_a_group)
        patch.setattr(merged_uids, "ROWS_OF_A_RANGE", of_a_range)
        patch.setattr(merged_uids, "RUNS_SAMPLED", sampled)
        folder, runner = Path(name), Inline()
        paths = write_runs(folder / "runs", runs, columns)
        said = merge_uids(Workspace(RUN, folder / "run", runner), paths, folder / "all.npy", columns=columns, repeats=repeats)
        found = np.load(folder / "all.npy")
        assert sorted(path.name for path in folder.iterdir()) == ["all.npy", "runs"]
        merge_runs(paths, folder / "at once.npy", columns=columns, repeats=repeats)
        assert (folder / "all.npy").read_bytes() == (folder / "at once.npy").read_bytes()
    assert found.dtype == (SUBSET if columns == 2 else np.uint64)
    assert [tuple(row) for row in found.tolist()] == (sorted(rows) if repeats else list(first.values()))
    assert said == Merged(len(first), len(rows))
    assert len([key for key in runner.done if key.startswith("group")]) == -(-len(runs) // of_a_group)


def test_few_runs_need_no_worker(tmp_path: Path) -> None:
    runner = Inline()
    paths = write_runs(tmp_path / "runs", [[(number, 0)] for number in range(MOST_RUNS + 1)], 2)
    run = Workspace(RUN, tmp_path / "run", runner)
    assert merge_uids(run, paths[1:], tmp_path / "uids.npy") == Merged(MOST_RUNS, MOST_RUNS)
    assert runner.done == []
    assert merge_uids(run, paths, tmp_path / "uids.npy") == Merged(MOST_RUNS + 1, MOST_RUNS + 1)
    assert runner.done == ["group-00000", "group-00001", "range-00000"]


def test_more_runs_are_merged_than_a_process_may_have_open(tmp_path: Path) -> None:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    paths = write_runs(tmp_path / "runs", [[(number, part) for number in range(9)] for part in range(300)], 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds() + 100, allowed[1]))
    try:
        said = merge_uids(Workspace(RUN, tmp_path / "run", Inline()), paths, tmp_path / "uids.npy")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
    assert said == Merged(2700, 2700)
    assert np.load(tmp_path / "uids.npy").tolist() == [(number, part) for number in range(9) for part in range(300)]


def test_a_shard_may_have_any_name_however_many_the_runs(tmp_path: Path, workers: Workers) -> None:
    """Shards are called what their files are, and groups are written beside theirs."""
    runs: list[Path] = []
    names = [*(f"a{number:03d}" for number in range(3 * MOST_RUNS)), "group-00000", "range-00000", "uids", "_uids"]
    for number, key in enumerate(names):
        with RunWriter(tmp_path / "uid_runs", key) as writer:
            writer.add(np.array([[number, 0]], np.uint64))
        runs += writer.paths
    assert merge_uids(Workspace(RUN, tmp_path / "run", workers), runs, tmp_path / "uids.npy") == Merged(len(runs), len(runs))
    assert np.load(tmp_path / "uids.npy").tolist() == [(number, 0) for number in range(len(runs))]


@pytest.mark.parametrize("number", [64, 65])  # of a run that this process reads, too, to choose the ranges by, and one that it does not
def test_a_broken_run_is_named(tmp_path: Path, number: int) -> None:
    paths = write_runs(tmp_path / "runs", [[(number, 0)] for number in range(130)], 2)
    paths[number].write_bytes(b"")
    with pytest.raises((ArtifactError, IncompleteError), match=rf"runs/{number}\.npy: broken: No data left in file"):
        merge_uids(Workspace(RUN, tmp_path / "run", Inline()), paths, tmp_path / "uids.npy")
    assert not os.path.exists(tmp_path / "uids.npy")
