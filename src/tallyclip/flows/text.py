"""What a run knows that tells the odds of a single text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from tallyclip.core.counts import threshold_for_tail
from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.io.files import read_array
from tallyclip.run.layout import RunLayout
from tallyclip.run.manifest import read_manifest
from tallyclip.stages.plan import PAPER_TAIL_SHARE


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
    layout = RunLayout(run.resolve())
    if not layout.record.exists():
        raise ArtifactError(f"{run}: no run here", "start one with 'tallyclip curate POOL... --out RUN'")
    if read_manifest(layout.counts) is None:
        raise IncompleteError(f"{run}: no counts here", "run 'tallyclip curate POOL... --out RUN' or 'tallyclip count RUN' first")
    balanced = read_manifest(layout.balance)
    if balanced is not None:
        t = float(balanced.options["t"])
        all_of_it = "one matched text of every image" if balanced.options["texts"] == "one-per-image" else "every matched pair"
        why = "at which the run was balanced" if math.isfinite(t) else f"with which the run kept {all_of_it}"
    else:
        t, why = threshold_for_tail(read_array(layout.counts.counts), PAPER_TAIL_SHARE), "for the paper's tail share"
    return Odds(layout.metadata.entries, layout.metadata.matcher, layout.counts.counts, t, why)
