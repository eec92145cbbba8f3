"""Tables of words and counts that others made: a word, a tab and a number per line, compressed or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Int64

from tallyclip.core.strings import Strings, from_python, to_python
from tallyclip.errors import SourceError
from tallyclip.lists.ngrams.reference import LONGEST_WORD
from tallyclip.readers.content import read_lines

AT_ONCE = 1 << 16  # lines
LARGEST_COUNT = 10**12
NOT_UTF8 = "not UTF-8"
HEADER = "a header"
NO_COUNT = "not a word, a tab and a count"
ODD_COUNT = f"a count of 0, or above {LARGEST_COUNT:,}"
TOO_LONG = f"longer than {LONGEST_WORD:,} bytes"
NO_PAIR = "not two words with a space between"

Tick = Callable[[int], None]
Counted = tuple[Strings, Int64[np.ndarray, " N"]]


def read_word_counts(path: str, drops: Counter[str], tick: Tick) -> Iterator[Counted]:
    """Words and their counts; a first line whose last field is not a number is a header.

    Args:
        path: of a table, or a URL.
        drops: counts the dropped lines by reason.
        tick: called with the number of bytes done since the last call.

    Raises:
        SourceError: the file cannot be read, or it has no usable line.
    """
    words: list[str] = []
    counts: list[int] = []
    size, found = 0, False
    refused = Counter[str]()
    for number, line in enumerate(read_lines(path)):
        size += len(line) + 1
        row = _row(line.rstrip(b"\r"))
        if isinstance(row, str):
            refused[HEADER if number == 0 and _is_header(line) else row] += 1
            continue
        words.append(row[0])
        counts.append(row[1])
        if len(words) == AT_ONCE:
            yield from_python(words), np.array(counts, np.int64)
            tick(size)
            words, counts, size, found = [], [], 0, True
    if not (words or found) and refused.keys() - {HEADER}:
        reasons = ", ".join(f"{times:,} {reason}" for reason, times in refused.items())
        raise SourceError(f"{path}: no usable line: {reasons}", "each line of a table must have a word, a tab and a count, in UTF-8")
    drops += refused
    yield from_python(words), np.array(counts, np.int64)
    tick(size)


def read_pair_counts(path: str, drops: Counter[str], tick: Tick) -> Iterator[Counted]:
    """Pairs of words and their counts: 2N words, the two of a pair side by side, and N counts. Otherwise as ``read_word_counts``."""
    for pairs, counts in read_word_counts(path, drops, tick):
        texts = to_python(pairs)
        fit = [text.count(" ") == 1 and not text.startswith(" ") and not text.endswith(" ") for text in texts]
        if not all(fit):
            drops[NO_PAIR] += fit.count(False)
        words = [word for text, good in zip(texts, fit, strict=True) if good for word in text.split(" ")]
        yield from_python(words), counts[np.array(fit, np.bool_)]


def _row(line: bytes) -> tuple[str, int] | str:
    """The word and the count of a line, or the reason to drop it."""
    word, _, digits = line.rpartition(b"\t")
    if not word or b"\t" in word or not digits.isdigit():
        return NO_COUNT
    count = int(digits) if len(digits) < 19 else 0
    if not 0 < count <= LARGEST_COUNT:
        return ODD_COUNT
    if len(word) > LONGEST_WORD:
        return TOO_LONG
    try:
        return word.decode("utf-8"), count
    except UnicodeDecodeError:
        return NOT_UTF8


def _is_header(line: bytes) -> bool:
    return b"\t" in line and not line.rstrip(b"\r").rpartition(b"\t")[2].isdigit()
