"""Which column has which role: known layouts are detected by column names, and any role can be given by name instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from tallyclip.errors import OptionError
from tallyclip.escaping import printable
from tallyclip.readers.dialects import CHARACTERS, TableFormat

UID = "uid"
ROLES = ("caption", "url", "uid")  # that flags can give to columns
LONGEST_SHOWN = 60  # characters of a name or a value in a message
MOST_LISTED = 20
NO_CAPTION = "no caption column found among"


class NoCaptionError(OptionError):
    """No column is known to hold captions."""


@dataclass(frozen=True)
class Columns:
    """The roles of a table's columns.

    Attributes:
        caption: the caption, a list of captions, or a list of (key, caption) pairs.
        url: the image's URL.
        uid: the pool's own uids, which are kept where they are 32 hex digits.
        key: a sample's key, which identifies the image where there is no URL.
        status: only records where this says "success" are pairs (img2dataset writes its failures too).
        layout: the name of the known layout, for messages.
        from_folders: the columns that only the file's folders give, with their values.
        table: how a CSV or TSV file is read.
        unnamed_url: a column that seems to hold the URLs, but has no role, for messages.
    """

    caption: str
    url: str | None = None
    uid: str | None = None
    key: str | None = None
    status: str | None = None
    layout: str = "named by flag"
    from_folders: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    table: TableFormat | None = None
    unnamed_url: str | None = None

    def __str__(self) -> str:
        listed = ", ".join(f"{role} = {brief(name)}" for role, name in self.roles.items())
        return f"{self.layout}: {listed}" + (f" ({self.table.form})" if self.table is not None and self.table.form else "")

    @property
    def roles(self) -> dict[str, str]:
        """The columns by their roles."""
        roles = {"caption": self.caption, "url": self.url, "uid": self.uid, "key": self.key, "status": self.status}
        return {role: name for role, name in roles.items() if name is not None}

    @property
    def example(self) -> str | None:
        """How the first rows of a CSV or TSV file are read, where that had to be detected."""
        return None if self.table is None else self.table.example

    @property
    def needed(self) -> list[str]:
        """The columns to read in order to match, without repeats."""
        return list(dict.fromkeys(filter(None, self.roles.values())))


class ColumnChoice(msgspec.Struct, frozen=True):
    """The user's choices for columns; None leaves it to detection.

    Attributes:
        caption, url, uid: names of columns.
        header: does the first row of a CSV or TSV file name the columns?
        delimiter: the character that separates the values of a CSV or TSV file.
        quote: the character that encloses some of them; empty if there is none.
        escape: the character that makes the next one part of the value; empty if there is none.
        format: the name of the files' format, from ``formats``.

    Raises:
        OptionError: one of the last three is not a single character, or two are the same.
    """

    caption: str | None = None
    url: str | None = None
    uid: str | None = None
    header: bool | None = None
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        quote = '"' if self.quote is None else self.quote
        given = {"delimiter": self.delimiter, "quote": quote or None, "escape": self.escape or None}
        characters = {name: value for name, value in given.items() if value is not None}
        for name, value in characters.items():
            if len(value) != 1 or not value.isascii() or value in "\r\n\0":
                way = f"{', '.join(CHARACTERS)} or one character" if name == "delimiter" else "one character, or none"
                raise OptionError(f"--{name} {brief(value)!r} is not one ASCII character", f"give {way}")
            if sum(value == other for other in characters.values()) > 1:
                raise OptionError(f"--{name} {brief(value)!r} is also the delimiter, the quote or the escape", "give another character")

    @property
    def named(self) -> list[str]:
        return [name for name in (self.caption, self.url, self.uid) if name is not None]


WIT = Columns("caption_reference_description", "image_url", layout="WIT")
# The first layout whose columns are all present is used, so specific ones come first. A column of uids is used with any of them.
LAYOUTS = [
    Columns("caption", "url", uid=UID, key="key", status="status", layout="img2dataset of a pool with uids"),
    Columns("caption", "url", key="key", status="status", layout="img2dataset"),
    Columns("texts", "url", layout="MetaCLIP"),
    Columns("text", "url", uid=UID, layout="DataComp"),
    Columns("alt", "url", uid=UID, layout="cc2dataset"),
    Columns("caption", "url", uid=UID, layout="captions with uids"),
    Columns("TEXT", "URL", layout="LAION"),
    Columns("text", "url", layout="COYO"),
    WIT,
    Columns("comment", key="image_name", layout="Flickr30k"),
    Columns("caption", "url", layout="CC3M and CC12M"),
    Columns("alt", "url", layout="links with alt texts"),
    Columns("caption", key="key", layout="WebDataset"),
    Columns("text", key="key", layout="WebDataset"),
    Columns("caption", layout="captions alone"),
    Columns("text", layout="captions alone"),
    Columns("TEXT", layout="captions alone"),
    Columns("texts", layout="captions alone"),
]
ROLE_NAMES = frozenset(name for layout in LAYOUTS for name in layout.needed)


def find_columns(names: Sequence[str], choice: ColumnChoice, examples: Sequence[str] = (), layout: Columns | None = None) -> Columns:
    """The roles of the columns with these names.

    Columns with the same name are renamed by ``distinct``; flags use the new names.

    Args:
        names: as the file has them.
        choice: the user's choices.
        examples: of the values of each, for messages.
        layout: of the file, if that is known; by default the first that fits.

    Raises:
        OptionError: a column named by flag is not there, several have the name of a role, or no layout fits; the message lists the columns.
    """
    columns = distinct(names)
    given = {role: name for role in ROLES if (name := getattr(choice, role)) is not None}
    for role, name in given.items():
        if name not in columns:
            raise OptionError(f"no column {brief(name)!r} for --{role}-column", f"the columns are: {listed(columns, examples=examples)}")
    have = set(columns)
    roles = _roles(have, choice, layout)
    if roles is None:
        hint = "name it with --caption-column (and --url-column)"
        raise NoCaptionError(f"{NO_CAPTION}: {listed(columns, examples=examples)}", hint)
    repeated = {name for name, count in Counter(names).items() if count > 1}
    for role in (*ROLES, "key", "status"):
        name = getattr(roles, role)
        if name in repeated and role not in given:
            same = [column for original, column in zip(names, columns, strict=True) if original == name]
            way = f"choose one with --{role}-column: {listed(same)}, in the file's order" if role in ROLES else "rename all but one"
            raise OptionError(f"several columns are called {brief(name)!r}, which holds the {role}", way)
    return roles


def _roles(have: set[str], choice: ColumnChoice, known: Columns | None) -> Columns | None:
    own_uid = UID if UID in have else None
    for layout in LAYOUTS if known is None else [known]:
        caption = choice.caption or layout.caption
        roles = replace(layout, caption=caption, url=choice.url or layout.url, uid=choice.uid or layout.uid)
        if have.issuperset(roles.needed):
            return replace(roles, uid=roles.uid or own_uid, layout="named by flag" if choice.named else layout.layout)
    if choice.caption is not None:
        return Columns(choice.caption, choice.url, choice.uid or own_uid)
    return None


def distinct(names: Sequence[str]) -> list[str]:
    """The same names, with a number added to repeated ones: ``score``, ``score_2``, ``score_3``.

    >>> distinct(["url", "score", "score", "score_2"])
    ['url', 'score', 'score_3', 'score_2']
    """
    taken = set(names)
    if len(taken) == len(names):
        return list(names)
    seen: Counter[str] = Counter()
    result: list[str] = []
    for name in names:
        seen[name] += 1
        fresh = name
        while seen[name] > 1 and (fresh := f"{name}_{seen[name]}") in taken:
            seen[name] += 1
        taken.add(fresh)
        result.append(fresh)
    return result


def listed(names: Sequence[str], limit: int = MOST_LISTED, examples: Sequence[str] = ()) -> str:
    """Names of columns for a message: a few of them, each with an example if there are any, escaped.

    >>> listed(["url", "text", "width"], limit=2)
    'url, text and 1 more'
    >>> listed(["img", "descr"], examples=["text: 'http://a.example/1'", "text: 'a dog'"])
    "img (text: 'http://a.example/1'); descr (text: 'a dog')"
    """
    shown = [brief(name) for name in names[:limit]]
    shown = [f"{name} ({brief(example)})" for name, example in zip(shown, examples, strict=False)] + shown[len(examples) :]
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return (("; " if examples else ", ").join(shown) or "none") + more


def brief(text: str) -> str:
    """A text for a message: shortened, and with invisible characters escaped.

    >>> brief("a\\x1b[2Jdog")
    'a\\\\x1b[2Jdog'
    """
    return printable(text[:LONGEST_SHOWN]) + ("…" if len(text) > LONGEST_SHOWN else "")
