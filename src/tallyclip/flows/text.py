"""What a run knows that tells the odds of a single text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from tallyclip.core.counts import threshold_for_tail
from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.io.files import read_array
from tallyclip.run.manifest import read_manifest
from tallyclip.run.workspace import check_layout
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.counts import COUNTS, CountsFolder
from tallyclip.stages.metadata import METADATA, MetadataFolder
from tallyclip.stages.plan import PAPER_TAIL_SHARE
from tallyclip.stages.runs import RUN


class Odds(NamedTuple):
    """Where the list, the tables and the counts of a run are, and its threshold."""

    entries: Path
    matcher: Path
    counts: Path
    t: float
    why: str


def load_odds(run: Path) -> Odds:
    """The odds of a counted run: at the threshold it was balanced at, or else at the paper's tail share.

    Raises:
        ArtifactError: there is no run.
        IncompleteError: the run is not counted.
    """
    root = run.resolve()
    check_layout(RUN, root)
    if not (root / RUN.record).exists():
        raise ArtifactError(f"{run}: no run here", f"start one with '{RUN.start}'")
    metadata, counts = MetadataFolder(root / METADATA.name), CountsFolder(root / COUNTS.name)
    if read_manifest(counts) is None:
        raise IncompleteError(f"{run}: no counts here", f"run '{RUN.start}' or '{COUNTS.command}' first")
    balanced = read_manifest(BALANCE.folder(root / BALANCE.name))
    if balanced is not None:
        t = float(balanced.options["t"])
        all_of_it = "one matched caption of every image" if balanced.options["texts"] == "one-per-image" else "every matched pair"
        why = "at which the run was balanced" if math.isfinite(t) else f"with which the run kept {all_of_it}"
    else:
        t, why = threshold_for_tail(read_array(counts.counts), PAPER_TAIL_SHARE), "for the paper's tail share"
    return Odds(metadata.entries, metadata.matcher, counts.counts, t, why)
