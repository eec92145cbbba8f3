"""Folders that one process at a time may work in, or several that share it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tallyclip.errors import InUseError
from tallyclip.io import locks
from tallyclip.io.locks import held, is_alive, is_last, lock_folder, unlock, waiting_for
from tests.tools import eventually

FORK = multiprocessing.get_context("fork")


def hold(folder: Path, grandchild: Path) -> None:
    with held(folder, "run"):
        child = os.fork()
        if child == 0:
            time.sleep(60)
        grandchild.write_text(str(child))
        time.sleep(60)


def test_a_child_does_not_hold_what_its_parent_held_when_it_was_killed(tmp_path: Path) -> None:
    """As the workers of a data loader, which notice only seconds later that their parent is gone."""
    folder, grandchild = tmp_path / "run", tmp_path / "grandchild"
    process = FORK.Process(target=hold, args=(folder, grandchild))
    process.start()
    eventually(lambda: grandchild.exists() and grandchild.read_text(), "the folder is held")
    with pytest.raises(InUseError), held(folder, "run"):
        pass
    process.kill()
    process.join()
    try:
        with held(folder, "run"):
            pass
    finally:
        os.kill(int(grandchild.read_text()), signal.SIGKILL)


def test_those_who_share_a_folder_keep_out_who_wants_it_alone_and_the_last_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SECONDS_OF_THE_LAST", 0.2)
    one, other = (lock_folder(tmp_path, "run", shared=True) for _ in range(2))
    with pytest.raises(InUseError):
        lock_folder(tmp_path, "run", shared=False)
    assert not is_last(one)
    unlock(other)
    assert is_last(one)
    with pytest.raises(InUseError):
        lock_folder(tmp_path, "run", shared=True)
    unlock(one)
    unlock(lock_folder(tmp_path, "run", shared=False))


def write_turns(folder: Path, name: str) -> None:
    for _ in range(20):
        with waiting_for(folder / ".alone"), (folder / "turns").open("a") as turns:
            turns.write(f"{name}+")
            turns.flush()
            time.sleep(0.001)
            turns.write(f"{name}-\n")


def test_of_those_who_wait_one_at_a_time_has_its_turn(tmp_path: Path) -> None:
    processes = [FORK.Process(target=write_turns, args=(tmp_path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    turns = (tmp_path / "turns").read_text().splitlines()
    assert sorted(turns) == sorted(f"{name}+{name}-" for name in "abc" for _ in range(20))


def test_who_waited_for_a_folder_that_was_taken_away_has_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    first = lock_folder(folder, "run", shared=True)
    assert is_last(first)
    second: list[int] = []
    waits = threading.Thread(target=lambda: second.append(lock_folder(folder, "run", shared=True)))
    waits.start()
    time.sleep(0.3)
    shutil.rmtree(folder)
    unlock(first)
    waits.join()
    third = lock_folder(folder, "run", shared=True)
    assert not is_last(third)
    unlock(second[0])
    assert is_last(third)
    unlock(third)


def test_a_process_that_only_keeps_its_number_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    assert is_alive(os.getpid())
    eventually(lambda: not is_alive(child.pid), "it ended, though nobody asked how")
    child.wait()
    assert not is_alive(child.pid)
