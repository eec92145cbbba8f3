"""What the tests of counting share."""

from __future__ import annotations

from itertools import pairwise

from tallyclip.core.strings import Strings


def texts_of(words: Strings) -> list[str]:
    """Strings as Python's."""
    ends = words.offsets.tolist()
    return [words.data[start:end].tobytes().decode("utf-8", "surrogatepass") for start, end in pairwise(ends)]
