"""Words of scripts written without spaces: a joint is put where a word ends, so that counting finds words as in other texts.

ICU's dictionaries segment Chinese, Japanese, Thai, Lao, Khmer and Burmese; in Tibetan, syllables are separated by the tsheg that is
written between them. A joint is put where a word ends and nothing else shows it:

- where ICU cuts and a character of such a script (a letter, mark or sign) is on at least one side. Marks count because they are written
  between words without a space, as in ``北京，上海``. Where ICU cuts between two characters of other scripts, as around the hyphen of
  ``x-ray``, the text is not changed, as in a language with spaces;
- between a letter of Thai, Lao, Khmer, Burmese or Tibetan and anything else, which ICU treats as one word, as in ``ปี2563``;
- in place of a zero width space between two such letters, which means the same: Khmer is often typed like this;
- never at a blank, nor before a combining mark.

So a text without its joints is the original text, except for those zero width spaces, and for tshegs, which have a joint of their own, so
that phrases can be written with them again. Joint characters in the text become spaces first, and invalid UTF-8 becomes U+FFFD.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import chain, islice, pairwise
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from tallyclip import extras
from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.core.strings import Strings
from tallyclip.core.utf8 import code_point, size_of
from tallyclip.errors import OptionError
from tallyclip.lists.languages import Language

JOINT = 0x1F
TSHEG_JOINT = 0x1E
TSHEGS = "\u0f0b\u0f0c"  # the second does not end a line
ZERO_WIDTH_SPACE = "\u200b"

# Classes of characters. The last two never have a joint before them: they belong to the character before.
BLANK, SPACED, WIDE, BRAHMIC, ATTACHED, PLACE = map(np.uint8, range(6))
# Blocks of Unicode with the scripts of East Asia, and whole planes, where only Han will be added. Not Hangul, which has spaces.
WIDE_BLOCKS = (
    (0x2E80, 0x312F),
    (0x31A0, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F),
    (0xFF00, 0xFFEF),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
)
# Thai, Lao and Tibetan; Burmese; Khmer; two extensions of Burmese.
BRAHMIC_BLOCKS = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F))

LOCALE = "und"  # ICU has the same rules for all of these languages
BATCH_BYTES = 1 << 15  # of text that ICU gets at once: making an iterator takes as long as finding some words
PIECES = 1 << 16  # in memory at once, for a text of any size


def parted_by(language: Language) -> str:
    """What separates the words of a language, with its version, since another version may do it differently.

    >>> from tallyclip.lists.languages import language
    >>> parted_by(language("en")), parted_by(language("bo"))
    ('spaces', 'syllables')

    Raises:
        MissingExtraError: icu4py is needed and not installed.
    """
    if language.words != "dictionary":
        return language.words
    return f"ICU {extras.load('icu4py', 'icu4py', 'metadata').icu_version}"


class Segmenter:
    """Puts joints into texts.

    Raises:
        OptionError: the language is written with spaces.
        MissingExtraError: icu4py is not installed.
    """

    def __init__(self, language: Language) -> None:
        if language.words == "spaces":
            raise OptionError(f"{language.name} ({language.code}) has spaces between words: there is nothing to segment")
        self._breaker: Any = None
        self._place_joint = np.uint8(TSHEG_JOINT)
        if language.words == "dictionary":
            self._breaker = extras.load("icu4py.breakers", "icu4py", "metadata").WordBreaker
            self._place_joint = np.uint8(JOINT)
        self._classes = _classes(TSHEGS if self._breaker is None else ZERO_WIDTH_SPACE)

    def split(self, texts: Strings) -> Strings:
        """Put joints into texts: U+001F, and U+001E in place of a tsheg."""
        data = texts.data[texts.offsets[0] : texts.offsets[-1]].copy()
        data[(data == JOINT) | (data == TSHEG_JOINT)] = ord(" ")
        rows = len(texts.offsets) - 1
        parts: list[np.ndarray] = [np.zeros(0, np.uint8)]
        lengths = np.zeros(rows + 1, np.int64)
        for first, last, batch in _batches(data.tobytes(), texts.offsets - texts.offsets[0]):
            parts.append(self._split_batch(batch, lengths[first + 1 : last + 1]))
        return Strings(np.concatenate(parts), np.cumsum(lengths), texts.valid)

    def _split_batch(self, texts: list[bytes], lengths: Int64[np.ndarray, " N"]) -> UInt8[np.ndarray, " B"]:
        """Put joints into a batch of texts; returns them one after the other, and fills in ``lengths``."""
        together = b"\n".join(texts)  # ICU always cuts at line breaks
        try:
            text = together.decode()
        except UnicodeDecodeError:
            texts = [text.decode("utf-8", "replace").encode() for text in texts]
            together = b"\n".join(texts)
            text = together.decode()
        cut = np.frombuffer(together if self._breaker is None else _cut(self._breaker(text, LOCALE)), np.uint8)
        lengths[:] = [len(text) for text in texts]
        out = np.empty(2 * len(cut), np.uint8)
        return out[: _put_joints(cut, self._classes, self._place_joint, lengths, out)]


def _batches(data: bytes, offsets: Int64[np.ndarray, " N1"]) -> Iterator[tuple[int, int, list[bytes]]]:
    """For each batch its first row, the row after its last, and its texts."""
    first, rows = 0, len(offsets) - 1
    while first < rows:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + BATCH_BYTES, "right")) - 1)
        ends = offsets[first : last + 1].tolist()
        yield first, last, [data[start:end] for start, end in pairwise(ends)]
        first = last


def _cut(breaker: Any) -> bytes:
    """The text of a breaker, with a joint wherever ICU cuts. (The breaker's ``segments()`` would count in UTF-16.)"""
    joint, pieces = chr(JOINT), chain(breaker)  # one iterator: the breaker itself would start again at the beginning
    parts: list[bytes] = []
    while part := joint.join(islice(pieces, PIECES)):
        parts.append(part.encode())
    return bytes([JOINT]).join(parts)


@cache
def _classes(places: str) -> UInt8[np.ndarray, " 1114112"]:
    """The class of every character, by Python's version of Unicode; the characters ``places`` separate words by themselves."""
    classes = np.full(sys.maxunicode + 1, SPACED)
    for first, last in WIDE_BLOCKS:
        classes[first : last + 1] = WIDE
    for point in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(point))
        if category[0] == "Z" or category == "Cc":
            classes[point] = BLANK
        elif category[0] == "M" or category == "Cf":
            classes[point] = ATTACHED
        elif category[0] == "L" and any(first <= point <= last for first, last in BRAHMIC_BLOCKS):
            classes[point] = BRAHMIC
    classes[[ord(character) for character in places]] = PLACE
    return classes


