"""How the help of a command looks: what it is for, examples, and its options in groups, on a terminal of any width.

typer shows options in boxes of five columns, which are unreadable on a narrow terminal, and names types of Python. Here the name of an
option stands with its value, and what it does beside it, or below it where there is no room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from tallyclip.cli.console import out
from tallyclip.extras import install_line

WIDEST = 100  # longer lines are hard to read
NAMES = 30  # cells for the names of options; a longer one has a line of its own
NARROW = 70  # below this width, all have one
EXAMPLES = ("Example:", "Examples:")
NEEDS = "Needs"  # begins a paragraph that ends with a colon and an extra


class HelpfulCommand(TyperCommand):
    """A command with this help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_printed(self, ctx))


class HelpfulGroup(TyperGroup):
    """A group of commands with this help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_printed(self, ctx))


class Commands(typer.Typer):
    """A group of commands, all with this help; without arguments it shows its own."""

    def __init__(self, **given: Any) -> None:
        super().__init__(cls=HelpfulGroup, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}, **given)

    def command(self, name: str | None = None, **given: Any) -> Any:
        return super().command(name, cls=HelpfulCommand, **given)


def _printed(command: Any, context: Any) -> str:
    with out.capture() as printed:
        width = min(out.width, WIDEST)
        out.print(Group(*_parts(command, context, width)), width=width)
    return "".join(f"{line.rstrip()}\n" for line in printed.get().splitlines())


def _parts(command: Any, context: Any, width: int) -> Iterator[RenderableType]:
    yield Text(command.get_usage(context))
    yield from _description(command.help or "")
    panels = _by_panel(command.get_params(context), "Options")
    panels = {name: panels.pop(name) for name in ("Arguments", "Options") if name in panels} | panels
    for panel, parameters in panels.items():
        yield Text(f"\n{panel}", style="bold")
        yield from _rows([(_names(one), _described(one)) for one in parameters], width)
    if isinstance(command, TyperGroup):
        found = [command.get_command(context, name) for name in command.list_commands(context)]
        for panel, commands in _by_panel([one for one in found if one is not None], "Commands").items():
            yield Text(f"\n{panel}", style="bold")
            yield from _rows([(Text(one.name or "", style="cyan"), _plain(_summary(one))) for one in commands], width)
    if command.epilog:
        yield Text(f"\n{command.epilog}")


def _by_panel(shown: Iterable[Any], panel: str) -> dict[str, list[Any]]:
    """Parameters or commands by the panel they are in."""
    found: dict[str, list[Any]] = defaultdict(list)
    for one in shown:
        if not one.hidden:
            is_argument = getattr(one, "param_type_name", "") == "argument"
            found[one.rich_help_panel or ("Arguments" if is_argument else panel)].append(one)
    return dict(found)


def _description(text: str) -> Iterator[RenderableType]:
    """Paragraphs filled to the width, examples as they are, each on its line, and what installs an extra that is needed."""
    for paragraph in filter(None, text.split("\n\n")):
        first, *lines = paragraph.splitlines()
        if first in EXAMPLES:
            yield Text(f"\n{first.removesuffix(':')}", style="bold")
            yield from (Padding(Text(line.strip(), style="cyan", overflow="fold"), (0, 0, 0, 2)) for line in lines)
        elif first.split()[0].rstrip(":") == NEEDS:
            what, _, extra = " ".join(paragraph.split()).rpartition(" ")
            yield Text.assemble("\n", _plain(what), " ", (install_line(extra), "cyan"), overflow="fold")
        else:
            yield Text("\n") + _plain(" ".join(paragraph.split()))


def _rows(rows: Sequence[tuple[Text, Text]], width: int) -> Iterator[RenderableType]:
    """Names with what they are, beside or below."""
    room = max((name.cell_len for name, _ in rows if name.cell_len <= NAMES), default=0)
    for name, what in rows:
        if width >= NARROW and name.cell_len <= room:
            grid = Table.grid()
            grid.add_column(width=room + 4)
            grid.add_column()
            grid.add_row(Padding(name, (0, 2, 0, 2)), what)
            yield grid
        else:
            yield Padding(name, (0, 0, 0, 2))
            yield Padding(what, (0, 0, 0, room + 4 if width >= NARROW else 6))


def _names(parameter: Any) -> Text:
    if parameter.param_type_name == "argument":
        return Text(parameter.metavar, style="cyan")
    names = Text(", ".join(sorted(parameter.opts, key=len)), style="cyan")
    if parameter.secondary_opts:
        names.append(f" / {', '.join(parameter.secondary_opts)}")
    return names if parameter.is_flag else names.append(f" {parameter.metavar}", style="yellow")


def _described(parameter: Any) -> Text:
    described = _plain(parameter.help or "")
    if parameter.required:
        described.append(" Required.")
    elif parameter.show_default and parameter.default not in (None, False, ""):
        described.append(f" Default: {parameter.default}.")
    return described


def _summary(command: Any) -> str:
    """The first sentence of a command's help."""
    return " ".join((command.help or "").split("\n\n")[0].split())


def _plain(text: str) -> Text:
    """Text in which what stands in backticks is shown in another style."""
    return Text.assemble(*((piece, "cyan" if i % 2 else "") for i, piece in enumerate(text.split("`"))))
