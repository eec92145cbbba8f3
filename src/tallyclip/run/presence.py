"""Which ranks are at work in a folder: each holds a file of its own as long as its process lives, however that ends.

Where locks do not reach from one machine to another, ranks on others seem not to be at work. On an object store each has an object instead
(``io/leases.py``), so that one that is killed on another machine seems to be at work for a minute.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from tallyclip.errors import InUseError, OptionError
from tallyclip.io.leases import SHARERS, Lease
from tallyclip.io.locks import LOCK, is_locked, lock_file
from tallyclip.io.stores import Store

Seat = tuple[int, int]  # which rank of how many
ONCE = "start each rank once; to start this one again, stop that process first"


def take_seat(folder: Path, seat: Seat, root: Path) -> int:
    """Be a rank until ``unlock`` of what is returned, or the end of this process.

    Args:
        folder: where the files of the ranks are.
        seat: to take.
        root: the folder that the rank works in, for messages.

    Raises:
        InUseError: another process is this rank.
        OptionError: the folder cannot be written.
    """
    path = folder / _name(seat)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = lock_file(path)
        if lock is None:
            holder = path.read_text(encoding="utf-8", errors="replace").strip()
            raise InUseError(f"rank {seat[0]} of {seat[1]} is already at work in {root}" + (f": {holder}" if holder else ""), ONCE)
        os.ftruncate(lock, 0)
        os.write(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except OSError as error:
        raise OptionError(f"{folder}: cannot be written: {error.strerror}", "check its permissions, or give another --out") from error
    return lock


class Sharing(Lease):
    """A rank's place in a folder on a store, or, without a seat, that of who makes what ranks wait for.

    Raises:
        InUseError: another process is this rank, or has the folder for itself.
        OptionError: the store cannot keep processes apart.
        OutputError: it cannot be written.
    """

    def __init__(self, store: Store, seat: Seat | None, noun: str, note: Callable[[str], None]) -> None:
        self._seat = seat
        super().__init__(store, noun, note, f"{SHARERS}/{secrets.token_hex(8) if seat is None else _name(seat)}")
        self.refuse_those_in(LOCK)

    def sees(self, seat: Seat) -> bool:
        """Does a process that lives hold a seat?"""
        place = f"{SHARERS}/{_name(seat)}"
        return any(self.is_there(name, about) for name, about in self._store.list(place).items())

    def _in_use(self, name: str, holder: Mapping[str, object]) -> InUseError:
        if self._seat is None or not name.startswith(SHARERS):
            return super()._in_use(name, holder)
        who = f": process {holder['pid']} on {holder['host']}" if "pid" in holder and "host" in holder else ""
        return InUseError(f"rank {self._seat[0]} of {self._seat[1]} is already at work in {self._store.url}{who}", ONCE)

    def _cannot_keep_out(self, mine: str) -> None:
        self._store.delete([mine])
        what = f"{self._store.url}: ranks cannot share a folder on this store: it writes an object again that was to be written once"
        raise OptionError(what, "give --runner ray, or a folder on a file system that all ranks share")


def is_taken(folder: Path, seat: Seat) -> bool:
    """Does a process that lives hold a seat?"""
    return is_locked(folder / _name(seat))


def _name(seat: Seat) -> str:
    return f"{seat[0]}-of-{seat[1]}"
