"""Folders on an object store that one process at a time may work in.

A store has no locks, but it writes an object on the condition that there is none of its name. A process that holds a folder has an object
in ``.lock/`` and writes it anew every few seconds. One whose object stays as it is for longer has been killed, or cut off; another may then
take the folder under the next number. The first sees that when it is there again, and stops before it puts anything into place.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tallyclip.errors import InUseError, OutputError, StaleError
from tallyclip.io.locks import LOCK, is_alive
from tallyclip.io.stores import Store

UNUSED = f"{LOCK}/unused"  # of this name there is never anything
SECONDS_BETWEEN_SIGNS = 10.0
SECONDS_OF_SILENCE = 60.0  # after which a process counts as gone
SECONDS_BETWEEN_LOOKS = 2.0
MACHINE = (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid"))  # what makes a process number that of one machine


class Lease:
    """A folder that is held, until ``release``.

    Args:
        store: the folder.
        noun: what is made in it, for messages.
        note: is told what people should know.

    Raises:
        InUseError: another process holds it.
        OutputError: it cannot be written.
    """

    def __init__(self, store: Store, noun: str, note: Callable[[str], None]) -> None:
        self._store, self._noun, self._note = store, noun, note
        self._sign = {"host": socket.gethostname(), "pid": os.getpid(), "machine": _machine(), "token": secrets.token_hex(8)}
        self._signs = 0
        self._lost = False
        self._ended = threading.Event()
        self._name = self._take()
        self._seen = time.monotonic()  # when this process last held the folder for certain
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

    def _take(self) -> str:
        others = self._store.list(LOCK)
        for name in others:
            self._await_end(name)
        self._store.delete([UNUSED])  # who may not would only notice after the first work was done
        mine = f"{LOCK}/{max((int(name.rpartition('/')[2]) for name in others), default=0) + 1:08}"
        if not self._store.create(mine, self._content()):
            raise self._in_use({})
        if self._store.create(mine, self._content(token="")):  # which it had to refuse
            self._note(
                f"warning: {self._store.url}: this store cannot keep others out; work in the {self._noun} with one command at a time"
            )
            self._store.write(mine, self._content())
        since = [name for name in self._store.list(LOCK) if name not in (mine, *others)]
        if since:
            self._store.delete([mine])
            raise self._in_use(self._read(since[0]))
        self._store.delete([*others])
        return mine

    def _await_end(self, name: str) -> None:
        """Return when the process that holds the folder under a name is gone.

        Raises:
            InUseError: it is not.
        """
        holder = self._read(name)
        if holder.get("machine") == _machine():
            if is_alive(int(str(holder.get("pid", 0)))):
                raise self._in_use(holder)
            return
        who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
        since, first, said = time.monotonic(), self._store.read(name), False
        while time.monotonic() - since < SECONDS_OF_SILENCE:
            now = self._store.read(name)
            if now is None:
                return
            if now != first:
                raise self._in_use(holder)
            if not said and time.monotonic() - since > SECONDS_BETWEEN_LOOKS:
                self._note(f"{who} holds this {self._noun}: waiting for {SECONDS_OF_SILENCE:g} s to see if it still works")
                said = True
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _in_use(self, holder: dict[str, object]) -> InUseError:
        who = f", {holder['pid']} on {holder['host']}," if "pid" in holder and "host" in holder else ""
        return InUseError(f"{self._store.url}: another process{who} is working on this {self._noun}", "wait for it, or stop it")

    def _read(self, name: str) -> dict[str, object]:
        try:
            found = json.loads(self._store.read(name) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _content(self, token: str | None = None) -> bytes:
        sign = self._sign | {"signs": self._signs} | ({} if token is None else {"token": token})
        return json.dumps(sign).encode()

    def _keep(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_SIGNS) and not self._lost:
            with suppress(OutputError):  # the store may answer again; until then ``check`` asks
                self.give_sign()


def _machine() -> str:
    found: list[str] = []
    for path in MACHINE:
        try:
            found.append(os.readlink(path) if path.is_symlink() else path.read_text().strip())
        except OSError:
            found.append(secrets.token_hex(8))  # no two are known to be the same
    return " ".join(found)
