"""The sorted, unique uids of a set, from an external merge that holds only part of them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.sorting import sort_rows
from tallyclip.export import uids as module
from tallyclip.export.uids import SUBSET, Merged, RunWriter, merge_runs

# Few values, so that repeats, equal halves and halves of zero are common; and the ends of the range.
HALF = st.sampled_from([0, 1, 2, 2**63 - 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
UIDS = st.lists(st.tuples(HALF, HALF), max_size=40)
RUNS = st.lists(st.lists(UIDS, max_size=4), max_size=4)  # shards, each of batches


def as_array(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, np.uint64).reshape(len(pairs), 2)


def merged(folder: Path, shards: list[list[list[tuple[int, int]]]], held: int, sampled: int = 1 << 16) -> tuple[np.ndarray, Merged]:
    with patch.object(module, "HELD", held), patch.object(module, "SAMPLED", sampled):
        paths: list[Path] = []
        for number, batches in enumerate(shards):
            with RunWriter(folder / "runs", f"shard{number}") as writer:
                for batch in batches:
                    writer.add(as_array(batch))
            paths += writer.paths
        said = merge_runs(paths, folder / "uids.npy")
    return np.load(folder / "uids.npy"), said


@given(RUNS, st.integers(1, 50), st.integers(1, 20))
def test_the_merge_is_what_sorting_everything_at_once_gives(shards: list[list[list[tuple[int, int]]]], held: int, sampled: int) -> None:
    everything = [pair for batches in shards for batch in batches for pair in batch]
    with TemporaryDirectory() as folder:
        found, said = merged(Path(folder), shards, held, sampled)
    assert found.dtype == SUBSET == np.dtype("u8,u8")
    assert found.tolist() == sorted(set(everything))
    assert np.array_equal(found, np.unique(as_array(everything).reshape(-1).view(SUBSET)))
    assert said == Merged(len(set(everything)), len(everything))


@given(st.lists(st.lists(st.tuples(HALF, HALF, HALF), max_size=30), max_size=70), st.integers(1, 50), st.booleans())
def test_of_rows_with_one_uid_the_smallest_is_kept_or_with_repeats_all(
    runs: list[list[tuple[int, int, int]]], held: int, repeats: bool
) -> None:
    rows = [row for run in runs for row in run]
    first: dict[tuple[int, int], int] = {}
    for high, low, known in sorted(rows):
        first.setdefault((high, low), known)
    with TemporaryDirectory() as folder, patch.object(module, "HELD", held):
        paths = [Path(folder) / f"{number}.npy" for number in range(len(runs))]
        for path, run in zip(paths, runs, strict=True):
            np.save(path, sort_rows(np.array(run, np.uint64).reshape(len(run), 3)))
        said = merge_runs(paths, Path(folder) / "table.npy", columns=3, repeats=repeats)
        found = np.load(Path(folder) / "table.npy")
    assert found.dtype == np.uint64
    assert [tuple(row) for row in found.tolist()] == (sorted(rows) if repeats else sorted((*uid, known) for uid, known in first.items()))
    assert said == Merged(len(first), len(rows))


@given(UIDS)
def test_sorting_keeps_repeats(pairs: list[tuple[int, int]]) -> None:
    assert [tuple(pair) for pair in sort_rows(as_array(pairs)).tolist()] == sorted(pairs)


@pytest.mark.parametrize(
    "pairs", [[(0, 0)] * 50, [(0, n) for n in range(50)], [(n, 0) for n in range(50)], [(7, n % 3) for n in range(50)]]
)
def test_uids_that_begin_or_end_alike_are_merged_in_many_ranges(tmp_path: Path, pairs: list[tuple[int, int]]) -> None:
    found, said = merged(tmp_path, [[pairs[:20]], [pairs[10:], pairs[::2]]], held=4)
    assert found.tolist() == sorted(set(pairs))
    assert said == Merged(len(set(pairs)), 20 + 40 + 25)


def test_a_set_without_uids_is_an_empty_array(tmp_path: Path) -> None:
    found, said = merged(tmp_path, [], held=4)
    assert (found.shape, found.dtype, said) == ((0,), SUBSET, Merged(0, 0))


def test_a_shard_of_many_pairs_is_written_as_several_sorted_runs(tmp_path: Path) -> None:
    with patch.object(module, "HELD", 10), RunWriter(tmp_path, "shard") as writer:
        for start in range(35, 0, -5):
            writer.add(as_array([(start + n, 0) for n in range(5)]))
    runs = [np.load(path) for path in writer.paths]
    assert [len(run) for run in runs] == [10, 10, 10, 5]
    assert all((np.diff(run[:, 0].astype(np.int64)) > 0).all() for run in runs)


def test_a_shard_that_fails_writes_no_last_run(tmp_path: Path) -> None:
    def write() -> None:
        with RunWriter(tmp_path, "shard") as writer:
            writer.add(as_array([(1, 2)]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_merging_holds_a_part_of_the_uids_at_a_time(tmp_path: Path) -> None:
    """Four million uids are 64 MB, and sorting them all would take as much again; a range of HELD is 2 MB."""
    draw = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.npy" for number in range(8)]
    for path in paths:
        np.save(path, sort_rows(draw.integers(0, 2**64, (1 << 19, 2), np.uint64)))
    process = psutil.Process()
    seen = [_own_memory(process)]

    def watched(uids: np.ndarray) -> np.ndarray:
        seen.append(_own_memory(process))
        return sort_rows(uids)

    with patch.object(module, "HELD", 1 << 17), patch.object(module, "sort_rows", watched):
        assert merge_runs(paths, tmp_path / "uids.npy") == Merged(4 << 20, 4 << 20)
    assert len(seen) > 32
    assert max(seen) - seen[0] < 24 << 20


def _own_memory(process: psutil.Process) -> int:
    """Resident memory without the pages of mapped files, which the system takes back as it needs."""
    memory = process.memory_info()
    return memory.rss - memory.shared


def test_no_range_is_much_larger_than_it_should_be_however_many_the_runs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    runs = [[rng.integers(0, 2**63, (50, 2)).tolist()] for _ in range(500)]
    sizes: list[int] = []

    def watched(uids: np.ndarray) -> np.ndarray:
        sizes.append(len(uids))
        return sort_rows(uids)

    with patch.object(module, "sort_rows", watched):
        found, _ = merged(tmp_path, runs, held=1000, sampled=1000)
    assert len(found) == 25_000
    assert max(sizes) <= 2000
