"""The data card: the distribution before and after curation, as JSON, Markdown and HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Int64
from markupsafe import Markup

from tallyclip.escaping import printable, printable_json
from tallyclip.io.files import with_infinity
from tallyclip.report.numbers import percent, short, visible
from tallyclip.report.pages import pages
from tallyclip.wording import plural

SHOWN_SAMPLES = 8
SHOWN_ENTRIES = 60
SHOWN_FILES = 50
# Characters that can begin markup, a link, a tag or an entity in a line, or a heading, list or rule at its start.
MARKDOWN = re.compile(r"[\\`*_~\[\]<>&|]|^[#+=-]|(?:(?<=^\d)|(?<=^\d\d))[.)](?= |$)")

# "Demystifying CLIP Data" (arXiv 2309.16671), tables 1 to 3 and sections 3.2 to 4, for its pool of 1.6 billion pairs.
PAPER = {
    "entries": "500,000",
    "matched_share": "about 50% (English pairs)",
    "matches_per_text": "3.5",
    "never_matched": "114k (22.8%)",
    "head_entries": "16k (3.2%)",
    "head_share": "94.5%",
    "t": "20,000",
    "tail_share": "about 6%",
    "kept_share": "25% (400M of 1.6B)",
}


class Reason(msgspec.Struct):
    """Why captions or records were dropped, how many, and some examples."""

    reason: str
    count: int
    samples: list[str]


class PairExample(msgspec.Struct):
    """A matched pair: its caption, entries that it matches, the most selective first, and its keep probability."""

    caption: str
    entries: list[str]
    keep_probability: float


class FileCounts(msgspec.Struct):
    """What came of a file of the pool."""

    file: str
    captions: int = 0
    matched: int = 0
    kept: int = 0


class Comparison(msgspec.Struct):
    """A figure of this set beside the paper's."""

    what: str
    ours: str
    paper: str


class Unmatchable(msgspec.Struct):
    reason: str
    count: int
    samples: list[str]


class CrawlPart(msgspec.Struct, kw_only=True):
    """How crawl files became a pool.

    Attributes:
        files, bytes: number and total size of the files read; sizes that a server does not report count as 0.
        counts: numbers of records, pages, images and non-empty captions, and of captions by field.
        pairs: number of pairs in the pool.
        duplicates: the rule for duplicates: "pair", "url" or "off".
        drops: dropped captions and records, by reason.
    """

    files: int
    bytes: int
    counts: dict[str, int]
    pairs: int
    duplicates: str
    drops: list[Reason]


class Part(msgspec.Struct, kw_only=True):
    """What a stage adds to the card. The templates use its fields by name, so no two parts may share a field name."""

    def summary(self) -> list[str]:
        """Lines to print at the end of a command, each beginning with a label."""
        return []


class Facts(Part):
    """A part that the templates show without knowing it: a title, and facts by name."""

    title: str
    facts: dict[str, str]

    def summary(self) -> list[str]:
        return [f"{self.title:<11} {', '.join(f'{name}: {value}' for name, value in self.facts.items())}"]


class About(msgspec.Struct, kw_only=True):
    """The title of a card, and how to reproduce the set."""

    title: str
    made: str
    command: str
    versions: dict[str, str]
    fingerprints: dict[str, str]


class Card:
    """A data card, made from the parts of the stages. Counts are of pairs (an image with one caption) unless stated otherwise."""

    def __init__(self, about: About, parts: Mapping[str, Part]) -> None:
        self._parts = [part for part in parts.values() if not isinstance(part, Facts)]
        self._facts = {name: part for name, part in parts.items() if isinstance(part, Facts)}
        shown = {name: getattr(part, name) for part in [about, *self._parts] for name in part.__struct_fields__}
        self._about = about
        self.fields = SimpleNamespace(**shown)

    @property
    def comparisons(self) -> list[Comparison]:
        """Figures of this set beside the paper's, where both have the same definition."""
        card = self.fields
        return [
            Comparison("entries", f"{card.entries:,}", PAPER["entries"]),
            Comparison("captions that match an entry", percent(card.matched, card.texts), PAPER["matched_share"]),
            Comparison("matches per matched caption", f"{card.matches / max(1, card.matched):.2f}", PAPER["matches_per_text"]),
            Comparison(
                "entries never matched",
                f"{short(card.never_matched_count)} ({percent(card.never_matched_count, card.entries)})",
                PAPER["never_matched"],
            ),
            Comparison("t", f"{card.t:,.6g}", PAPER["t"]),
            Comparison(
                "head entries (count ≥ t)",
                f"{short(card.head_entries)} ({percent(card.head_entries, card.entries)})",
                PAPER["head_entries"],
            ),
            Comparison("matches on head entries", percent(card.head_matches, card.matches_before), PAPER["head_share"]),
            Comparison("matches on tail entries", f"{card.tail_share:.2%}", PAPER["tail_share"]),
            Comparison("matched pairs that are kept", percent(card.kept, card.candidates), PAPER["kept_share"]),
        ]

    def as_json(self) -> bytes:
        """The card as JSON: all numbers, and the comparison with the paper."""
        value: dict[str, Any] = {}
        for part in [self._about, *self._parts]:
            value |= msgspec.to_builtins(part)
        value |= {name: msgspec.to_builtins(part) for name, part in self._facts.items()}
        value |= {"comparisons": msgspec.to_builtins(self.comparisons)}
        text = msgspec.json.format(msgspec.json.encode(with_infinity(value)), indent=1).decode()
        return f"{printable_json(text)}\n".encode()

    def as_markdown(self) -> str:
        """The card as Markdown for GitHub and the Hugging Face Hub."""
        return self._render("card.md.jinja")

    def as_readme(self) -> str:
        """The Markdown card as the README.md of a dataset of the Hugging Face Hub, which names its files. The licence is left to people."""
        return self._render("hub.md.jinja", size_category=size_category(self.fields.kept)) + self.as_markdown()

    def as_html(self, pictures: Pictures) -> str:
        """The card as one self-contained HTML page."""
        return self._render("card.html.jinja", pictures=pictures)

    def _render(self, template: str, **more: Any) -> str:
        """Fill in a template. ``finalize`` escapes every value, except ``Markup``."""
        environment = pages() if template.endswith(".html.jinja") else pages(finalize=_in_markdown, autoescape=False)
        more_filters: dict[str, Any] = {"code": _code, "fenced": _fenced, "plural": plural}
        environment.filters.update(more_filters)
        environment.tests["finite"] = _is_finite
        shown = {"card": self.fields, "comparisons": self.comparisons, "facts": list(self._facts.values())}
        return environment.get_template(template).render(**shown, **more)


