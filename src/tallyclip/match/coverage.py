"""Entries that no text can ever name, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from tallyclip.match.reference import Mode
from tallyclip.match.spacing import BLANKS, PUNCTUATION

LINE_BREAK = "has a tab or line break, which every text's become spaces"
GLUED_MARK = "has a mark next to another character, and in a text every mark stands between spaces"
CLOSE_MARKS = "has two marks with one space between them, and in a text there are always two"

_SPECIAL = re.compile(f"[{re.escape(PUNCTUATION + BLANKS.replace(' ', ''))}]")


def why_unmatchable(entry: str, mode: Mode) -> str | None:
    """The reason why no text can name an entry, or None if some text does.

    An entry's words, cut at every space, must be words that a spaced text can have: a mark alone, or no mark in it; and between two
    marks a text has an empty word at least. Any such row of words is the spacing of some text, so there is no other reason. An entry
    that is itself spaced is named by itself.

    >>> why_unmatchable("St. Louis", "exact") is GLUED_MARK, why_unmatchable("a , b", "exact")
    (True, None)
    """
    if mode == "spaced-entries":
        return None
    if mode == "casefold":
        entry = entry.casefold()
    if not _SPECIAL.search(entry):  # as most entries have no mark
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
    """For every reason the ids of the entries that no text can name for it."""
    found: dict[str, list[int]] = {}
    for entry_id, entry in enumerate(entries):
        reason = why_unmatchable(entry, mode)
        if reason is not None:
            found.setdefault(reason, []).append(entry_id)
    return found