@compiled
def _put_joints(
    cut: UInt8[np.ndarray, " B"],
    classes: UInt8[np.ndarray, " C"],
    place_joint: np.uint8,
    lengths: Int64[np.ndarray, " N"],
    out: UInt8[np.ndarray, " 2*B"],
) -> np.uint64:
    """Write texts with those joints of ICU that are kept, and those that ICU lacks; returns how many bytes were written.

    Args:
        cut: texts with a line break after each but the last, and a joint wherever ICU cuts.
        classes: of characters.
        place_joint: what replaces a zero width space or tsheg.
        lengths: of the texts without joints; replaced by those of the written texts.
        out: the written texts.
    """
    place = at = ZERO
    for row in range(u64(len(lengths))):
        start, left = at, u64(lengths[row])
        before, is_cut = BLANK, False
        while left > ZERO:
            if cut[place] == JOINT:
                is_cut = True
                place += ONE
                continue
            code, size = _character(cut, place)
            kind = classes[code]
            place += size
            left -= size
            if kind == PLACE and before == BRAHMIC and left > ZERO and _next_class(cut, place, classes) == BRAHMIC:
                out[at] = place_joint
                at += ONE
                before = BLANK
                continue
            if kind < ATTACHED:
                if _parts(before, kind, is_cut):
                    out[at] = JOINT
                    at += ONE
                before, is_cut = kind, False
            for i in range(place - size, place):
                out[at] = cut[i]
                at += ONE
        lengths[row] = np.int64(at - start)
        while place < u64(len(cut)) and cut[place] == JOINT:
            place += ONE
        place += ONE  # the line break
    return at


@inlined
def _parts(before: np.uint8, kind: np.uint8, is_cut: bool) -> bool:
    """Whether there is a joint between characters of these classes."""
    if before == BLANK or kind == BLANK:
        return False
    return bool((before == BRAHMIC) != (kind == BRAHMIC) or (is_cut and max(before, kind) >= WIDE))


@inlined
def _next_class(cut: UInt8[np.ndarray, " B"], place: np.uint64, classes: UInt8[np.ndarray, " C"]) -> np.uint8:
    """The class of the next character that is not a joint."""
    while cut[place] == JOINT:
        place += ONE
    code, _ = _character(cut, place)
    return classes[code]


@inlined
def _character(data: UInt8[np.ndarray, " B"], place: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The code point at a position of valid UTF-8, and its bytes."""
    lead = u64(data[place])
    if lead < u64(0x80):
        return lead, ONE
    size = size_of(lead)
    return code_point(data, place, size), size
