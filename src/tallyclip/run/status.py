"""What a folder holds, read from its files alone, at any time and beside a command that works on it."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from tallyclip.run.items import StageFolder
from tallyclip.run.manifest import Manifest, read_manifest
from tallyclip.run.pace import RunningShard, clock_ahead, pace_of, running_shards, sample
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
        running: pieces that are being done, the longest first; of a process that was killed on another machine, until it is done again.
        unit: what is counted in pieces: "rows", or such as "bytes".
        rows_per_second: of these, over the last ten minutes; None if no piece was done in them.
        eta_seconds: how long the pieces take that are left, at that pace.
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
    running: list[RunningShard] = []
    unit: str = "rows"
    rows_per_second: float | None = None
    eta_seconds: float | None = None


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
    known = {section: len(keys) for section in stage.sections if (keys := folder.snapshot(section)) is not None}
    shards = sum(known.values()) if known else None
    unit = folder.unit([*known][-1]) if known else "rows"
    at_work, began_at = folder.at_work(), folder.began_at()  # before the marks: what ends in between is done, not lost
    failures = folder.failures()
    marked_at = folder.marked_at()
    marks, now = sample(folder, marked_at), time.time() + clock_ahead(at_work, began_at)
    running = {key: each for key, each in at_work.items() if key not in marked_at and key not in failures}
    pace = pace_of(marked_at, marks, now)
    left = None if shards is None else max(0, shards - len(marked_at) - len(failures))
    return StageStatus(
        stage.name,
        "under way",
        len(marked_at),
        shards,
        failures=[FailedShard(key, failure.what) for key, failure in failures.items()],
        command=stage.command,
        running=running_shards(running, began_at, marks, now),
        unit=unit,
        rows_per_second=None if pace is None else round(pace.rows, 3),
        eta_seconds=None if pace is None or left is None else round(left / pace.pieces, 1),
    )


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
