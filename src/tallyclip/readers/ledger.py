"""Dropped records and captions, counted by reason with a few samples.

The reasons are a fixed list, so that a shard's report stays small whatever the data: data goes in the sample, never in the reason.
``Ledger`` counts for every reader and stage, and refuses a reason that is not on the list.
"""

from __future__ import annotations

from collections import Counter

from tallyclip.readers.content import LONGEST_SAMPLE
from tallyclip.readers.records import Drop

KEPT_SAMPLES = 20  # of each reason
UNNAMED = "matches no entry"
REPEATED_IN_POOL = "duplicate in the pool"
IN_EARLIER_POOL = "in an earlier pool"
BOILERPLATE = "boilerplate of its site"

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


class Ledger:
    """Counts drops.

    Attributes:
        counts: drops by reason.
        samples: the first of each reason, cut to ``LONGEST_SAMPLE`` characters; empty ones are not kept.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.samples: dict[str, list[Drop]] = {}

    def add(self, drop: Drop, count: int = 1) -> None:
        """Count a drop, or several that look like it.

        Raises:
            ValueError: its reason is not one of ``REASONS``: an error in our code.
        """
        if drop.reason not in REASONS:
            raise ValueError(f"{drop.reason[:LONGEST_SAMPLE]!r} is not declared as a reason to drop, in tallyclip.readers.ledger")
        self.counts[drop.reason] += count
        if drop.sample:
            samples = self.samples.setdefault(drop.reason, [])
            if len(samples) < KEPT_SAMPLES:
                samples.append(drop._replace(sample=drop.sample[:LONGEST_SAMPLE]))
