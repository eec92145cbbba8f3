"""The field names of objects: detected in the first objects of a file, and watched in the rest.

Objects need not all have the same fields, so one may first appear after the columns were chosen. If it would have changed the choice, the
shard fails, since a part of it was read without that field. A file with more names than a table should have columns fails too.
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

LOOKED_AT = 1000  # objects, to detect the columns' names
MOST_NAMES = 1000  # of the objects of a file: each becomes a column, with a place for every record
NULL = "null"
JSON_TYPES = {str: "text", bool: "true or false", int: "number", float: "number", list: "list", dict: "object"}


MANY = (
    "each name becomes a column; put names that are data, such as ids, into values, or into one nested object, "
    'which is kept as JSON text: {"caption": ..., "meta": {...}}'
)


class FieldNames(NamedTuple):
    """The names in the first objects of a file.

    Attributes:
        names: in the order of their appearance.
        first_other: the first item that is not an object; UNSET if there is none.
        items: how many items were looked at.
        values: for each name the first value that is not null, as messages show it.
        layout: the roles in a file whose form is known.
    """

    names: list[str]
    first_other: Any
    items: int
    values: dict[str, str]
    layout: Columns | None = None

    def is_one_of_columns(self, columns: Columns) -> bool:
        """Is there a single object whose values are whole columns?"""
        kinds = [self.values.get(name or "", "").split(":")[0] for name in (columns.caption, columns.url)]
        return self.items == 1 and (kinds[0] == JSON_TYPES[dict] or kinds[1] in (JSON_TYPES[list], JSON_TYPES[dict]))

    @property
    def whole(self) -> bool:
        """Was this the whole file?"""
        return self.items < LOOKED_AT

    def with_named(self, choice: ColumnChoice) -> list[str]:
        """The names, and those given by flags if they may still appear."""
        return self.names if self.whole else list(dict.fromkeys([*self.names, *choice.named]))

    @property
    def examples(self) -> list[str]:
        """For each name the type of its values, and one of them."""
        return [self.values[name] for name in self.names]


def first_field_names(path: str, items: Iterable[tuple[Any, int]], called: str) -> FieldNames:
    """Look at the first items of a file; ``called`` is what a message calls one.

    Raises:
        SourceError: they have too many names.
    """
    values: dict[str, str] = {}
    first_other: Any = UNSET
    count = 0
    for item, _ in islice(items, LOOKED_AT):
        count += 1
        if isinstance(item, dict):
            for name, value in cast(dict[str, Any], item).items():
                if values.get(name, NULL) is NULL:
                    values[name] = _described(value)
            _refuse_many(path, called, count, values)
        elif first_other is UNSET:
            first_other = item
    return FieldNames(list(values), first_other, count, values)


def watched(
    path: str, items: Iterable[tuple[Any, int]], columns: Columns, choice: ColumnChoice, called: str, layout: Columns | None = None
) -> Iterator[tuple[Any, int]]:
    """The same items, as long as their names do not change the choice of columns.

    Args:
        path: the file they are from.
        items: objects, or ``Bad`` in their place, each with its size.
        columns: the roles chosen by ``first_field_names``.
        choice: the user's choices.
        called: what a message calls an item, such as a line.
        layout: the roles in a file whose form is known.

    Raises:
        SourceError: a name that would have had a role appears too late, or one given by a flag never appears.
    """
    seen: set[str] = set()
    for row, (item, size) in enumerate(items):
        if isinstance(item, dict) and not seen.issuperset(item):
            fresh = [name for name in item if name not in seen]
            seen.update(fresh)
            _refuse_many(path, called, row + 1, seen)
            if row >= LOOKED_AT:
                _refuse_role(f"{path}: {called} {row + 1:,}", fresh, seen, columns, choice, layout)
        yield item, size
    if seen:
        for role in ROLES:
            name = getattr(choice, role)
            if name is not None and name not in seen and name not in columns.from_folders:
                raise SourceError(f"{path}: no {called} has a field {name!r} (--{role}-column)", f"the fields are: {listed(sorted(seen))}")


def _refuse_role(place: str, fresh: list[str], seen: set[str], columns: Columns, choice: ColumnChoice, layout: Columns | None) -> None:
    try:
        now = find_columns([*seen.union(choice.named)], choice, layout=layout)
    except OptionError:  # the names do not allow a choice any more
        return
    for role in ROLES:
        name = getattr(now, role)
        if name in fresh and name != getattr(columns, role):
            chosen = getattr(columns, role)
            what = f"{place} is the first with a field {name!r}, which would be the {role} column if it were in the first {LOOKED_AT:,}"
            raise SourceError(what, f"choose the column: --{role}-column {name}" + (f", or --{role}-column {chosen}" if chosen else ""))


def _refuse_many(path: str, called: str, number: int, names: Collection[str]) -> None:
    if len(names) > MOST_NAMES:
        what = f"{path}: more than {MOST_NAMES:,} different field names up to {called} {number:,}: {listed(sorted(names))}"
        raise SourceError(what, MANY)


def _described(value: Any) -> str:
    """The type of a value, and its beginning."""
    return NULL if value is None else f"{JSON_TYPES.get(type(value), 'value')}: {reprlib.repr(value)}"


def nothing_there(names: FieldNames, called: str) -> str:
    """What a file without field names has instead, for a message; ``called`` is what that calls an item of the file."""
    if names.first_other is UNSET:
        return "its JSON objects are empty"
    first = names.first_other
    sample = first.sample.removeprefix("b") if isinstance(first, Bad) else reprlib.repr(first)
    return f"no {called} of it is a JSON object; the first is {sample}"
