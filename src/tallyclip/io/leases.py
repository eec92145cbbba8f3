"""Folders on an object store that one process at a time may work in, or several that share it.

A store has no locks, but it writes an object on the condition that there is none of its name. A process that holds a folder has an object
in ``.lock/`` and writes it anew every few seconds. One whose object stays as it is for longer has been killed, or cut off; another may then
take the folder under the next number. The first sees that when it is there again, and stops before it puts anything into place.

Each of those who share a folder has an object in a folder of its own in ``.lock/ranks/``, and for what only one of them may do, takes
turns with the others in ``.lock/turn/``.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

from tallyclip.errors import InUseError, OutputError, StaleError
from tallyclip.io.locks import LOCK, is_alive
from tallyclip.io.stores import Store, Stored

SHARERS = f"{LOCK}/ranks"
TURN = f"{LOCK}/turn"
UNUSED = f"{LOCK}/unused"  # of this name there is never anything
SECONDS_BETWEEN_SIGNS = 10.0
SECONDS_OF_SILENCE = 60.0  # after which a process counts as gone
SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_BETWEEN_TURNS = 0.5
MACHINE = (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid"))  # what makes a process number that of one machine


class Lease:
    """A folder that is held, until ``release``.

    Args:
        store: the folder.
        noun: what is made in it, for messages.
        note: is told what people should know.
        place: where the object is that says so.
        beside: another place, in which nobody may have one either: of two who come at once, each to its own, at least one is refused.

    Raises:
        InUseError: another process holds it.
        OutputError: it cannot be written.
    """

    def __init__(self, store: Store, noun: str, note: Callable[[str], None], place: str = LOCK, beside: str | None = SHARERS) -> None:
        self._store, self._noun, self._note, self._place, self._beside = store, noun, note, place, beside
        self._sign = {"host": socket.gethostname(), "pid": os.getpid(), "machine": _machine(), "token": secrets.token_hex(8)}
        self._signs = 0
        self._lost = False
        self._ended = threading.Event()
        self._name, self._seen = "", 0.0  # of the object, and when this process last held the folder for certain
        self._take()
        self._seen = time.monotonic()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="lease")
        self._thread.start()

    @property
    def is_held(self) -> bool:
        """Is the folder still this process's, as far as it knows?"""
        return not self._lost

    def check(self) -> None:
        """Make sure that the folder is still held: the store is asked where the last sign is so old that another may have taken it.

        Raises:
            StaleError: another process has taken it over, because this one gave no sign for too long.
        """
        if self._lost or (time.monotonic() - self._seen > SECONDS_OF_SILENCE / 2 and not self.give_sign()):
            what = f"{self._store.url}: another process took over this {self._noun}: this one gave no sign for {SECONDS_OF_SILENCE:g} s"
            raise StaleError(what, "leave it to the other; or stop that, and run the same command again: finished work is kept")

    def release(self) -> None:
        """Let the folder go."""
        self._ended.set()
        self._thread.join()
        if self._holds():  # else the name may be another's by now
            self._store.delete([self._name])

    def give_sign(self) -> bool:
        """Show that this process is still there; returns whether it still holds the folder."""
        now = time.monotonic()
        self._lost = self._lost or not self._holds()
        if not self._lost:
            self._signs += 1
            self._store.write(self._name, self._content())
            self._seen = now
        return not self._lost

    def _holds(self) -> bool:
        return self._read(self._name).get("token") == self._sign["token"]

    def _take(self) -> None:
        gone = self._await_others()
        self._store.delete([UNUSED])  # who may not would only notice after the first work was done
        self._name = self._next(gone)
        if not self._store.create(self._name, self._content()):
            raise self._in_use(self._name, {})
        try:
            if self._store.create(self._name, self._content(token="")):  # which it had to refuse
                self._cannot_keep_out()
            found = self._store.list(LOCK)
            for name in self._but(gone, found):
                raise self._in_use(name, self._read(name))
            self._refuse_beside(found)
        except BaseException:
            self._store.delete([self._name])
            raise
        self._store.delete([*gone])

    def _await_others(self) -> dict[str, bytes | None]:
        """Return when those who hold the folder are gone, with what their objects last were.

        Raises:
            InUseError: one is not.
        """
        return {name: self._await_end(name) for name in _those_in(self._place, self._store.list(self._place))}

    def _next(self, gone: Collection[str]) -> str:
        return f"{self._place}/{max((int(name.rpartition('/')[2]) for name in gone), default=0) + 1:08}"

    def _but(self, gone: Mapping[str, bytes | None], found: Mapping[str, Stored]) -> list[str]:
        """The objects of others than those who are gone. A name may be another's by now: one begins to count anew when all are gone."""
        others = [name for name in _those_in(self._place, found) if name != self._name]
        return [name for name in others if self._store.read(name) not in (None, gone.get(name))]

    def _cannot_keep_out(self) -> None:
        self._note(f"warning: {self._store.url}: this store cannot keep others out; work in the {self._noun} with one command at a time")
        self._store.write(self._name, self._content())

    def _refuse_beside(self, found: Mapping[str, Stored]) -> None:
        """See that nobody is in the other place whose process is not gone; what those who are gone left is taken away.

        Raises:
            InUseError: somebody is.
        """
        if self._beside is None:
            return
        there = _those_in(self._beside, found)
        while alive := next((name for name, about in there.items() if self.is_there(name, about)), None):
            self._await_end(alive)
            self.give_sign()
            there = _those_in(self._beside, self._store.list(self._beside))
        self._store.delete([*there])

    def is_there(self, name: str, about: Stored) -> bool:
        """Does a process that has an object still give signs?

        Times are those of the store: when the object was written, and when this process last wrote its own.
        """
        lives = _lives(self._read(name))
        return self.written - about.written < SECONDS_OF_SILENCE if lives is None else lives

    @property
    def written(self) -> float:
        """When this process last wrote its object, in seconds since 1970 by the store's clock; 0 if that is gone."""
        mine = self._store.look(self._name)
        return 0.0 if mine is None else mine.written

    def _await_end(self, name: str) -> bytes | None:
        """Return when the process that has an object is gone, with what that last was; None where it has taken it away.

        Raises:
            InUseError: it is not.
        """
        first = self._store.read(name)
        holder = _parsed(first)
        lives = _lives(holder)
        if lives:
            raise self._in_use(name, holder)
        if lives is False:
            return first
        who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
        since, said = time.monotonic(), False
        while time.monotonic() - since < SECONDS_OF_SILENCE:
            now = self._store.read(name)
            if now is None:
                return None
            if now != first:
                raise self._in_use(name, holder)
            if not said and time.monotonic() - since > SECONDS_BETWEEN_LOOKS:
                self._note(f"{who} holds this {self._noun}: waiting for {SECONDS_OF_SILENCE:g} s to see if it still works")
                said = True
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return first

    def _in_use(self, name: str, holder: Mapping[str, object]) -> InUseError:  # noqa: ARG002 - for those who share
        who = f", {holder['pid']} on {holder['host']}," if "pid" in holder and "host" in holder else ""
        return InUseError(f"{self._store.url}: another process{who} is working on this {self._noun}", "wait for it, or stop it")

    def _read(self, name: str) -> dict[str, object]:
        return _parsed(self._store.read(name))

    def _content(self, token: str | None = None) -> bytes:
        sign = self._sign | {"signs": self._signs} | ({} if token is None else {"token": token})
        return json.dumps(sign).encode()

    def _keep(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_SIGNS) and not self._lost:
            with suppress(OutputError):  # the store may answer again; until then ``check`` asks
                self.give_sign()


