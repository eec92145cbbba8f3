"""How a table looks on screen: a table where it fits, and where it does not, one block of names and values after the other.

Nothing is cut, and no number is broken.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from tallyclip.escaping import printable

NARROWEST = 24  # cells to which a column of texts is folded at most, before the table is given up
GAP = 2  # cells between what stands side by side, and before a value below its name


class ScreenTable(Table):
    """A table with columns of texts, which may be folded, and columns of numbers, which may not."""

    def __init__(self) -> None:
        super().__init__(box=None, header_style="dim", pad_edge=False)

    def add_texts(self, *titles: str) -> None:
        """Add columns of texts."""
        for title in titles:
            self.add_column(Text(printable(title)), overflow="fold")

    def add_numbers(self, *titles: str, style: str = "") -> None:
        """Add columns of numbers. A title may have several lines."""
        for title in titles:
            self.add_column(Text(printable(title, keep="\n")), justify="right", style=style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for folded in (False, True):
            widths = [max(_title_width(column, folded=folded), _value_width(column, folded=folded)) for column in self.columns]
            if sum(widths) + GAP * (len(widths) - 1) <= options.max_width:
                for column, width in zip(self.columns, widths, strict=True):
                    column.width = width if _is_number(column) else None
                yield from super().__rich_console__(console, options)
                return
        yield from self._blocks(console, options.max_width)

    def _blocks(self, console: Console, width: int) -> Iterator[Text]:
        """The rows, each as a block with a line for each value and its name before it, or above it where there is no room.

        A value of a column without a title is the title of its block; what is empty is left out.
        """
        names = [Text(" ".join(_text(column.header).plain.split()), style="dim") for column in self.columns]
        longest = max(name.cell_len for name in names)
        is_beside = GAP + longest + max(_value_width(column, folded=True) for column in self.columns) <= width
        indent = " " * (GAP + longest if is_beside else GAP)
        for number, (row, *cells) in enumerate(zip(self.rows, *(column.cells for column in self.columns), strict=True)):
            if number:
                yield Text()
            for name, cell in zip(names, cells, strict=True):
                value = _text(cell).copy()
                value.stylize(row.style or "")
                lines = Text("\n").join(Text(indent) + line for line in value.wrap(console, width - len(indent)))
                if value.plain and name.plain:
                    yield name + lines[len(name) :] if is_beside else Text.assemble(name, "\n", lines)
                elif value.plain:
                    yield value


def _title_width(column: Column, *, folded: bool) -> int:
    """The cells that a title takes; folded, with a word in each line."""
    title = _text(column.header).plain
    return max(map(cell_len, title.split() if folded else title.split("\n")), default=0)


def _value_width(column: Column, *, folded: bool) -> int:
    """The cells that the values of a column take; folded, with texts in several lines."""
    whole = max((_text(cell).cell_len for cell in column.cells), default=0)
    return min(whole, NARROWEST) if folded and not _is_number(column) else whole


def _is_number(column: Column) -> bool:
    return column.justify == "right"


def _text(cell: object) -> Text:
    """A cell as text: a string is markup."""
    return cell if isinstance(cell, Text) else Text.from_markup(str(cell))
