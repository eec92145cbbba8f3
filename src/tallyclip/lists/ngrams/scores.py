"""Which pairs of words are phrases: two scores from counts.

Pointwise mutual information (PMI) is how much more often two words occur together than by chance, in bits:
``PMI = log2(c12 N / (c1 c2))``, with c12 the count of the pair, c1 and c2 those of its words, and N that of all words. NLTK's
``BigramCollocationFinder`` computes it, and "Demystifying CLIP Data" (arXiv 2309.16671, section 3.1) keeps pairs of 30 or more.

That limit does not carry over to other corpora. No PMI is above log2 N (c12 = c1 = c2 = 1), so with less than 2^30 (1.07 billion) words
no pair reaches 30; and with more, a pair does only if both of its words occur at most N / 2^30 times, which is two to four times for the
English Wikipedia: PMI ranks by rarity. The worldwide sequel (arXiv 2507.22062, appendix) corrects that by

    score = (c12 + 1)^0.7 (PMI - PMI_30%)

where PMI_30% is the 30th percentile of the PMI of all pairs of the language; its best English pairs are "United States", "of the", "New
York". A rank by such a score, with a limit on how many pairs are taken, means the same for any size of corpus.

Scores are rounded to a millionth, so that machines whose logarithms differ in the last bit give the same ranks.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64, Int64

DAMPING = 0.7
PERCENTILE = 0.3
DECIMALS = 6
STEPS = 1000  # per bit, of the percentile's histogram
LARGEST = 128  # bits of PMI, the most with counts of 64 bits


def pmi(
    pairs: Int64[np.ndarray, " N"], first: Int64[np.ndarray, " N"], second: Int64[np.ndarray, " N"], total: int
) -> Float64[np.ndarray, " N"]:
    """The pointwise mutual information of pairs, in bits.

    Args:
        pairs: how often each pair occurs, at least 1.
        first: how often its first word occurs; where a table of counts has less than for the pair, the pair's count is used.
        second: the same for its second word.
        total: the number of words of the corpus.

    >>> pmi(np.array([8]), np.array([16]), np.array([32]), 1024).tolist()
    [4.0]
    """
    return np.round(np.log2(pairs) + math.log2(total) - np.log2(np.maximum(first, pairs)) - np.log2(np.maximum(second, pairs)), DECIMALS)


def damped(pairs: Int64[np.ndarray, " N"], information: Float64[np.ndarray, " N"], percentile: float) -> Float64[np.ndarray, " N"]:
    """The score of the worldwide paper, from counts, PMI, and the 30th percentile of PMI."""
    return np.round((pairs + 1.0) ** DAMPING * (information - percentile), DECIMALS)


class Percentile:
    """A percentile of PMI values added in batches: the smallest thousandth of a bit that at least that share of the values does not exceed.

    It is rounded to a thousandth so that a histogram is enough: there are as many values as pairs.
    """

    def __init__(self) -> None:
        self._histogram = np.zeros(2 * LARGEST * STEPS + 1, np.int64)

    def add(self, values: Float64[np.ndarray, " N"]) -> None:
        steps = np.ceil(np.round(values * STEPS, DECIMALS)).astype(np.int64) + LARGEST * STEPS
        self._histogram += np.bincount(steps, minlength=len(self._histogram))

    def value(self, share: float) -> float:
        """0 without values.

        >>> numbers = Percentile()
        >>> numbers.add(np.array([5.0, 1.0, 3.0, 2.0, 4.0]))
        >>> numbers.value(0.3)
        2.0
        """
        reached = np.cumsum(self._histogram)
        if not reached[-1]:
            return 0.0
        return (int(np.searchsorted(reached, math.ceil(share * int(reached[-1])))) - LARGEST * STEPS) / STEPS
