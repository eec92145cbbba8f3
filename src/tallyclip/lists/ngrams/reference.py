"""Which words and phrases a text has, in a slow and obvious way; the compiled counting is tested against it.

Words are those that matching a caption would look up, so that an entry made of them can match: the marks of the spacing rule
(``match/spacing.py``) end a word, and so do blanks. Punctuation at the ends of a word, as in ``(dog)`` or ``"dog"``, is not part of it,
since captions have less of it than running text. Inside a word it is kept, as in ``don't`` or ``x-ray``.

A phrase is two words with exactly one blank between them and nothing else: no mark, bracket, second blank or end of line. So a phrase is
a part of the text as it is written, and matches captions with the same part. (Other blanks, such as no-break spaces, count as spaces.)

In texts of scripts written without spaces, a segmenter has put joints between adjacent words; a phrase over a joint is written without it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from tallyclip.lists.ngrams.characters import BETWEEN, BLANK, BREAK, EDGE, JOINT, TSHEG, character_classes

LONGEST_WORD = 1024  # bytes; longer words are ignored: an entry has at most 256 characters
LONGEST_STRETCH = 1 << 16  # bytes; after that many without a break, the next blank or joint is one
BETWEEN_OF = {BLANK: BETWEEN[0], JOINT: BETWEEN[1], TSHEG: BETWEEN[2]}


class Word(NamedTuple):
    text: str
    start: int  # in characters of the text
    end: int


def words_and_phrases(text: str, *, joints: bool = False) -> tuple[list[str], list[str]]:
    """The words of a text, and its phrases of two words, in their order.

    >>> words_and_phrases("The (big) dog, New York-based")
    (['The', 'big', 'dog', 'New', 'York-based'], ['New York-based'])
    """
    classes = character_classes(joints=joints)
    kinds = [classes[ord(character)] for character in text]
    words: list[Word] = []
    start = stretch = size = 0
    for position, character in enumerate([*text, "\n"]):
        kind = kinds[position] if position < len(text) else BREAK
        if kind not in (WORD_KINDS):
            end = position
            while start < end and kinds[start] == EDGE:
                start += 1
            while start < end and kinds[end - 1] == EDGE:
                end -= 1
            if start < end:
                words.append(Word(text[start:end], start, end))
            start = position + 1
        size += len(character.encode("utf-8", "surrogatepass"))
        if kind == BREAK:
            stretch = size
        elif kind not in WORD_KINDS and size - stretch > LONGEST_STRETCH:
            kinds[position], stretch = BREAK, size
    phrases: list[str] = []
    for one, other in pairwise(words):
        if other.start - one.end == 1 and kinds[one.end] in BETWEEN_OF and _fit(one.text) and _fit(other.text):
            phrases.append(one.text + BETWEEN_OF[kinds[one.end]] + other.text)
    return [word.text for word in words if _fit(word.text)], phrases


WORD_KINDS = (0, 1)


def _fit(word: str) -> bool:
    return len(word.encode("utf-8", "surrogatepass")) <= LONGEST_WORD
