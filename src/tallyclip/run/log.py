"""The log of a folder: a line for each thing that commands did in it, with the time."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tallyclip.errors import TallyclipError
from tallyclip.escaping import printable
from tallyclip.run.progress import Progress, piece_of

LOG = "log.txt"


class Logged:
    """Progress that is shown, and from ``begin`` on also written to a log.

    A log that cannot be written stops nothing: what matters of a full disk is what the stages cannot write.
    """

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._path: Path | None = None
        self._waiting: list[str] = []  # what was said before the folder was taken up
        self._stage, self._unit = "", "rows"

    def begin(self, folder: Path, command: Sequence[str]) -> None:
        """A command has taken up a folder."""
        before, self._waiting, self._path = self._waiting, [], folder / LOG
        self._write("begin", shlex.join(["tallyclip", *command]))
        self._waiting = before

    def end(self, error: BaseException | None) -> None:
        """The command leaves it, because of an error or because it is done."""
        match error:
            case None:
                self._write("end", "done")
            case KeyboardInterrupt():
                self._write("end", "interrupted")
            case TallyclipError():
                self._write("end", f"error: {'; '.join([error.what, *error.details])}")
            case _:
                self._write("end", f"error: {type(error).__name__}: {error}")
        self._path = None

    def start(self, stage: str, shards: int, shards_done: int, rows: int | None, unit: str = "rows") -> None:
        self._shown.start(stage, shards, shards_done, rows, unit)
        self._stage, self._unit = stage, unit
        amount = "" if rows is None else f", {rows:,} {unit}"
        pieces = f", {shards:,} {piece_of(unit)}s of which {shards_done:,} are done" if shards else ""
        self._write(stage, f"started{amount}{pieces}")

    def advance(self, rows: int) -> None:
        self._shown.advance(rows)

    def say(self, figures: str) -> None:
        self._shown.say(figures)

    def shard_done(self, key: str) -> None:
        self._shown.shard_done(key)
        self._write(self._stage, f"{piece_of(self._unit)} {key} done")

    def shard_failed(self, key: str, what: str) -> None:
        self._shown.shard_failed(key, what)
        self._write(self._stage, f"{piece_of(self._unit)} {key} failed: {what}")

    def finish(self, result: str) -> None:
        self._shown.finish(result)
        self._write(self._stage, f"finished: {result}")

    def note(self, text: str) -> None:
        self._shown.note(text)
        self._write("note", text)

    def compiling(self) -> None:
        self._shown.compiling()

    def _write(self, what: str, text: str) -> None:
        self._waiting.append(f"{datetime.now(UTC).isoformat(timespec='seconds')}  {what:<10} {printable(text)}\n")
        if self._path is None:
            return
        with suppress(OSError), self._path.open("a", encoding="utf-8") as log:
            log.writelines(self._waiting)
        self._waiting.clear()
