"""Choosing t: what each would keep, in expectation, and the t for a wanted size or tail share."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Int64

from tallyclip.core.balance import TextsPolicy
from tallyclip.core.counts import checked_threshold, tail_share, threshold_for_tail
from tallyclip.core.plan import UNIT, PlanRow, solve_threshold
from tallyclip.errors import ArtifactError, IncompleteError, OptionError
from tallyclip.io.files import read_array, replacing, with_infinity, write_json
from tallyclip.io.structs import fingerprint_of, read_struct
from tallyclip.report.plots import plan_curve
from tallyclip.run.folder import Run
from tallyclip.run.layout import PlanFolder
from tallyclip.run.manifest import Manifest
from tallyclip.run.runners.local import Done, Failed, Task
from tallyclip.run.runners.local import Progress as Rows
from tallyclip.run.shards import sizes_of
from tallyclip.stages.plan_shard import ExpectJob, expect_shard

PAPER_TAIL_SHARE = 0.06  # arXiv 2507.22062, section 3.3
KEEPS_ALL: dict[TextsPolicy, str] = {
    "pairs": "as asked for: keeps every matched pair (matched, not balanced)",
    "one-per-image": "as asked for: keeps one matched text of every image (matched, not balanced)",
}
STEPS = (1, 2, 5)  # of the table's thresholds in every decade


class Aim(msgspec.Struct, frozen=True):
    """What the user wants: a threshold, a number of pairs, or a tail share; without any of them the paper's tail share."""

    t: float | None = None
    size: float | None = None
    tail_share: float | None = None

    def check(self) -> None:
        """Refuse what cannot be, before any work.

        Raises:
            OptionError: more than one is wanted, or one is out of range.
        """
        wanted = [name for name in ("t", "size", "tail_share") if getattr(self, name) is not None]
        if len(wanted) > 1:
            raise OptionError(f"--{' and --'.join(wanted).replace('_', '-')} each choose the threshold", "give one of them")
        if self.t is not None:
            checked_threshold(self.t)
        if self.size is not None and not self.size > 0:
            raise OptionError(f"a size of {self.size} is not possible", "give a number of pairs above 0")
        if self.tail_share is not None and not 0 <= self.tail_share <= 1:
            raise OptionError(
                f"a tail share of {self.tail_share} is not possible",
                "give a share between 0 and 1; the paper's is 0.06",
            )


class Plan(msgspec.Struct, frozen=True):
    """A plan on disk."""

    t: float
    why: str
    rows: list[PlanRow]


def resolve(run: Run, aim: Aim, policy: TextsPolicy) -> tuple[float, str]:
    """The threshold that an aim asks for, and why it is that one.

    Raises:
        OptionError: the size is beyond what the pool has.
    """
    if aim.t is not None:
        return float(aim.t), KEEPS_ALL[policy] if math.isinf(aim.t) else "as asked for"
    planned = run.whole("plan")
    if planned is not None and planned.options == _options(aim, policy):
        return float(planned.result["t"]), planned.result["why"]
    counts = load_counts(run)
    if aim.size is not None:
        candidates = _candidates(run, policy)
        t = solve_threshold(aim.size, candidates, counts, lambda thresholds: _expect(run, thresholds, policy))
        return t, f"for an expected size of {aim.size:,.0f} pairs"
    share = PAPER_TAIL_SHARE if aim.tail_share is None else aim.tail_share
    t = threshold_for_tail(counts, share)
    why = f"for a tail share of {share:.3g}" + (", the paper's" if aim.tail_share is None else "")
    return t, f"{why} (nearest: {tail_share(counts, t):.4g})"


def plan_run(run: Run, aim: Aim, policy: TextsPolicy) -> Manifest:
    """The stage of planning: a table and a curve over thresholds from 1 to the largest count, and the one that the aim asks for."""
    aim.check()
    counted = run.required("counts")
    options = _options(aim, policy)
    fingerprint = fingerprint_of(stage="plan 2", counts=counted.fingerprint, options=options)
    manifest = run.in_place_or_whole("plan", fingerprint)
    if manifest is not None:
        return manifest
    started = time.perf_counter()
    under_way = PlanFolder(run.begin("plan", fingerprint))
    counts = load_counts(run)
    run.progress.start("plan", len(run.required("match").result["shards"]), 0, None)
    t, why = resolve(run, aim, policy)
    rows = tabulate(run, counts, sorted({*steps_to(int(counts.max())), t}), policy)
    write_json(under_way.table, with_infinity(msgspec.to_builtins(Plan(t, why, rows))))
    with replacing(under_way.curve) as part:
        part.write_text(plan_curve(rows, t), encoding="utf-8")
    chosen = next(row for row in rows if row.t == t)
    run.progress.finish(f"t = {t:,.6g} {why}: {chosen.expected_size:,.0f} pairs expected")
    return run.publish(
        "plan",
        under_way,
        fingerprint,
        inputs=counted.inputs | {"counts": counted.fingerprint},
        options=options,
        result={"t": with_infinity(t), "why": why},
        outputs=sizes_of(under_way.path, under_way.table, under_way.curve),
        seconds=time.perf_counter() - started,
    )


