"""What can be said from a few seeds: means with intervals, paired differences, thirds of classes, and correlations.

Functions of numbers alone. A seed is one draw of everything: of the pool, of the model's first weights and of the order of the batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from tallyclip.extras import load

CONFIDENCE = 0.95
GROUPS = ("head", "middle", "tail")  # of the classes, the most frequent first


class Interval(NamedTuple):
    """A mean, and the interval that holds the true one with 95 % confidence; None for its ends where one value says nothing of it."""

    mean: float
    low: float | None
    high: float | None


class Fit(NamedTuple):
    """The least-squares fit of y on x."""

    slope: float
    intercept: float


def interval(values: Sequence[float]) -> Interval:
    """The mean of independent values with Student's t interval.

    Args:
        values: one for each seed, at least one.

    Raises:
        ValueError: there are none.
        MissingExtraError: scipy is not installed.

    >>> interval([1.0, 2.0, 3.0])
    Interval(mean=2.0, low=-0.484..., high=4.484...)
    >>> interval([1.0])
    Interval(mean=1.0, low=None, high=None)
    """
    if not values:
        raise ValueError("no values")
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, None, None)
    quantile = float(_scipy("special").stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    half = quantile * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Interval(mean, mean - half, mean + half)


def differences(lower: Sequence[float], higher: Sequence[float]) -> list[float]:
    """By how much the second arm is above the first, seed by seed: what a seed does to both arms cancels.

    Args:
        lower: values of one arm, one for each seed.
        higher: of the other arm, with the same seeds in the same order.

    Raises:
        ValueError: there are not as many of both.
    """
    return [above - below for below, above in zip(lower, higher, strict=True)]


def verdict(found: Interval) -> str:
    """What an interval of differences shows: "higher" or "lower" if it excludes 0, else "not shown".

    >>> verdict(Interval(0.02, 0.01, 0.03)), verdict(Interval(0.02, -0.01, 0.05)), verdict(Interval(0.02, None, None))
    ('higher', 'not shown', 'not shown')
    """
    if found.low is None or found.high is None or found.low <= 0 <= found.high:
        return "not shown"
    return "higher" if found.low > 0 else "lower"


def thirds(counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Classes in three groups by their entry count: head, middle and tail (the rarest). Ties are in the order of names.

    If three does not divide their number, the first groups have one more. Fewer than three classes are in no groups.

    >>> thirds({"dog": 90, "cat": 90, "yak": 1, "emu": 7})
    {'head': ['cat', 'dog'], 'middle': ['emu'], 'tail': ['yak']}
    """
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    if len(ordered) < len(GROUPS):
        return {}
    size, more = divmod(len(ordered), len(GROUPS))
    ends = [place * size + min(place, more) for place in range(len(GROUPS) + 1)]
    return {group: ordered[ends[place] : ends[place + 1]] for place, group in enumerate(GROUPS)}


def pearson(x: Float64[np.ndarray, " N"], y: Float64[np.ndarray, " N"]) -> float | None:
    """The correlation of two variables, from -1 to 1; None if one of them does not vary.

    >>> pearson(np.array([1.0, 2, 3]), np.array([2.0, 4, 6]))
    1.0
    """
    if not (_varies(x) and _varies(y)):
        return None
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))


def spearman(x: Float64[np.ndarray, " N"], y: Float64[np.ndarray, " N"]) -> float | None:
    """The correlation of the ranks of two variables, where equal values share the mean of their ranks; None if one does not vary.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    rank = _scipy("stats").rankdata
    return pearson(rank(x), rank(y))


def least_squares(x: Float64[np.ndarray, " N"], y: Float64[np.ndarray, " N"]) -> Fit | None:
    """The line with the least squared distance from y; None if x does not vary."""
    if not _varies(x):
        return None
    around = x - x.mean()
    slope = float(around @ y / (around @ around))
    return Fit(slope, float(y.mean()) - slope * float(x.mean()))


def _varies(values: Float64[np.ndarray, " N"]) -> bool:
    return len(values) > 1 and bool(np.ptp(values) > 1e-12)  # more than rounding


def _scipy(part: str) -> Any:
    return load(f"scipy.{part}", "scipy", "train", "the statistics of an experiment")
