"""The stage index: what a loader knows of shards before it reads any: whose pairs they have, with which probability, and where.

Without a run, all pairs of the shards are in the index, with probability 1 and as if they were curated (``INDEX_OF_ALL``).

DIR/index/
├── <shard>.arrow    a row for each pair of the run, in the shard's order (INDEX_SCHEMA)
└── shards.json      the shards, and the run
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64, UInt64

from tallyclip.core.lookup import COMPILED, find_uids
from tallyclip.core.uids import UID, as_columns, column_uids
from tallyclip.errors import IncompleteError
from tallyclip.io.arrays import map_array
from tallyclip.io.files import replacing, write_json
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.stages.balance import BALANCE, BalanceFolder
from tallyclip.stages.exported import ExportOptions, asked_of_run, finished_unchanged
from tallyclip.stages.lookup import LOOKUP
from tallyclip.stages.samples import NOT_OF_THIS_RUN, SAMPLES, failed_paths, first_rows, not_read, samples_of, tar_sources
from tallyclip.wording import plural

NOT_OF_THE_RUN = "no matched pair of the run"
INDEX_SCHEMA = pa.schema(
    [
        ("uid", UID),
        ("keep", pa.float64()),  # its probability
        ("curated", pa.bool_()),  # is it in the run's curated set?
        ("sample", pa.int64()),  # its number in the shard; rises
        ("image_at", pa.int64()),  # bytes of the tar, unpacked
        ("image_size", pa.int64()),
        ("text", pa.string()),
    ]
)


class IndexFolder(StageFolder):
    """The index of each shard, and what is said of all."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.shards = path / "index" / "shards.json"

    def index(self, key: str) -> Path:
        return self.path / "index" / f"{key}.arrow"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return (self.index(key),)


class RunTables(msgspec.Struct, frozen=True):
    """Files that say which pairs are a run's: the table of all, with their probabilities, and the uids of those that are curated."""

    table: str
    uids: str


class IndexJob(msgspec.Struct, frozen=True):
    samples: str
    run: RunTables | None


class IndexItem(msgspec.Struct, frozen=True):
    key: str


class IndexReport(Report):
    """``rows`` counts the pairs with an image, ``pairs`` those of the run, ``samples`` their images."""

    pairs: int
    samples: int
    curated: int


def index_shard(job: IndexJob, item: IndexItem, folder: IndexFolder, tick: Callable[[int], None]) -> IndexReport:
    """Write the index of a shard."""
    samples = samples_of(Path(job.samples), item.key)
    rows, keep, curated = _wanted(column_uids(samples["uid"].combine_chunks()), job.run)
    some = samples.take(pa.array(rows))
    columns = {**{name: some[name] for name in some.column_names}, "keep": pa.array(keep), "curated": pa.array(curated)}
    with replacing(folder.index(item.key)) as part, pa.ipc.new_file(str(part), INDEX_SCHEMA) as writer:
        writer.write_table(pa.table([columns[name] for name in INDEX_SCHEMA.names], schema=INDEX_SCHEMA).combine_chunks())
    tick(len(samples))
    images = len(first_rows(some["sample"].to_numpy()))
    return IndexReport(rows=len(samples), pairs=len(rows), samples=images, curated=int(np.count_nonzero(curated)))


def _wanted(
    uids: UInt64[np.ndarray, "N 2"], run: RunTables | None
) -> tuple[Int64[np.ndarray, " K"], Float64[np.ndarray, " K"], Bool[np.ndarray, " K"]]:
    """Which of a shard's pairs are to be in the index, their keep probabilities, and which are curated."""
    if run is None:
        return np.arange(len(uids)), np.ones(len(uids)), np.ones(len(uids), np.bool_)
    table = map_array(run.table)
    places = find_uids(table, uids)
    rows = np.flatnonzero(places >= 0)
    keep = np.array(table[places[rows], 2]).view(np.float64)
    return rows, keep, find_uids(as_columns(map_array(run.uids)), uids[rows]) >= 0


