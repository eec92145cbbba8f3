"""The names that objects give their values: told from the first of a file, and watched in those that follow.

Objects need not all have the same names, so a column may first come when all others are chosen. Whatever would have been chosen
otherwise had it come in time fails the shard, since half of it has been read without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from tallyclip.errors import OptionError, SourceError
from tallyclip.pool.columns import ColumnChoice, Columns, find_columns
from tallyclip.pool.records import Bad

LOOKED_AT = 1000  # objects, to find out the columns' names


class Names(NamedTuple):
    """The names in the first objects of a file.

    Attributes:
        names: in the order in which they come.
        first: the first thing in the file that is no object, if there is one.
        items: how many things were looked at.
    """

    names: list[str]
    first: Any
    items: int

    @property
    def whole(self) -> bool:
        """Was that all of the file?"""
        return self.items < LOOKED_AT

    def with_named(self, choice: ColumnChoice) -> list[str]:
        """Also the names that a flag gives, if they may yet come."""
        return self.names if self.whole else list(dict.fromkeys([*self.names, *choice.named]))


def first_names(items: Iterable[tuple[Any, int]]) -> Names:
    """Look at the first items of a file."""
    names: dict[str, None] = {}
    first: Any = None
    count = 0
    for item, _ in islice(items, LOOKED_AT):
        count += 1
        if isinstance(item, dict):
            names |= dict.fromkeys(item)
        elif first is None:
            first = item
    return Names(list(names), first, count)


def watched(path: str, items: Iterable[tuple[Any, int]], columns: Columns, choice: ColumnChoice, called: str) -> Iterator[tuple[Any, int]]:
    """The same items, while their names are what the columns were told from.

    Args:
        path: the file they are from.
        items: objects or what stands in their place, each with its size.
        columns: the roles that ``first_names`` led to.
        choice: what the user said of them.
        called: what a message calls an item: a line, for one.

    Raises:
        SourceError: a name comes too late that would have had a role, or one that a flag gives never comes.
    """
    seen: set[str] = set()
    for row, (item, size) in enumerate(items):
        if isinstance(item, dict) and not seen.issuperset(item):
            fresh = [name for name in item if name not in seen]
            seen.update(fresh)
            if row >= LOOKED_AT:
                _refuse_role(f"{path}: {called} {row + 1:,}", fresh, seen, columns, choice)
        yield item, size
    if seen:
        for role in ("caption", "url", "uid"):
            name = getattr(choice, role)
            if name is not None and name not in seen:
                raise SourceError(f"{path}: no {called} has the {name!r} of --{role}-column", f"their names are: {', '.join(sorted(seen))}")


def _refuse_role(place: str, fresh: list[str], seen: set[str], columns: Columns, choice: ColumnChoice) -> None:
    try:
        now = find_columns([*seen.union(choice.named)], choice)
    except OptionError:  # of names so strange that there is no choice any more
        return
    for role in ("caption", "url", "uid"):
        name = getattr(now, role)
        if name in fresh and name != getattr(columns, role):
            chosen = getattr(columns, role)
            what = f"{place} is the first with {name!r}, which would be the {role} if it came among the first {LOOKED_AT:,}"
            raise SourceError(what, f"say what it is: --{role}-column {name}" + (f", or --{role}-column {chosen}" if chosen else ""))


def nothing_there(names: Names) -> str:
    """How a file without any object begins, for people to read."""
    return f"; it begins with {names.first.sample}" if isinstance(names.first, Bad) else ""
