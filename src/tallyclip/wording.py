"""Words of messages that depend on numbers."""

from __future__ import annotations


def plural(number: int, noun: str, several: str = "") -> str:
    """A number and its noun, in the plural if it is to be.

    Args:
        number: how many.
        noun: of one.
        several: of several; by default with an s.

    >>> plural(1, "file"), plural(1200, "file"), plural(0, "entry", "entries")
    ('1 file', '1,200 files', '0 entries')
    """
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"