class Turn(Lease):
    """What one of those who share a folder has at a time: who wants it waits until the one that has it lets it go, or is gone."""

    def __init__(self, store: Store, noun: str, note: Callable[[str], None]) -> None:
        super().__init__(store, noun, note, TURN, None)

    def _take(self) -> None:
        while True:
            gone = self._await_others()
            self._name = self._next(gone)
            if self._store.create(self._name, self._content()):
                if not self._but(gone, self._store.list(TURN)):
                    self._store.delete([*gone])
                    return
                self._store.delete([self._name])
            time.sleep(random.uniform(0, SECONDS_BETWEEN_TURNS))  # else those who meet would meet again

    def _await_end(self, name: str) -> bytes | None:
        latest, since = b"", time.monotonic()
        while time.monotonic() - since < SECONDS_OF_SILENCE:
            now = self._store.read(name)
            if now is None:
                return None
            if _lives(_parsed(now)) is False:
                return now
            if now != latest:
                latest, since = now, time.monotonic()
            time.sleep(random.uniform(0.5, 1) * SECONDS_BETWEEN_TURNS)
        return latest


def _those_in(place: str, found: Mapping[str, Stored]) -> dict[str, Stored]:
    """Of the objects in ``.lock/`` those that say who holds a place; those of ranks are in a folder for each."""
    below = 3 if place == SHARERS else place.count("/") + 1
    return {name: about for name, about in found.items() if name.startswith(f"{place}/") and name.count("/") == below}


def _parsed(content: bytes | None) -> dict[str, object]:
    try:
        found = json.loads(content or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _lives(holder: Mapping[str, object]) -> bool | None:
    """Does a process live that has an object? None if it is on another machine, where that cannot be seen."""
    return is_alive(int(str(holder.get("pid", 0)))) if holder.get("machine") == _machine() else None


def _machine() -> str:
    found: list[str] = []
    for path in MACHINE:
        try:
            found.append(os.readlink(path) if path.is_symlink() else path.read_text().strip())
        except OSError:
            found.append(secrets.token_hex(8))  # no two are known to be the same
    return " ".join(found)
