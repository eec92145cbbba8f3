"""The stage samples: lists the samples of tars of images by the uids of their pairs, and the pairs without an image.

Without one are downloads that img2dataset says failed, and what is no image. Longer than others: whatever tars and img2dataset's tables
say of an image becomes a row, or a reason, here.

A uid is made of a sample as it is when the tar is read as a pool: the ``uid`` of its json, or the hash of its URL (or key) and caption.
Shards that ``export webdataset`` has written say the uids of all pairs of an image with several.
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
from jaxtyping import Int64

from tallyclip.core.uids import UID, column_uids, parse_uids, uid_column
from tallyclip.errors import IncompleteError
from tallyclip.export.uids import RunWriter, runs_of
from tallyclip.io.files import replacing
from tallyclip.io.mirror import fetched
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
from tallyclip.run.workspace import Workspace
from tallyclip.stages.merged_uids import merge_uids
from tallyclip.wording import plural

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
WITHOUT_IMAGE = pa.schema([("uid", UID), ("reason", pa.string())])
NOT_OF_THIS_RUN = (
    "are these the images of this run? img2dataset keeps uids with --save_additional_columns '[\"uid\"]'; without, URLs and captions must "
    "be those of the run's pool"
)
PAIRS = "pairs"  # the field of json in which an exported sample lists its pairs
LONGEST_REASON = 100
SHOWN_FAILURES = 3
MOST_REASONS = 20  # of a file; the others are counted together
OTHER_REASON = "other"
NO_SAMPLE = "no sample with this uid"  # of a pair of which nothing is said


class SamplesFolder(StageFolder):
    """Per tar its samples, and the pairs whose image failed to download or is none; the uids of all with an image, sorted, each once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.uids = path / "uids.npy"
        self.runs = path / "runs"

    def samples(self, key: str) -> Path:
        return self.path / f"{key}.arrow"

    def without_image(self, key: str) -> Path:
        return self.path / f"{key}.without.arrow"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return self.samples(key), self.without_image(key), *runs_of(self.runs, key)


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
    """``rows`` counts bytes; ``samples`` those of the tar, ``pairs`` those that have an image; ``failed`` those that have
    none, because the download failed or gave something else, by reason."""

    samples: int
    pairs: int
    drops: dict[str, int]
    failed: dict[str, int]


def list_samples(_: None, item: TarItem, folder: SamplesFolder, tick: Callable[[int], None]) -> SamplesReport:
    """Write the samples of a tar, and which of its downloads failed."""
    file, key = item.file, item.file.key
    ledger, samples, pairs, failed = Ledger(), 0, 0, [WITHOUT_IMAGE.empty_table()]
    with (
        reading(file.path),
        replacing(folder.samples(key)) as part,
        pa.ipc.new_file(str(part), SAMPLES_SCHEMA) as writer,
        RunWriter(folder.runs, key) as runs,
    ):
        for seen, table, without, dropped in _tables(file):
            writer.write_table(table)
            samples += seen
            pairs += len(table)
            failed.append(without)
            runs.add(column_uids(table["uid"].combine_chunks()))
            for drop in dropped:
                ledger.add(drop)
    without_image = _few_reasons(pa.concat_tables([*failed, *_failed_downloads(item.table)]))
    with replacing(folder.without_image(key)) as part, pa.ipc.new_file(str(part), WITHOUT_IMAGE) as writer:
        writer.write_table(without_image)
    tick(file.size)
    counted = Counter(without_image["reason"].to_pylist())
    return SamplesReport(rows=file.size, samples=samples, pairs=pairs, drops=dict(ledger.counts), failed=dict(sorted(counted.items())))


def _tables(file: PoolFile) -> Iterator[tuple[int, pa.Table, pa.Table, list[Drop]]]:
    """The pairs of a tar, in parts: how many samples were read, the pairs with an image and those without, and what was dropped."""
    if is_empty(file.path):
        return
    columns = columns_of(file, FLAGS)
    names = [name for name in dict.fromkeys([*columns.needed, "key", PAIRS]) if name not in PLACES.names]
    schema = pa.schema([*((name, pa.string()) for name in names), *PLACES])
    for records in read_records(file.path, columns, FLAGS, schema, with_images=True):
        seen = len(records.rows) + len(records.drops)
        for pairs in pairs_in_parts(records, columns):
            some = records.table.take(pa.array(np.searchsorted(records.rows, pairs.rows)))
            *places, problems = (some[name] for name in PLACES.names)
            uids = uid_column(pairs.uids)
            table = pa.table([uids, pa.array(pairs.rows), some["key"], *places, pairs.texts.cast(pa.string())], schema=SAMPLES_SCHEMA)
            without = pa.table([uids, problems], schema=WITHOUT_IMAGE)
            good = pc.is_null(problems)
            yield seen, _with_all(table.filter(good), some[PAIRS].filter(good)), without.filter(pc.is_valid(problems)), pairs.drops
            seen = 0


def _with_all(table: pa.Table, pairs: pa.ChunkedArray) -> pa.Table:
    """The same samples, those of which json lists its ``pairs`` with a row for each."""
    if pairs.null_count == len(pairs):
        return table
    places: list[int] = []
    uids, texts = list[Any](), list[str]()
    for place, (uid, text, listed) in enumerate(zip(table["uid"].to_pylist(), table["text"].to_pylist(), pairs.to_pylist(), strict=True)):
        found = _listed(listed)
        for one_uid, one_text in found if found[:1] == [(uid, text)] else [(uid, text)]:
            places.append(place)
            uids.append(one_uid)
            texts.append(one_text)
    some = table.take(pa.array(places, pa.int64()))
    return some.set_column(0, "uid", pa.array(uids, UID)).set_column(len(SAMPLES_SCHEMA) - 1, "text", pa.array(texts, pa.string()))


