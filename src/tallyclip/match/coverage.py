"""Entries that no caption can ever match, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from tallyclip.match.reference import Mode
from tallyclip.match.spacing import BLANKS, PUNCTUATION

LINE_BREAK = "has a tab or line break; in captions these become spaces"
GLUED_MARK = "has a mark next to another character; in captions every mark gets spaces around it"
CLOSE_MARKS = "has two marks with one space between them; in captions there are always two spaces"

_SPECIAL = re.compile(f"[{re.escape(PUNCTUATION + BLANKS.replace(' ', ''))}]")


def why_unmatchable(entry: str, mode: Mode) -> str | None:
    """The reason why no caption can match an entry, or None if some caption does.

    An entry's words, cut at every space, must be words that a spaced caption can have: a mark alone, or a word without marks; and between
    two marks a caption has at least an empty word. Any such row of words is the spacing of some caption, so there is no other reason. An
    entry that is spaced itself matches itself as a caption.

    >>> why_unmatchable("St. Louis", "exact") is GLUED_MARK, why_unmatchable("a , b", "exact")
    (True, None)
    """
    if mode == "spaced-entries":
        return None
    if mode == "casefold":
        entry = entry.casefold()
    if not _SPECIAL.search(entry):  # most entries have no mark
        return None
    words = entry.split(" ")
    if any(blank in entry for blank in BLANKS if blank != " "):
        return LINE_BREAK
    is_mark = [len(word) == 1 and word in PUNCTUATION for word in words]
    if any(not alone and any(mark in word for mark in PUNCTUATION) for word, alone in zip(words, is_mark, strict=True)):
        return GLUED_MARK
    if any(one and other for one, other in pairwise(is_mark)):
        return CLOSE_MARKS
    return None


def unmatchable_entries(entries: Sequence[str], mode: Mode) -> dict[str, list[int]]:
    """The ids of the entries that no caption can match, by reason."""
    found: dict[str, list[int]] = {}
    for entry_id, entry in enumerate(entries):
        reason = why_unmatchable(entry, mode)
        if reason is not None:
            found.setdefault(reason, []).append(entry_id)
    return found
