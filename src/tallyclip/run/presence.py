"""Which ranks are at work in a folder: each holds a file of its own as long as its process lives, however that ends.

Where locks do not reach from one machine to another, ranks on others seem not to be at work. On an object store see ``sharing.py``.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tallyclip.errors import InUseError, OptionError
from tallyclip.io.locks import is_locked, lock_file

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
    path = folder / name_of(seat)
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


def is_taken(folder: Path, seat: Seat) -> bool:
    """Does a process that lives hold a seat?"""
    return is_locked(folder / name_of(seat))


def name_of(seat: Seat) -> str:
    """Of what says that a rank is at work."""
    return f"{seat[0]}-of-{seat[1]}"