class _Pair(msgspec.Struct):
    uid: str
    caption: str


def _listed(listed: str | None) -> list[tuple[bytes, str]]:
    """The pairs that ``export webdataset`` lists in the json of an image with several; none for any other field of this name."""
    try:
        found = msgspec.json.decode(listed or "", type=list[_Pair])
    except msgspec.DecodeError:
        return []
    uids, good = parse_uids([pair.uid for pair in found])
    return [(uid, pair.caption) for uid, pair in zip(uid_column(uids).to_pylist(), found, strict=True)] if good.all() else []


def _failed_downloads(path: str | None) -> Iterator[pa.Table]:
    """The pairs that img2dataset's table says it could not download, in parts."""
    if path is None:
        return
    file = described(path, "table")[0]
    columns = columns_of(file, FLAGS)
    if columns.status is not None:
        for records in read_shard(Shard("table", file), columns, FLAGS, more=["error_message"]):
            yield _failed(records, columns, columns.status)


def _few_reasons(table: pa.Table) -> pa.Table:
    """The same pairs, with the frequent reasons alone."""
    reasons = table["reason"]
    frequent = pa.array([reason for reason, _ in Counter(reasons.to_pylist()).most_common(MOST_REASONS)], pa.string())
    return table.set_column(1, WITHOUT_IMAGE.field("reason"), pc.if_else(pc.is_in(reasons, value_set=frequent), reasons, OTHER_REASON))


def _failed(records: Records, columns: Columns, status: str) -> pa.Table:
    failing = np.flatnonzero(pc.fill_null(pc.not_equal(records.table[status], SUCCESS), fill_value=True).to_numpy())
    some = Records(records.rows[failing], records.table.take(pa.array(failing)))
    pairs = pairs_of(some, replace(columns, status=None))
    of_pairs = some.table.take(pa.array(np.searchsorted(some.rows, pairs.rows)))
    has_message = "error_message" in of_pairs.column_names
    messages = of_pairs["error_message"].to_pylist() if has_message else [None] * len(of_pairs)
    reasons = [reason_of(what, message) for what, message in zip(of_pairs[status].to_pylist(), messages, strict=True)]
    return pa.table([uid_column(pairs.uids), pa.array(reasons, pa.string())], schema=WITHOUT_IMAGE)


def reason_of(status: str | None, message: str | None) -> str:
    """What a message of img2dataset says, in one short line, without what differs from download to download.

    >>> reason_of("failed_to_download", "IncompleteRead(442 bytes read, 12 more expected)")
    'IncompleteRead'
    """
    said = " ".join((message or status or "no status").strip().partition("\n")[0].split())
    if said.startswith("OpenCV"):
        return "Image decoding error"  # which it says of other pictures; this names a file and a line of OpenCV
    return re.sub(r"\(found at.*|\(\d+ bytes read.*", "", re.sub(r"(?<!\w)'[^']*'", "'…'", said)).strip()[:LONGEST_REASON]


def samples_of(folder: Path, key: str) -> pa.Table:
    """The samples of a tar, from the folder of the stage; mapped, so only what is used is read."""
    return pa.ipc.open_file(pa.memory_map(str(fetched(SamplesFolder(folder).samples(key))))).read_all()


def first_rows(samples: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " S"]:
    """Of rows with the numbers of their samples, which rise, the first of each sample.

    >>> first_rows(np.array([0, 0, 3])).tolist()
    [0, 2]
    """
    return np.flatnonzero(np.diff(samples, prepend=-1))


def tar_sources(run: Workspace) -> dict[str, Source]:
    """The tars whose samples are listed, by their keys: their paths and states."""
    folder: SamplesFolder = run.folder(SAMPLES)
    marks = {key: folder.mark(key) for key in run.required(SAMPLES).pieces}
    return {key: mark.source for key, mark in marks.items() if mark is not None and mark.source is not None}


def failed_paths(run: Workspace) -> list[str]:
    """The paths of tars that could not be read, which was accepted."""
    failures = run.folder(SAMPLES).failures()
    return [failure.source.path for key, failure in failures.items() if key in run.required(SAMPLES).failed and failure.source is not None]


def not_read(failed: dict[str, str]) -> list[str]:
    """A line for a summary that says which tars were not read, and why, if there are any."""
    shown = "; ".join(list(failed.values())[:SHOWN_FAILURES]) + ("; ..." if len(failed) > SHOWN_FAILURES else "")
    return [f"not read    {plural(len(failed), 'tar')}: {shown}"] if failed else []


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
        raise IncompleteError(f"no sample with an image and a caption among {samples:,} of {plural(len(reports), 'tar')} ({said})", hint)
    merged = merge_uids(making.run, [path for key in reports for path in runs_of(folder.runs, key)], folder.uids)
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
    return Finished(result, f"{plural(samples, 'sample')}, {plural(merged.total, 'pair')} with an image", (folder.uids,))


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
    rereads=True,
    scratch=("runs",),
    optional=True,
)
