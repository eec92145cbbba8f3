"""Stages that read files from outside: each belongs to a frozen set of them, and refuses files that changed after they were read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from tallyclip.errors import IncompleteError, StaleError
from tallyclip.io.files import write_json
from tallyclip.io.structs import fingerprint_of
from tallyclip.readers.sources import Shard
from tallyclip.run.folder import Frozen, Run
from tallyclip.run.layout import FilesFolder
from tallyclip.run.manifest import Manifest, read_manifest
from tallyclip.run.shards import ShardFailure, ShardReport, failure_message, forget, marked_done, read_failures, read_report

WORDS = {"parse": "read", "match": "matched"}  # what these stages do to a file, for people
Folder = TypeVar("Folder", bound=FilesFolder)
Report = TypeVar("Report", bound=ShardReport)


class FrozenStage(Generic[Folder, Report]):
    """A stage that reads the pool's files, a shard at a time.

    Args:
        run: the run.
        name: the stage's.
        version: of what it does to a shard; changed with any change of the result.
        folder: makes the stage's folder of a path.
        report: the kind of its shards' reports.
        inputs: fingerprints of the stages it is made from.
        options: what was asked for.
    """

    def __init__(
        self,
        run: Run,
        name: str,
        version: int,
        folder: Callable[[Path], Folder],
        report: type[Report],
        inputs: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> None:
        """Seven arguments: they are what tells one such stage from another."""
        self._run, self._name, self._folder, self._report = run, name, folder, report
        self.inputs, self.options = dict(inputs), dict(options) | {"version": version}
        self._fingerprint = fingerprint_of(stage=f"{name} {version}", inputs=self.inputs, options=options)

    def take_up(self, frozen: Frozen, shards: Mapping[str, Shard]) -> Manifest | Folder:
        """The manifest, if the stage is in place for exactly these files; else the folder to go on in, with what is still good in it.

        Raises:
            StaleError: a file changed or went after it was read.
        """
        run, in_place = self._run, self._folder(self._run.layout.root / self._name)
        before = read_manifest(in_place)
        # Manifests without a version are of the first.
        if before is not None and (before.inputs, {"version": 1} | before.options) == (self.inputs, self.options):
            self._refuse_changed(in_place, frozen)
            states = {key: shard.file.fingerprint for key, shard in shards.items()}
            manifest = run.in_place(self._name, self._set_fingerprint(states, {}))
            if manifest is not None:
                run.record(frozen)
                return manifest
            run.copy_of(self._name, self._fingerprint)
        under_way = self._folder(run.begin(self._name, self._fingerprint))
        no_longer = {*marked_done(under_way), *read_failures(under_way)} - shards.keys()
        for key in {*self._refuse_changed(under_way, frozen), *no_longer}:
            forget(under_way, key)
            for path in under_way.outputs_of(key):
                path.unlink(missing_ok=True)
        run.record(frozen)
        write_json(under_way.pool, msgspec.to_builtins(frozen))
        return under_way

    def withdraw(self) -> Folder:
        """Take the stage in place back under way, because a file of it turns out to be broken."""
        return self._folder(self._run.withdraw(self._name, self._fingerprint))

    def fingerprint(self, reports: Mapping[str, Report], failures: Mapping[str, ShardFailure]) -> str:
        """Of the stage over the shards that are done, without those that failed."""
        states = {key: report.fingerprint for key, report in reports.items()}
        return self._set_fingerprint(states, {key: failure.fingerprint for key, failure in failures.items()})

    def _set_fingerprint(self, shards: Mapping[str, str], failed: Mapping[str, str]) -> str:
        return fingerprint_of(stage=self._fingerprint, shards=shards, failed=failed)

    def _refuse_changed(self, folder: Folder, frozen: Frozen) -> list[str]:
        """Raise if a file changed or went after it was read.

        That is as it should be if another shard of the file failed: then its shards are returned, to be done again.
        """
        now = {file.path: file.fingerprint for file in frozen.files}
        broken = {failure.path for failure in read_failures(folder).values()}
        again: list[str] = []
        for key in marked_done(folder):
            report = read_report(folder, key, self._report)
            if report is None or now.get(report.path) == report.fingerprint:
                continue
            if report.path not in broken:
                what = "changed" if report.path in now else "left the pool"
                hint = f"give a new --out to start afresh, or delete {folder.path} to begin this stage again"
                raise StaleError(f"{report.path} {what} after it was {WORDS[self._name]}", hint)
            again.append(key)
        return again


def refuse_failures(failures: Mapping[str, ShardFailure], reports: Mapping[str, Any], shards: int, *, accept_failed: bool) -> None:
    """The barrier: counts belong to a set that is whole, or that was accepted without its failures.

    Raises:
        IncompleteError: shards failed and were not accepted, or none worked.
    """
    if failures and not (accept_failed and reports):
        raise IncompleteError(*failure_message(failures, shards))


def reports_of(folder: FilesFolder, kind: type[Report], keys: list[str], again: str) -> dict[str, Report]:
    """The reports of the frozen set of shards of a stage in place.

    Raises:
        IncompleteError: one is gone.
    """
    reports = {key: read_report(folder, key, kind) for key in keys}
    gone = [key for key, report in reports.items() if report is None]
    if gone:
        raise IncompleteError(
            f"{folder.path}: the marks of {', '.join(gone[:3])} are gone or not whole", f"delete {folder.path} and run '{again}' again"
        )
    return {key: report for key, report in reports.items() if report is not None}
