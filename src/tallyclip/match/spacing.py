"""The spacing rule: what surrounds a word.

The rule of "Demystifying CLIP Data" (arXiv 2309.16671, section 3.2; its exact form is in the authors' released code): a caption gets one
space at each end, each of ``, . ; : ? ! ` `` gets one space on both sides, and tab, newline and carriage return become a space.
Nothing else changes: no case folding, no Unicode normalization, and runs of spaces are not collapsed.
"""

from __future__ import annotations

PUNCTUATION = ",.;:?!`"
BLANKS = " \t\n\r"

_SPACED = str.maketrans({mark: f" {mark} " for mark in PUNCTUATION} | dict.fromkeys(BLANKS, " "))


def spaced(text: str) -> str:
    """Apply the spacing rule.

    >>> spaced("a dog, asleep")
    ' a dog ,  asleep '
    """
    return f" {text.translate(_SPACED)} "
