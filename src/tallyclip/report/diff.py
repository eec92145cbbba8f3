"""The difference of two curated sets, as numbers and as a page."""

from __future__ import annotations

import msgspec
import numpy as np
from jaxtyping import Int64

from tallyclip.io.files import with_infinity
from tallyclip.report.numbers import number, percent
from tallyclip.report.pages import pages


class ComparedRun(msgspec.Struct, kw_only=True):
    """A curated set as it is compared: what of its card can differ."""

    run: str
    kept: int
    unique_uids: int
    candidates: int
    matched: int
    captions: int
    files: int
    sources: list[str]
    t: float
    why_t: str
    tail_share: float
    head_entries: int
    seed: int
    texts_policy: str
    mode: str
    languages: str | None
    entries: int
    metadata_fingerprint: str
    matched_entries: int
    effective_entries: float
    gini: float


class Shared(msgspec.Struct, kw_only=True):
    """How many of some things both have, and how many only one."""

    both: int
    only_a: int
    only_b: int


class EntryShift(msgspec.Struct, kw_only=True):
    """An entry in two sets: how many of their pairs match it, and which share of each set."""

    entry: str
    a: int
    b: int
    share_a: float
    share_b: float


class RunDifference(msgspec.Struct, kw_only=True):
    """The difference of the curated sets of two runs, A and B.

    Attributes:
        a, b: the sets.
        pairs: distinct uids.
        files: of the pools, in their present states.
        lists: entries of the lists.
        gained, lost: entries of both lists whose share of the pairs is larger in B, and smaller, the largest change first.
        only_a, only_b: entries of both lists that only one of the sets matches, the most frequent first; and how many these are.
        notes: what is to be known to read the rest.
    """

    a: ComparedRun
    b: ComparedRun
    pairs: Shared
    files: Shared
    lists: Shared
    gained: list[EntryShift]
    lost: list[EntryShift]
    only_a: list[EntryShift]
    only_a_count: int
    only_b: list[EntryShift]
    only_b_count: int
    notes: list[str]

    @property
    def settings(self) -> list[tuple[str, str, str]]:
        """What there is to say of each set: a name, A's value and B's."""
        return [(name, one, other) for (name, one), (_, other) in zip(_said(self.a), _said(self.b), strict=True)]

    def as_plain(self) -> dict[str, object]:
        """The difference as plain values, for JSON."""
        return with_infinity(msgspec.to_builtins(self))

    def as_html(self, counts_a: Int64[np.ndarray, " V"], counts_b: Int64[np.ndarray, " W"]) -> str:
        """A page that needs nothing else.

        Args:
            counts_a, counts_b: how many pairs of each set match each entry of its list.
        """
        from tallyclip.report import plots  # here, for start-up time: only a page needs matplotlib

        drawn = {
            "shares": (plots.two_cumulative_curves(counts_a, counts_b), "Line plot: cumulative shares of the matches of both sets"),
            "counts": (plots.count_histogram(counts_a, counts_b, ("A", "B")), "Bar chart: entries by the number of their matches"),
        }
        pictures = {name: plots.on_page(plots.picture(drawing), name, label) for name, (drawing, label) in drawn.items()}
        return pages().get_template("diff.html.jinja").render(diff=self, pictures=pictures)


def _said(run: ComparedRun) -> list[tuple[str, str]]:
    return [
        ("pairs kept", number(run.kept)),
        ("distinct uids", number(run.unique_uids)),
        ("of the pairs that could be drawn", percent(run.kept, run.candidates)),
        ("threshold t", f"{number(run.t)}, {run.why_t}"),
        ("tail share", f"{run.tail_share:.2%}"),
        ("head entries", number(run.head_entries)),
        ("seed", str(run.seed)),
        ("several captions of an image", "each is a pair" if run.texts_policy == "pairs" else "one is picked"),
        ("pool", ", ".join(run.sources)),
        ("files of the pool", number(run.files)),
        ("captions", number(run.captions)),
        ("captions that match", f"{number(run.matched)} ({percent(run.matched, run.captions)})"),
        ("languages", run.languages or "not asked for"),
        ("mode of matching", run.mode),
        ("entries in the list", number(run.entries)),
        ("fingerprint of the list", run.metadata_fingerprint[:16]),
        ("entries in the set", number(run.matched_entries)),
        ("effective number of entries", number(run.effective_entries)),
        ("Gini coefficient of entries in the set", f"{run.gini:.3f}"),
    ]
