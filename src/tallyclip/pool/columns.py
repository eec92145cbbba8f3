"""Which column is what: known layouts are told by their column names, and every choice can be made by name instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from tallyclip.errors import OptionError

UID = "uid"
LONGEST_SHOWN = 60  # characters of a name


@dataclass(frozen=True)
class Columns:
    """The roles of a table's columns.

    Attributes:
        caption: the text, a list of texts, or a list of (key, text) pairs.
        url: the image's address.
        uid: the pool's own uids, which are kept where they are 32 hex digits.
        key: a sample's key, which stands for the image where there is no address.
        status: only records where this says "success" are pairs (img2dataset writes its failures too).
        layout: the known layout these came from, for people to read.
    """

    caption: str
    url: str | None = None
    uid: str | None = None
    key: str | None = None
    status: str | None = None
    layout: str = "named by flag"

    def __str__(self) -> str:
        roles = {"caption": self.caption, "url": self.url, "uid": self.uid, "key": self.key, "status": self.status}
        return f"{self.layout}: " + ", ".join(f"{role} = {name}" for role, name in roles.items() if name is not None)

    @property
    def needed(self) -> list[str]:
        """The columns to read in order to match, without repeats."""
        return list(dict.fromkeys(name for name in (self.caption, self.url, self.uid, self.key, self.status) if name))


class ColumnChoice(msgspec.Struct, frozen=True):
    """What a user said of the columns; None leaves it to detection.

    Attributes:
        caption, url, uid: names of columns.
        header: does the first line of a CSV or TSV file name the columns?
    """

    caption: str | None = None
    url: str | None = None
    uid: str | None = None
    header: bool | None = None

    @property
    def named(self) -> list[str]:
        return [name for name in (self.caption, self.url, self.uid) if name is not None]


# The first layout whose columns are all there is taken, so the more telling ones come first. A column of uids is taken with any of them.
LAYOUTS = [
    Columns("caption", "url", uid=UID, key="key", status="status", layout="img2dataset of a pool with uids"),
    Columns("caption", "url", key="key", status="status", layout="img2dataset"),
    Columns("texts", "url", layout="MetaCLIP"),
    Columns("text", "url", uid=UID, layout="DataComp"),
    Columns("alt", "url", uid=UID, layout="cc2dataset"),
    Columns("caption", "url", uid=UID, layout="captions with uids"),
    Columns("TEXT", "URL", layout="LAION"),
    Columns("text", "url", layout="COYO"),
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


def listed(names: Sequence[str], limit: int = 20) -> str:
    """Names for a message: the first few, and how many more there are, with whatever does not print escaped."""
    more = f", and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(map(printed, names[:limit])) + more if names else "none"


def printed(name: str) -> str:
    """A name for a message: not too long, and with whatever does not print escaped."""
    name = name if len(name) <= LONGEST_SHOWN else name[:LONGEST_SHOWN] + "..."
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)


def find_columns(names: Sequence[str], choice: ColumnChoice, described: str | None = None) -> Columns:
    """The roles of the columns with these names; ``described`` is what a message says of them, their names if it is None.

    Raises:
        OptionError: a column named by flag is not there, or no layout fits; the message lists the columns.
    """
    shown = listed(names) if described is None else described
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise OptionError(f"several columns are called {repeated[0]!r}", f"rename all but one; the columns are: {shown}")
    for role in ("caption", "url", "uid"):
        name = getattr(choice, role)
        if name is not None and name not in names:
            raise OptionError(f"no column {name!r} for --{role}-column", f"the columns are: {shown}")
    have = set(names)
    own_uid = UID if UID in have else None
    for layout in LAYOUTS:
        caption = choice.caption or layout.caption
        roles = replace(layout, caption=caption, url=choice.url or layout.url, uid=choice.uid or layout.uid)
        if have.issuperset(roles.needed):
            return replace(roles, uid=roles.uid or own_uid, layout="named by flag" if choice.named else layout.layout)
    if choice.caption is not None:
        return Columns(choice.caption, choice.url, choice.uid or own_uid)
    raise OptionError(f"no column holds captions, among: {shown}", "name it with --caption-column (and --url-column)")
