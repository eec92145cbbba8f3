"""The run that an export is made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tallyclip.errors import StaleError
from tallyclip.run.stage import Finished, Making
from tallyclip.run.workspace import Workspace, only_read
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.runs import RUN


class ExportedRun(msgspec.Struct, frozen=True):
    """A balanced run: where it is, and the fingerprint of its balance. An export is made again if that changes."""

    path: str
    fingerprint: str

    def open(self) -> Workspace:
        """The run, to read from it."""
        return only_read(RUN, self.path)


class ExportOptions(msgspec.Struct, frozen=True):
    """What every export is asked for."""

    run: ExportedRun


def exported_run(path: Path) -> ExportedRun:
    """A run that can be exported.

    Raises:
        ArtifactError: there is no such run.
        IncompleteError: its balance is not whole.
    """
    run = only_read(RUN, path)
    return ExportedRun(str(run.root), run.required(BALANCE).fingerprint)


def note_others(into: Workspace, run: ExportedRun) -> None:
    """Say which exports in a folder are of another run, or of another draw."""
    made = {stage.name: manifest for stage in into.stages if (manifest := into.whole(stage)) is not None}
    others = [name for name, manifest in made.items() if manifest.options.get("run", run.fingerprint) != run.fingerprint]
    if others:
        into.progress.note(f"{into.root} has exports of another run, or of an earlier draw of this one: {', '.join(others)}")


def asked_of_run(_: Workspace, options: Any) -> dict[str, Any]:
    """What of an export's options its result depends on: all, and of the run not where it is."""
    asked = msgspec.to_builtins(options)
    return asked | {"run": options.run.fingerprint}


def finished_unchanged(making: Making[Any, Any], finished: Finished) -> Finished:
    """What an export has to say, if the run is still the one that it began with.

    Raises:
        StaleError: it is not.
    """
    begun: ExportedRun = making.options.run
    if exported_run(Path(begun.path)) != begun:
        raise StaleError(f"{begun.path} was balanced anew while it was exported", "run the same command again")
    return finished
