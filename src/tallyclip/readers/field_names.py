"""The names that objects give their values: told from the first of a file, and watched in those that follow.

Objects need not all have the same names, so a column may first come when all others are chosen. Whatever would have been chosen
otherwise had it come in time fails the shard, since half of it has been read without. So do more names than a table should have columns.
"""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, cast

from msgspec import UNSET

from tallyclip.errors import OptionError, SourceError
from tallyclip.readers.columns import ROLES, ColumnChoice, Columns, find_columns, listed
from tallyclip.readers.records import Bad

LOOKED_AT = 1000  # objects, to find out the columns' names
MOST_NAMES = 1000  # of the objects of a file: each becomes a column, with a place for every record
NULL = "null"
KINDS = {str: "text", bool: "true or false", int: "number", float: "number", list: "list", dict: "object"}


MANY = (
    "each name becomes a column; names that are data, such as ids, belong into values, or into an object of its own, "
    'which is kept as JSON text: {"caption": ..., "meta": {...}}'
)


class FieldNames(NamedTuple):
    """The names in the first objects of a file.

    Attributes:
        names: in the order in which they come.
        first: the first thing in the file that is no object; UNSET if there is none.
        items: how many things were looked at.
        values: of each name the first value that is not null, as a message shows it.
        keyed: are the records not the file's objects, but the keys and values of these?
    """

    names: list[str]
    first: Any
    items: int
    values: dict[str, str]
    keyed: bool = False

    def is_one_of_columns(self, columns: Columns) -> bool:
        """Is there only one object, whose names have all the values of a column?"""
        kinds = [self.values.get(name or "", "").split(":")[0] for name in (columns.caption, columns.url)]
        return self.items == 1 and (kinds[0] == KINDS[dict] or kinds[1] in (KINDS[list], KINDS[dict]))

    @property
    def whole(self) -> bool:
        """Was that all of the file?"""
        return self.items < LOOKED_AT

    def with_named(self, choice: ColumnChoice) -> list[str]:
        """Also the names that a flag gives, if they may yet come."""
        return self.names if self.whole else list(dict.fromkeys([*self.names, *choice.named]))

    @property
    def examples(self) -> list[str]:
        """Of each name the kind of its values, and one of them."""
        return [self.values[name] for name in self.names]


def first_field_names(path: str, items: Iterable[tuple[Any, int]], called: str) -> FieldNames:
    """Look at the first items of a file; ``called`` is what a message calls one.

    Raises:
        SourceError: they have too many names.
    """
    values: dict[str, str] = {}
    first: Any = UNSET
    count = 0
    for item, _ in islice(items, LOOKED_AT):
        count += 1
        if isinstance(item, dict):
            for name, value in cast(dict[str, Any], item).items():
                if values.get(name, NULL) is NULL:
                    values[name] = _described(value)
            _refuse_many(path, called, count, values)
        elif first is UNSET:
            first = item
    return FieldNames(list(values), first, count, values)


def watched(path: str, items: Iterable[tuple[Any, int]], columns: Columns, choice: ColumnChoice, called: str) -> Iterator[tuple[Any, int]]:
    """The same items, while their names are what the columns were told from.

    Args:
        path: the file they are from.
        items: objects or what stands in their place, each with its size.
        columns: the roles that ``first_field_names`` led to.
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
            _refuse_many(path, called, row + 1, seen)
            if row >= LOOKED_AT:
                _refuse_role(f"{path}: {called} {row + 1:,}", fresh, seen, columns, choice)
        yield item, size
    if seen:
        for role in ROLES:
            name = getattr(choice, role)
            if name is not None and name not in seen and name not in columns.from_folders:
                raise SourceError(f"{path}: no {called} has the {name!r} of --{role}-column", f"their names are: {listed(sorted(seen))}")


def _refuse_role(place: str, fresh: list[str], seen: set[str], columns: Columns, choice: ColumnChoice) -> None:
    try:
        now = find_columns([*seen.union(choice.named)], choice)
    except OptionError:  # of names so strange that there is no choice any more
        return
    for role in ROLES:
        name = getattr(now, role)
        if name in fresh and name != getattr(columns, role):
            chosen = getattr(columns, role)
            what = f"{place} is the first with {name!r}, which would be the {role} if it came among the first {LOOKED_AT:,}"
            raise SourceError(what, f"say what it is: --{role}-column {name}" + (f", or --{role}-column {chosen}" if chosen else ""))


def _refuse_many(path: str, called: str, number: int, names: Collection[str]) -> None:
    if len(names) > MOST_NAMES:
        what = f"{path}: its objects have more than {MOST_NAMES:,} different names up to {called} {number:,}: {listed(sorted(names))}"
        raise SourceError(what, MANY)


def _described(value: Any) -> str:
    """The kind of a value, and its beginning."""
    return NULL if value is None else f"{KINDS.get(type(value), 'value')}: {reprlib.repr(value)}"


def nothing_there(names: FieldNames) -> str:
    """What a file has in which no object has a name, for people to read."""
    if names.first is UNSET:
        return "; its objects are empty"
    return f"; it begins with {names.first.sample if isinstance(names.first, Bad) else reprlib.repr(names.first)}"
