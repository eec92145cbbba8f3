"""The stage samples: lists the samples of tars of images, by the uids of their pairs, and what img2dataset could not download.

A uid is made of a sample as it is when the tar is read as a pool: the ``uid`` of its json, or the hash of its URL (or key) and caption.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute

from tallyclip.core.uids import UID, column_uids, uid_column
from tallyclip.errors import IncompleteError
from tallyclip.export.uids import RunWriter, merge_runs
from tallyclip.io.files import replacing
from tallyclip.readers.columns import ColumnChoice, Columns
from tallyclip.readers.content import reading
from tallyclip.readers.ledger import Ledger
from tallyclip.readers.pairs import SUCCESS, pairs_in_parts, pairs_of
from tallyclip.readers.read import columns_of, read_shard
from tallyclip.readers.records import Drop, Records
from tallyclip.readers.sources import PoolFile, Shard, described
from tallyclip.readers.tar import PLACES, is_empty, read_records
from tallyclip.run.items import Report, Source, StageFolder, Work
from tallyclip.run.stage import Finished, Making, Section, Stage

pc: Any = pyarrow.compute
FLAGS = ColumnChoice()
# One row for each pair, in the order of the tar: an image with several texts has several.
SAMPLES_SCHEMA = pa.schema(
    [
        ("uid", UID),
        ("sample", pa.int64()),  # its number in the tar; rises
        ("key", pa.string()),
        ("sample_at", pa.int64()),
        ("image_at", pa.int64()),
        ("image_size", pa.int64()),
        ("suffix", pa.string()),
        ("text", pa.string()),
    ]
)
NOT_DOWNLOADED = pa.schema([("uid", UID), ("reason", pa.string())])
LONGEST_REASON = 80
MOST_REASONS = 20  # of a file; the others are counted together
OTHER_REASON = "other"


class SamplesFolder(StageFolder):
    """Per tar its samples, and the pairs that were not downloaded; the uids of all pairs with an image, sorted, each once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.uids = path / "uids.npy"
        self.runs = path / "runs"

    def samples(self, key: str) -> Path:
        return self.path / f"{key}.arrow"

    def not_downloaded(self, key: str) -> Path:
        return self.path / f"{key}.failed.arrow"

    def runs_of(self, key: str) -> list[Path]:
        return sorted(self.runs.glob(f"{key}.*.npy"))

    def outputs_of(self, key: str) -> Iterable[Path]:
        return self.samples(key), self.not_downloaded(key), *self.runs_of(key)


class SamplesOptions(msgspec.Struct, frozen=True):
    """Tars of images.

    Attributes:
        names: as they were given.
        files: the tars.
        tables: by the key of a tar the Parquet file that img2dataset wrote beside it.
    """

    names: list[str]
    files: list[PoolFile]
    tables: dict[str, str]


class TarItem(msgspec.Struct, frozen=True):
    """A tar, and the table beside it."""

    file: PoolFile
    table: str | None

    @property
    def source(self) -> Source:
        return Source(self.file.path, self.file.fingerprint)

    @property
    def name(self) -> str:
        return self.file.path


class SamplesReport(Report):
    """``rows`` counts bytes; ``samples`` those of the tar, ``pairs`` those that have an image; ``failed`` the downloads that failed, by
    reason."""

    samples: int
    pairs: int
    drops: dict[str, int]
    failed: dict[str, int]


def list_samples(_: None, item: TarItem, folder: SamplesFolder, tick: Callable[[int], None]) -> SamplesReport:
    """Write the samples of a tar, and which of its downloads failed."""
    file, key = item.file, item.file.key
    ledger, samples, pairs = Ledger(), 0, 0
    with (
        reading(file.path),
        replacing(folder.samples(key)) as part,
        pa.ipc.new_file(str(part), SAMPLES_SCHEMA) as writer,
        RunWriter(folder.runs, key) as runs,
    ):
        for seen, table, dropped in _tables(file):
            writer.write_table(table)
            samples += seen
            pairs += len(table)
            runs.add(column_uids(table["uid"].combine_chunks()))
            for drop in dropped:
                ledger.add(drop)
    failed = _failed_downloads(item.table)
    with replacing(folder.not_downloaded(key)) as part, pa.ipc.new_file(str(part), NOT_DOWNLOADED) as writer:
        writer.write_table(failed)
    tick(file.size)
    counted = Counter(failed["reason"].to_pylist())
    return SamplesReport(rows=file.size, samples=samples, pairs=pairs, drops=dict(ledger.counts), failed=dict(sorted(counted.items())))


