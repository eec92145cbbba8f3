"""Folders that one process at a time may work in, or several that share it."""

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
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OptionError(f"{folder}: cannot be written: {error.strerror}", "check its permissions, or give another --out") from error
    give_up = time.monotonic() + (SECONDS_OF_THE_LAST if shared else 0)
    while True:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            _HELD.add(lock)
            return lock
        except BlockingIOError:
            if time.monotonic() >= give_up:
                os.close(lock)
                raise InUseError(f"{folder}: another process is working on this {noun}", "wait for it, or stop it") from None
            time.sleep(0.1)


def unlock(lock: int) -> None:
    """Let a folder go."""
    _HELD.discard(lock)
    os.close(lock)


def _let_go() -> None:
    """What a forked child, such as one that loads data, does first: else it would hold the folder after this process was killed."""
    for lock in _HELD:
        os.close(lock)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


def is_last(lock: int) -> bool:
    """Does no other process hold the lock that this one shares? Then none can from now on."""
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
