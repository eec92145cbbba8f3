"""What commands have made, as values for ``--json``."""

from __future__ import annotations

from typing import Any

from tallyclip.api import Run
from tallyclip.io.mirror import is_there_at_all
from tallyclip.places import shown

FILES = ("pool", "curated", "uids", "entry_counts", "entry_counts_curated", "probabilities", "dropped", "retry", "card")


def run_result(run: Run) -> dict[str, Any]:
    """The files of a run that are there, and what each of its stages that are done says in numbers."""
    status = run.status
    return {
        "run": shown(str(run.path.resolve())),
        "files": {name: shown(str(path.resolve())) for name in FILES if is_there_at_all(path := getattr(run, name))},
        "stages": {stage.stage: stage.result for stage in status.stages if stage.state == "done" and stage.stage != "card"},
    }
