"""Which ranks are at work in a folder: those that hold their file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tallyclip.errors import InUseError
from tallyclip.io.locks import unlock
from tallyclip.run.presence import Seat, is_taken, take_seat


def held_by(seat: Seat, folder: Path) -> int:
    return take_seat(folder / "ranks", seat, folder)


def test_a_seat_is_taken_as_long_as_it_is_held(tmp_path: Path) -> None:
    def taken() -> list[Seat]:
        return [seat for seat in ((0, 2), (1, 2), (1, 3)) if is_taken(tmp_path / "ranks", seat)]

    assert taken() == []
    held = [held_by(seat, tmp_path) for seat in ((0, 2), (1, 3))]
    assert taken() == taken() == [(0, 2), (1, 3)]  # who looks takes nothing
    for lock in held:
        unlock(lock)
    assert taken() == []


def test_a_seat_is_for_one_and_says_whose_it_is(tmp_path: Path) -> None:
    first = held_by((1, 2), tmp_path)
    with pytest.raises(InUseError, match=f"rank 1 of 2 is already at work in .*: process {os.getpid()} on "):
        held_by((1, 2), tmp_path)
    unlock(held_by((0, 2), tmp_path))
    unlock(held_by((1, 3), tmp_path))
    unlock(first)
    unlock(held_by((1, 2), tmp_path))
