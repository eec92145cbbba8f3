"""The best of many candidates, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

AT_ONCE = 1 << 18  # candidates that become strings at a time


class _Scored(NamedTuple):
    """A candidate for an entry, and whether it can be one."""

    text: str
    score: float
    fit: bool


class Best:
    """The best of candidates that come in batches of any order: ranked by score, then by text in order of code points.

    Args:
        limit: how many fit candidates to keep; unfit ones that rank between them are also kept, so that the caller can count them.
        fit: whether a text can be an entry.
    """

    def __init__(self, limit: int, fit: Callable[[str], bool]) -> None:
        self._limit = limit
        self._fit = fit
        self._best: list[_Scored] = []
        self._held: list[_Scored] = []
        self._worst = -np.inf

    def add(self, scores: Float64[np.ndarray, " N"], texts: Callable[[Int64[np.ndarray, " K"]], list[str]]) -> None:
        """Add a batch; ``texts`` returns the texts at some positions of it."""
        if self._limit <= 0:
            return
        candidates = np.flatnonzero(scores >= self._worst)
        for start in range(0, len(candidates), AT_ONCE):
            some = candidates[start : start + AT_ONCE]
            some = some[scores[some] >= self._worst]  # again, since folding raises the worst score
            found = zip(texts(some), scores[some].tolist(), strict=True)
            self._held += (_Scored(text, score, self._fit(text)) for text, score in found)
            if len(self._held) > max(AT_ONCE, self._limit):
                self._fold()

    def _fold(self) -> None:
        """Keep candidates up to the last fit one within the limit; of equal texts, which may come from different pairs, the best."""
        ranked = sorted(self._best + self._held, key=lambda scored: (-scored.score, scored.text))
        self._best, self._held = [], []
        seen: set[str] = set()
        missing = self._limit
        for scored in ranked:
            if not missing:
                break
            if scored.text not in seen:
                seen.add(scored.text)
                self._best.append(scored)
                missing -= scored.fit
        if not missing and self._best:
            self._worst = self._best[-1].score

    def ranked(self) -> list[tuple[str, float]]:
        """The best with their scores, in order."""
        self._fold()
        return [(scored.text, scored.score) for scored in self._best]
