"""What two entry lists share and where they differ, and several lists as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np

from tallyclip.core.data import Metadata
from tallyclip.lists.assemble import LONGEST_ENTRY

SAMPLES = 20
NOT_GIVEN = "not given"  # the source of an entry that has none

Item = TypeVar("Item")


class Found(msgspec.Struct, kw_only=True):
    """Entries of one kind.

    Attributes:
        count: how many there are.
        samples: up to 20, from the first to the last of them at even steps.
    """

    count: int
    samples: list[str]


class OnlyOne(Found, kw_only=True):
    """The entries that only one of two lists has, and how many of each of its sources."""

    by_source: dict[str, int]


class Moved(Found, kw_only=True):
    """Entries of both lists, whose source in the first is not that in the second: "wordnet -> unigram"."""

    change: str


class NearMisses(msgspec.Struct, kw_only=True):
    """Entries that only the first list has, while the second has one that differs in case alone; the samples are such pairs."""

    count: int
    samples: list[tuple[str, str]]


class Difference(msgspec.Struct, kw_only=True):
    """How list A becomes list B.

    Attributes:
        size_a, size_b: entries of each.
        both: entries that both have.
        same_order: do those stand in the same order in both?
        only_a, only_b: entries that the other lacks.
        moved: entries of both whose source changed, the most frequent change first; empty if a list has no sources.
        near_misses: of ``only_a``, those that B has in other case.
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
    places_in_b = {entry: place for place, entry in enumerate(b.entries)}
    places = np.fromiter((places_in_b.get(entry, -1) for entry in a.entries), np.int64, len(a))
    shared = np.flatnonzero(places >= 0)
    places_shared = places[shared]
    is_only_b = np.ones(len(b), np.bool_)
    is_only_b[places_shared] = False
    only_a: list[int] = np.flatnonzero(places < 0).tolist()
    return Difference(
        size_a=len(a),
        size_b=len(b),
        both=len(shared),
        same_order=bool((np.diff(places_shared) > 0).all()),
        only_a=_only(a, only_a),
        only_b=_only(b, np.flatnonzero(is_only_b).tolist()),
        moved=_moved(a, b, shared.tolist(), places_shared.tolist()),
        near_misses=_near_misses(a, b, only_a),
    )


def merge(lists: Sequence[Metadata]) -> Metadata:
    """All entries of several lists: those of the first in their order, then what each further list adds. An entry has its source, score
    and rank from the first list that has it.

    Where a list has no sources or scores its entries have None, unless no list has any. Ranks stay only if every list has them, for no
    entry of a ranked list can be without one.

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
    """How many entries each list adds to those before it."""
    seen: set[str] = set()
    sizes = [0]
    for one in lists:
        seen.update(one.entries)
        sizes.append(len(seen))
    return np.diff(sizes).tolist()


def sources_of(metadata: Metadata) -> Sequence[str]:
    """The source of each entry, by a name that can be shown."""
    if metadata.sources is None:
        return [NOT_GIVEN] * len(metadata)
    return [NOT_GIVEN if source is None else source for source in metadata.sources]


def found(metadata: Metadata, ids: Sequence[int]) -> Found:
    """Some entries by their ids, which rise."""
    return Found(count=len(ids), samples=[sample(metadata.entries[i]) for i in spread(ids)])


def spread(items: Sequence[Item]) -> list[Item]:
    """Up to 20 of a row of things, from the first to the last at even steps.

    >>> spread(range(0, 1000, 10))[:4], spread("abc")
    ([0, 50, 100, 150], ['a', 'b', 'c'])
    """
    places = np.linspace(0, len(items) - 1, min(len(items), SAMPLES)).astype(np.int64)
    return [items[place] for place in places.tolist()]


def sample(entry: str) -> str:
    """An entry as reports can hold it: a long one is cut, and lone surrogates, which JSON files cannot have, are written out."""
    shown = entry[:LONGEST_ENTRY] + ("…" if len(entry) > LONGEST_ENTRY else "")
    return shown.encode("utf-8", "backslashreplace").decode()


def _only(metadata: Metadata, ids: list[int]) -> OnlyOne:
    sources = sources_of(metadata)
    some = found(metadata, ids)
    return OnlyOne(count=some.count, samples=some.samples, by_source=dict(Counter(sources[i] for i in ids).most_common()))


def _moved(a: Metadata, b: Metadata, ids: list[int], places: list[int]) -> list[Moved]:
    if a.sources is None or b.sources is None:
        return []
    moves: dict[tuple[str, str], list[int]] = {}
    sources_a, sources_b = sources_of(a), sources_of(b)
    for i, place in zip(ids, places, strict=True):
        before, after = sources_a[i], sources_b[place]
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
