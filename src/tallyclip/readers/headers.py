"""Whether the first row of a CSV or TSV file names the columns, and what they are called if it does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tallyclip.errors import OptionError
from tallyclip.readers.columns import ColumnChoice, find_columns
from tallyclip.readers.dialects import numbered

LONGEST_NAME = 64
NAME = re.compile(r"(?!(?:null|none|nan|na)\Z)[^\W\d][\w.-]*", re.IGNORECASE)  # of a column, and unlikely to be data
WEB = re.compile(r"\s*https?://", re.IGNORECASE)
VALUE_KINDS: list[Callable[[str], object]] = [
    re.compile(r"(?:https?|s3|gs)://[^\s\"]+").fullmatch,  # a space would belong to a caption after another delimiter
    re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?").fullmatch,
    re.compile(r"\S+\.(?:jpe?g|png|gif|webp|bmp|tiff?|avif)", re.IGNORECASE).fullmatch,
]
URL, NUMBER, _ = VALUE_KINDS


def header_of(rows: Sequence[Sequence[str]], choice: ColumnChoice) -> list[str] | bool | None:
    """The names that the first row gives; False if it is data, and None if that is unclear (then it is read as data).

    Where the columns have roles without a header, more evidence is needed: values that can only be names.
    """
    first = list(rows[0])
    if choice.header is False:
        return False
    for names in (first, [name.strip() for name in first]):
        if is_layout(names, choice):
            return names
    if choice.header:
        return first
    if any(name in numbered(len(first)) for name in choice.named):
        return False  # the flags use the names of columns without a header
    if any(map(WEB.match, first)):
        return False
    if len(rows) == 1:
        return None
    found = {_is_name_of(column) for column in zip(*rows, strict=True)}
    if False in found:
        return False
    are_names = _may_be_names(first) if guess_names(rows) == numbered(len(first)) else all(map(_is_name, first))
    return first if True in found and are_names else None


def guess_names(rows: Sequence[Sequence[str]]) -> list[str]:
    """The names of columns without a header, by what is in them."""
    width = len(rows[0])
    urls = [i for i in range(width) if sum(row[i].startswith(("http://", "https://")) for row in rows) * 2 > len(rows)]
    if len(urls) == 1 and width == 2:
        return ["url" if i in urls else "caption" for i in range(width)]
    return ["caption"] if width == 1 else numbered(width)


def is_layout(first: list[str], choice: ColumnChoice) -> bool:
    """Are these the names of a known layout, or is one of them named by a flag?"""
    if any(name in first for name in choice.named):
        return True
    try:
        find_columns(list(dict.fromkeys(first)), ColumnChoice())
    except OptionError:
        return False
    return True


def _is_name_of(column: Sequence[str]) -> bool | None:
    """Is the first value of another kind than all others? None if the others have no kind in common."""
    first, rest = column[0].strip(), [value.strip() for value in column[1:]]
    given = [value for value in rest if value]
    for is_kind in VALUE_KINDS:
        if first and 2 * len(given) >= len(rest) and all(map(is_kind, given)):
            return not is_kind(first)
    return None


def _may_be_names(first: Sequence[str]) -> bool:
    return all(0 < len(name) <= LONGEST_NAME and "\n" not in name for name in first)


def _is_name(value: str) -> bool:
    name = value.strip()
    return len(name) <= LONGEST_NAME and NAME.fullmatch(name) is not None and not any(is_kind(name) for is_kind in VALUE_KINDS)
