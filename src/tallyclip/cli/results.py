"""What commands have made, as values for ``--json``."""

from __future__ import annotations

from typing import Any

from tallyclip.api import RESULTS, Run
from tallyclip.io.mirror import is_there_at_all
from tallyclip.places import shown


def run_result(run: Run) -> dict[str, Any]:
    """The files of a run that are there, and what each of its stages that are done says in numbers."""
    status, root = run.status, run.path.resolve()
    return {
        "run": shown(str(root)),
        "files": {name: shown(str(root / place)) for name, place in RESULTS.items() if is_there_at_all(root / place)},
        "stages": {stage.stage: stage.result for stage in status.stages if stage.state == "done" and stage.stage != "card"},
    }
