"""From ranked candidates to an entry list: sources in order, each within its limit; of repeated entries the first is kept."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tallyclip.core.data import Metadata

LONGEST_ENTRY = 256  # characters, as in arXiv 2507.22062
NO_LIMIT = 1 << 62
SIGNS = ("P", "Sc", "Sk", "Sm")  # Unicode categories; an entry has at least one character of another


class Entry(NamedTuple):
    """An entry of a list: its source, its score there, if the source has scores, and its rank there, from 1."""

    entry: str
    source: str
    score: float | None
    rank: int


class SourceCounts(msgspec.Struct):
    """What became of the candidates of a source that were considered."""

    source: str
    entries: int = 0
    repeats: int = 0  # already in the list
    unfit: dict[str, int] = {}


def unfit(entry: str) -> str | None:
    """Why a text cannot be an entry, or None if it can.

    >>> unfit("C++"), unfit("--")
    (None, 'only punctuation')
    """
    if not entry.strip():
        return "empty"
    if len(entry) > LONGEST_ENTRY:
        return f"longer than {LONGEST_ENTRY} characters"
    if all(unicodedata.category(character).startswith(SIGNS) or character == " " for character in entry):
        return "only punctuation"
    return None


def least(*limits: int | None) -> int | None:
    """The smallest limit; None stands for no limit."""
    return min((limit for limit in limits if limit is not None), default=None)


class EntryList:
    """An entry list that is being assembled.

    Args:
        limit: on the entries of the whole list.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.entries: list[Entry] = []
        self._seen: set[str] = set()
        self._limit = limit

    def room(self, limit: int | None) -> int:
        """How many more entries a source may add."""
        room = least(limit, None if self._limit is None else self._limit - len(self.entries))
        return NO_LIMIT if room is None else room

    def wanted(self, limit: int | None) -> int:
        """How many candidates of a source are enough, if all are fit and different: at most as many as the list has entries are repeats."""
        return self.room(limit) + len(self.entries)

    def take(self, source: str, candidates: Iterable[tuple[str, float | None]], limit: int | None = None) -> SourceCounts:
        """Add the candidates of a source, best first; those already in the list do not count towards its limit."""
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
            ArtifactError: the list is empty.
        """
        return Metadata(*zip(*self.entries, strict=True)) if self.entries else Metadata(())
