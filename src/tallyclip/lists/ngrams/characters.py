"""What each character is to words and phrases; ``reference.py`` says what follows from it."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

import numpy as np
from jaxtyping import UInt8

from tallyclip.match.spacing import BLANKS, PUNCTUATION

WORD = np.uint8(0)
EDGE = np.uint8(1)  # part of a word, but not at its ends: brackets, quotation marks, dashes, and characters that cannot be seen
BLANK = np.uint8(2)
BREAK = np.uint8(3)  # what no phrase crosses: the marks that stand alone in a spaced text, and ends of lines
JOINT = np.uint8(4)  # between two words that stand side by side, in scripts written without spaces
TSHEG = np.uint8(5)  # between two syllables of Tibetan

# What a segmenter writes, a byte each; texts have no such characters of their own.
JOINTS = {"\x1f": JOINT, "\x1e": TSHEG}
# What stands between the two words of a phrase, by the number it has in counting.
BETWEEN = (" ", "", "་")

JOINERS = "\u200c\u200d"  # part of the spelling of Persian, Hindi and others, in spite of their category


@cache
def character_classes(*, joints: bool) -> UInt8[np.ndarray, " 1114112"]:
    """The class of every code point, by its category in Unicode (of the version that Python has).

    Args:
        joints: do the characters of ``JOINTS`` part words? In texts that no segmenter has seen they are control characters.
    """
    classes = np.array([_class_of(chr(point)) for point in range(sys.maxunicode + 1)], dtype=np.uint8)
    for character, kind in JOINTS.items() if joints else ():
        classes[ord(character)] = kind
    return classes


def _class_of(character: str) -> np.uint8:
    if character == " ":
        return BLANK
    if character in PUNCTUATION or character in BLANKS:
        return BREAK
    category = unicodedata.category(character)
    if category == "Zs":
        return BLANK
    if category in ("Cc", "Zl", "Zp"):
        return BREAK
    if category.startswith("P") or (category == "Cf" and character not in JOINERS):
        return EDGE
    return WORD
