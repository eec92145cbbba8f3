"""Which ranks are at work in a folder: those that hold their file, of any number of ranks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tallyclip.errors import InUseError
from tallyclip.io.locks import unlock
from tallyclip.run.presence import AtWork, Seat, take_seat


def held_by(seat: Seat, folder: Path) -> int:
    return take_seat(folder / "ranks", seat, folder)


def found(folder: Path, but: Seat) -> list[int]:
    at_work = AtWork(folder / "ranks", but)
    return [number for number in range(12) if at_work.have(number)]


def test_the_pieces_of_ranks_of_any_number_are_at_work_as_long_as_these_are(tmp_path: Path) -> None:
    me = (0, 2)
    assert found(tmp_path, me) == []
    mine, second, third = (held_by(seat, tmp_path) for seat in (me, (1, 3), (3, 4)))
    assert found(tmp_path, me) == [1, 3, 4, 7, 10, 11]
    unlock(second)
    assert found(tmp_path, me) == [3, 7, 11]
    assert found(tmp_path, (1, 2)) == [0, 2, 3, 4, 6, 7, 8, 10, 11]
    unlock(third)
    assert found(tmp_path, me) == []
    unlock(mine)


def test_a_seat_is_for_one_and_says_whose_it_is(tmp_path: Path) -> None:
    first = held_by((1, 2), tmp_path)
    with pytest.raises(InUseError, match=f"rank 1 of 2 is already at work in .*: process {os.getpid()} on "):
        held_by((1, 2), tmp_path)
    unlock(held_by((0, 2), tmp_path))
    unlock(held_by((1, 3), tmp_path))
    unlock(first)
    unlock(held_by((1, 2), tmp_path))


def test_those_who_look_keep_no_rank_from_its_seat(tmp_path: Path) -> None:
    unlock(held_by((1, 2), tmp_path))
    for _ in range(3):
        assert found(tmp_path, (0, 2)) == []
        unlock(held_by((1, 2), tmp_path))
