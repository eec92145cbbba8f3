"""Standard output and standard error of the commands, and how errors are printed."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypeVar

import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from tallyclip.errors import TRACEBACK, OptionError, TallyclipError, shows_tracebacks
from tallyclip.escaping import printable

NAME = re.compile(r"\s*\S+(?: \S+)? {2,}")  # of a line that has one
Command = TypeVar("Command", bound=Callable[..., None])


class Amount(StrEnum):
    """How much of its progress a command shows; ``--quiet`` and ``--verbose`` set it."""

    nothing = "nothing"
    stages = "stages"
    shards = "shards"


class SafeConsole(Console):
    """A console that printed data cannot control: only this program's own styles are written as escape sequences."""

    shows = Amount.stages

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text, keep="\n"))

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # ``reports_errors`` handles it; rich would exit by itself


out = SafeConsole(highlight=False, emoji=False)
err = SafeConsole(stderr=True, highlight=False, emoji=False)


def choose_progress(*, quiet: bool, verbose: bool = False) -> None:
    """Set how much of its progress this command shows.

    Raises:
        OptionError: nothing and more at once.
    """
    if quiet and verbose:
        raise OptionError("--quiet shows no progress, and --verbose more of it", "give one of the two")
    err.shows = Amount.nothing if quiet else Amount.shards if verbose else Amount.stages


def reports_errors(command: Command) -> Command:
    """Print errors with their hints, without a traceback, and exit with the code of the error."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except TallyclipError as error:
            fails(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            err.print("\nInterrupted. Finished work is kept: run the same command again to continue.", soft_wrap=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:  # the reader of our output has exited: `tallyclip ... | head`
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.dup2(nowhere, sys.stderr.fileno())
            raise typer.Exit(1) from None
        except OSError as error:  # that no module has turned into an error of ours
            fails(TallyclipError(f"{error.filename or 'operating system'}: {error.strerror or error}"))
            raise typer.Exit(1) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if shows_tracebacks():
                raise
            hint = f"this is a bug in tallyclip: please report it with the traceback, which {TRACEBACK}=1 before the command prints"
            fails(TallyclipError(f"unexpected error: {type(error).__name__}: {error}", hint))
            raise typer.Exit(1) from None

    return wrapped  # type: ignore[return-value]


def fails(error: TallyclipError) -> None:
    """Print an error: what is wrong, and a hint."""
    err.print(Text("Error: ", style="bold red") + Text("\n  ".join([error.what, *error.details])), soft_wrap=True)
    if error.hint:
        err.print(Text("\nHint: ", style="bold") + Text(error.hint), soft_wrap=True)


def as_markup(text: str) -> str:
    """Text from data, escaped for rich's markup and on one line."""
    return escape(printable(text))


def show_text(text: str) -> None:
    """Print lines, of which many have a name and a value, as they are: an entry or a path may look like rich's markup.

    At a terminal they are broken between words, so that no number is broken at the margin.
    """
    lines = text.split("\n")
    out.print(Text("\n".join(_filled(line, out.width) for line in lines) if out.is_terminal else text), soft_wrap=True)


def show_file(text: str) -> None:
    """Print what is to be a file: no line is broken."""
    out.print(Text(text), soft_wrap=True)


def _filled(line: str, width: int) -> str:
    """A line in lines of a width, those after the first below its value. A command stays one line, and so does a word: they are copied."""
    name = NAME.match(line)
    if cell_len(line) <= width or (name is not None and name[0].strip() == "next"):
        return line
    indent = 2 if name is None or name.end() > width // 2 else name.end()
    start = 0 if name is None else name.end()
    lines, words = [line[:start]], line[start:].split(" ")
    for number, word in enumerate(words):
        if number and cell_len(lines[-1]) + 1 + cell_len(word) > width:
            lines.append(" " * indent + word)
        else:
            lines[-1] += f" {word}" if number else word
    return "\n".join(lines)


def show_result(as_json: bool, value: Any, render: Callable[[], None]) -> None:
    """Print a result for programs, or as ``render`` does for people.

    Args:
        as_json: print JSON.
        value: what msgspec and JSON have a form for, or paths; infinity is the text "inf".
        render: prints it for people.
    """
    if not as_json:
        render()
        return
    import msgspec

    from tallyclip.io.files import with_infinity

    print(json.dumps(with_infinity(msgspec.to_builtins(value, enc_hook=str, str_keys=True)), indent=1))
