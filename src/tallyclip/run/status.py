"""What a run folder holds, read from its files alone, at any time and beside a command that works on it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tallyclip.errors import ArtifactError
from tallyclip.io.structs import read_struct
from tallyclip.readers.sources import cut
from tallyclip.run.folder import Frozen, Record
from tallyclip.run.layout import FilesFolder, RunLayout, StageFolder
from tallyclip.run.manifest import Manifest, read_manifest
from tallyclip.run.shards import marked_done, read_failures
from tallyclip.run.stages import BUILT_ON, CRAWL_STAGES


class FailedShard(msgspec.Struct):
    shard: str
    what: str


class StageStatus(msgspec.Struct):
    """One stage.

    Attributes:
        stage: its name.
        state: "done", "under way" (begun, not whole) or "to do".
        shards_done, shards: how many shards are finished, of how many; None where the stage has none, or it is not known.
        result: what the manifest says.
        finished: when the stage became whole.
        seconds: of work, over all processes.
        failures: shards that failed last time.
    """

    stage: str
    state: str
    shards_done: int | None = None
    shards: int | None = None
    result: dict[str, object] = {}
    finished: str | None = None
    seconds: float | None = None
    failures: list[FailedShard] = []


class RunStatus(msgspec.Struct):
    """A run and its stages, in their order."""

    root: str
    pool: list[str]
    files: int
    stages: list[StageStatus]


def read_status(layout: RunLayout) -> RunStatus:
    """The state of every stage.

    Raises:
        ArtifactError: there is no run.
    """
    record = read_struct(layout.record, Record)
    if record is None:
        raise ArtifactError(f"{layout.root}: no run here", "start one with 'tallyclip curate POOL... --out RUN'")
    over_crawl = any((layout.root / stage).exists() or layout.attempts(stage) for stage in CRAWL_STAGES)
    stages = [_stage(layout, stage) for stage in BUILT_ON if over_crawl or stage not in CRAWL_STAGES]
    return RunStatus(str(layout.root), record.pool, record.files, stages)


def _stage(layout: RunLayout, stage: str) -> StageStatus:
    attempts = layout.attempts(stage)
    if attempts:
        folder = StageFolder(max(attempts, key=_changed))
        failures = [FailedShard(key, failure.what) for key, failure in read_failures(folder).items()]
        return StageStatus(stage, "under way", len(marked_done(folder)), _shards(layout, stage, folder), failures=failures)
    manifest = read_manifest(StageFolder(layout.root / stage))
    return StageStatus(stage, "to do") if manifest is None else _done(stage, manifest)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it has just been put into place
        return 0.0


def _shards(layout: RunLayout, stage: str, folder: StageFolder) -> int | None:
    """How many shards a stage under way will have, if that is known."""
    if stage in ("parse", "match"):
        frozen = read_struct(FilesFolder(folder.path).pool, Frozen)
        return None if frozen is None else len(cut(frozen.files))
    before = {"pool": layout.parse, "balance": layout.match}.get(stage)
    manifest = None if before is None else read_manifest(before)
    return None if manifest is None else len(manifest.result["shards"])


def _done(stage: str, manifest: Manifest) -> StageStatus:
    shards = manifest.result.get("shards")
    count = len(shards) if shards is not None else None
    accepted: dict[str, str] = manifest.result.get("failed_shards", {})
    failures = [FailedShard(key, what) for key, what in accepted.items()]
    result = {key: value for key, value in manifest.result.items() if key not in ("shards", "failed_shards", "counts")}
    return StageStatus(stage, "done", count, count, result, manifest.finished, manifest.seconds, failures)