def _tables(file: PoolFile) -> Iterator[tuple[int, pa.Table, list[Drop]]]:
    """The pairs of a tar, in parts, each with how many samples were read for it and what was dropped."""
    if is_empty(file.path):
        return
    columns = columns_of(file, FLAGS)
    names = [name for name in dict.fromkeys([*columns.needed, "key"]) if name not in PLACES.names]
    schema = pa.schema([*((name, pa.string()) for name in names), *PLACES])
    for records in read_records(file.path, columns, FLAGS, schema, with_images=True):
        seen = len(records.rows) + len(records.drops)
        for pairs in pairs_in_parts(records, columns):
            some = records.table.take(pa.array(np.searchsorted(records.rows, pairs.rows)))
            places = [some[name] for name in PLACES.names]
            arrays = [uid_column(pairs.uids), pa.array(pairs.rows), some["key"], *places, pairs.texts.cast(pa.string())]
            yield seen, pa.table(arrays, schema=SAMPLES_SCHEMA), pairs.drops
            seen = 0


def _failed_downloads(path: str | None) -> pa.Table:
    """The pairs that img2dataset's table says it could not download."""
    found = [NOT_DOWNLOADED.empty_table()]
    if path is not None:
        file = described(path, "table")[0]
        columns = columns_of(file, FLAGS)
        if columns.status is not None:
            for records in read_shard(Shard("table", file), columns, FLAGS, more=["error_message"]):
                found.append(_failed(records, columns, columns.status))
    table = pa.concat_tables(found)
    reasons = [reason for reason, _ in Counter(table["reason"].to_pylist()).most_common(MOST_REASONS)]
    few = pc.if_else(pc.is_in(table["reason"], value_set=pa.array(reasons, pa.string())), table["reason"], OTHER_REASON)
    return table.set_column(1, NOT_DOWNLOADED.field("reason"), few)


def _failed(records: Records, columns: Columns, status: str) -> pa.Table:
    failing = np.flatnonzero(pc.fill_null(pc.not_equal(records.table[status], SUCCESS), fill_value=True).to_numpy())
    some = Records(records.rows[failing], records.table.take(pa.array(failing)))
    pairs = pairs_of(some, replace(columns, status=None))
    of_pairs = some.table.take(pa.array(np.searchsorted(some.rows, pairs.rows)))
    has_message = "error_message" in of_pairs.column_names
    messages = of_pairs["error_message"].to_pylist() if has_message else [None] * len(of_pairs)
    reasons = [reason_of(what, message) for what, message in zip(of_pairs[status].to_pylist(), messages, strict=True)]
    return pa.table([uid_column(pairs.uids), pa.array(reasons, pa.string())], schema=NOT_DOWNLOADED)


def reason_of(status: str | None, message: str | None) -> str:
    """What a message of img2dataset says, in one short line, without what differs from download to download.

    >>> reason_of("failed_to_download", "IncompleteRead(442 bytes read, 12 more expected)")
    'IncompleteRead'
    """
    said = " ".join((message or status or "no status").split())
    if said.startswith("OpenCV"):
        return "Image decoding error"  # which it says of other pictures; this names a file and a line of OpenCV
    return re.sub(r"\(found at.*|\(\d+ bytes read.*", "", re.sub("'[^']*'", "'…'", said)).strip()[:LONGEST_REASON]


def _cut(making: Making[SamplesFolder, SamplesOptions]) -> Work:
    options = making.options
    return Work({file.key: TarItem(file, options.tables.get(file.key)) for file in options.files})


def _finish(making: Making[SamplesFolder, SamplesOptions]) -> Finished:
    folder = making.folder
    reports: dict[str, SamplesReport] = making.reports(TARS)
    drops, failed = Counter[str](), Counter[str]()
    for report in reports.values():
        drops.update(report.drops)
        failed.update(report.failed)
    samples = sum(report.samples for report in reports.values())
    if not any(report.pairs for report in reports.values()):
        said = ", ".join(f"{count:,} {reason}" for reason, count in drops.items()) or "the tars are empty"
        hint = "a sample has members with one key, one after another: an image, such as KEY.jpg, and KEY.txt or KEY.json with its caption"
        raise IncompleteError(f"no sample with an image and a caption among {samples:,} of {len(reports):,} tars ({said})", hint)
    merged = merge_runs([path for key in reports for path in folder.runs_of(key)], folder.uids)
    result = {
        "sources": making.options.names,
        "files": len(reports),
        "bytes": sum(file.size for file in making.options.files),
        "samples": samples,
        "pairs": merged.total,
        "unique_uids": merged.unique,
        "drops": dict(sorted(drops.items())),
        "failed": dict(failed.most_common()),
    }
    return Finished(result, f"{samples:,} samples, {merged.total:,} pairs with an image", (folder.uids,))


TARS = Section(_cut, list_samples, "tars", rows=lambda _, item: item.file.size, unit="bytes")
SAMPLES = Stage(
    name="samples",
    version=1,
    command="tallyclip survivors RUN --images IMAGES --out RUN2",
    sections=(TARS,),
    reads_files=True,
    folder=SamplesFolder,
    finish=_finish,
    asked=lambda _, options: {"tables": sorted(options.tables)},
    scratch=("runs",),
    optional=True,
)
