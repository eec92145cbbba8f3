"""The stage subset: the rows of tables whose pairs are in the curated set, with all their columns as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Int64, UInt64

from tallyclip.core.lookup import COMPILED, find_uids
from tallyclip.core.uids import as_columns
from tallyclip.errors import IncompleteError
from tallyclip.export.curated import repetitive
from tallyclip.export.uids import RunWriter, runs_of
from tallyclip.io.arrays import map_array
from tallyclip.io.files import replacing
from tallyclip.io.tables import TableWriter
from tallyclip.match.matched_pairs import read_matches
from tallyclip.readers.columns import ColumnChoice, Columns
from tallyclip.readers.estimate import estimate_rows
from tallyclip.readers.pairs import pairs_in_parts
from tallyclip.readers.read import open_file, read_shard
from tallyclip.readers.records import TEXTS, Records, as_kind, schema_of, widen
from tallyclip.readers.sources import Pool, Shard, cut
from tallyclip.run.items import Report, Source, StageFolder, Work
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BalanceFolder, footer_as_matched
from tallyclip.stages.exported import ExportedRun, finished_unchanged
from tallyclip.stages.match import MATCH, snapshot_of
from tallyclip.stages.merged_uids import merge_uids
from tallyclip.wording import plural


class SubsetFolder(StageFolder):
    """A file for each shard of the tables; while it is made, the sorted uids of the curated set that each has."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.runs = path / "_met"
        self.met = path / "_met.npy"

    def rows(self, key: str) -> Path:
        return self.path / f"{key}.parquet"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return self.rows(key), *runs_of(self.runs, key)


class SubsetOptions(msgspec.Struct, frozen=True):
    """A run and the tables to look for its pairs in; None for the run's own pool, whose rows are those that were drawn."""

    run: ExportedRun
    tables: Pool | None


class SubsetJob(msgspec.Struct, frozen=True):
    """What all shards have in common: how their columns are read, and the file of the curated set's uids."""

    choice: ColumnChoice
    uids: str


class SubsetItem(msgspec.Struct, frozen=True):
    """A shard; of the run's own pool with its roles of columns, and the file of its matched pairs."""

    shard: Shard
    columns: Columns | None = None
    matches: str | None = None

    @property
    def source(self) -> Source:
        return Source(self.shard.file.path, self.shard.file.fingerprint)


class SubsetReport(Report):
    """``rows`` counts the records that were looked at, dropped ones too, ``written`` those that are in the subset."""

    written: int


def write_rows(job: SubsetJob, item: SubsetItem, folder: SubsetFolder, tick: Callable[[int], None]) -> SubsetReport:
    """Write the rows of a shard that have a pair of the curated set. A row with several captions is written if any of its pairs is one."""
    shard, key = item.shard, item.shard.key
    curated = as_columns(map_array(job.uids))
    if item.columns is None:
        opened = open_file(shard.file, job.choice)
        columns, schema, footer = opened.columns, opened.schema, opened.footer
    else:
        footer = footer_as_matched(shard)
        columns, schema = item.columns, open_file(shard.file, job.choice, footer).schema
    if schema is None:
        schema = _schema_of_objects(shard, columns, job.choice)
    rows = 0
    with (
        replacing(folder.rows(key)) as part,
        RunWriter(folder.runs, key) as met,
        TableWriter(part, schema, repetitive(schema, columns)) as writer,
    ):
        drawn = None if item.matches is None else _drawn(Path(item.matches), curated, met)
        for records in read_shard(shard, columns, job.choice, everything=True, schema=schema, footer=footer):
            if drawn is None:
                chosen = np.concatenate([np.zeros(0, np.int64), *_found(records, columns, curated, met)])
            else:
                chosen = drawn[slice(*np.searchsorted(drawn, _ends(records)))]
            places = np.searchsorted(records.rows, chosen)
            writer.write(_in_schema(records.table.take(pa.array(places)), schema))
            rows += len(records.rows) + len(records.drops)
            tick(len(records.rows))
    return SubsetReport(rows=rows, written=writer.rows)


def _schema_of_objects(shard: Shard, columns: Columns, choice: ColumnChoice) -> pa.Schema:
    """The columns of a file that does not say which it has: it is read to its end for that."""
    kinds: dict[str, pa.DataType] = {}
    for records in read_shard(shard, columns, choice):
        widen(kinds, records.table.schema)
    return schema_of(kinds)


