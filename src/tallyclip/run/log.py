"""The log of a folder: a line for each thing that commands did in it, with the time; in ``events.jsonl`` the same for programs.

Several processes may write to both, on one machine or many, so a line is written at once.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tallyclip.errors import TallyclipError
from tallyclip.escaping import printable
from tallyclip.places import shown
from tallyclip.run.progress import Progress, piece_of
from tallyclip.wording import plural

LOG = "log.txt"
EVENTS = "events.jsonl"


class Logged:
    """Progress that is shown, and from ``begin`` on also written to a log.

    A log that cannot be written stops nothing: what matters of a full disk is what the stages cannot write.
    """

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._folder: Path | None = None
        self._waiting: list[tuple[str, bytes]] = []  # what was said before the folder was taken up
        self._stage, self._unit = "", "rows"

    def begin(self, folder: Path, command: Sequence[str]) -> None:
        """A command has taken up a folder."""
        before, self._waiting, self._folder = self._waiting, [], folder
        self._write("begin", "begin", shlex.join(["tallyclip", *command]))
        self._waiting = before

    def end(self, error: BaseException | None) -> None:
        """The command leaves it, because of an error or because it is done."""
        match error:
            case None:
                self._write("end", "end", "done")
            case KeyboardInterrupt():
                self._write("end", "end", "interrupted")
            case TallyclipError():
                self._write("end", "end", f"error: {'; '.join([error.what, *error.details])}")
            case _:
                self._write("end", "end", f"error: {type(error).__name__}: {error}")
        self._folder = None

    def start(self, stage: str, shards: int, shards_done: int, rows: int | None, unit: str = "rows") -> None:
        self._shown.start(stage, shards, shards_done, rows, unit)
        self._stage, self._unit = stage, unit
        amount = "" if rows is None else f", {rows:,} {unit}"
        pieces = f", {plural(shards, piece_of(unit))} of which {shards_done:,} are done" if shards else ""
        numbers = {"shards": shards, "shards_done": shards_done} | ({} if rows is None else {"rows": rows, "unit": unit})
        self._write("stage", stage, f"started{amount}{pieces}", stage=stage, **numbers)

    def advance(self, rows: int) -> None:
        self._shown.advance(rows)

    def say(self, figures: str) -> None:
        self._shown.say(figures)

    def shard_done(self, key: str) -> None:
        self._shown.shard_done(key)
        self._write("shard_done", self._stage, f"{piece_of(self._unit)} {key} done", stage=self._stage, shard=key)

    def shard_failed(self, key: str, what: str) -> None:
        self._shown.shard_failed(key, what)
        said = f"{piece_of(self._unit)} {key} failed: {what}"
        self._write("shard_failed", self._stage, said, stage=self._stage, shard=key)

    def finish(self, result: str) -> None:
        result = shown(result)
        self._shown.finish(result)
        self._write("result", self._stage, f"finished: {result}", stage=self._stage)

    def note(self, text: str) -> None:
        text = shown(text)
        self._shown.note(text)
        self._write("note", "note", text)

    def compiling(self) -> None:
        self._shown.compiling()

    def _write(self, event: str, column: str, text: str, **more: Any) -> None:
        now = datetime.now(UTC)
        line = f"{now.isoformat(timespec='seconds')}  {column:<10} {printable(text)}\n"
        about = {"time": now.isoformat(timespec="milliseconds"), "host": socket.gethostname(), "pid": os.getpid(), "event": event}
        self._waiting.append((line, json.dumps(about | more | {"what": text}).encode() + b"\n"))
        if self._folder is None:
            return
        with suppress(OSError), (self._folder / LOG).open("a", encoding="utf-8") as log:
            log.writelines(line for line, _ in self._waiting)
        with suppress(OSError), (self._folder / EVENTS).open("ab", buffering=0) as events:
            for _, said in self._waiting:
                events.write(said)
        self._waiting.clear()


def merged(log: bytes, other: bytes) -> bytes:
    """One log, or file of events, of two that have some lines in common, by their times."""
    ours, theirs = (Counter(each.splitlines(keepends=True)) for each in (log, other))
    return b"".join(sorted((ours | theirs).elements(), key=_time_of))


def _time_of(line: bytes) -> bytes:
    """What its time is ordered by: a line begins with it, or, in a file of events, with the same few letters and it."""
    return line[:40].partition(b"  ")[0]
