from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.csr import offsets_of, positions_of, take_bytes

LISTS = st.lists(st.binary(max_size=5), min_size=1, max_size=20)


def laid_out(rows: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    return np.frombuffer(b"".join(rows), np.uint8), np.cumsum([0, *map(len, rows)])


@given(LISTS)
def test_offsets_are_the_sums_of_the_lengths_before(rows: list[bytes]) -> None:
    assert offsets_of(np.array([len(row) for row in rows])).tolist() == laid_out(rows)[1].tolist()


def test_no_rows_have_one_offset() -> None:
    assert offsets_of(np.zeros(0, np.int64)).tolist() == [0]


@given(LISTS, st.data())
def test_taken_rows_are_those_at_the_positions_in_their_order(rows: list[bytes], draw: st.DataObject) -> None:
    chosen = draw.draw(st.lists(st.integers(0, len(rows) - 1)))
    data, offsets = laid_out(rows)
    starts = offsets[np.array(chosen, np.int64)]
    taken = offsets_of(np.array([len(rows[i]) for i in chosen], np.int64))
    expected = b"".join(rows[i] for i in chosen)
    assert data[positions_of(starts, taken)].tobytes() == expected
    assert take_bytes(data, starts, taken).tobytes() == expected
