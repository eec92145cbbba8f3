"""The stage plan: how many pairs each threshold is expected to keep, and the t for a size or tail share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float64, Int64

from tallyclip.core.balance import TextsPolicy, entry_probability, keep_probability, pick_one, second_probability
from tallyclip.core.counts import checked_share, checked_threshold, tail_share, threshold_for_tail
from tallyclip.core.plan import COMPILED, UNIT, PlanRow, checked_size, expected_parts, parts_of, solve_threshold
from tallyclip.errors import ArtifactError, IncompleteError, OptionError
from tallyclip.io.arrays import read_array
from tallyclip.io.files import replacing, with_infinity, write_json
from tallyclip.io.structs import read_struct
from tallyclip.match.matched_pairs import MatchedPairs, read_matches
from tallyclip.run.items import StageFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.runners.base import Task, collect
from tallyclip.run.stage import Finished, Making, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.counts import COUNTS, load_counts
from tallyclip.stages.match import MATCH

PAPER_TAIL_SHARE = 0.06  # arXiv 2507.22062, section 3.3
KEEPS_ALL: dict[TextsPolicy, str] = {
    "pairs": "as given: keeps every matched pair (matched, not balanced)",
    "one-per-image": "as given: keeps one matched caption of every image (matched, not balanced)",
}
STEPS = (1, 2, 5)  # the thresholds of the table, in every decade


class PlanFolder(StageFolder):
    """The table of a plan, and its plot."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.table = path / "plan.json"
        self.curve = path / "plan.svg"


class Aim(msgspec.Struct, frozen=True):
    """What the user wants: a threshold, a number of pairs, or a tail share. Without any, the paper's tail share."""

    t: float | None = None
    size: float | None = None
    tail_share: float | None = None

    def check(self) -> None:
        """Refuse an invalid aim, before any work.

        Raises:
            OptionError: more than one is given, or one is out of range.
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


class PlanOptions(msgspec.Struct, frozen=True):
    """What the user wants, and whether every caption of an image is a pair or one is picked."""

    aim: Aim
    policy: TextsPolicy = "pairs"


class Plan(msgspec.Struct, frozen=True):
    """A plan on disk."""

    t: float
    why: str
    rows: list[PlanRow]


def resolve(run: Workspace, aim: Aim, policy: TextsPolicy) -> tuple[float, str]:
    """The threshold for an aim, and the reason for it.

    Raises:
        OptionError: the size is larger than the number of pairs that can be drawn.
    """
    if aim.t is not None:
        return float(aim.t), KEEPS_ALL[policy] if math.isinf(aim.t) else "as given"
    planned = _planned(run)
    if planned is not None and planned.options == _asked(run, PlanOptions(aim, policy)):
        return float(planned.result["t"]), planned.result["why"]
    counts = load_counts(run)
    if aim.size is not None:
        candidates = _candidates(run, policy)
        t = solve_threshold(aim.size, candidates, counts, lambda thresholds: _expect(run, thresholds, policy))
        return t, f"for an expected size of {aim.size:,.0f} pairs"
    share = PAPER_TAIL_SHARE if aim.tail_share is None else aim.tail_share
    t = threshold_for_tail(counts, share)
    why = f"for a tail share of {share:.3g}" + (", as in the paper" if aim.tail_share is None else "")
    return t, f"{why} (nearest possible: {tail_share(counts, t):.4g})"


def _asked(_: Workspace, options: PlanOptions) -> dict[str, Any]:
    aim = {name: repr(value) for name, value in msgspec.to_builtins(options.aim).items() if value is not None}
    return {"aim": aim, "texts": options.policy}


def _finish(making: Making[PlanFolder, PlanOptions]) -> Finished:
    """Write a table and a plot of thresholds from 1 to the largest count, and of the threshold for the aim."""
    run, folder, options = making.run, making.folder, making.options
    options.aim.check()
    counts = load_counts(run)
    t, why = resolve(run, options.aim, options.policy)
    rows = tabulate(run, counts, sorted({*steps_to(int(counts.max())), t}), options.policy)
    write_json(folder.table, with_infinity(msgspec.to_builtins(Plan(t, why, rows))))
    from tallyclip.report.plots import picture, plan_curves  # here, for start-up time: matplotlib takes half a second

    with replacing(folder.curve) as part:
        part.write_text(picture(*plan_curves(rows, t), height=3.4), encoding="utf-8")
    chosen = next(row for row in rows if row.t == t)
    summary = f"t = {t:,.6g} {why}: {chosen.expected_size:,.0f} pairs expected"
    return Finished({"t": t, "why": why}, summary, (folder.table, folder.curve))


def _planned(run: Workspace) -> Manifest | None:
    """The plan in place, if this version made it."""
    manifest = run.whole(PLAN)
    return manifest if manifest is not None and manifest.version == PLAN.version else None


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
        for t, parts in zip(missing, _expect(run, missing, policy), strict=True):
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
    return round(_expect(run, [float("inf")], policy)[0] / UNIT)


class ExpectJob(msgspec.Struct, frozen=True):
    """A shard's matches, the counts of the whole pool, and thresholds; ``before`` is the file of an earlier draw (``MatchFolder``)."""

    matches: str
    counts: str
    thresholds: list[float]
    policy: TextsPolicy
    before: str | None


def _expect(run: Workspace, thresholds: Sequence[float], policy: TextsPolicy) -> list[int]:
    """Expected sizes of the whole pool, in fixed point (``core/plan.py``), by one pass over the matches.

    Raises:
        IncompleteError: the matches of a shard cannot be read.
    """
    counts, matches = str(run.folder(COUNTS).counts), run.folder(MATCH)
    keys = run.required(MATCH).pieces
    tasks = [Task(key, ExpectJob(str(matches.matches(key)), counts, list(thresholds), policy, matches.earlier_draw)) for key in keys]
    parts, failures = collect(run.runner, run.progress, expect_shard, tasks, count=False)
    if failures:
        raise IncompleteError(failures[0].what, failures[0].hint)
    return [sum(column) for column in zip(*parts.values(), strict=True)] or [0] * len(thresholds)


def expect_shard(job: ExpectJob, tick: Callable[[int], None]) -> list[int]:
    """Expected sizes of one shard at several thresholds, in fixed point."""
    counts = np.load(job.counts, mmap_mode="r")
    before = None if job.before is None else read_array(Path(job.before))
    parts = [0] * len(job.thresholds)
    for pairs in read_matches(Path(job.matches)):
        picked = pick_one(pairs.rows, pairs.uids) if job.policy == "one-per-image" else None
        if before is None:
            found = expected_parts(pairs.matches, counts, job.thresholds, picked)
        else:
            found = [parts_of(_kept_again(pairs, counts, t, before)[slice(None) if picked is None else picked]) for t in job.thresholds]
        parts = [one + other for one, other in zip(parts, found, strict=True)]
        tick(len(pairs))
    return parts


def _kept_again(
    pairs: MatchedPairs, counts: Int64[np.ndarray, " V"], t: float, before: Float64[np.ndarray, " V"]
) -> Float64[np.ndarray, " N"]:
    keep = keep_probability(pairs.matches, entry_probability(counts, t))
    return second_probability(keep, keep_probability(pairs.matches, before))


PLAN = Stage(
    name="plan",
    version=3,
    command="tallyclip plan RUN",
    needs=("match", "counts"),
    folder=PlanFolder,
    asked=_asked,
    finish=_finish,
    compiled=COMPILED,
)