class Pictures(msgspec.Struct):
    """The plots of a card, as SVG."""

    matches: str
    shares: str
    ranks: str
    counts: str
    probabilities: str
    lengths: str
    sizes: str
    tails: str


def draw_pictures(card: Card, before: Int64[np.ndarray, " V"], after: Int64[np.ndarray, " V"]) -> Pictures:
    """Draw the plots of a card from the entry counts of the pool and of the curated set."""
    from tallyclip.report import plots  # here, for start-up time: only a card needs matplotlib

    fields = card.fields
    matches, shares = plots.cumulative_curves(before, after, fields.t)
    sizes, tails = plots.plan_curves(fields.plan, fields.t)
    drawn = {
        "matches": (matches, "Line plot: cumulative matches of entries, in the pool and in the curated set"),
        "shares": (shares, "Line plot: the same as shares of each set's matches"),
        "ranks": (plots.rank_curve(before, after, fields.t), "Plot: matches of each entry by its rank in the pool, before and after"),
        "counts": (plots.count_histogram(before, after), "Bar chart: entries by the number of their matches, before and after"),
        "probabilities": (
            plots.probability_histogram(fields.keep_probabilities),
            "Bar chart: matched and kept pairs by their keep probability",
        ),
        "lengths": (plots.length_histogram(fields.lengths), "Bar chart: captions by the number of entries they match"),
        "sizes": (sizes, "Line plot: pairs that each threshold t is expected to keep"),
        "tails": (tails, "Line plot: tail share by threshold t"),
    }
    return Pictures(**{name: plots.on_page(plots.picture(drawing), name, label) for name, (drawing, label) in drawn.items()})


def size_category(pairs: int) -> Markup:
    """How the Hub names the size of a dataset.

    >>> str(size_category(999)), str(size_category(1000)), str(size_category(400_000_000)), str(size_category(10**12))
    ('n<1K', '1K<n<10K', '100M<n<1B', 'n>1T')
    """
    if pairs < 1000:
        return Markup("n<1K")
    if pairs >= 10**12:
        return Markup("n>1T")
    low = 10 ** (len(str(pairs)) - 1)
    return Markup(f"{short(low)}<n<{short(low * 10)}".replace("k", "K"))


def _is_finite(value: Any) -> bool:
    return math.isfinite(value)


def _in_markdown(value: Any) -> Any:
    """Text escaped for Markdown: on one line, without markup, links, HTML tags or entities."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return MARKDOWN.sub(r"\\\g<0>", printable(value))


def _code(text: str) -> Markup:
    """Text in a code span that stays on one line and inside the cell of a table."""
    flat = visible(" ".join(text.split())).replace("|", "\\|")
    ticks = "`" * (1 + max(map(len, re.findall("`+", flat)), default=0))
    space = " " if "`" in flat else ""
    return Markup(f"{ticks}{space}{flat}{space}{ticks}" if flat else "(empty)")


def _fenced(text: str) -> Markup:
    """A line of a fenced block. It cannot close the block, since it begins with the name of our command."""
    return Markup(printable(text))


def reasons(counts: dict[str, int], samples: dict[str, list[str]]) -> list[Reason]:
    """Drops by reason, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Reason(reason, count, list(dict.fromkeys(filter(None, samples.get(reason, []))))[:SHOWN_SAMPLES]) for reason, count in ordered]
