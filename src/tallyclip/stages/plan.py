"""The stage plan: how many pairs each threshold is expected to keep, and the t for a size or tail share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Bool, Int64

from tallyclip.core import plan
from tallyclip.core.balance import TextsPolicy
from tallyclip.core.counts import checked_share, checked_threshold, tail_share, threshold_for_tail
from tallyclip.core.exact import checked_whole_size
from tallyclip.core.plan import UNIT, PlanRow, checked_size, solve_threshold
from tallyclip.errors import ArtifactError, OptionError
from tallyclip.io.files import replacing, with_infinity, write_json
from tallyclip.io.structs import read_struct
from tallyclip.run.items import StageFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Finished, Making, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.counts import load_counts
from tallyclip.stages.match import MATCH
from tallyclip.stages.passes import entries_kept, expect, solve_exactly
from tallyclip.wording import plural

PAPER_TAIL_SHARE = 0.06  # arXiv 2507.22062, section 3.3
KEEPS_ALL: dict[TextsPolicy, str] = {
    "pairs": "as given: keeps every matched pair (matched, not balanced)",
    "one-per-image": "as given: keeps one matched caption of every image (matched, not balanced)",
}
STEPS = (1, 2, 5)  # the thresholds of the table, in every decade


class PlanFolder(StageFolder):
    """The table of a plan, and its plot; ``thresholds``: the t of every pair, while a size is kept exactly."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.table = path / "plan.json"
        self.curve = path / "plan.svg"
        self.thresholds = path / "thresholds"


