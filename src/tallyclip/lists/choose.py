"""From counts to candidates: the most frequent words, the best pairs, the titles with most views."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt64

from tallyclip.core.strings import to_python
from tallyclip.errors import OptionError
from tallyclip.lists.assemble import unfit
from tallyclip.lists.ngrams.best import Best
from tallyclip.lists.ngrams.buckets import Buckets, NgramCounts
from tallyclip.lists.ngrams.characters import BETWEEN
from tallyclip.lists.ngrams.runs import CountedWords, damaged, of_file, read_pairs, read_words, split_keys, take
from tallyclip.lists.ngrams.scores import PERCENTILE, Percentile, damped, pmi
from tallyclip.lists.recipe import Bigrams
from tallyclip.wording import plural

MOST_RANKED = 5_000_000  # each is a Python string: some 300 bytes


class Ranked(NamedTuple):
    """Candidates, best first, and how the ranking came about, for the manifest."""

    entries: list[tuple[str, float]]
    facts: Mapping[str, int | float | str]


class WordList:
    """All words of a folder of counts, by position."""

    def __init__(self, folder: Buckets, buckets: int) -> None:
        self._folder = folder
        self._buckets = [read_words(folder.words(bucket)) for bucket in range(buckets)]
        self._bases = np.cumsum([0] + [len(bucket.hashes) for bucket in self._buckets])
        self.counts: Int64[np.ndarray, " W"] = np.concatenate([np.zeros(0, np.int64), *(bucket.counts for bucket in self._buckets)])

    def buckets(self) -> list[CountedWords]:
        return self._buckets

    def texts_of(self, bucket: int, positions: Int64[np.ndarray, " K"]) -> list[str]:
        """The words at some positions in a bucket."""
        with of_file(self._folder.words(bucket)):
            return to_python(take(self._buckets[bucket].words, positions))

    def texts(self, positions: Int64[np.ndarray, " K"]) -> list[str]:
        """The words at some positions."""
        order = np.argsort(positions, kind="stable")
        ends = np.searchsorted(positions[order], self._bases)
        found: list[str] = []
        for bucket in range(len(self._buckets)):
            some = positions[order[ends[bucket] : ends[bucket + 1]]] - self._bases[bucket]
            found += self.texts_of(bucket, some)
        texts = [""] * len(found)
        for place, text in zip(order.tolist(), found, strict=True):
            texts[place] = text
        return texts


def fit(text: str) -> bool:
    """Can a text be an entry?"""
    return unfit(text) is None


def share_of(number: int, share: float) -> int:
    """A share of a number, rounded down; that 0.29 times 100 is 28.999999999999996 is not meant.

    >>> share_of(100, 0.29)
    29
    """
    return math.floor(round(number * share, 6))


def _bounded(most: int, candidates: int) -> int:
    """How many candidates to rank.

    Raises:
        OptionError: more than can be held.
    """
    wanted = min(most, candidates)
    if wanted > MOST_RANKED:
        hint = "give the source a limit, a higher min_count or a top share: what is counted is kept"
        raise OptionError(f"{plural(wanted, 'candidate')} of one source are no list: at most {MOST_RANKED:,} are ranked", hint)
    return wanted


def most_frequent(words: WordList, min_count: int, top: float | None, most: int) -> Ranked:
    """The words, or titles, with the highest counts.

    Args:
        words: all there are.
        min_count: of a candidate.
        top: the share of all different ones that are candidates at most.
        most: how many candidates are asked for.
    """
    enough = int(np.count_nonzero(words.counts >= max(1, min_count)))
    different = int(np.count_nonzero(words.counts))
    allowed = enough if top is None else min(enough, share_of(different, top))
    best = Best(_bounded(most, allowed), fit)
    for number, bucket in enumerate(words.buckets()):
        scores = np.where(bucket.counts >= max(1, min_count), bucket.counts, -np.inf).astype(np.float64)
        some = np.flatnonzero(scores > -np.inf)
        best.add(scores[some], lambda positions, some=some, number=number: words.texts_of(number, some[positions]))
    facts = {"different": different, "of at least min_count": enough, "candidates": allowed}
    return Ranked(best.ranked(), facts)


def best_pairs(folder: Buckets, counts: NgramCounts, words: WordList, rule: Bigrams, most: int, tick: Callable[[int], None]) -> Ranked:
    """The pairs of words with the best score; the rule says which, and PMI gives way to the damped score where it cannot reach its cut."""
    total = int(words.counts.sum())
    reachable = total > 0 and math.log2(total) >= rule.min_pmi
    by_pmi = rule.score == "pmi" and reachable
    facts: dict[str, int | float | str] = {"different": sum(counts.pairs), "words": total, "largest possible pmi": _log2(total)}
    if rule.score == "pmi" and not reachable:
        facts["instead of pmi"] = f"no pair of {plural(total, 'word')} can have a PMI of {rule.min_pmi:g}: ranked by the damped score"
    percentile = 0.0
    if not by_pmi:
        percentile = _percentile(folder, counts, words, rule, tick)
        facts["pmi at 30%"] = percentile
    best = Best(_bounded(most, sum(counts.pairs)), fit)
    candidates = 0
    for bucket in range(len(counts.pairs)):
        keys, times, information = _scored(folder, bucket, words, rule, total)
        scores = information if by_pmi else damped(times, information, percentile)
        some = np.flatnonzero(scores >= rule.min_pmi) if by_pmi else np.arange(len(keys))
        candidates += len(some)
        best.add(scores[some], lambda positions, keys=keys, some=some: _phrases(keys[some[positions]], words))
        tick(counts.pairs[bucket])
    facts |= {"score": "pmi" if by_pmi else "damped", "candidates": candidates}
    return Ranked(best.ranked(), facts)


def _percentile(folder: Buckets, counts: NgramCounts, words: WordList, rule: Bigrams, tick: Callable[[int], None]) -> float:
    total = int(words.counts.sum())
    percentile = Percentile()
    for bucket in range(len(counts.pairs)):
        percentile.add(_scored(folder, bucket, words, rule, total)[2])
        tick(counts.pairs[bucket])
    return percentile.value(PERCENTILE)


def _scored(folder: Buckets, bucket: int, words: WordList, rule: Bigrams, total: int) -> tuple[UInt64[np.ndarray, " P"], ...]:
    """The pairs of a bucket that come often enough: their keys, counts and PMI."""
    pairs = read_pairs(folder.pairs(bucket))
    some = pairs.counts >= rule.min_count
    keys, times = pairs.keys[some], pairs.counts[some]
    first, second, _ = split_keys(keys)
    if len(keys) and max(first.max(), second.max()) >= len(words.counts):
        raise damaged(folder.pairs(bucket))
    return keys, times, pmi(times, words.counts[first], words.counts[second], max(1, total))


def _phrases(keys: UInt64[np.ndarray, " P"], words: WordList) -> list[str]:
    first, second, between = split_keys(keys)
    parts = zip(words.texts(first), between.tolist(), words.texts(second), strict=True)
    return [one + BETWEEN[middle] + other for one, middle, other in parts]


def _log2(total: int) -> float:
    return round(math.log2(total), 2) if total else 0.0
