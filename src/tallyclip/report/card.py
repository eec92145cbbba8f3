"""The data card: what was done to a distribution, as numbers (JSON), text (Markdown) and a page (HTML)."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Int64
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tallyclip.core.plan import PlanRow
from tallyclip.escaping import printable, printable_json
from tallyclip.io.files import with_infinity
from tallyclip.report import plots
from tallyclip.report.numbers import number, percent, short, visible

TOP = 20
SHOWN_SAMPLES = 8
SHOWN_ENTRIES = 60
# What may begin markup, a link, a tag or an entity within a line, and a heading, list or rule where it starts.
MARKDOWN = re.compile(r"[\\`*_~\[\]<>&|]|^[#+=-]|(?:(?<=^\d)|(?<=^\d\d))[.)](?= |$)")

# "Demystifying CLIP Data" (arXiv 2309.16671), tables 1 to 3 and sections 3.2 to 4, for its pool of 1.6 billion pairs.
PAPER = {
    "entries": "500,000",
    "matched_share": "about 50% (English pairs)",
    "matches_per_text": "3.5",
    "never_named": "114k (22.8%)",
    "head_entries": "16k (3.2%)",
    "head_share": "94.5%",
    "t": "20,000",
    "tail_share": "about 6%",
    "kept_share": "25% (400M of 1.6B)",
}


class Reason(msgspec.Struct):
    """A reason why texts were left out, how many, and what some looked like."""

    reason: str
    count: int
    samples: list[str]


class EntryCount(msgspec.Struct):
    entry: str
    before: int
    after: int


class Comparison(msgspec.Struct):
    """A figure of ours beside the paper's."""

    what: str
    ours: str
    paper: str


class Unmatchable(msgspec.Struct):
    reason: str
    count: int
    samples: list[str]


class CrawlPart(msgspec.Struct, kw_only=True):
    """What crawl files became a pool of.

    Attributes:
        files, bytes: that were read; bytes are 0 where a server does not say.
        counts: what was seen: records, pages, images, texts that are not empty, and these by their field.
        pairs: that became the pool.
        duplicates: of what one stays: "pair", "url" or "off".
        drops: texts and records that were left out on the way.
    """

    files: int
    bytes: int
    counts: dict[str, int]
    pairs: int
    duplicates: str
    drops: list[Reason]


class Card(msgspec.Struct, kw_only=True):
    """Everything a data card says. Counts are of pairs (an image with one text) unless they say otherwise; ``shards`` were read."""

    title: str
    made: str
    sources: list[str]
    files: int
    bytes: int
    columns: list[str]
    crawl: CrawlPart | None
    languages: str | None
    shards: int
    records: int
    texts: int
    matched: int
    matches: int
    drops: list[Reason]
    failed_shards: dict[str, str]
    entries: int
    metadata_fingerprint: str
    mode: str
    t: float
    why_t: str
    tail_share: float
    seed: int
    texts_policy: str
    own_uids: int
    candidates: int
    kept: int
    expected: float
    unique_uids: int
    repeated_uids: int
    thinned: list[str]
    named: int
    head_entries: int
    head_matches: int
    never_named: list[str]
    never_named_count: int
    unmatchable: list[Unmatchable]
    top_before: list[EntryCount]
    top_after: list[EntryCount]
    matches_after: int
    lengths: list[int]
    histogram: dict[str, tuple[int, int]]
    plan: list[PlanRow]
    command: str
    versions: dict[str, str]
    fingerprints: dict[str, str]

    @property
    def is_balanced(self) -> bool:
        """False where t is infinite, so that nothing was thinned."""
        return math.isfinite(self.t)

    @property
    def never_matchable_count(self) -> int:
        return sum(group.count for group in self.unmatchable)

    @property
    def comparisons(self) -> list[Comparison]:
        """Our figures beside the paper's, where both mean the same."""
        return [
            Comparison("entries", f"{self.entries:,}", PAPER["entries"]),
            Comparison("texts that name an entry", percent(self.matched, self.texts), PAPER["matched_share"]),
            Comparison("matches per such text", f"{self.matches / max(1, self.matched):.2f}", PAPER["matches_per_text"]),
            Comparison(
                "entries never named",
                f"{short(self.never_named_count)} ({percent(self.never_named_count, self.entries)})",
                PAPER["never_named"],
            ),
            Comparison("t", f"{self.t:,.6g}", PAPER["t"]),
            Comparison(
                "head entries (count ≥ t)",
                f"{short(self.head_entries)} ({percent(self.head_entries, self.entries)})",
                PAPER["head_entries"],
            ),
            Comparison("matches on head entries", percent(self.head_matches, self.matches), PAPER["head_share"]),
            Comparison("matches on tail entries", f"{self.tail_share:.2%}", PAPER["tail_share"]),
            Comparison("of these, kept", percent(self.kept, self.candidates), PAPER["kept_share"]),
        ]


