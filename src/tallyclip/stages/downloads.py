"""The stage downloads: the curated pairs as img2dataset takes them, to download their images."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import UInt64

from tallyclip.core.duplicates import first_of_each
from tallyclip.core.lookup import COMPILED
from tallyclip.core.sorting import sort_rows
from tallyclip.core.uids import make_uids
from tallyclip.errors import IncompleteError, OptionError
from tallyclip.io.files import replacing
from tallyclip.io.tables import TableWriter
from tallyclip.readers.crawl.links import NO_URL
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.curated import PAIRS, CuratedFile, curated_files
from tallyclip.stages.exported import ExportOptions, asked_of_run, finished_unchanged
from tallyclip.stages.lookup import LOOKUP
from tallyclip.stages.match import snapshot_of
from tallyclip.wording import plural

# As DataComp downloads: images above 512 pixels get that on their longer side, others stay as they are.
IMG2DATASET = (
    *("--input_format", "parquet", "--url_col", "url", "--caption_col", "caption", "--save_additional_columns", '["uid"]'),
    *("--output_format", "webdataset", "--number_sample_per_shard", "10000", "--retries", "2"),
    *("--image_size", "512", "--resize_mode", "keep_ratio_largest", "--resize_only_if_bigger", "True", "--encode_format", "jpg"),
)


REPEATED_UID = "repeats a uid"  # the image is downloaded once


class DownloadsFolder(StageFolder):
    """A file for each of the curated set, with the columns ``url``, ``caption`` and ``uid``, in the same order."""

    def rows(self, key: str) -> Path:
        return self.path / f"{key}.parquet"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return (self.rows(key),)


class DownloadsJob(msgspec.Struct, frozen=True):
    """The lookup table of the curated set."""

    table: str


class DownloadsReport(Report):
    """``rows`` counts the curated pairs, ``written`` those that have a URL, each once, ``repeated`` those of them whose URL the file has
    before."""

    written: int
    repeated: int
    drops: dict[str, int]


def write_downloads(job: DownloadsJob, item: CuratedFile, folder: DownloadsFolder, tick: Callable[[int], None]) -> DownloadsReport:
    """Write the rows of a file of the curated set that have a URL, and a uid that no row before has."""
    keys, rows, drops = [np.zeros((0, 2), np.uint64)], 0, Counter[str]()
    with replacing(folder.rows(item.key)) as part, TableWriter(part, PAIRS, []) as writer:
        for pairs in item.pairs(job.table):
            table = pairs.table.filter(pa.array(pairs.has_url & pairs.is_first))
            writer.write(table)
            keys.append(make_uids(None, table["url"]))
            drops[NO_URL] += int(np.count_nonzero(~pairs.has_url))
            drops[REPEATED_UID] += int(np.count_nonzero(pairs.has_url & ~pairs.is_first))
            rows += len(pairs.table)
            tick(len(pairs.table))
    return DownloadsReport(rows=rows, written=writer.rows, repeated=_repeated(np.concatenate(keys)), drops=dict(+drops))


def _repeated(keys: UInt64[np.ndarray, "N 2"]) -> int:
    return len(keys) - int(np.count_nonzero(first_of_each(sort_rows(keys))))


def _cut(making: Making[DownloadsFolder, ExportOptions]) -> Work:
    return Work(curated_files(making.options.run.open()), DownloadsJob(str(making.run.folder(LOOKUP).table)))


def check_urls(run: Workspace) -> None:
    """Refuse a run over a pool without URLs.

    Raises:
        OptionError: it is one.
    """
    if all(shard.columns.url is None for shard in snapshot_of(run).shards.values()):
        what = f"{run.root}: its pool has no URLs, so there is nothing to download"
        raise OptionError(what, "if a column has them, curate again with --url-column; if the images are there, use 'export webdataset'")


def _finish(making: Making[DownloadsFolder, ExportOptions]) -> Finished:
    reports: dict[str, DownloadsReport] = making.reports(FILES)
    drops = Counter[str]()
    for report in reports.values():
        drops.update(report.drops)
    rows, pairs = sum(report.written for report in reports.values()), sum(report.rows for report in reports.values())
    if rows == 0:
        raise IncompleteError(f"none of the {pairs:,} curated pairs has a URL", "curate again, with the column of URLs as --url-column")
    repeated = sum(report.repeated for report in reports.values())
    result = {"files": len(reports), "pairs": pairs, "rows": rows, "repeated_urls": repeated, "drops": dict(sorted(drops.items()))}
    return finished_unchanged(making, Finished(result, f"{rows:,} of {plural(pairs, 'curated pair')} are to be downloaded"))


def downloads_summary(root: Path, made: Manifest) -> list[str]:
    """What was written where, and the command that downloads it."""
    folder, result = root / DOWNLOADS.name, made.result
    repeated = f", {result['repeated_urls']:,} with a URL that stands before in the same file" if result["repeated_urls"] else ""
    dropped = [f"dropped     {count:,} {reason}" for reason, count in result["drops"].items()]
    command = ["img2dataset", "--url_list", str(folder), *IMG2DATASET, "--output_folder", "images"]
    pairs, files = plural(result["rows"], "pair"), plural(result["files"], "file")
    return [
        f"downloads   {folder}/*.parquet: url, caption and uid of {pairs} in {files}{repeated}",
        *dropped,
        f"next        {shlex.join(command)}",
    ]


FILES = Section(_cut, write_downloads, "files")
DOWNLOADS = Stage(
    name="downloads",
    version=1,
    command="tallyclip export downloads RUN --out DIR",
    needs=("lookup",),
    sections=(FILES,),
    folder=DownloadsFolder,
    asked=asked_of_run,
    finish=_finish,
    compiled=COMPILED,
)