def _drawn(matches: Path, curated: UInt64[np.ndarray, "K 2"], met: RunWriter) -> Int64[np.ndarray, " R"]:
    """The rows of a shard of the run's own pool that have a pair which was drawn, ascending."""
    found = [np.zeros(0, np.int64)]
    for pairs in read_matches(matches):
        places = np.flatnonzero(find_uids(curated, pairs.uids) >= 0)
        met.add(pairs.uids[places])
        found.append(np.unique(pairs.rows[places]))
    return np.unique(np.concatenate(found))


def _found(records: Records, columns: Columns, curated: UInt64[np.ndarray, "K 2"], met: RunWriter) -> Iterator[Int64[np.ndarray, " r"]]:
    """The rows of a batch of records that have a pair of the curated set."""
    for pairs in pairs_in_parts(records, columns):
        places = np.flatnonzero(find_uids(curated, pairs.uids) >= 0)
        met.add(pairs.uids[places])
        yield np.unique(pairs.rows[places])


def _ends(records: Records) -> tuple[int, int]:
    """The number of the first record of a batch, and the one after the last."""
    return (int(records.rows[0]), int(records.rows[-1]) + 1) if len(records.rows) else (0, 0)


def _in_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    arrays: list[pa.Array | pa.ChunkedArray] = []
    for field in schema:
        if field.name not in table.column_names:
            arrays.append(pa.nulls(len(table), field.type))
        elif field.type == TEXTS and table[field.name].type == pa.string():  # a batch whose images have one caption each
            arrays.append(pa.array([None if text is None else [(None, text)] for text in table[field.name].to_pylist()], TEXTS))
        else:
            arrays.append(as_kind(table[field.name], field.type))
    return pa.table(arrays, schema=schema)


def _asked(_: Workspace, options: SubsetOptions) -> dict[str, Any]:
    columns = None if options.tables is None else msgspec.to_builtins(options.tables.choice)
    return {"run": options.run.fingerprint, "columns": columns}


def _cut(making: Making[SubsetFolder, SubsetOptions]) -> Work:
    run, tables = making.options.run.open(), making.options.tables
    uids = str(BalanceFolder(run.root).uids)
    if tables is not None:
        return Work({shard.key: SubsetItem(shard) for shard in cut(tables.files)}, SubsetJob(tables.choice, uids))
    snapshot, matches = snapshot_of(run), run.folder(MATCH)
    items = {key: SubsetItem(found.shard, found.columns, str(matches.matches(key))) for key, found in snapshot.shards.items()}
    return Work(items, SubsetJob(snapshot.choice, uids))


def _finish(making: Making[SubsetFolder, SubsetOptions]) -> Finished:
    folder = making.folder
    reports: dict[str, SubsetReport] = making.reports(SHARDS)
    rows, written = sum(report.rows for report in reports.values()), sum(report.written for report in reports.values())
    met = merge_uids(making.run, [path for key in reports for path in runs_of(folder.runs, key)], folder.met).unique
    uids = len(map_array(BalanceFolder(Path(making.options.run.path)).uids))
    if met == 0:
        hint = "are these the tables that the run was made from, with the same URLs, captions and columns? uids are made of these"
        raise IncompleteError(f"none of the {rows:,} rows has a pair of the curated set's {uids:,}", hint)
    result = {"files": len(reports), "rows": rows, "written": written, "uids": uids, "met": met}
    return finished_unchanged(making, Finished(result, f"{written:,} of {plural(rows, 'row')}, with {met:,} of {plural(uids, 'uid')}"))


def subset_summary(root: Path, made: Manifest) -> list[str]:
    """What was written where, and which uids were not met."""
    result = made.result
    left = result["uids"] - result["met"]
    failed = [f"failed      {plural(len(made.failed), 'shard')}, skipped as --allow-failed-shards allows"] if made.failed else []
    files = plural(result["files"], "file")
    return [
        f"subset      {root / SUBSET.name}/*.parquet: {result['written']:,} of {plural(result['rows'], 'row')}, in {files}",
        f"uids        {result['met']:,} of the curated set's {result['uids']:,} met; {left:,} are not in these tables",
        *failed,
    ]


SHARDS = Section(_cut, write_rows, "shards", rows=lambda job, item: estimate_rows(item.shard, job.choice))
SUBSET = Stage(
    name="subset",
    version=1,
    command="tallyclip export subset RUN --out DIR",
    sections=(SHARDS,),
    reads_files=True,
    folder=SubsetFolder,
    asked=_asked,
    finish=_finish,
    scratch=("_met", "_met.npy"),
    compiled=COMPILED,
)
