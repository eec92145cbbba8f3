"""Which ranks are at work in a folder on an object store: each has an object of its own there, written anew as long as its process lives.

One that is killed on another machine seems to be at work for a minute. In other folders see ``presence.py``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from tallyclip.errors import InUseError, OptionError
from tallyclip.io.leases import SHARERS, Lease
from tallyclip.io.locks import LOCK
from tallyclip.io.stores import Store
from tallyclip.run.presence import ONCE, Seat, name_of


class Sharing(Lease):
    """A rank's place in a folder on a store, or, without a seat, that of who makes what ranks wait for.

    Raises:
        InUseError: another process is this rank, or has the folder for itself.
        OptionError: the store cannot keep processes apart.
        OutputError: it cannot be written.
    """

    def __init__(self, store: Store, seat: Seat | None, noun: str, note: Callable[[str], None]) -> None:
        self._seat = seat
        super().__init__(store, noun, note, f"{SHARERS}/{secrets.token_hex(8) if seat is None else name_of(seat)}", LOCK)

    def sees(self, seat: Seat) -> bool:
        """Does a process that lives hold a seat?"""
        place = f"{SHARERS}/{name_of(seat)}"
        return any(self.is_there(name, about) for name, about in self._store.list(place).items())

    def _in_use(self, name: str, holder: Mapping[str, object]) -> InUseError:
        if self._seat is None or not name.startswith(SHARERS):
            return super()._in_use(name, holder)
        who = f": process {holder['pid']} on {holder['host']}" if "pid" in holder and "host" in holder else ""
        return InUseError(f"rank {self._seat[0]} of {self._seat[1]} is already at work in {self._store.url}{who}", ONCE)

    def _cannot_keep_out(self) -> None:
        what = f"{self._store.url}: ranks cannot share a folder on this store: it writes an object again that was to be written once"
        raise OptionError(what, "give --runner ray, or a folder on a file system that all ranks share")
