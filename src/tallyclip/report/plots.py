"""Plots of a distribution as SVG: the same look in every viewer, and the same bytes every time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tallyclip.core.plan import PlanRow
from tallyclip.report.numbers import HUGE, decades, short

BEFORE, AFTER, MARK, INK, FAINT = "#8d99ae", "#d1495b", "#2a6f97", "#22223b", "#c9cdd6"
WIDE, HALF = 9.6, 5.2  # inches, as a page shows them
POINTS = 400  # of a curve
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


def cumulative_curve(before: Int64[np.ndarray, " V"], after: Int64[np.ndarray, " V"], t: float) -> str:
    """Cumulative matches from the rarest entry to the most frequent, in the pool and in the curated set (Figure 2 of arXiv 2309.16671).

    Left: counts. Right: shares of each set's matches, where balancing makes the line straighter.
    """
    order = np.argsort(before, kind="stable")
    order = order[before[order] > 0]
    places = _places(len(order))

    def draw(axes: Sequence[Axes]) -> None:
        for counts, color, label in ((before, BEFORE, "pool"), (after, AFTER, "curated")):
            sums = np.cumsum(counts[order])[places]
            axes[0].plot(places + 1, sums, color=color, lw=2, label=label)
            axes[1].plot(places + 1, sums / max(1, sums[-1]), color=color, lw=2, label=label)
        tail = int(np.count_nonzero(before[order] < t))
        for axis in axes:
            axis.axvline(tail, color=MARK, lw=1, ls="--")
            axis.xaxis.set_major_formatter(FuncFormatter(short))
            axis.set_xlabel("entries, rarest first")
        axes[0].yaxis.set_major_formatter(FuncFormatter(short))
        axes[0].set_title("matches, cumulative")
        axes[0].legend(loc="upper left")
        axes[1].yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
        axes[1].set_title("share of each set's matches")
        room = len(order) / 8  # for a label
        if tail > room:
            axes[1].annotate("tail", (tail, 0.9), color=MARK, ha="right", xytext=(-6, 0), textcoords="offset points")
        if len(order) - tail > room:
            axes[1].annotate("head", (tail, 0.9), color=MARK, ha="left", xytext=(6, 0), textcoords="offset points")

    return svg(draw, columns=2, height=4.2)


def rank_curve(before: Int64[np.ndarray, " V"], after: Int64[np.ndarray, " V"], t: float) -> str:
    """Counts by rank, both logarithmic: the tail is unchanged, the head bends down towards t."""
    order = np.argsort(-before, kind="stable")
    order = order[before[order] > 0]
    places = np.unique(np.geomspace(1, max(1, len(order)), POINTS).astype(int)) - 1

    def draw(axes: Sequence[Axes]) -> None:
        (axis,) = axes
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

    return svg(draw)


def count_histogram(before: Int64[np.ndarray, " V"], after: Int64[np.ndarray, " V"]) -> str:
    """Numbers of entries by their matches, in powers of ten."""
    edges, labels = decades(int(before.max(initial=1)))

    def draw(axes: Sequence[Axes]) -> None:
        (axis,) = axes
        places = np.arange(len(labels))
        for shift, counts, color, label in ((-0.2, before, BEFORE, "pool"), (0.2, after, AFTER, "curated")):
            heights = np.histogram(counts, edges)[0]
            bars = axis.bar(places + shift, heights, width=0.38, color=color, label=label)
            axis.bar_label(bars, [short(height) for height in heights], fontsize=8, padding=1)
        axis.set_xticks(places, labels)
        axis.set_yscale("symlog", linthresh=10)
        axis.set_ylim(top=8 * max(10, np.histogram(before, edges)[0].max()))
        axis.yaxis.set_major_formatter(FuncFormatter(short))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(axis="x", visible=False)
        axis.set_xlabel("matches of the entry")
        axis.set_title("entries")
        axis.legend(loc="upper right")

    return svg(draw)


def length_histogram(texts: Sequence[int]) -> str:
    """Numbers of captions by the number of entries they match; the last bar is for its number and more."""

    def draw(axes: Sequence[Axes]) -> None:
        (axis,) = axes
        places = np.arange(len(texts))
        colors = [FAINT, *([BEFORE] * (len(texts) - 1))]
        axis.bar(places, texts, width=0.85, color=colors)
        shown = [place for place in places if place % 4 == 0]
        axis.set_xticks(shown, [f"{place}+" if place == len(texts) - 1 else str(place) for place in shown])
        axis.yaxis.set_major_formatter(FuncFormatter(short))
        axis.grid(axis="x", visible=False)
        axis.set_xlabel("entries that a caption matches")
        axis.set_title("captions")

    return svg(draw)


def plan_curve(rows: Sequence[PlanRow], chosen: float) -> str:
    """Expected size and tail share by t, with the chosen t marked."""

    def draw(axes: Sequence[Axes]) -> None:
        drawn = [row for row in rows if _can_be_drawn(row.t)]
        ts = [row.t for row in drawn]
        axes[0].plot(ts, [row.expected_size for row in drawn], color=AFTER, lw=2, marker=".", ms=5)
        axes[0].yaxis.set_major_formatter(FuncFormatter(short))
        axes[0].set_title("pairs kept, expected")
        axes[1].plot(ts, [row.tail_share for row in drawn], color=BEFORE, lw=2, marker=".", ms=5)
        axes[1].yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
        axes[1].set_title("tail share of the matches")
        for axis in axes:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(numticks=8))
            axis.xaxis.set_major_formatter(FuncFormatter(short))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_ylim(bottom=0)
            if _can_be_drawn(chosen):
                axis.axvline(chosen, color=MARK, lw=1, ls="--")
            axis.set_xlabel("t")
        if _can_be_drawn(chosen):
            axes[0].annotate(f"t = {short(chosen)}", (chosen, 0), color=MARK, xytext=(4, 4), textcoords="offset points")

    return svg(draw, columns=2, height=3.4)


def _can_be_drawn(t: float) -> bool:
    """A threshold far from every count would squeeze the plot, and one near the limits of float64 overflows the axis."""
    return 1 / HUGE < t < HUGE


def _places(size: int) -> Int64[np.ndarray, " P"]:
    """Points of a curve over ranks: evenly spaced, and dense at the head, where the curve is steep."""
    even = np.linspace(0, size - 1, POINTS)
    head = size - np.geomspace(1, max(1, size), POINTS)
    return np.unique(np.concatenate([even, head]).astype(int).clip(0))


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
