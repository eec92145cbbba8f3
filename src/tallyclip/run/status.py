"""What a folder holds, read from its files alone, at any time and beside a command that works on it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tallyclip.run.items import StageFolder
from tallyclip.run.manifest import Manifest, read_manifest
from tallyclip.run.record import Outline, StageOutline, attempts, read_record


class FailedShard(msgspec.Struct):
    shard: str
    what: str


class StageStatus(msgspec.Struct):
    """One stage.

    Attributes:
        stage: its name.
        state: "done", "under way" (begun, not whole) or "to do".
        shards_done, shards: how many pieces of work are finished, of how many; None where the stage has none, or it is not known.
        result: what the manifest says.
        finished: when the stage became whole.
        seconds: of work, over all processes.
        failures: pieces that failed last time.
        command: what makes the stage.
        made_by: the command that made it, without ``tallyclip``.
    """

    stage: str
    state: str
    shards_done: int | None = None
    shards: int | None = None
    result: dict[str, object] = {}
    finished: str | None = None
    seconds: float | None = None
    failures: list[FailedShard] = []
    command: str = ""
    made_by: list[str] = []


class RunStatus(msgspec.Struct):
    """A run and its stages, in their order.

    Attributes:
        command: what the folder was begun with, without ``tallyclip``.
        card: the data card, if there is one.
        next: the command that goes on, if anything is left to do.
    """

    root: str
    pool: list[str]
    files: int
    stages: list[StageStatus]
    command: list[str] = []
    card: str | None = None
    next: str | None = None


def read_status(kind: Outline, root: Path) -> RunStatus:
    """The state of every stage.

    Raises:
        ArtifactError: there is no such folder, or its record is broken.
        OptionError: it has another layout.
    """
    record = read_record(kind, root)
    stages = [_stage(root, stage) for stage in kind.stages]
    shown = [status for stage, status in zip(kind.stages, stages, strict=True) if not (stage.optional and status.state == "to do")]
    return RunStatus(str(root), record.sources, record.files, shown, record.command)


def _stage(root: Path, stage: StageOutline) -> StageStatus:
    under_way = attempts(root, stage.name)
    if under_way:
        return _under_way(stage, StageFolder(max(under_way, key=_changed)))
    manifest = read_manifest(StageFolder(root / stage.name))
    return StageStatus(stage.name, "to do", command=stage.command) if manifest is None else _done(stage, manifest)


def _under_way(stage: StageOutline, folder: StageFolder) -> StageStatus:
    known = [keys for section in stage.sections if (keys := folder.snapshot(section)) is not None]
    failures = [FailedShard(key, failure.what) for key, failure in folder.failures().items()]
    shards = sum(map(len, known)) if known else None
    return StageStatus(stage.name, "under way", len(folder.marked()), shards, failures=failures, command=stage.command)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it has just been put into place
        return 0.0


def _done(stage: StageOutline, manifest: Manifest) -> StageStatus:
    count = len(manifest.pieces) if stage.sections else None
    failures = [FailedShard(key, what) for key, what in manifest.failed.items()]
    return StageStatus(
        stage.name, "done", count, count, manifest.result, manifest.finished, manifest.seconds, failures, stage.command, manifest.command
    )
