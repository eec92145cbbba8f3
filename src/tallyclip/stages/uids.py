"""The stage uids: the uids of the curated set in DataComp's form of a subset, each once, or as often as the set has it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import numpy as np

from tallyclip.core.uids import parse_uids
from tallyclip.errors import ArtifactError
from tallyclip.export.uids import RunWriter, runs_of
from tallyclip.readers.parquet import read_records
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.stages.curated import CuratedFile, curated_files
from tallyclip.stages.exported import ExportedRun, asked_of_run, finished_unchanged
from tallyclip.stages.merged_uids import merge_uids
from tallyclip.wording import plural

IMG2DATASET_SHARDS = "--shard-format '{:05d}.tar' --shard-stats-format '{:05d}_stats.json'"  # their names


class UidsFolder(StageFolder):
    """While it is made it has the sorted uids of each file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.runs = path / "runs"
        self.uids = path / "uids.npy"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return runs_of(self.runs, key)


class UidsOptions(msgspec.Struct, frozen=True):
    """A run, and whether a uid is written as often as the curated set has it."""

    run: ExportedRun
    repeats: bool


def collect_uids(_: None, item: CuratedFile, folder: UidsFolder, tick: Callable[[int], None]) -> Report:
    """Sort the uids of a file of the curated set."""
    rows = 0
    with RunWriter(folder.runs, item.key) as runs:
        for records in read_records(item.path, None, 0, ["uid"]):
            uids, good = parse_uids(records.table["uid"])
            if not good.all():
                raise ArtifactError(f"{item.path}: row {rows + int(np.argmin(good))} has no uid", "balance the run again")
            runs.add(uids)
            rows += len(uids)
            tick(len(uids))
    return Report(rows=rows)


def _cut(making: Making[UidsFolder, UidsOptions]) -> Work:
    return Work(curated_files(making.options.run.open()))


def _finish(making: Making[UidsFolder, UidsOptions]) -> Finished:
    folder, repeats = making.folder, making.options.repeats
    merged = merge_uids(
        making.run, [path for key in making.reports(FILES) for path in runs_of(folder.runs, key)], folder.uids, repeats=repeats
    )
    result = {"uids": merged.unique, "pairs": merged.total, "repeats": repeats}
    return finished_unchanged(making, Finished(result, f"{plural(merged.unique, 'uid')} of {plural(merged.total, 'pair')}", (folder.uids,)))


def uids_summary(root: Path, made: Manifest) -> list[str]:
    """What was written where, and what takes it."""
    unique, pairs = made.result["uids"], made.result["pairs"]
    written = f"{plural(pairs, 'uid')}, {unique:,} different" if made.result["repeats"] else f"{plural(unique, 'uid')}, each once"
    more = pairs - unique
    left = (
        f"; {plural(more, 'pair repeats', 'pairs repeat')} one (--repeats writes these too)" if more and not made.result["repeats"] else ""
    )
    command = f"python resharder.py -s {shlex.quote(str(root / 'uids.npy'))} -i images -o shards {IMG2DATASET_SHARDS}"
    return [
        f"uids        {root / 'uids.npy'}: {written}, sorted{left}",
        f"next        DataComp's resharder, of img2dataset's shards: {command}",
    ]


FILES = Section(_cut, collect_uids, "files")
UIDS = Stage(
    name="uids",
    version=1,
    command="tallyclip export uids RUN --out DIR",
    sections=(FILES,),
    folder=UidsFolder,
    asked=asked_of_run,
    finish=_finish,
    results=("uids.npy",),
    scratch=("runs",),
)
