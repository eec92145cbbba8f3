"""What a stage says while it works; the command line shows it."""

from __future__ import annotations

from typing import Protocol


def piece_of(unit: str) -> str:
    """What people call a piece of work: a pool has shards, which are counted in rows; other inputs have parts."""
    return "shard" if unit == "rows" else "part"


class Progress(Protocol):
    """Told of a stage's progress, always from the driver's thread."""

    def start(self, stage: str, shards: int, shards_done: int, rows: int | None, unit: str = "rows") -> None:
        """A stage begins with that many shards, some of them done before, and that many rows (or bytes) still to do, if known."""
        ...

    def advance(self, rows: int) -> None:
        """That many more rows are done."""
        ...

    def say(self, figures: str) -> None:
        """What is shown beside the speed from now on."""
        ...

    def shard_done(self, key: str) -> None: ...

    def shard_failed(self, key: str, what: str) -> None: ...

    def finish(self, result: str) -> None:
        """The stage has ended; ``result`` is a line for people."""
        ...

    def note(self, text: str) -> None:
        """Something people should know."""
        ...

    def compiling(self) -> None:
        """The stage that begins next has to wait until functions are compiled, so its speed says nothing until rows are done."""
        ...


class Silent:
    """Says nothing."""

    def start(self, stage: str, shards: int, shards_done: int, rows: int | None, unit: str = "rows") -> None: ...

    def advance(self, rows: int) -> None: ...

    def say(self, figures: str) -> None: ...

    def shard_done(self, key: str) -> None: ...

    def shard_failed(self, key: str, what: str) -> None: ...

    def finish(self, result: str) -> None: ...

    def note(self, text: str) -> None: ...

    def compiling(self) -> None: ...
