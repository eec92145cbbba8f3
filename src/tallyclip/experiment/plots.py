"""Plots of the results of an experiment as SVG, in colors that follow the page's, light or dark."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tallyclip.experiment.results import ALL, Results, Spread, points_of, tests_with_groups
from tallyclip.experiment.statistics import GROUPS
from tallyclip.report.numbers import decimals, short, visible
from tallyclip.report.plots import AFTER, BEFORE, FAINT, INK, MARK, svg

PAPER = "#ffffff"
GROUP_COLORS = {ALL: INK, "head": BEFORE, "middle": MARK, "tail": AFTER}
GROUP_MARKERS = {ALL: "o", "head": "s", "middle": "D", "tail": "o"}
# What the page calls these colors. A viewer that knows no such names takes what they are in the light.
NAMES = {INK: "ink", FAINT: "faint", BEFORE: "before", AFTER: "after", MARK: "mark", PAPER: "paper"}
COLOR = re.compile(rf"(fill|stroke): ({'|'.join(NAMES)})")
BINS = 8  # of classes by entry count
ACROSS = 4  # plots in a row
LONGEST = 22  # characters of an arm's name
ROW = 0.34  # inches for an arm


def arms_plot(results: Results) -> str:
    """Each arm on each test: the mean with its interval, and a dot for each seed."""
    arms, tests = list(results.arms), _tests(results)

    def draw(axes: Sequence[Axes]) -> None:
        for axis, test in zip(axes, tests, strict=True):
            for place, arm in enumerate(arms):
                found = results.arms[arm].tests[test][ALL]
                axis.plot(_percent(found.seeds), [place + 0.2] * len(found.seeds), ".", color=BEFORE, ms=5)
                _mark(axis, found, place - 0.08, INK, "o", is_full=True)
            _name_rows(axis, arms, is_first=axis is axes[0])
            axis.set_title(f"{_text(test)}, {_unit(results, test)}")

    return _picture(draw, len(tests), _height(len(arms)), "Each arm on each test: mean, 95 % interval, and a dot for each seed")


def groups_plot(results: Results) -> str:
    """Accuracy on head, middle and tail classes, for each arm."""
    arms, tests = list(results.arms), tests_with_groups(results)

    def draw(axes: Sequence[Axes]) -> None:
        for axis, test in zip(axes, tests, strict=True):
            for place, arm in enumerate(arms):
                means = [100 * results.arms[arm].tests[test][group].mean for group in GROUPS]
                axis.plot([min(means), max(means)], [place, place], color=FAINT, lw=3, solid_capstyle="round", zorder=1)
                for group, mean in zip(GROUPS, means, strict=True):
                    label = group if place == 0 else None
                    axis.plot([mean], [place], GROUP_MARKERS[group], color=GROUP_COLORS[group], ms=7, ls="", label=label)
            _name_rows(axis, arms, is_first=axis is axes[0])
            axis.set_title(f"{_text(test)}, {_unit(results, test)}")
        _legend_above(axes[0])

    return _picture(draw, len(tests), _height(len(arms)) + 0.3, "Accuracy of each arm on the head, middle and tail classes of each test")


def forest_plot(results: Results) -> str:
    """The differences that the recipe asks about, with intervals: a mark is full where its interval excludes 0."""
    tests = _tests(results)
    names = [f"{_short(claim[1])} − {_short(claim[0])}" for claim in results.claims]
    most = max(len(groups) for groups in results.differences.values())

    def draw(axes: Sequence[Axes]) -> None:
        for axis, test in zip(axes, tests, strict=True):
            groups = results.differences[test]
            for place, (group, found) in enumerate(groups.items()):
                shift = (place - (len(groups) - 1) / 2) * 0.19
                for row, one in enumerate(found):
                    spread = Spread(one.mean, one.low, one.high, one.seeds)
                    _mark(axis, spread, row + shift, GROUP_COLORS[group], GROUP_MARKERS[group], is_full=one.said != "not shown")
                if found and most > 1 and axis is axes[0]:
                    axis.plot([], [], GROUP_MARKERS[group], color=GROUP_COLORS[group], ms=6, label=group)
            axis.axvline(0, color=INK, lw=1, ls="--", zorder=1)
            _name_rows(axis, names, is_first=axis is axes[0])
            axis.set_title(f"{_text(test)}, points")
        if most > 1:
            _legend_above(axes[0])

    label = "Differences between arms with 95 % intervals; full marks where the interval excludes 0"
    return _picture(draw, len(tests), 1.2 + len(names) * (0.3 + 0.2 * most), label)


def classes_plot(results: Results, test: str) -> str:
    """Accuracy of each class against its entry count, for each arm, with the means of bins of classes and the least-squares fit."""
    arms = list(results.arms)
    rows = -(-len(arms) // ACROSS)
    across = -(-len(arms) // rows)

    def draw(axes: Sequence[Axes]) -> None:
        for axis in axes[len(arms) :]:
            axis.set_axis_off()
        for place, (axis, arm) in enumerate(zip(axes, arms, strict=False)):
            points = [points_of(results, one, test) for one in results.measured if one.arm == arm]
            x, y = (np.concatenate(parts) for parts in zip(*points, strict=True))
            _dots(axis, x, 100 * y)
            found = results.classes[test][arm]
            if found.slope is not None and found.intercept is not None:
                ends = np.array([x.min(), x.max()])
                axis.plot(ends, 100 * (found.intercept + found.slope * ends), color=MARK, lw=1.5, ls="--")
            for part in np.array_split(np.argsort(x, kind="stable"), BINS):
                if len(part):
                    axis.plot([x[part].mean()], [100 * y[part].mean()], "o", color=AFTER, ms=5)
            axis.set_title(f"{_short(arm)}" + ("" if found.pearson is None else f"   r = {decimals(found.pearson, 2)}"), fontsize=10)
            axis.set_ylim(-3, 103)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda power, _: short(10**power)))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0f}"))
            if place % across:
                axis.tick_params(labelleft=False)
            else:
                axis.set_ylabel("accuracy, %")
            if place + across >= len(arms):
                axis.set_xlabel("entry count")

    label = f"Accuracy of each class on {test} against its entry count, for each arm, with the fit"
    return _picture(draw, across, 0.4 + 2.4 * rows, label, rows)


def thresholds_plot(results: Results, sweep: Sequence[str]) -> str:
    """Accuracy by t on each test, its maximum marked, and the size of the set.

    Args:
        results: of the experiment.
        sweep: arms that differ in t alone, in the order of t.
    """
    tests = _tests(results)
    ts = [results.arms[arm].t or 0.0 for arm in sweep]
    others = {arm: found for arm, found in results.arms.items() if found.t is None or np.isinf(found.t)}

    def draw(axes: Sequence[Axes]) -> None:
        for axis, test in zip(axes, tests, strict=False):
            found = [results.arms[arm].tests[test][ALL] for arm in sweep]
            means = _percent([one.mean for one in found])
            if all(one.low is not None for one in found):
                axis.fill_between(
                    ts, _percent([one.low or 0 for one in found]), _percent([one.high or 0 for one in found]), color=FAINT, lw=0, alpha=0.6
                )
            axis.plot(ts, means, color=AFTER, lw=2, marker=".", ms=6)
            best = int(np.argmax(means))
            axis.plot([ts[best]], [means[best]], "o", color=MARK, ms=8, mfc="none", mew=2)
            axis.annotate(
                f"t = {short(ts[best])}", (ts[best], means[best]), color=MARK, ha="center", xytext=(0, 8), textcoords="offset points"
            )
            for arm, other in others.items():
                level = 100 * other.tests[test][ALL].mean
                axis.axhline(level, color=BEFORE, lw=1, ls="--")
                beside = ("axes fraction", "data")
                axis.annotate(_short(arm), (1, level), xycoords=beside, va="center", xytext=(3, 0), textcoords="offset points", fontsize=8)
            axis.margins(y=0.16)
            axis.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g}"))
            axis.set_title(f"{_text(test)}, {_unit(results, test)}", fontsize=10)
        axes[-1].plot(ts, [results.arms[arm].drawn for arm in sweep], color=BEFORE, lw=2, marker=".", ms=6)
        axes[-1].set_ylim(bottom=0)
        axes[-1].yaxis.set_major_formatter(FuncFormatter(short))
        axes[-1].set_title("pairs of an epoch", fontsize=10)
        for axis in axes:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(numticks=6))
            axis.xaxis.set_major_formatter(FuncFormatter(short))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_xlabel("t")

    return _picture(draw, len(tests) + 1, 2.9, "Accuracy by threshold t on each test, with the maximum marked, and the number of pairs")


def _tests(results: Results) -> list[str]:
    return list(results.differences)


def _unit(results: Results, test: str) -> str:
    metric = results.measured[0].tests[test].metric
    return f"{'accuracy' if metric == 'acc1' else _text(metric)}, %"


def _mark(axis: Axes, found: Spread, place: float, color: str, marker: str, *, is_full: bool) -> None:
    """A mean in a row, with a line for its interval if it has one."""
    if found.low is not None and found.high is not None:
        axis.plot(_percent([found.low, found.high]), [place, place], color=color, lw=1.6, solid_capstyle="butt")
    axis.plot([100 * found.mean], [place], marker, color=color, ms=6.5, mfc=color if is_full else PAPER, mew=1.4)


def _dots(axis: Axes, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> None:
    """Many dots as one path, lines of no length with round ends: a tenth of the bytes of markers."""
    gap = np.full(len(x), np.nan)
    (line,) = axis.plot(np.column_stack([x, x, gap]).ravel(), np.column_stack([y, y, gap]).ravel())
    line.set(color=BEFORE, alpha=0.35, lw=2.6, solid_capstyle="round")
    line.get_path().should_simplify = False


def _name_rows(axis: Axes, names: Sequence[str], *, is_first: bool) -> None:
    """Names at the left of the first plot, the first at the top; a line for each row in all."""
    axis.set_yticks(range(len(names)), [_short(name) for name in names])
    axis.tick_params(left=False, labelleft=is_first)
    axis.set_ylim(len(names) - 0.45, -0.55)
    axis.spines["left"].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))


def _legend_above(axis: Axes) -> None:
    axis.figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=4, handletextpad=0.2, columnspacing=1.2)


def _height(arms: int) -> float:
    return 0.9 + ROW * max(2, arms)


def _percent(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]


def _text(text: str) -> str:
    """Text from a recipe, of which matplotlib would take dollars for formulas."""
    return visible(text).replace("$", r"\$")


def _short(text: str) -> str:
    return _text(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")


def _picture(draw: Callable[[Sequence[Axes]], None], columns: int, height: float, label: str, rows: int = 1) -> str:
    """A picture that is read out as its label, in the colors of the page."""
    drawn = COLOR.sub(lambda found: f"{found[1]}: var(--{NAMES[found[2]]}, {found[2]})", svg(draw, columns, height, rows))
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(visible(label))}" ', 1)
