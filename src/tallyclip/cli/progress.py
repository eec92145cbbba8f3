"""Progress on standard error: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from tallyclip.cli.console import Amount, as_markup, err
from tallyclip.report.numbers import short, size
from tallyclip.run.progress import piece_of
from tallyclip.wording import plural

SECONDS_BETWEEN_LINES = 10.0


def _rate_text(speed: float, unit: str) -> str:
    return f"{size(speed)}/s" if unit == "bytes" else f"{short(speed)} {unit}/s"


class _Rate(ProgressColumn):
    """Rows or bytes per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(_rate_text(speed, task.fields["unit"]) if speed else "", style="cyan")


def shown() -> Shown:
    """Progress on standard error, as much of it as the command is to show."""
    return Shown(Console(stderr=True, quiet=True) if err.shows == Amount.nothing else err, shards=err.shows == Amount.shards)


class Shown:
    """Shows the progress of one stage at a time.

    Args:
        console: to show it on.
        shards: name each shard that is done.
    """

    def __init__(self, console: Console, *, shards: bool = False) -> None:
        self._console = console
        self._names_shards = shards
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._unit = "rows"
        self._figures = ""
        self._rows = 0
        self._total: int | None = None
        self._shards = (0, 0)
        self._failed = 0
        self._started = self._said = time.monotonic()
        self._clock: tuple[float, int] | None = None  # when and at which row the speed begins to count: with the first, if it had to wait
        self._compiles = self._said_compiling = False

    def start(self, stage: str, shards: int, shards_done: int, rows: int | None, unit: str = "rows") -> None:
        self._stop()
        self._unit, self._figures = unit, ""
        self._stage, self._rows, self._total, self._shards, self._failed = stage, 0, rows, (shards_done, shards), 0
        self._started = self._said = time.monotonic()
        self._clock = None if self._compiles else (self._started, 0)
        self._compiles = False
        kept = f" ({shards_done:,} of {plural(shards, self._piece)} done)" if shards_done else ""
        if self._console.is_terminal and not self._console.quiet:
            self._bar = Progress(
                TextColumn("[bold]{task.description:<8}"),
                BarColumn(bar_width=28),
                TextColumn("{task.fields[shards]}"),
                _Rate(),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(compact=True),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(stage, total=rows or None, shards=self._shards_text(), unit=unit, figures="")
            if kept:
                self.note(f"{stage}: continuing{kept}")
        elif rows:
            pieces = f" in {plural(shards, self._piece)}" if shards else ""
            self._line(f"{stage}: {self._amount(rows)}{pieces}{kept}")

    def advance(self, rows: int) -> None:
        self._rows += rows
        if self._clock is None:
            self._clock = (time.monotonic(), self._rows)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=rows)
        elif time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            rate = self._speed()
            speed = f", {_rate_text(rate, self._unit)}" if rate else ""
            figures = f", {self._figures}" if self._figures else ""
            done, left = self._amount(self._rows), ""
            if self._total and self._rows <= self._total:  # else it was estimated, too low, and says nothing
                done = f"{self._number(self._rows)} of {self._amount(self._total)} ({self._rows / self._total:.0%})"
                left = f", {_duration((self._total - self._rows) / rate)} left" if rate else ""
            self._line(f"{self._stage}: {done}{speed}{figures}{left}")

    def say(self, figures: str) -> None:
        self._figures = figures
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, figures=figures)

    def shard_done(self, key: str) -> None:
        if self._names_shards:
            self.note(f"{self._stage}: {piece_of(self._unit)} {key} done")
        self._shards = (self._shards[0] + 1, self._shards[1])
        self._refresh()

    def shard_failed(self, key: str, what: str) -> None:
        self._failed += 1
        self._console.print(f"  [red]failed[/red] {piece_of(self._unit)} {as_markup(key)}: {as_markup(what)}", soft_wrap=True)
        self._refresh()

    def finish(self, result: str) -> None:
        seconds = time.monotonic() - self._started
        speed = self._speed()
        rate = f", {_rate_text(speed, self._unit)}" if speed and seconds > 0.5 else ""
        self._stop()
        self._console.print(
            f"[green]✓[/green] [bold]{self._stage:<8}[/bold] {as_markup(result)} [dim]({seconds:.1f} s{rate})[/dim]",
            soft_wrap=True,
        )

    def note(self, text: str) -> None:
        self._console.print(f"  {as_markup(text)}", soft_wrap=True)

    def compiling(self) -> None:
        self._compiles = True
        if not self._said_compiling:
            self._said_compiling = True
            self.note("compiling, once per machine: about 20 seconds")

    def stop(self) -> None:
        """Remove the bar from the terminal."""
        self._stop()

    def _speed(self) -> float:
        """Rows per second; 0 as long as it is not known."""
        since, before = self._clock or (0.0, self._rows)
        return (self._rows - before) / max(time.monotonic() - since, 1e-9)

    @property
    def _piece(self) -> str:
        return piece_of(self._unit)

    def _number(self, number: int) -> str:
        return size(number) if self._unit == "bytes" else f"{number:,}"

    def _amount(self, number: int) -> str:
        return size(number) if self._unit == "bytes" else plural(number, self._unit.removesuffix("s"))

    def _line(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)

    def _shards_text(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._shards[0]:,}/{self._shards[1]:,} {self._piece}s{failed}" if self._shards[1] > 1 else ""

    def _refresh(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, shards=self._shards_text())

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
