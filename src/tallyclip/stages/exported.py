"""The run that an export is made from, and what all exports have in common: they read its curated set, file by file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tallyclip.errors import StaleError
from tallyclip.readers.sources import state_of
from tallyclip.run.items import Source
from tallyclip.run.stage import Finished, Making
from tallyclip.run.workspace import Workspace, only_read
from tallyclip.stages.balance import BALANCE, BalanceFolder
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


def asked_of_run(_: Workspace, options: Any) -> dict[str, Any]:
    """What of an export's options its result depends on: all, and of the run not where it is."""
    asked = msgspec.to_builtins(options)
    return asked | {"run": options.run.fingerprint}


class CuratedFile(msgspec.Struct, frozen=True):
    """A file of the curated set, and its state."""

    key: str
    path: str
    state: str

    @property
    def source(self) -> Source:
        """So that it is read again if it was written again."""
        return Source(self.path, self.state)


def curated_files(run: Workspace) -> dict[str, CuratedFile]:
    """The files of a run's curated set, by the keys of their shards, in order."""
    results = BalanceFolder(run.root)  # where they are now
    paths = {key: str(results.curated(key)) for key in run.required(BALANCE).pieces}
    return {key: CuratedFile(key, path, " ".join(map(str, state_of(path)))) for key, path in paths.items()}


def finished_unchanged(making: Making[Any, Any], finished: Finished) -> Finished:
    """What an export has to say, if the run is still the one that it began with.

    Raises:
        StaleError: it is not.
    """
    begun: ExportedRun = making.options.run
    if exported_run(Path(begun.path)) != begun:
        raise StaleError(f"{begun.path} was balanced anew while it was exported", "run the same command again")
    return finished
