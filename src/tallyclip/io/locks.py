"""Folders that one process at a time may work in, or several that share it; and files that say that a process lives."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tallyclip.errors import InUseError, OptionError

LOCK = ".lock"  # the file in such a folder
ALONE = ".alone"  # another, for those who share it
_HELD: set[int] = set()  # by this process
SECONDS_OF_THE_LAST = 10.0  # in which the last of those who shared it tidies up
SECONDS_OF_LOOKS = 2.0  # in which those who look whether a file is held let it go, and a process that was just killed is gone


@contextmanager
def held(folder: Path, noun: str) -> Generator[None]:
    """Keep other processes from working in a folder, which is made if it is missing, as long as the block lasts.

    Args:
        folder: to hold.
        noun: what is made in it, for messages.

    Raises:
        OptionError: it cannot be made or written.
        InUseError: another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{folder}: cannot be the folder of a {noun}: {error.strerror}", "give another --out") from error
    lock = lock_folder(folder, noun, shared=False)
    try:
        yield
    finally:
        unlock(lock)


def lock_folder(folder: Path, noun: str, *, shared: bool) -> int:
    """Lock a folder that is there, until ``unlock`` of what is returned, or the end of this process. Errors: see ``held``.

    Args:
        folder: to lock.
        noun: what is made in it, for messages.
        shared: with others who share it.
    """
    while True:
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OptionError(f"{folder}: cannot be written: {error.strerror}", "check its permissions, or give another --out") from error
        if not _takes(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, SECONDS_OF_THE_LAST if shared else 0):
            raise InUseError(f"{folder}: another process is working on this {noun}", "wait for it, or stop it")
        if _is_at(folder / LOCK, lock):
            return lock
        unlock(lock)  # the process that had it took the folder away, as the copy of one on a store is when all is done
        folder.mkdir(parents=True, exist_ok=True)


def _is_at(path: Path, lock: int) -> bool:
    """Is it still this file that is there?"""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False


def lock_file(path: Path) -> int | None:
    """Lock a file, which is made if it is missing, until ``unlock`` of what is returned, or the end of this process.

    None if another process holds it, and not only for the moment of a look (``is_locked``).

    Raises:
        OSError: it cannot be made or written.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    return lock if _takes(lock, fcntl.LOCK_EX, SECONDS_OF_LOOKS) else None


def is_locked(path: Path) -> bool:
    """Does a process hold a file, by ``lock_file``? Those who look do not get in each other's way."""
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _takes(lock: int, how: int, seconds: float) -> bool:
    """Take a lock, and try so long; close it if that is in vain."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
            _HELD.add(lock)
            return True
        except BlockingIOError:
            if time.monotonic() >= give_up:
                os.close(lock)
                return False
            time.sleep(0.1)


def unlock(lock: int) -> None:
    """Let a folder or file go."""
    _HELD.discard(lock)
    os.close(lock)


def is_alive(pid: int) -> bool:
    """Is there a process of that number on this machine, which has not ended?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's, or no number of a process: whose that is cannot be told
        return True
    return not _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Does a process only keep its number, until the one that started it asks how it ended? Where there is no /proc, none is known to."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except (OSError, IndexError):
        return False


def _let_go() -> None:
    """What a forked child, such as one that loads data, does first: else it would hold the folder after this process was killed."""
    for lock in _HELD:
        os.close(lock)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


def share_again(lock: int) -> None:
    """Let others share the lock that this process had for itself. The other way round would not do: in vain, it loses what it shared."""
    fcntl.flock(lock, fcntl.LOCK_SH)


def is_last(lock: int) -> bool:
    """Does no other process hold the lock that this one shares? Then none can from now on; else this one has lost it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def waiting_for(path: Path) -> Generator[None]:
    """Hold a file that only one process at a time may hold, as long as the block lasts; wait until the one that does lets it go."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