def _options(aim: Aim, policy: TextsPolicy) -> dict[str, Any]:
    asked = {name: repr(value) for name, value in msgspec.to_builtins(aim).items() if value is not None}
    return {"aim": asked, "texts": policy}


def read_plan(run: Run) -> tuple[float, str, list[PlanRow]]:
    """The threshold, the reason for it, and the table of the plan in place.

    Raises:
        ArtifactError: it is not whole.
    """
    plan = _read(run)
    return plan.t, plan.why, plan.rows


def _read(run: Run) -> Plan:
    plan = read_struct(run.layout.plan.table, Plan)
    if plan is None:
        raise ArtifactError(f"{run.layout.plan.table} is gone", "run the same command again")
    return plan


def tabulate(run: Run, counts: Int64[np.ndarray, " V"], thresholds: Sequence[float], policy: TextsPolicy) -> list[PlanRow]:
    """A row for each of several ascending thresholds: those of the plan in place, and for the others one pass over the matches."""
    planned = run.whole("plan")
    rows: dict[float, PlanRow] = {}
    if planned is not None and planned.options["texts"] == policy:
        rows = {row.t: row for row in read_plan(run)[2]}
    missing = [t for t in thresholds if t not in rows]
    if missing:
        candidates = _candidates(run, policy)
        for t, parts in zip(missing, _expect(run, missing, policy), strict=True):
            head = counts[counts >= t]
            size = parts / UNIT
            rows[t] = PlanRow(float(t), size, size / candidates, tail_share(counts, t), len(head), int(head.sum()))
    return [rows[t] for t in thresholds]


def load_counts(run: Run) -> Int64[np.ndarray, " V"]:
    """The counts in place.

    Raises:
        ArtifactError: they are not what was counted.
    """
    path, entries = run.layout.counts.counts, run.required("counts").result["entries"]
    counts = read_array(path)
    if counts.dtype != np.int64 or counts.shape != (entries,):
        what = f"{path}: broken: {counts.dtype}{list(counts.shape)}, not the counts of {entries:,} entries"
        raise ArtifactError(what, f"delete {path.parent} and run the same command again")
    return counts


def steps_to(most: int) -> list[float]:
    """1, 2, 5, 10, 20, 50 and so on, up to the first that is no smaller than ``most``."""
    steps: list[float] = []
    decade = 1
    while True:
        for step in STEPS:
            steps.append(float(step * decade))
            if step * decade >= most:
                return steps
        decade *= 10


def _candidates(run: Run, policy: TextsPolicy) -> int:
    """How many pairs could be drawn: all that name an entry, or one for each image that has such a text."""
    matched = run.required("match")
    if policy == "pairs":
        return int(matched.result["matched"])
    return round(_expect(run, [float("inf")], policy)[0] / UNIT)


def _expect(run: Run, thresholds: Sequence[float], policy: TextsPolicy) -> list[int]:
    """Expected sizes of the whole pool, in whole parts: one pass over the matches.

    Raises:
        IncompleteError: the matches of some shard cannot be read.
    """
    matched = run.required("match")
    counts = str(run.layout.counts.counts)
    keys = matched.result["shards"]
    jobs = [Task(key, ExpectJob(str(run.layout.match.matches(key)), counts, list(thresholds), policy)) for key in keys]
    total = [0] * len(thresholds)
    failures: list[Failed] = []
    for event in run.workers.map(expect_shard, jobs):
        match event:
            case Rows(_, rows):
                run.progress.advance(rows)
            case Done(_, parts):
                total = [one + other for one, other in zip(total, parts, strict=True)]
            case Failed():
                failures.append(event)
    if failures:
        raise IncompleteError(failures[0].what, failures[0].hint)
    return total


def plan_as_json(run: Run) -> dict[str, Any]:
    """The plan in place, for programs.

    Raises:
        ArtifactError: it is not whole.
    """
    return with_infinity(msgspec.to_builtins(_read(run)))
