"""The difference of two entry lists, and the merge of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np

from tallyclip.core.data import Metadata
from tallyclip.lists.assemble import LONGEST_ENTRY

SAMPLES = 20
NOT_GIVEN = "not given"  # shown for an entry without a source

Item = TypeVar("Item")


class Found(msgspec.Struct, kw_only=True):
    """Entries of one kind.

    Attributes:
        count: how many there are.
        samples: up to 20 of them, evenly spaced from the first to the last.
    """

    count: int
    samples: list[str]


class OnlyOne(Found, kw_only=True):
    """The entries that only one of two lists has, with their number by source."""

    by_source: dict[str, int]


class Moved(Found, kw_only=True):
    """Entries of both lists whose sources differ: "wordnet -> unigram"."""

    change: str


class NearMisses(msgspec.Struct, kw_only=True):
    """Entries of the first list that the second has only in another case; the samples are pairs of both."""

    count: int
    samples: list[tuple[str, str]]


class Difference(msgspec.Struct, kw_only=True):
    """The differences between list A and list B.

    Attributes:
        size_a, size_b: entries of each.
        both: entries that both have.
        same_order: are these in the same order in both?
        only_a, only_b: entries that the other list lacks.
        moved: entries of both whose source changed, the most frequent change first; empty if a list has no sources.
        near_misses: entries of ``only_a`` that B has in another case.
    """

    size_a: int
    size_b: int
    both: int
    same_order: bool
    only_a: OnlyOne
    only_b: OnlyOne
    moved: list[Moved]
    near_misses: NearMisses


def difference(a: Metadata, b: Metadata) -> Difference:
    """Compare two lists.

    >>> found = difference(Metadata(["dog", "Paris", "cat"]), Metadata(["cat", "dog", "paris"]))
    >>> found.both, found.same_order, found.only_b.samples, found.near_misses.samples
    (2, False, ['paris'], [('Paris', 'paris')])
    """
    positions_in_b = {entry: position for position, entry in enumerate(b.entries)}
    positions = np.fromiter((positions_in_b.get(entry, -1) for entry in a.entries), np.int64, len(a))
    shared = np.flatnonzero(positions >= 0)
    positions_shared = positions[shared]
    is_only_b = np.ones(len(b), np.bool_)
    is_only_b[positions_shared] = False
    only_a: list[int] = np.flatnonzero(positions < 0).tolist()
    return Difference(
        size_a=len(a),
        size_b=len(b),
        both=len(shared),
        same_order=bool((np.diff(positions_shared) > 0).all()),
        only_a=_only(a, only_a),
        only_b=_only(b, np.flatnonzero(is_only_b).tolist()),
        moved=_moved(a, b, shared.tolist(), positions_shared.tolist()),
        near_misses=_near_misses(a, b, only_a),
    )


def merge(lists: Sequence[Metadata]) -> Metadata:
    """All entries of several lists: those of the first, then those that each further list adds. An entry has its source, score and rank
    from the first list that has it.

    If a list has no sources or scores, its entries have None, unless no list has any. Ranks are kept only if every list has them, since
    every entry of a ranked list must have one.

    >>> merge([Metadata(["dog", "cat"]), Metadata(["bird", "dog"], sources=["x", "x"])]).sources
    (None, None, 'x')
    """
    entries = [entry for one in lists for entry in one.entries]
    sources = scores = ranks = None
    if any(one.sources is not None for one in lists):
        sources = [source for one in lists for source in one.sources or [None] * len(one)]
    if any(one.scores is not None for one in lists):
        scores = [score for one in lists for score in one.scores or [None] * len(one)]
    if all(one.ranks is not None for one in lists):
        ranks = [rank for one in lists for rank in one.ranks or ()]
    return Metadata(entries, sources, scores, ranks, clean=True)


def added(lists: Sequence[Metadata]) -> list[int]:
    """How many entries each list adds to the lists before it."""
    seen: set[str] = set()
    sizes = [0]
    for one in lists:
        seen.update(one.entries)
        sizes.append(len(seen))
    return np.diff(sizes).tolist()


def sources_of(metadata: Metadata) -> Sequence[str]:
    """The source of each entry, as reports show it."""
    if metadata.sources is None:
        return [NOT_GIVEN] * len(metadata)
    return [NOT_GIVEN if source is None else source for source in metadata.sources]


def found(metadata: Metadata, ids: Sequence[int]) -> Found:
    """The entries with some ids, which are ascending."""
    return Found(count=len(ids), samples=[sample(metadata.entries[i]) for i in spread(ids)])


def spread(items: Sequence[Item]) -> list[Item]:
    """Up to 20 items, evenly spaced from the first to the last.

    >>> spread(range(0, 1000, 10))[:4], spread("abc")
    ([0, 50, 100, 150], ['a', 'b', 'c'])
    """
    positions = np.linspace(0, len(items) - 1, min(len(items), SAMPLES)).astype(np.int64)
    return [items[position] for position in positions.tolist()]


def sample(entry: str) -> str:
    """An entry for a report: a long one is cut, and lone surrogates, which JSON cannot have, are escaped."""
    shown = entry[:LONGEST_ENTRY] + ("…" if len(entry) > LONGEST_ENTRY else "")
    return shown.encode("utf-8", "backslashreplace").decode()


def _only(metadata: Metadata, ids: list[int]) -> OnlyOne:
    sources = sources_of(metadata)
    some = found(metadata, ids)
    return OnlyOne(count=some.count, samples=some.samples, by_source=dict(Counter(sources[i] for i in ids).most_common()))


def _moved(a: Metadata, b: Metadata, ids: list[int], positions: list[int]) -> list[Moved]:
    if a.sources is None or b.sources is None:
        return []
    moves: dict[tuple[str, str], list[int]] = {}
    sources_a, sources_b = sources_of(a), sources_of(b)
    for i, position in zip(ids, positions, strict=True):
        before, after = sources_a[i], sources_b[position]
        if before != after:
            moves.setdefault((before, after), []).append(i)
    ranked = sorted(moves.items(), key=lambda move: (-len(move[1]), move[0]))
    return [
        Moved(change=f"{before} -> {after}", count=len(ids), samples=[sample(a.entries[i]) for i in spread(ids)])
        for (before, after), ids in ranked
    ]


def _near_misses(a: Metadata, b: Metadata, only_a: list[int]) -> NearMisses:
    folded: dict[str, str] = {}
    for entry in b.entries if len(only_a) else ():
        folded.setdefault(entry.casefold(), entry)
    pairs = [(entry, folded[entry.casefold()]) for entry in (a.entries[i] for i in only_a) if entry.casefold() in folded]
    return NearMisses(count=len(pairs), samples=[(sample(one), sample(other)) for one, other in spread(pairs)])