class Pictures(msgspec.Struct):
    """The SVGs of a card."""

    cumulative: str
    ranks: str
    counts: str
    lengths: str
    plan: str


def draw_pictures(card: Card, before: Int64[np.ndarray, " V"], after: Int64[np.ndarray, " V"]) -> Pictures:
    """Draw what a card shows, from counts in the pool and in the curated set."""
    return Pictures(
        cumulative=plots.cumulative_curve(before, after, card.t),
        ranks=plots.rank_curve(before, after, card.t),
        counts=plots.count_histogram(before, after),
        lengths=plots.length_histogram(card.lengths),
        plan=plots.plan_curve(card.plan, card.t),
    )


def top_entries(
    entries: tuple[str, ...],
    order_by: Int64[np.ndarray, " V"],
    before: Int64[np.ndarray, " V"],
    after: Int64[np.ndarray, " V"],
) -> list[EntryCount]:
    """The entries with the highest counts, ties in the list's order."""
    order = np.argsort(-order_by, kind="stable")[:TOP]
    return [EntryCount(entries[i], int(before[i]), int(after[i])) for i in order if order_by[i]]


def histogram(before: Int64[np.ndarray, " V"], after: Int64[np.ndarray, " V"]) -> dict[str, tuple[int, int]]:
    """Entries by powers of ten of their count, in the pool and in the curated set."""
    edges, labels = plots.decades(int(before.max(initial=1)))
    bins = zip(np.histogram(before, edges)[0].tolist(), np.histogram(after, edges)[0].tolist(), strict=True)
    return dict(zip(labels, bins, strict=True))


def as_json(card: Card) -> bytes:
    """The card's numbers, with our figures beside the paper's."""
    value = msgspec.to_builtins(card) | {"comparisons": msgspec.to_builtins(card.comparisons)}
    text = msgspec.json.format(msgspec.json.encode(with_infinity(value)), indent=1).decode()
    return f"{printable_json(text)}\n".encode()


def as_markdown(card: Card) -> str:
    """The card as text that GitHub and the Hugging Face Hub show well."""
    return _render("card.md.jinja", card)


def as_html(card: Card, pictures: Pictures) -> str:
    """The card as one page that needs nothing else."""
    return _render("card.html.jinja", card, pictures=pictures)


def _render(template: str, card: Card, **more: Any) -> str:
    """Fill in a template. Every value it shows is escaped here: ``finalize`` sees each, but for what is ``Markup`` already."""
    is_html = template.endswith(".html.jinja")
    environment = Environment(
        loader=PackageLoader("tallyclip.report", "templates"),
        autoescape=is_html,
        finalize=_in_html if is_html else _in_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "percent": percent, "code": _code, "fenced": _fenced, "short": short, "visible": visible}
    return environment.get_template(template).render(card=card, **more)


def _in_html(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _in_markdown(value: Any) -> Any:
    """Text that is only text in Markdown: on one line, with no markup, link, HTML tag or entity of its own."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return MARKDOWN.sub(r"\\\g<0>", printable(value))


def _code(text: str) -> Markup:
    """Text in a code span that keeps within one line and within the cell of a table."""
    flat = visible(" ".join(text.split())).replace("|", "\\|")
    ticks = "`" * (1 + max(map(len, re.findall("`+", flat)), default=0))
    space = " " if "`" in flat else ""
    return Markup(f"{ticks}{space}{flat}{space}{ticks}" if flat else "(empty)")


def _fenced(text: str) -> Markup:
    """A line of a fenced block, which it does not close since it begins with a word of ours."""
    return Markup(printable(text))


def reasons(counts: dict[str, int], samples: dict[str, list[str]]) -> list[Reason]:
    """Drops by reason, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Reason(reason, count, list(dict.fromkeys(filter(None, samples.get(reason, []))))[:SHOWN_SAMPLES]) for reason, count in ordered]
