"""Why a caption does not match entries whose words it has: case, marks, or an entry that no caption can match."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from tallyclip.match.coverage import why_unmatchable
from tallyclip.match.reference import RULES, Mode
from tallyclip.match.spacing import PUNCTUATION, spaced

LONGEST = 12  # words of an entry that is looked for
_WORD = re.compile(r"[^\W_]+")


class NearMiss(msgspec.Struct, frozen=True):
    """An entry that a caption does not match, though it has its words.

    Attributes:
        entry_id: the place of the entry in the list.
        entry: as it is in the list.
        reason: why it is not matched.
        mode: one that matches it, if there is one.
    """

    entry_id: int
    entry: str
    reason: str
    mode: Mode | None


def near_misses(caption: str, entries: Sequence[str], mode: Mode) -> list[NearMiss]:
    """The entries whose letters and digits stand in a caption, in other case or among other marks, and that the mode does not match.

    >>> [(miss.entry, miss.reason) for miss in near_misses("A [dog] barks", ["dog", "cat", "a"], "exact")]
    [('dog', "other marks: the caption has '[dog]'"), ('a', "other case: the caption has 'A'")]
    """
    found = list(_WORD.finditer(caption))
    words = [word[0].casefold() for word in found]
    runs = {tuple(words[i:j]): (i, j - 1) for j in range(len(words), 0, -1) for i in range(max(0, j - LONGEST), j)}
    write_entry, write_caption = RULES[mode]
    written = write_caption(caption)
    missed: list[NearMiss] = []
    for entry_id, entry in enumerate(entries):
        run = runs.get(tuple(_WORD.findall(entry.casefold())))
        if run is not None and write_entry(entry) not in written:
            others: list[Mode] = [other for other, (of_entry, of_caption) in RULES.items() if of_entry(entry) in of_caption(caption)]
            place = _with_marks(caption, found[run[0]].start(), found[run[1]].end())
            difference = "other case" if "casefold" in others else "other marks"
            never = why_unmatchable(entry, mode)
            reason = f"the entry {never}" if never else f"{difference}: the caption has {place!r}"
            missed.append(NearMiss(entry_id, entry, reason, others[0] if others else None))
    return missed


def unlisted_words(caption: str, entries: Sequence[str]) -> list[str]:
    """The words of a caption, as its spaces part them, that no entry is or has, in any case and among any marks.

    >>> unlisted_words("IMG_0042, a dog", ["dog", "cats"])
    ['IMG_0042', 'a']
    """
    listed = {word for entry in entries for word in _WORD.findall(entry.casefold())}
    words = dict.fromkeys(word for word in spaced(caption).split(" ") if word and word not in PUNCTUATION)
    return [word for word in words if not listed.intersection(_WORD.findall(word.casefold()))]


def _with_marks(caption: str, start: int, end: int) -> str:
    """A part of a caption, and what touches it."""
    before, after = _touching(reversed(caption[:start])), _touching(caption[end:])
    return caption[start - before : end + after]


def _touching(characters: Iterator[str] | str) -> int:
    count = 0
    for character in characters:
        if character.isspace() or character in PUNCTUATION:
            break
        count += 1
    return count
