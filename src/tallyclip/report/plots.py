"""Plots of a distribution as SVG: the same look in every viewer, and the same bytes every time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Int64
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tallyclip.core.plan import PlanRow
from tallyclip.report.numbers import HUGE, decades, short

BEFORE, AFTER, MARK, INK, FAINT = "#76839b", "#d1495b", "#2a6f97", "#22223b", "#c9cdd6"
PAGE_COLORS = {BEFORE: "before", AFTER: "after", MARK: "mark", INK: "ink", FAINT: "faint"}  # as look.css names them
WIDE, HALF = 9.6, 5.2  # inches, as a page shows them
POINTS = 400  # of a curve
COUNTED_ID = re.compile(r' id="[a-z0-9._]+_\d+"')  # such as "axes_1", which each picture of a page would have
REFERENCE = re.compile(r' id="|href="#|url\(#')  # what an id follows
Drawing = Callable[[Axes], None]  # draws a plot on its axes

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "tallyclip",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Helvetica Neue", "Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
}


def cumulative_curves(before: Int64[np.ndarray, " V"], after: Int64[np.ndarray, " V"], t: float) -> tuple[Drawing, Drawing]:
    """Cumulative matches from the rarest entry to the most frequent, in the pool and in the curated set (Figure 2 of arXiv 2309.16671).

    The first draws counts, the second shares of each set's matches, where balancing makes the line straighter.
    """
    order = np.argsort(before, kind="stable")
    order = order[before[order] > 0]
    tail, room = int(np.count_nonzero(before[order] < t)), len(order) / 8  # room for a label
    sets = (("pool", before[order], BEFORE), ("curated", after[order], AFTER))

    def threshold(axis: Axes) -> None:
        axis.axvline(tail, color=MARK, lw=1, ls="--")
        axis.set_xlabel("entries, rarest first")

    def counts(axis: Axes) -> None:
        _cumulative(axis, sets)
        threshold(axis)
        axis.yaxis.set_major_formatter(FuncFormatter(short))
        axis.set_title("matches, cumulative")
        axis.legend(loc="upper left")

    def shares(axis: Axes) -> None:
        _cumulative(axis, sets, as_shares=True)
        threshold(axis)
        axis.set_title("share of each set's matches, cumulative")
        if tail > room:
            axis.annotate("tail", (tail, 0.9), color=MARK, ha="right", xytext=(-6, 0), textcoords="offset points")
        if len(order) - tail > room:
            axis.annotate("head", (tail, 0.9), color=MARK, ha="left", xytext=(6, 0), textcoords="offset points")

    return counts, shares


def two_cumulative_curves(a: Int64[np.ndarray, " V"], b: Int64[np.ndarray, " W"]) -> Drawing:
    """Cumulative shares of the matches of two sets, each over its own entries from the rarest to the most frequent."""

    def draw(axis: Axes) -> None:
        for name, counts, color in (("A", a, BEFORE), ("B", b, AFTER)):
            _cumulative(axis, [(name, np.sort(counts[counts > 0]), color)], as_shares=True)
        axis.set_xlabel("entries of each set, rarest first")
        axis.set_title("share of each set's matches, cumulative")
        axis.legend(loc="upper left")

    return draw


def _cumulative(axis: Axes, sets: Sequence[tuple[str, Int64[np.ndarray, " E"], str]], *, as_shares: bool = False) -> None:
    for name, counts, color in sets:
        if len(counts) == 0:
            continue
        places = _places(len(counts))
        sums = np.cumsum(counts)[places]
        axis.plot(places + 1, sums / max(1, sums[-1]) if as_shares else sums, color=color, lw=2, label=name)
    axis.xaxis.set_major_formatter(FuncFormatter(short))
    if as_shares:
        axis.yaxis.set_major_formatter(FuncFormatter(_in_percent))


def rank_curve(before: Int64[np.ndarray, " V"], after: Int64[np.ndarray, " V"], t: float) -> Drawing:
    """Counts by rank, both logarithmic: the tail is unchanged, the head bends down towards t."""
    order = np.argsort(-before, kind="stable")
    order = order[before[order] > 0]
    places = np.unique(np.geomspace(1, max(1, len(order)), POINTS).astype(int)) - 1

    def draw(axis: Axes) -> None:
        axis.plot(places + 1, after[order][places], ".", color=AFTER, ms=3, alpha=0.9, label="curated")
        axis.plot(places + 1, before[order][places], color=BEFORE, lw=2, label="pool")
        if _can_be_drawn(t):
            axis.axhline(t, color=MARK, lw=1, ls="--")
            axis.annotate(f"t = {short(t)}", (1, t), color=MARK, va="bottom", xytext=(4, 2), textcoords="offset points")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.xaxis.set_major_formatter(FuncFormatter(short))
        axis.yaxis.set_major_formatter(FuncFormatter(short))
        axis.set_ylim(bottom=0.8)
        axis.set_xlabel("rank of the entry in the pool")
        axis.set_title("captions that match the entry")
        axis.legend(loc="upper right")

    return draw


def count_histogram(one: Int64[np.ndarray, " V"], other: Int64[np.ndarray, " W"], names: tuple[str, str] = ("pool", "curated")) -> Drawing:
    """Numbers of entries by their matches in two sets, in powers of ten."""
    edges, labels = decades(max(int(one.max(initial=1)), int(other.max(initial=1))))

    def draw(axis: Axes) -> None:
        heights = [np.histogram(counts, edges)[0] for counts in (one, other)]
        _bars(axis, labels, heights, names)
        axis.set_yscale("symlog", linthresh=10)
        axis.set_ylim(top=8 * max(10, *(height.max() for height in heights)))
        axis.yaxis.set_major_formatter(FuncFormatter(short))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("matches of the entry")
        axis.set_title("entries")

    return draw


def probability_histogram(bins: Mapping[str, tuple[int, int]]) -> Drawing:
    """Numbers of matched and of kept pairs by their keep probability."""

    def draw(axis: Axes) -> None:
        _bars(axis, list(bins), [np.array(heights) for heights in zip(*bins.values(), strict=True)], ("matched", "kept"), labelled=False)
        axis.set_xticks(range(0, len(bins), 2), list(bins)[::2])  # there is no room for all
        axis.yaxis.set_major_formatter(FuncFormatter(short))
        axis.set_xlabel("keep probability of the pair, in percent")
        axis.set_title("pairs")

    return draw


def _bars(
    axis: Axes, labels: Sequence[str], heights: Sequence[Int64[np.ndarray, " B"]], names: tuple[str, str], *, labelled: bool = True
) -> None:
    places = np.arange(len(labels))
    for shift, height, color, name in zip((-0.2, 0.2), heights, (BEFORE, AFTER), names, strict=True):
        bars = axis.bar(places + shift, height, width=0.38, color=color, label=name)
        if labelled:
            axis.bar_label(bars, [short(value) for value in height], fontsize=8, padding=1)
    axis.set_xticks(places, labels)
    axis.grid(axis="x", visible=False)
    axis.legend(loc="best")


def length_histogram(texts: Sequence[int]) -> Drawing:
    """Numbers of captions by the number of entries they match; the last bar is for its number and more."""

    def draw(axis: Axes) -> None:
        places = np.arange(len(texts))
        colors = [FAINT, *([BEFORE] * (len(texts) - 1))]
        axis.bar(places, texts, width=0.85, color=colors)
        shown = [place for place in places if place % 4 == 0]
        axis.set_xticks(shown, [f"{place}+" if place == len(texts) - 1 else str(place) for place in shown])
        axis.yaxis.set_major_formatter(FuncFormatter(short))
        axis.grid(axis="x", visible=False)
        axis.set_xlabel("entries that a caption matches")
        axis.set_title("captions")

    return draw


def plan_curves(rows: Sequence[PlanRow], chosen: float) -> tuple[Drawing, Drawing]:
    """Expected size by t, and tail share by t, with the chosen t marked."""
    drawn = [row for row in rows if _can_be_drawn(row.t)]
    ts = [row.t for row in drawn]

    def against_t(axis: Axes) -> None:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(numticks=8))
        axis.xaxis.set_major_formatter(FuncFormatter(short))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_ylim(bottom=0)
        if _can_be_drawn(chosen):
            axis.axvline(chosen, color=MARK, lw=1, ls="--")
        axis.set_xlabel("t")

    def sizes(axis: Axes) -> None:
        axis.plot(ts, [row.expected_size for row in drawn], color=AFTER, lw=2, marker=".", ms=5)
        axis.yaxis.set_major_formatter(FuncFormatter(short))
        axis.set_title("pairs kept, expected")
        against_t(axis)
        if _can_be_drawn(chosen):
            axis.annotate(f"t = {short(chosen)}", (chosen, 0), color=MARK, xytext=(4, 4), textcoords="offset points")

    def tails(axis: Axes) -> None:
        axis.plot(ts, [row.tail_share for row in drawn], color=BEFORE, lw=2, marker=".", ms=5)
        axis.yaxis.set_major_formatter(FuncFormatter(_in_percent))
        axis.set_title("tail share of the matches")
        against_t(axis)

    return sizes, tails


def _in_percent(share: float, _: object) -> str:
    return f"{share:.0%}"


def _can_be_drawn(t: float) -> bool:
    """A threshold far from every count would squeeze the plot, and one near the limits of float64 overflows the axis."""
    return 1 / HUGE < t < HUGE


def _places(size: int) -> Int64[np.ndarray, " P"]:
    """Points of a curve over ranks: evenly spaced, and dense at the head, where the curve is steep."""
    even = np.linspace(0, size - 1, POINTS)
    head = size - np.geomspace(1, max(1, size), POINTS)
    return np.unique(np.concatenate([even, head]).astype(int).clip(0))


def picture(*drawings: Drawing, height: float = 3.7) -> str:
    """One or several plots side by side, as SVG."""

    def draw(axes: Sequence[Axes]) -> None:
        for drawing, axis in zip(drawings, axes, strict=True):
            drawing(axis)

    return svg(draw, columns=len(drawings), height=height)


def on_page(drawn: str, name: str, label: str) -> Markup:
    """A picture for a page: in the colors of the page, dark or light, and with a description for those who cannot see it.

    Args:
        drawn: as ``svg`` returns it.
        name: of the picture on its page; the ids inside it begin with it, so that no two pictures share one.
        label: the description.
    """
    for color, variable in PAGE_COLORS.items():
        drawn = drawn.replace(color, f"var(--{variable}, {color})")
    drawn = REFERENCE.sub(rf"\g<0>{name}-", COUNTED_ID.sub("", drawn))
    return Markup(drawn.replace("<svg ", Markup('<svg role="img" aria-label="{}" ').format(label), 1))


def svg(draw: Callable[[Sequence[Axes]], None], columns: int = 1, height: float = 3.7, rows: int = 1) -> str:
    """A picture as SVG: the same drawing gives the same bytes.

    Args:
        draw: is given the axes, row by row.
        columns: of axes; a picture with several is as wide as the page.
        height: of the picture, in inches.
        rows: of axes.
    """
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the viewer's fonts draw the text
        figure = Figure(figsize=(WIDE if columns > 1 else HALF, height), layout="constrained")
        axes = [figure.add_subplot(rows, columns, place + 1) for place in range(rows * columns)]
        draw(axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = out.getvalue()
    return drawn[drawn.index("<svg") :]