def _cut(making: Making[IndexFolder, ExportOptions]) -> Work:
    return _cut_for(making, RunTables(str(making.run.folder(LOOKUP).table), str(BalanceFolder(making.options.run.open().root).uids)))


def _cut_for(making: Making[IndexFolder, Any], tables: RunTables | None) -> Work:
    job = IndexJob(str(making.run.folder(SAMPLES).path), tables)
    return Work({key: IndexItem(key) for key in making.run.required(SAMPLES).pieces}, job)


def _finish(making: Making[IndexFolder, ExportOptions]) -> Finished:
    exported = making.options.run
    about = {"t": exported.open().required(BALANCE).options["t"], "fingerprint": exported.fingerprint}
    return finished_unchanged(making, _finished(making, making.reports(TARS), about))


def _finish_all(making: Making[IndexFolder, None]) -> Finished:
    return _finished(making, making.reports(ALL_TARS), {"t": "inf", "fingerprint": making.run.required(SAMPLES).fingerprint})


def _finished(making: Making[IndexFolder, Any], reports: dict[str, IndexReport], about_run: dict[str, Any]) -> Finished:
    run, folder = making.run, making.folder
    listed, paths = run.required(SAMPLES).result, tar_sources(run)
    pairs, rows = sum(report.pairs for report in reports.values()), sum(report.rows for report in reports.values())
    if not pairs:
        raise IncompleteError(f"none of the {rows:,} pairs of the shards is a matched pair of the run", NOT_OF_THIS_RUN)
    drops = Counter(listed["drops"]) + Counter(listed["failed"]) + Counter({NOT_OF_THE_RUN: rows - pairs})
    shards = [
        msgspec.to_builtins(paths[key]) | {"key": key, "pairs": report.pairs, "samples": report.samples} for key, report in reports.items()
    ]
    about = {"run": about_run, "shards": shards, "drops": dict(drops), "not_read": sorted(failed_paths(run))}
    write_json(folder.shards, about)
    result = {
        "shards": len(shards),
        "pairs": pairs,
        "samples": sum(report.samples for report in reports.values()),
        "curated": sum(report.curated for report in reports.values()),
        "drops": dict(drops),
        "not_read": run.required(SAMPLES).failed,
    }
    return Finished(result, f"{plural(pairs, 'pair')} in {plural(len(shards), 'shard')}", (folder.shards,))


def index_summary(root: Path, made: Manifest) -> list[str]:
    """What was written where, and what takes it."""
    found = made.result
    of_run = "RUN" if "run" in made.options else 'None, select="curated"'
    drops = ", ".join(f"{count:,} {reason}" for reason, count in found["drops"].items()) or "none"
    pairs, samples, shards = (plural(found[f"{noun}s"], noun) for noun in ("pair", "sample", "shard"))
    return [
        f"index       {root / 'index'}: {pairs} of {samples} in {shards}",
        f"left out    {drops}",
        *not_read(found["not_read"]),
        f"next        OnlineBalanced(SHARDS, {of_run}, index={str(root)!r}), see docs/loading.md",
    ]


TARS = Section(_cut, index_shard, "shards")
INDEX = Stage(
    name="indexed",
    version=1,
    command="tallyclip export index RUN --images SHARDS --out DIR",
    needs=("samples", "lookup"),
    sections=(TARS,),
    folder=IndexFolder,
    asked=asked_of_run,
    finish=_finish,
    results=("index",),
    compiled=COMPILED,
)
ALL_TARS = replace(TARS, cut=lambda making: _cut_for(making, None))
INDEX_OF_ALL = Stage(
    name="indexed",
    version=1,
    command="tallyclip export index --images SHARDS --out DIR",
    needs=("samples",),
    sections=(ALL_TARS,),
    folder=IndexFolder,
    finish=_finish_all,
    results=("index",),
)
