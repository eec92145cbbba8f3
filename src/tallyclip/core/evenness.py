"""How evenly matches are spread over entries: two figures of a distribution of counts."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from tallyclip.core.counts import checked_counts


def effective_entries(counts: Int64[np.ndarray, " V"]) -> float:
    """The effective number of entries: the exponential of the entropy of their shares of all matches; 0 if there are no matches.

    So many entries with equal counts would be as even: V if all counts are equal, 1 if one entry has all matches.

    Raises:
        OptionError: ``counts`` are not counts (``checked_counts``).

    >>> round(effective_entries(np.array([5, 5, 5, 5])), 9), round(effective_entries(np.array([97, 1, 1, 1])), 2)
    (4.0, 1.18)
    """
    counts = checked_counts(counts)
    shares = counts[counts > 0] / max(1, int(counts.sum()))
    return float(np.exp(-np.sum(shares * np.log(shares)))) if len(shares) else 0.0


def gini(counts: Int64[np.ndarray, " V"]) -> float:
    """The Gini coefficient of counts: 0 if all are equal, near 1 if few entries have nearly all matches; 0 if there are no matches.

    Half of the mean difference of two entries, drawn at random, as a share of the mean count. Entries with a count of 0 are entries too.

    Raises:
        OptionError: ``counts`` are not counts (``checked_counts``).

    >>> gini(np.array([5, 5, 5, 5])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    counts = np.sort(checked_counts(counts))
    total, size = int(counts.sum()), len(counts)
    ranks = np.arange(1, size + 1, dtype=np.float64)
    return float(np.sum((2 * ranks - size - 1) * counts)) / (size * total) if total else 0.0
