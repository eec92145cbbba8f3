"""The shards of a stage: running those that are not done, and the marks that say which are, and which failed and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from tallyclip.errors import ArtifactError
from tallyclip.io.files import write_json
from tallyclip.io.structs import read_struct
from tallyclip.readers.sources import Shard
from tallyclip.run.folder import Run
from tallyclip.run.layout import DONE, FAILED, StageFolder
from tallyclip.run.runners.local import Done, Failed, Progress, Task

SHOWN_FAILURES = 10


class ShardJob(msgspec.Struct, frozen=True):
    """What a worker needs for a shard; stages add to it."""

    shard: Shard


class ShardReport(msgspec.Struct, kw_only=True):
    """What a worker says of a finished shard; stages add to it. ``outputs`` are its files and their sizes, relative to the stage."""

    path: str
    fingerprint: str
    rows: int
    seconds: float
    outputs: dict[str, int]


class ShardFailure(msgspec.Struct, frozen=True):
    """Why a shard failed, and in which state its file was.

    ``late``: the shard could be matched, but not be read in whole when its pairs were to be written.
    """

    what: str
    hint: str | None
    path: str
    fingerprint: str
    late: bool = False


Job = TypeVar("Job", bound=ShardJob)
Report = TypeVar("Report", bound=ShardReport)


def run_shards(
    run: Run,
    folder: StageFolder,
    stage: str,
    function: Callable[[Job, Callable[[int], None]], Report],
    jobs: Mapping[str, Job],
    rows: Callable[[Job], int],
    kind: type[Report],
) -> tuple[dict[str, Report], dict[str, ShardFailure]]:
    """Run a function for every shard that has no mark yet, and mark those that finish. Returns reports and failures by shard.

    Seven arguments: what to run, where, on what, and how much that is.
    """
    reports = {key: report for key in jobs if (report := read_report(folder, key, kind)) is not None}
    todo = [key for key in jobs if key not in reports]
    for key in todo:
        forget(folder, key)
    run.progress.start(stage, len(jobs), len(reports), sum(rows(jobs[key]) for key in todo))
    failures: dict[str, ShardFailure] = {}
    said: dict[str, int] = {}
    for event in run.workers.map(function, [Task(key, jobs[key]) for key in todo]):
        match event:
            case Progress(key, count):
                said[key] = said.get(key, 0) + count
                run.progress.advance(count)
            case Done(key, report):
                write_json(folder.done(key), msgspec.to_builtins(report))
                reports[key] = report
                run.progress.advance(report.rows - said.get(key, 0))  # of a shard whose worker died the first rows were said twice
                run.progress.shard_done(key)
            case Failed(key, what, hint):
                file = jobs[key].shard.file
                failures[key] = ShardFailure(what, hint, file.path, file.fingerprint)
                write_json(folder.failed(key), msgspec.to_builtins(failures[key]))
                run.progress.shard_failed(key, what)
    return {key: reports[key] for key in jobs if key in reports}, failures


def read_report(folder: StageFolder, key: str, kind: type[Report], *, moved: bool = False) -> Report | None:
    """The report of a shard that is done and whose files are whole, if they have not moved on; else None."""
    try:
        report = read_struct(folder.done(key), kind)
        if report is None or moved:
            return report
        return report if all((folder.path / name).stat().st_size == size for name, size in report.outputs.items()) else None
    except (ArtifactError, OSError):
        return None


def read_failures(folder: StageFolder) -> dict[str, ShardFailure]:
    """The shards that failed last time. A mark that cannot be read is passed over: its shard is not done, whatever the reason."""
    failures: dict[str, ShardFailure] = {}
    for mark in sorted((folder.path / FAILED).glob("*.json")):
        try:
            failure = read_struct(mark, ShardFailure)
        except ArtifactError:
            continue
        if failure is not None:
            failures[mark.stem] = failure
    return failures


def marked_done(folder: StageFolder) -> list[str]:
    """The shards with a mark that they are done; whether their files are whole ``read_report`` says."""
    return sorted(mark.stem for mark in (folder.path / DONE).glob("*.json"))


def forget(folder: StageFolder, key: str) -> None:
    """Take away the marks of a shard."""
    folder.done(key).unlink(missing_ok=True)
    folder.failed(key).unlink(missing_ok=True)


def failure_message(failures: Mapping[str, ShardFailure], shards: int, again: str = "the same command") -> tuple[str, str, list[str]]:
    """What to say when shards have failed, what would help, and a line for each of the first: ``again`` is a command that reads the pool
    again, and knows --accept-failed."""
    first = dict(list(failures.items())[:SHOWN_FAILURES])
    details = [f"{key}: {failure.what}" for key, failure in first.items()]
    details += [f"and {len(failures) - len(first):,} more"] if len(failures) > len(first) else []
    hints = dict.fromkeys(failure.hint for failure in first.values() if failure.hint)
    help_ = f"repair the files and run {again} again (finished shards are kept), or go on without them with its --accept-failed"
    return f"{len(failures):,} of {shards:,} shards failed:", "; ".join([*hints, help_]), details


def sizes_of(folder: Path, *outputs: Path) -> dict[str, int]:
    """Files and their sizes, for a report or a manifest."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in outputs}
