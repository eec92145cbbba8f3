"""The command that compares two curated sets, and the difference on screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from tallyclip import api
from tallyclip.cli import options
from tallyclip.cli.console import out, reports_errors, show_result, show_text
from tallyclip.cli.given import options_of
from tallyclip.cli.tables import ScreenTable
from tallyclip.cli.train import USE
from tallyclip.escaping import printable
from tallyclip.report.numbers import visible

if TYPE_CHECKING:  # it computes, and what is parsed does not
    from tallyclip.report.diff import EntryShift, RunDifference

SHOWN = 8


@options_of(api.diff)
def diff(*, as_json: options.AsJson = False, **given: Any) -> None:
    """Compare two curated sets: their pairs, entries, thresholds, pools and lists.

    Pairs are compared by their uids, and entries by their text, so the entry lists may differ.

    Example:
        tallyclip diff run-t20 run-t100 --html diff.html
    """
    found = api.diff(**given)

    def show() -> None:
        out.print(run_difference(found))
        if given["html"] is not None:
            show_text(f"\npage        {given['html']}")

    show_result(as_json, found.as_plain(), show)


def add_diff(app: typer.Typer) -> None:
    """Add the command to those of the program."""
    app.command(rich_help_panel=USE)(reports_errors(diff))


def run_difference(found: RunDifference) -> RenderableType:
    """The output of ``diff A B``; rows that are the same in both are dimmed."""
    shared = _table("", "both", "only A", "only B")
    for what, counts in (("pairs", found.pairs), ("files of the pools", found.files), ("entries of the lists", found.lists)):
        shared.add_row(what, f"{counts.both:,}", f"{counts.only_a:,}", f"{counts.only_b:,}")
    settings = _table("")
    settings.add_texts("A", "B")
    for name, one, other in found.settings:
        settings.add_row(name, Text(printable(one)), Text(printable(other)), style="dim" if one == other else "")
    parts: list[RenderableType] = [
        Text(f"A  {printable(found.a.run)}\nB  {printable(found.b.run)}"),
        *(Text(f"note: {note}") for note in found.notes),
        "",
        shared,
        "",
        settings,
    ]
    for title, rows, count in (
        ("a larger share of the pairs in B", found.gained, 0),
        ("a smaller share of the pairs in B", found.lost, 0),
        ("only in A", found.only_a, found.only_a_count),
        ("only in B", found.only_b, found.only_b_count),
    ):
        if rows:
            parts += [Text(f"\n{title}: {count:,}" if count else f"\n{title}"), _shifts(rows)]
    return Group(*parts)


def _shifts(rows: Sequence[EntryShift]) -> ScreenTable:
    table = _table("entry", "A", "B", "of A", "of B")
    for row in rows[:SHOWN]:
        table.add_row(Text(visible(row.entry)), f"{row.a:,}", f"{row.b:,}", f"{row.share_a:.2%}", f"{row.share_b:.2%}")
    return table


def _table(first: str, *numbers: str) -> ScreenTable:
    table = ScreenTable()
    table.add_texts(first)
    table.add_numbers(*numbers)
    return table
