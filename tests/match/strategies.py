"""Texts and entries that look for trouble: few letters, so that much matches, and everything that the rule treats in its own way."""

from __future__ import annotations

from hypothesis import strategies as st

PIECES = [
    *("a", "b", "ab", "A", "B", "Ab"),
    *(",", ".", ";", ":", "?", "!", "`", ", ", ". "),
    *(" ", " ", " ", "  ", "\t", "\n", "\r"),
    *("seven77", "eight888", "nine99999", "eight889", "sixteen16sixteen", "seventeen17sevent", "seventeen17sevenT"),
    *("é", "ß", "ẞ", "İ", "ΰ", "字", "字字", "😀", "ﬁ"),
    *("\0", "\0\0", "\ud800", "\udc00", "\u00a0", "\u2028", "\x0b"),
    *('"', "'", "(", "-", "St.", "8:30", "New York"),
]


def texts(pieces: int = 25) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(PIECES), max_size=pieces).map("".join)


def entry_lists(most: int = 30) -> st.SearchStrategy[list[str]]:
    return st.lists(texts(6).filter(bool), min_size=1, max_size=most, unique=True)
