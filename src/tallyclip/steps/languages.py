"""Keeps captions by their language."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32

from tallyclip.errors import OptionError
from tallyclip.readers.language_model import UNDETERMINED, default_identifier
from tallyclip.readers.records import Drop
from tallyclip.steps.base import Verdict

OTHER = "language: other"
UNSURE = "language: unsure"
LANGUAGE, SCORE = "language", "language_score"  # the columns of what was detected

# For text that it cannot identify, the model returns "en" with a score of 0.12. On lingua's sentences, a threshold of 0.2 halves the share
# of other languages labeled English (4.4% to 2.0%) and loses no English. 0.5 would lose 27% of the real alt texts labeled English, and the
# paper keeps all that are labeled.
DEFAULT_THRESHOLD = 0.2


class LanguageChoice(msgspec.Struct, frozen=True):
    """Which languages are kept.

    A dialect counts as its language: with "en", "en-GB" and "en_IN" are kept too. Upper and lower case are the same.

    Attributes:
        languages: labels. If empty, every caption is kept, whatever its score. "und" keeps captions without letters, which have no score.
        threshold: the lowest score at which a caption counts as being in a language.
    """

    languages: list[str] = []
    threshold: float = DEFAULT_THRESHOLD

    def check(self, known: Collection[str] | None = None) -> None:
        """Refuse an unknown language, or a threshold out of range.

        Args:
            known: the labels of the model; by default those of ``default_identifier``.

        Raises:
            OptionError: the model does not know a language, or the threshold is not from 0 to 1.
            MissingExtraError: the package of the default model is not installed.
        """
        if not 0 <= self.threshold <= 1:
            raise OptionError(f"a language threshold of {self.threshold} is not from 0 to 1", f"{DEFAULT_THRESHOLD} is the default")
        if not self.languages:
            return
        labels = {_normal(label) for label in (default_identifier().labels if known is None else known)} | {UNDETERMINED}
        for language in self.languages:
            name = _normal(language)
            if name not in labels:
                raise OptionError(f"the language model does not know {language!r}", _near(name, labels))

    def keeps(self, labels: Sequence[str], scores: Float32[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
        """Which of N captions with these labels and scores are kept."""
        if not self.languages:
            return np.ones(len(labels), np.bool_)
        wanted = {label: self._wants(label) for label in set(labels)}
        chosen = np.fromiter(map(wanted.__getitem__, labels), np.bool_, len(labels))
        sure = scores >= np.float32(self.threshold)
        if wanted.get(UNDETERMINED):
            sure |= np.array(labels) == UNDETERMINED
        return chosen & sure

    def reason(self, label: str) -> str:
        """The reason to drop a caption with this label."""
        return UNSURE if self._wants(label) else OTHER

    def _wants(self, label: str) -> bool:
        name = _normal(label)
        languages = set(map(_normal, self.languages))
        return name in languages or name.split("-")[0] in languages


class Languages:
    """A step: keeps captions in some languages, and adds the columns ``language`` and ``language_score``.

    Detecting the language of a caption takes fifty times as long as matching it, so stages apply this step to as few captions as possible.
    """

    def __init__(self, choice: LanguageChoice) -> None:
        self._choice = choice

    def judge(self, pairs: pa.Table) -> Verdict:
        """Decide which of N pairs are kept."""
        texts = pairs["text"].to_pylist()
        labels, scores = default_identifier().identify(texts)
        keep = self._choice.keeps(labels, scores)
        drops = [Drop(self._choice.reason(labels[i]), i, f"{labels[i]}: {texts[i]}") for i in np.flatnonzero(~keep).tolist()]
        columns = {LANGUAGE: pa.array(labels, pa.string()).dictionary_encode(), SCORE: pa.array(scores, pa.float32())}
        return Verdict(keep, drops, columns)


def _normal(label: str) -> str:
    return label.casefold().replace("_", "-")


def _near(name: str, labels: set[str]) -> str:
    """A hint: codes that are similar, or that the name begins with, as in en-GB and English."""
    near = [label for label in dict.fromkeys([*difflib.get_close_matches(name, labels), name[:2]]) if label in labels]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{meant}Its {len(labels) - 1} languages have ISO 639 codes, such as de, en, fr, ja and zh"


def asked_languages(choice: LanguageChoice | None) -> dict[str, Any] | None:
    """The languages, the threshold and the model, for manifests and fingerprints."""
    if choice is None:
        return None
    return {"languages": choice.languages, "threshold": choice.threshold, "model": default_identifier().name}