class Aim(msgspec.Struct, frozen=True):
    """What the user wants: a threshold, a number of pairs, or a tail share. Without any, the paper's tail share.

    ``exactly``: the draw is to keep the number of pairs itself, not only on average.
    """

    t: float | None = None
    size: float | None = None
    tail_share: float | None = None
    exactly: bool = False

    def check(self) -> None:
        """Refuse an invalid aim, before any work.

        Raises:
            OptionError: more than one is given, or one is out of range; or ``exactly`` without a whole size.
        """
        wanted = [name for name in ("t", "size", "tail_share") if getattr(self, name) is not None]
        if len(wanted) > 1:
            raise OptionError(f"--{' and --'.join(wanted).replace('_', '-')} each choose the threshold", "give only one of them")
        if self.t is not None:
            checked_threshold(self.t)
        if self.size is not None:
            checked_size(self.size)
        if self.tail_share is not None:
            checked_share(self.tail_share)
        if self.exactly:
            if self.size is None:
                raise OptionError("--exactly says how --size is meant", "give --size PAIRS --exactly")
            checked_whole_size(self.size)

    @property
    def wanted_share(self) -> float | None:
        """The tail share that is wanted, if the threshold is chosen by it."""
        if self.t is not None or self.size is not None:
            return None
        return PAPER_TAIL_SHARE if self.tail_share is None else self.tail_share

    @property
    def given(self) -> dict[str, Any]:
        """What was asked for, by name."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if value not in (None, False)}


class PlanOptions(msgspec.Struct, frozen=True):
    """What the user wants, whether every caption of an image is a pair or one is picked, and the seed of the draw."""

    aim: Aim
    policy: TextsPolicy = "pairs"
    seed: int = 0


class Plan(msgspec.Struct, frozen=True):
    """A plan on disk. ``warning`` says what a threshold loses that leaves no tail, or another one than was wanted."""

    t: float
    why: str
    rows: list[PlanRow]
    warning: str | None = None


def resolve(run: Workspace, aim: Aim, policy: TextsPolicy) -> tuple[float, str]:
    """The threshold for an aim, and the reason for it; of a size, those of the plan in place, which is to be for that size."""
    if aim.t is not None:
        return float(aim.t), KEEPS_ALL[policy] if math.isinf(aim.t) else "as given"
    share = aim.wanted_share
    if share is None:
        planned = run.required(PLAN).result
        return float(planned["t"]), planned["why"]
    counts = load_counts(run)
    t = threshold_for_tail(counts, share)
    why = f"for a tail share of {share:.3g}" + (", as in the paper" if aim.tail_share is None else "")
    return t, f"{why} (nearest possible: {tail_share(counts, t):.4g})"


def _solve(making: Making[PlanFolder, PlanOptions]) -> tuple[float, str]:
    """The threshold for an aim, and the reason for it, by passes over the matches if a size is wanted.

    Raises:
        OptionError: the size is larger than the number of pairs that can be drawn.
    """
    run, aim, policy = making.run, making.options.aim, making.options.policy
    if aim.size is None:
        return resolve(run, aim, policy)
    if aim.exactly:
        size = checked_whole_size(aim.size)
        t = solve_exactly(run, size, making.options.seed, policy, making.folder.thresholds)
        return t, f"the smallest that keeps exactly {plural(size, 'distinct pair')}"
    t = solve_threshold(aim.size, _candidates(run, policy), load_counts(run), lambda thresholds: expect(run, thresholds, policy))
    return t, f"for an expected size of {plural(round(aim.size), 'pair')}"


def has_warning(counts: Int64[np.ndarray, " V"], aim: Aim, t: float) -> bool:
    """Does a threshold leave no entry in the tail, though it downsamples some? Or is there no tail share near the wanted one?"""
    return bool(_is_without_tail(counts, t) or _is_far(counts, aim, t))


def _is_without_tail(counts: Int64[np.ndarray, " V"], t: float) -> bool:
    return tail_share(counts, t) == 0 and t < counts.max()


def _is_far(counts: Int64[np.ndarray, " V"], aim: Aim, t: float) -> bool:
    """Is no tail at all nearer to the wanted share than the smallest tail there can be?"""
    wanted = aim.wanted_share
    return wanted is not None and 0 < wanted <= tail_share(counts, t) - wanted


def warning_of(counts: Int64[np.ndarray, " V"], aim: Aim, t: float, kept: Bool[np.ndarray, " V"]) -> str | None:
    """What to know of a threshold in a pool too small for it, if there is anything.

    Args:
        counts: int64[V] of the pool.
        aim: what the threshold was chosen by.
        t: the threshold.
        kept: which entries the draw keeps a pair of.
    """
    matched = int(np.count_nonzero(counts))
    lost = int(np.count_nonzero((counts > 0) & ~kept))
    losses = f"{lost:,} of the {matched:,} matched entries {'loses all its' if lost == 1 else 'lose all their'} pairs"
    losses = losses if lost else f"each of the {matched:,} matched entries keeps a pair or more"
    share = tail_share(counts, t)
    if _is_without_tail(counts, t):
        usual = threshold_for_tail(counts, PAPER_TAIL_SHARE)
        instead = f"t = {usual:,.6g} has a tail share of {tail_share(counts, usual):.3g}"
        return f"at t = {t:,.6g} no entry is in the tail (tail share {share:.3g}): {losses}; {instead}"
    if _is_far(counts, aim, t):
        least = f"the smallest possible is {share:.3g}, at t = {t:,.6g}"
        return f"this pool is too small for a tail share of {aim.wanted_share:.3g}: {least}; {losses}"
    return None


def _asked(_: Workspace, options: PlanOptions) -> dict[str, Any]:
    return {"aim": options.aim.given, "texts": options.policy, "seed": options.seed}


def _finish(making: Making[PlanFolder, PlanOptions]) -> Finished:
    """Write a table and a plot of thresholds from 1 to the largest count, and of the threshold for the aim."""
    run, folder, options = making.run, making.folder, making.options
    options.aim.check()
    counts = load_counts(run)
    t, why = _solve(making)
    rows = tabulate(run, counts, sorted({*steps_to(int(counts.max())), t}), options.policy)
    warning = None
    if has_warning(counts, options.aim, t):
        warning = warning_of(counts, options.aim, t, entries_kept(run, t, options.seed, options.policy))
    write_json(folder.table, with_infinity(msgspec.to_builtins(Plan(t, why, rows, warning))))
    from tallyclip.report.plots import picture, plan_curves  # here, for start-up time: matplotlib takes half a second

    with replacing(folder.curve) as part:
        part.write_text(picture(*plan_curves(rows, t), height=3.4), encoding="utf-8")
    chosen = next(row for row in rows if row.t == t)
    summary = f"t = {t:,.6g} {why}: {plural(round(chosen.expected_size), 'pair')} expected"
    return Finished({"t": t, "why": why, "warning": warning}, summary, (folder.table, folder.curve))


def _planned(run: Workspace) -> Manifest | None:
    """The plan in place, if this version made it."""
    manifest = run.whole(PLAN)
    return manifest if manifest is not None and manifest.version == PLAN.version else None


def planned_aim(run: Workspace) -> Aim | None:
    """What the plan in place was made for, if there is one."""
    planned = _planned(run)
    return None if planned is None else msgspec.convert(planned.options["aim"], Aim, strict=False)  # infinity is text there


def read_plan(run: Workspace) -> Plan:
    """The finished plan of a run.

    Raises:
        ArtifactError: its file is missing or broken.
    """
    path = run.folder(PLAN).table
    plan = read_struct(path, Plan)
    if plan is None:
        raise ArtifactError(f"{path} is missing", "run the same command again")
    return plan


def tabulate(run: Workspace, counts: Int64[np.ndarray, " V"], thresholds: Sequence[float], policy: TextsPolicy) -> list[PlanRow]:
    """A row for each of several ascending thresholds: from the finished plan, or else by one pass over the matches."""
    planned = _planned(run)
    rows: dict[float, PlanRow] = {}
    if planned is not None and planned.options["texts"] == policy:
        rows = {row.t: row for row in read_plan(run).rows}
    missing = [t for t in thresholds if t not in rows]
    if missing:
        candidates = _candidates(run, policy)
        for t, parts in zip(missing, expect(run, missing, policy), strict=True):
            head = counts[counts >= t]
            size = parts / UNIT
            rows[t] = PlanRow(float(t), size, size / candidates, tail_share(counts, t), len(head), int(head.sum()))
    return [rows[t] for t in thresholds]


def steps_to(most: int) -> list[float]:
    """1, 2, 5, 10, 20, 50 and so on, up to the first that is at least ``most``."""
    steps: list[float] = []
    decade = 1
    while True:
        for step in STEPS:
            steps.append(float(step * decade))
            if step * decade >= most:
                return steps
        decade *= 10


def _candidates(run: Workspace, policy: TextsPolicy) -> int:
    """The number of pairs that can be drawn: all that match an entry, or one for each image with such a caption."""
    if policy == "pairs":
        return int(run.required(MATCH).result["matched"])
    return round(expect(run, [float("inf")], policy)[0] / UNIT)


PLAN = Stage(
    name="plan",
    version=4,
    command="tallyclip plan RUN",
    needs=("match", "counts"),
    folder=PlanFolder,
    asked=_asked,
    finish=_finish,
    scratch=("thresholds",),
    compiled=plan.COMPILED,  # those of an exact size only where it is asked for
)
