"""From ranked candidates to an entry list: sources in order, each within its budget, and of repeats the first stays."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tallyclip.core.data import Metadata

LONGEST_ENTRY = 256  # characters, as in arXiv 2507.22062
ENDLESS = 1 << 62
SIGNS = ("P", "Sc", "Sk", "Sm")  # categories of which alone no entry is made


class Entry(NamedTuple):
    """An entry of a list: where it is from, what it was ranked by there, if by anything, and its rank, from 1."""

    entry: str
    source: str
    score: float | None
    rank: int


class SourceCounts(msgspec.Struct):
    """What became of a source's candidates, as far as they were looked at."""

    source: str
    entries: int = 0
    repeats: int = 0  # which an earlier source has, or this one before
    unfit: dict[str, int] = {}


def unfit(entry: str) -> str | None:
    """Why a text is no entry, or None if it can be one.

    >>> unfit("C++"), unfit("--")
    (None, 'of punctuation alone')
    """
    if not entry.strip():
        return "empty"
    if len(entry) > LONGEST_ENTRY:
        return f"longer than {LONGEST_ENTRY} characters"
    if all(unicodedata.category(character).startswith(SIGNS) or character == " " for character in entry):
        return "of punctuation alone"
    return None


def least(*limits: int | None) -> int | None:
    """The smallest of limits, of which None is none."""
    return min((limit for limit in limits if limit is not None), default=None)


class EntryList:
    """A list while it is put together.

    Args:
        limit: of the whole list.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.entries: list[Entry] = []
        self._seen: set[str] = set()
        self._limit = limit

    def room(self, limit: int | None) -> int:
        """How many entries a source may still give."""
        room = least(limit, None if self._limit is None else self._limit - len(self.entries))
        return ENDLESS if room is None else room

    def wanted(self, limit: int | None) -> int:
        """How many candidates of a source are surely enough, if all are fit and no two the same: others would have to be there already."""
        return self.room(limit) + len(self.entries)

    def take(self, source: str, candidates: Iterable[tuple[str, float | None]], limit: int | None = None) -> SourceCounts:
        """Take the entries that a source offers, best first; those that are there already do not count towards its limit."""
        count = SourceCounts(source, unfit={})
        room = self.room(limit)
        for rank, (text, score) in enumerate(candidates if room else (), start=1):
            reason = unfit(text)
            if reason is not None:
                count.unfit[reason] = count.unfit.get(reason, 0) + 1
            elif text in self._seen:
                count.repeats += 1
            else:
                self._seen.add(text)
                self.entries.append(Entry(text, source, score, rank))
                count.entries += 1
                if count.entries == room:
                    break
        return count

    def metadata(self) -> Metadata:
        """The list as it is now.

        Raises:
            ArtifactError: there is no entry in it.
        """
        return Metadata(*zip(*self.entries, strict=True)) if self.entries else Metadata(())
