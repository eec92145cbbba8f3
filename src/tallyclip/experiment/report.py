"""The report of an experiment: what it found in sentences, a table for the terminal, and one HTML page."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from tallyclip.experiment.results import ALL, ArmDifference, ArmResults, Results, Spread, tests_with_groups
from tallyclip.experiment.statistics import GROUPS
from tallyclip.io.files import replacing
from tallyclip.report.numbers import decimals, short
from tallyclip.report.pages import pages

# ImageNet zero-shot accuracy of ViT-B/32, in percent, after 12.8 billion seen pairs, and where "Demystifying CLIP Data" has it.
PAPER = {
    "raw": (57.4, "raw English pairs, 400M (Figure 1)"),
    "matched": (60.8, "matched, not balanced, 400M (Figure 1)"),
    "balanced": (65.5, "balanced, t = 20,000, 400M (Table 4)"),
    "online": (66.1, "balanced online (Table 6)"),
}
FEWEST = 3  # thresholds that make a curve


class PlotPicture(msgspec.Struct):
    """A plot as SVG, and what it shows."""

    svg: str
    caption: str


class PaperFigure(msgspec.Struct):
    """An arm beside the paper's of the same name, in percent."""

    arm: str
    ours: Spread
    paper: float
    of: str


def findings_of(results: Results) -> list[str]:
    """What each test shows, a sentence each: the orders that the recipe asks about, and no other."""
    return [_finding(results, test) for test in results.differences]


def table_of(results: Results) -> list[list[str]]:
    """The arms as rows for the terminal, the head first: pairs, and each test in percent with half the width of its interval."""
    tests = list(results.differences)
    rows = [["arm", "pairs", *tests]]
    for name, arm in results.arms.items():
        rows.append([name, short(arm.pairs), *(_with_half_width(arm.tests[test][ALL]) for test in tests)])
    return rows


def data_of(arm: ArmResults) -> str:
    """What an arm is trained on, in words."""
    if arm.t is None:
        return "raw pool"
    if math.isinf(arm.t):
        return "matched, not balanced"
    return f"balanced{' online' if arm.online else ''}, t = {arm.t:,.6g}"


def sweeps_of(results: Results) -> list[list[str]]:
    """Arms that differ in t alone, in the order of t: those balanced once, and those balanced online, if there are three or more."""
    found: list[list[str]] = []
    for online in (False, True):
        ts = {name: arm.t for name, arm in results.arms.items() if arm.online == online and arm.t is not None and math.isfinite(arm.t)}
        if len(set(ts.values())) >= FEWEST:
            found.append(sorted(ts, key=lambda name: ts[name]))
    return found


def write_report(results: Results, path: Path) -> None:
    """Write the report as one HTML page that needs nothing else.

    Args:
        results: of ``results_of``.
        path: of the page.

    Raises:
        OutputError: the page cannot be written.
    """
    page = _page(results)
    with replacing(path) as part:
        part.write_text(page, encoding="utf-8")


def _page(results: Results) -> str:
    from tallyclip.experiment import plots  # here, for start-up time: only a report needs matplotlib

    environment = pages("tallyclip.experiment")
    environment.filters |= {"points": points, "range": interval_text, "duration": duration, "data": data_of}
    first, grouped = next(iter(results.differences)), tests_with_groups(results)
    return environment.get_template("report.html.jinja").render(
        ALL=ALL,
        GROUPS=GROUPS,
        results=results,
        findings=findings_of(results),
        tests=list(results.differences),
        metrics={test: found.metric for test, found in results.measured[0].tests.items()},
        grouped=grouped,
        first=first,
        paper=_beside_paper(results, first),
        same_pairs=len({arm.seen_pairs for arm in results.arms.values()}) == 1,
        asked=sum(len(found) for groups in results.differences.values() for found in groups.values()),
        sweeps=sweeps_of(results),
        arms_plot=plots.arms_plot(results),
        forest_plot=plots.forest_plot(results) if results.claims else "",
        groups_plot=plots.groups_plot(results) if grouped else "",
        classes_plots={test: plots.classes_plot(results, test) for test in results.classes},
        threshold_plots=[plots.thresholds_plot(results, sweep) for sweep in sweeps_of(results)],
    )


def _beside_paper(results: Results, test: str) -> list[PaperFigure]:
    """Arms that the paper has too; none if there are not two, whose order could be compared."""
    found = [PaperFigure(name, arm.tests[test][ALL], *PAPER[name]) for name, arm in results.arms.items() if name in PAPER]
    return found if len(found) > 1 else []


def points(value: float | None, *, signed: bool = False) -> str:
    """A share of 1 in percent, or a difference in points, with one decimal.

    >>> points(0.6214), points(-0.0031, signed=True), points(0.02, signed=True), points(None)
    ('62.1', '−0.3', '+2.0', '–')
    """
    return "–" if value is None else decimals(100 * value, 1, signed=signed)


def interval_text(found: Spread | ArmDifference, *, signed: bool = False) -> str:
    """The interval of a number, in percent; empty with one seed.

    >>> interval_text(Spread(0.5, 0.4, 0.6, [])), interval_text(Spread(0.5, None, None, []))
    ('40.0 to 60.0', '')
    """
    if found.low is None:
        return ""
    return f"{points(found.low, signed=signed)} to {points(found.high, signed=signed)}"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them.

    >>> duration(41.2), duration(3 * 60 + 20), duration(9000)
    ('41 s', '3.3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _finding(results: Results, test: str) -> str:
    asked = results.differences[test][ALL]
    if not asked:
        best = max(results.arms, key=lambda name: results.arms[name].tests[test][ALL].mean)
        mean = points(results.arms[best].tests[test][ALL].mean)
        return f"On {test}, {best} has the highest mean ({mean} %); the recipe asks about no order."
    seeds = f"{len(results.seeds)} seed{'s' if len(results.seeds) > 1 else ''}"
    return f"On {test}: {'; '.join(_said(one, with_name=place == 0) for place, one in enumerate(asked))} ({seeds})."


def _said(found: ArmDifference, *, with_name: bool) -> str:
    interval = f"{'95 % interval ' if with_name else ''}{interval_text(found)}" if found.low is not None else "no interval from one seed"
    match found.said:
        case "higher":
            return f"{found.higher} beats {found.lower} by {points(found.mean)} points ({interval})"
        case "lower":
            flipped = msgspec.structs.replace(found, low=_negative(found.high), high=_negative(found.low))
            return f"{found.higher} is below {found.lower} by {points(-found.mean)} points ({interval_text(flipped)})"
        case _:
            return f"no difference shown between {found.higher} and {found.lower} ({points(found.mean, signed=True)} points, {interval})"


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _with_half_width(found: Spread) -> str:
    return points(found.mean) if found.high is None else f"{points(found.mean)} ±{points(found.high - found.mean)}"
