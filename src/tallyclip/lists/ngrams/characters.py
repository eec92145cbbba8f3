"""The class of each character, which decides where words and phrases end (see ``reference.py``)."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

import numpy as np
from jaxtyping import UInt8

from tallyclip.match.spacing import BLANKS, PUNCTUATION

WORD = np.uint8(0)
EDGE = np.uint8(1)  # part of a word, but not at its ends: brackets, quotation marks, dashes, invisible characters
BLANK = np.uint8(2)
BREAK = np.uint8(3)  # ends a phrase: the marks of the spacing rule, and ends of lines
JOINT = np.uint8(4)  # between two adjacent words, in scripts written without spaces
TSHEG = np.uint8(5)  # between two syllables of Tibetan

# What a segmenter writes, one byte each; it removes these characters from texts first.
JOINTS = {"\x1f": JOINT, "\x1e": TSHEG}
# What is between the two words of a phrase, by its number in keys of pairs.
BETWEEN = (" ", "", "་")

JOINERS = "\u200c\u200d"  # despite their category, part of the spelling of Persian, Hindi and others


@cache
def character_classes(*, joints: bool) -> UInt8[np.ndarray, " 1114112"]:
    """The class of every code point, by its Unicode category (of Python's version of Unicode).

    Args:
        joints: whether the characters of ``JOINTS`` separate words. In texts without segmentation they are control characters.
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
