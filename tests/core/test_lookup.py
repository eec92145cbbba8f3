"""Uids are found in a sorted table wherever they are, also where only their halves are the same, and where the table is mapped."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.lookup import find_uids
from tallyclip.core.uids import as_columns

HALF = st.sampled_from([0, 1, 2, 2**63 - 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
UIDS = st.lists(st.tuples(HALF, HALF), max_size=60)


def as_array(uids: list[tuple[int, int]]) -> np.ndarray:
    return np.array(uids, np.uint64).reshape(len(uids), 2)


@given(st.sets(st.tuples(HALF, HALF), max_size=60), UIDS, st.integers(2, 4), st.booleans())
def test_a_uid_is_found_at_its_row_and_others_nowhere(
    known: set[tuple[int, int]], others: list[tuple[int, int]], columns: int, mapped: bool
) -> None:
    ordered = sorted(known)
    wanted = [*others, *ordered[::-1], *ordered]
    table = np.column_stack([as_array(ordered), *(np.full(len(ordered), 9, np.uint64) for _ in range(columns - 2))])
    expected = [ordered.index(uid) if uid in known else -1 for uid in wanted]
    with TemporaryDirectory() as folder:
        if mapped:
            np.save(Path(folder) / "table.npy", table)
            table = np.load(Path(folder) / "table.npy", mmap_mode="r")
        assert find_uids(table, as_array(wanted)).tolist() == expected


def test_the_uids_of_a_curated_set_are_a_table(tmp_path: Path) -> None:
    uids = np.sort(np.random.default_rng(5).integers(0, 2**63, (100_000, 2), dtype=np.uint64).reshape(-1).view("u8,u8"))
    np.save(tmp_path / "uids.npy", uids)
    table = as_columns(np.load(tmp_path / "uids.npy", mmap_mode="r"))
    some = np.random.default_rng(6).permutation(len(uids))[:5_000]
    assert np.array_equal(find_uids(table, table[some]), some)
