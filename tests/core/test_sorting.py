from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.sorting import bucket_slice, sample_of_run, sort_rows

NUMBERS = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[NUMBERS] * width), min_size=1)))
def test_rows_are_sorted_like_tuples(rows: list[tuple[int, ...]]) -> None:
    given_rows = np.array(rows, np.uint64)
    assert [tuple(row) for row in sort_rows(given_rows).tolist()] == sorted(rows)
    assert given_rows.tolist() == [list(row) for row in rows]


def test_no_rows_are_sorted() -> None:
    assert sort_rows(np.zeros((0, 2), np.uint64)).shape == (0, 2)


@given(st.lists(NUMBERS), st.integers(0, 6))
def test_buckets_are_the_hashes_that_begin_with_their_bits(hashes: list[int], bits: int) -> None:
    hashes = sorted(hashes)
    for bucket in range(1 << bits):
        found = np.array(hashes, np.uint64)[bucket_slice(np.array(hashes, np.uint64), bucket, bits)]
        assert found.tolist() == [number for number in hashes if number >> (64 - bits) == bucket]


def test_a_sample_has_every_kth_row_of_a_run_and_as_many_small_as_large_rows_of_many_short_runs() -> None:
    run = np.arange(1000)
    assert set(np.diff(sample_of_run(run, 3, 7)).tolist()) == {7}
    firsts = [int(sample_of_run(run, number, 100)[0]) for number in range(500)]
    assert max(firsts) < 100
    assert np.mean(firsts) == pytest.approx(49.5, abs=2)
    assert len(sample_of_run(run[:5], 1, 100)) == 0
