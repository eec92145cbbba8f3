"""Dropped records and captions, counted by reason with a few samples.

The reasons are a fixed list, so that a shard's report stays small whatever the data: data goes in the sample, never in the reason. Steps of
the user's own name reasons of theirs, a limited number.
``Ledger`` counts for every reader and stage, and refuses a reason that is not on the list.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

import msgspec

from tallyclip.readers.content import LONGEST_SAMPLE
from tallyclip.readers.records import Drop

KEPT_SAMPLES = 20  # of each reason
OWN_STEP = "step "  # before the reasons of the user's own steps
UNNAMED = "matches no entry"
REPEATED_IN_POOL = "duplicate in the pool"
IN_EARLIER_POOL = "in an earlier pool"
BOILERPLATE = "boilerplate of its site"
NOT_DOWNLOADED = "its image was not downloaded"
NOT_DRAWN = "left out by an earlier draw"

REASONS = frozenset(
    {
        # records and captions of a pool
        UNNAMED,
        "no caption",
        "caption is not text",
        "URL is not text",
        "nested too deeply",
        "not UTF-8",
        "URL is not UTF-8",
        "not JSON",
        "not a JSON object",
        "empty line",
        "wrong number of columns",
        "annotation without its image",
        "line without an image",
        "download: failed_to_download",
        "download: failed_to_resize",
        "download: no status",
        "download: other status",
        "txt member too large",
        "json member too large",
        "text member too large",
        "no caption, but text under a longer suffix",
        "language: other",
        "language: unsure",
        NOT_DOWNLOADED,
        NOT_DRAWN,
        # records, pages and links of crawl files
        "file cut short",
        "bytes that are not a record",
        "record too large",
        "record without a type",
        "revisit: the page is in an earlier capture",
        "page too complex",
        "page too large",
        "page cut short",
        "page: broken content encoding",
        "malformed link",
        "no URL",
        "data URL",
        "URL: not http or https",
        "URL: malformed",
        # pairs of a crawl
        "duplicate on its page",
        REPEATED_IN_POOL,
        IN_EARLIER_POOL,
        BOILERPLATE,
        "URL too long",
        "domain blocked",
        "caption too short",
        "caption too long",
        "no letters",
        "file name or id",
        "keyword blocked",
    }
)


class Sample(msgspec.Struct, order=True):
    """A dropped record or caption, with a number by which samples of several shards are ordered without favor."""

    number: int
    row: int
    text: str


Samples = dict[str, list[Sample]]  # by reason


class Ledger:
    """Counts drops.

    Attributes:
        counts: drops by reason.
        samples: the first of each reason, cut to ``LONGEST_SAMPLE`` characters; empty ones are not kept.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.samples: dict[str, list[Drop]] = {}

    def add(self, drop: Drop) -> None:
        """Count a drop.

        Raises:
            ValueError: its reason is not one of ``REASONS``: an error in our code.
        """
        if drop.reason not in REASONS and not drop.reason.startswith(OWN_STEP):
            raise ValueError(f"{drop.reason[:LONGEST_SAMPLE]!r} is not declared as a reason to drop, in tallyclip.readers.ledger")
        self.counts[drop.reason] += drop.times
        if drop.sample:
            samples = self.samples.setdefault(drop.reason, [])
            if len(samples) < KEPT_SAMPLES:
                samples.append(drop._replace(sample=drop.sample[:LONGEST_SAMPLE]))

    def drain(self) -> list[Drop]:
        """What was counted, as drops that say the same to another ledger; this one is then empty."""
        shown = [drop._replace(times=1) for samples in self.samples.values() for drop in samples]
        rest = self.counts - Counter(drop.reason for drop in shown)
        drops = [*shown, *(Drop(reason, 0, "", count) for reason, count in rest.items())]
        self.counts.clear()
        self.samples.clear()
        return drops

    def report(self) -> Samples:
        """The samples, for a report."""
        return {reason: [Sample(drop.row, drop.row, drop.sample) for drop in some] for reason, some in self.samples.items()}


def merge_samples(many: Iterable[Samples]) -> dict[str, list[str]]:
    """Of several shards' samples a few of each reason, the same ones in whatever order the shards come."""
    merged: Samples = {}
    for samples in many:
        for reason, found in samples.items():
            merged[reason] = heapq.nsmallest(KEPT_SAMPLES, merged.get(reason, []) + found)
    return {reason: [sample.text for sample in samples] for reason, samples in merged.items()}
