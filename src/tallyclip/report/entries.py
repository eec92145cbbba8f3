"""What a draw did to the entries: which came down, which rose, which were lost, and how even their counts are."""

from __future__ import annotations

import msgspec
import numpy as np
from jaxtyping import Int64

from tallyclip.core.evenness import effective_entries, gini
from tallyclip.lists.classes import packaged_lines
from tallyclip.report.numbers import decades

TOP = 20
CHANGES = 10  # entries that are shown of each kind of change
RISEN_OF = 100  # most frequent entries of the curated set, among which those that rose are looked for


class EntryCount(msgspec.Struct, kw_only=True):
    """An entry before and after the draw.

    Attributes:
        entry: itself.
        before, after: captions of the pool, and of the curated set, that match it.
        rank_before, rank_after: 1 and the number of entries with a higher count.
        stop_word: is it an English stop word, as "the"?
    """

    entry: str
    before: int
    after: int
    rank_before: int
    rank_after: int
    stop_word: bool


class Evenness(msgspec.Struct, kw_only=True):
    """How evenly matches are spread over the entries that the pool matches, before and after the draw (``core/evenness.py``)."""

    effective_before: float
    effective_after: float
    gini_before: float
    gini_after: float


class EntryChanges(msgspec.Struct, kw_only=True):
    """What a draw did to the entries.

    Attributes:
        frequent: the most frequent entries of the pool.
        most_downsampled: the entries of which the smallest share is left, of those that are not lost.
        risen: of the 100 most frequent entries of the curated set those that rose most in rank.
        lost: entries that the pool matches and the curated set does not, the most frequent first.
        lost_count: how many there are.
        downsampled_count: entries with a lower count than before.
        evenness: of the counts.
        histogram: numbers of entries by powers of ten of their count, before and after.
    """

    frequent: list[EntryCount]
    most_downsampled: list[EntryCount]
    risen: list[EntryCount]
    lost: list[EntryCount]
    lost_count: int
    downsampled_count: int
    evenness: Evenness
    histogram: dict[str, tuple[int, int]]


def changes(entries: tuple[str, ...], before: Int64[np.ndarray, " V"], after: Int64[np.ndarray, " V"]) -> EntryChanges:
    """Compare the counts of the entries before and after a draw. Ties are in the list's order.

    Args:
        entries: the entry list.
        before: how many captions of the pool match each.
        after: how many of the curated set.
    """
    rank_before, rank_after = ranks(before), ranks(after)
    stop_words = frozenset(packaged_lines("stop-words.txt"))

    def described(ids: Int64[np.ndarray, " N"]) -> list[EntryCount]:
        return [
            EntryCount(
                entry=entries[i],
                before=int(before[i]),
                after=int(after[i]),
                rank_before=int(rank_before[i]),
                rank_after=int(rank_after[i]),
                stop_word=entries[i] in stop_words,
            )
            for i in ids.tolist()
        ]

    frequent = np.argsort(-before, kind="stable")[:TOP]
    less = np.flatnonzero((after < before) & (after > 0))
    leading = np.argsort(-after, kind="stable")[:RISEN_OF]
    risen = leading[(rank_after[leading] < rank_before[leading]) & (after[leading] > 0)]
    lost = np.flatnonzero((after == 0) & (before > 0))
    matched = before > 0
    return EntryChanges(
        frequent=described(frequent[before[frequent] > 0]),
        most_downsampled=described(less[np.lexsort((-before[less], after[less] / before[less]))][:CHANGES]),
        risen=described(risen[np.argsort(rank_after[risen] - rank_before[risen], kind="stable")][:CHANGES]),
        lost=described(lost[np.argsort(-before[lost], kind="stable")][:CHANGES]),
        lost_count=len(lost),
        downsampled_count=int(np.count_nonzero(after < before)),
        evenness=Evenness(
            effective_before=effective_entries(before[matched]),
            effective_after=effective_entries(after[matched]),
            gini_before=gini(before[matched]),
            gini_after=gini(after[matched]),
        ),
        histogram=histogram(before, after),
    )


def ranks(counts: Int64[np.ndarray, " V"]) -> Int64[np.ndarray, " V"]:
    """The rank of each entry: 1 and the number of entries with a higher count.

    >>> ranks(np.array([5, 9, 5, 1])).tolist()
    [2, 1, 2, 4]
    """
    return 1 + len(counts) - np.searchsorted(np.sort(counts), counts, side="right")


def histogram(before: Int64[np.ndarray, " V"], after: Int64[np.ndarray, " V"]) -> dict[str, tuple[int, int]]:
    """Numbers of entries by powers of ten of their count, in the pool and in the curated set."""
    edges, labels = decades(int(before.max(initial=1)))
    bins = zip(np.histogram(before, edges)[0].tolist(), np.histogram(after, edges)[0].tolist(), strict=True)
    return dict(zip(labels, bins, strict=True))
