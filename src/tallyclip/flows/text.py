"""Loads from a run what is needed to show the keep probability of one caption."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from tallyclip.core.counts import threshold_for_tail
from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.io.arrays import read_array
from tallyclip.run.manifest import read_manifest
from tallyclip.run.record import check_layout, command_in
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.counts import COUNTS, CountsFolder
from tallyclip.stages.metadata import METADATA, MetadataFolder
from tallyclip.stages.plan import PAPER_TAIL_SHARE, PLAN
from tallyclip.stages.runs import RUN


class Odds(NamedTuple):
    """Paths of a run's entry list, matcher tables and counts; its threshold, and the reason for it."""

    entries: Path
    matcher: Path
    counts: Path
    t: float
    why: str


def load_odds(run: Path) -> Odds:
    """The files and the threshold of a counted run: the t of its balance, or else of its plan, or else that for the paper's tail share.

    Raises:
        ArtifactError: the folder is not a run.
        IncompleteError: the run is not counted.
    """
    root = run.resolve()
    check_layout(RUN, root)
    if not (root / RUN.record).exists():
        raise ArtifactError(f"{run} is not a run folder", f"start one with '{RUN.start}'")
    metadata, counts = MetadataFolder(root / METADATA.name), CountsFolder(root / COUNTS.name)
    if read_manifest(counts) is None:
        raise IncompleteError(f"{run} has no counts yet", f"run '{command_in(COUNTS.command, root)}' first, or '{RUN.start}'")
    balanced = read_manifest(BALANCE.folder(root / BALANCE.name))
    if balanced is not None:
        t = float(balanced.options["t"])
        all_of_it = "one matched caption of every image" if balanced.options["texts"] == "one-per-image" else "every matched pair"
        why = "as in the run's balance" if math.isfinite(t) else f"as in the run, which kept {all_of_it}"
    elif (planned := read_manifest(PLAN.folder(root / PLAN.name))) is not None:
        t, why = float(planned.result["t"]), "as planned"
    else:
        t, why = threshold_for_tail(read_array(counts.counts), PAPER_TAIL_SHARE), "for the paper's tail share"
    return Odds(metadata.entries, metadata.matcher, counts.counts, t, why)
