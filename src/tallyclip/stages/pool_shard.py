"""Writing one file of the pool: what stays of a crawl file's pairs, in the languages asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt64

from tallyclip.core.duplicates import MOST_ROWS, ROW_BITS
from tallyclip.core.sorting import sort_rows
from tallyclip.core.uids import make_uids, uid_strings
from tallyclip.io.files import replacing, write_array
from tallyclip.io.tables import TableWriter
from tallyclip.readers.crawl.gather import SCHEMA
from tallyclip.readers.ledger import BOILERPLATE, Ledger
from tallyclip.readers.records import Drop
from tallyclip.run.layout import DuplicatesFolder, ParseFolder, PoolFolder
from tallyclip.run.shards import ShardJob, ShardReport, sizes_of
from tallyclip.stages.match_shard import Sample, samples_of
from tallyclip.stages.parse_shard import Duplicates, keys_of
from tallyclip.steps.languages import LanguageChoice, told

LANGUAGE = [("language", pa.dictionary(pa.int16(), pa.string())), ("language_score", pa.float32())]


class PoolReport(ShardReport, kw_only=True):
    """``rows`` counts the pairs that came, ``kept`` those that stay."""

    kept: int
    drops: dict[str, int]
    samples: dict[str, list[Sample]]


class PoolJob(ShardJob, frozen=True):
    """What a worker needs to write a file of the pool. ``number`` is the shard's, as places have it."""

    number: int
    buckets: int
    site_buckets: int
    parse: str
    duplicates: str
    folder: str
    languages: LanguageChoice | None
    kind: Duplicates


def pool_shard(job: PoolJob, tick: Callable[[int], None]) -> PoolReport:
    """Write the pairs of a crawl file that stay, with their uids, and with their languages if any are asked for."""
    started = time.perf_counter()
    key, folder, parsed = job.shard.key, PoolFolder(Path(job.folder)), ParseFolder(Path(job.parse))
    folder_of_losers = DuplicatesFolder(Path(job.duplicates))
    repeats = np.sort(np.concatenate([np.load(parsed.repeats(key)), *_losers(job, map(folder_of_losers.losers, range(job.buckets)))]))
    of_sites = [np.zeros(0, np.uint64), *_losers(job, map(folder_of_losers.site_losers, range(job.site_buckets)))]
    going = np.union1d(repeats, np.concatenate(of_sites))
    ledger = Ledger()
    if len(going) > len(repeats):
        ledger.add(Drop(BOILERPLATE, 0, ""), len(going) - len(repeats))
    index: list[UInt64[np.ndarray, "_ 2"]] = []
    rows = kept = 0
    with (
        replacing(folder.pairs(key)) as part,
        TableWriter(part, pool_schema(job.languages), repetitive=["field", "page_url", "crawl_file", "language"]) as writer,
        pq.ParquetFile(str(parsed.pairs(key))) as file,
    ):
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            gone = going[np.searchsorted(going, rows) : np.searchsorted(going, rows + len(table))] - np.uint64(rows)
            stays = np.ones(len(table), np.bool_)
            stays[gone.astype(np.int64)] = False
            rows += len(table)
            tick(len(table))
            table = table.filter(pa.array(stays))
            table = _with_uids(table)
            if job.languages is not None:
                table = _in_languages(table, job.languages, ledger)
            kept += len(table)
            index.append(keys_of(table, job.kind))
            writer.write(table.cast(pool_schema(job.languages)))
    write_array(folder.index(key), sort_rows(np.concatenate([np.zeros((0, 2), np.uint64), *index])))
    return PoolReport(
        path=job.shard.file.path,
        fingerprint=job.shard.file.fingerprint,
        rows=rows,
        seconds=round(time.perf_counter() - started, 3),
        outputs=sizes_of(folder.path, folder.pairs(key), folder.index(key)),
        kept=kept,
        drops=dict(ledger.counts),
        samples=samples_of(ledger.samples),
    )


def pool_schema(languages: LanguageChoice | None) -> pa.Schema:
    """The columns of a pool that is made from crawl files."""
    return pa.schema([("uid", pa.string()), *SCHEMA, *(LANGUAGE if languages is not None else [])])


def _losers(job: PoolJob, paths: Iterable[Path]) -> Iterator[UInt64[np.ndarray, " _"]]:
    """The rows of this shard that go, bucket by bucket."""
    first = np.uint64(job.number << ROW_BITS)
    for path in paths:
        places = np.load(path, mmap_mode="r")
        low, high = np.searchsorted(places, first), np.searchsorted(places, first + np.uint64(MOST_ROWS))
        yield places[low:high] - first


def _with_uids(table: pa.Table) -> pa.Table:
    return table.add_column(0, "uid", uid_strings(make_uids(table["url"], table["text"])))


def _in_languages(table: pa.Table, choice: LanguageChoice, ledger: Ledger) -> pa.Table:
    """The rows in the languages asked for, with label and score."""
    labels, scores, keep, dropped = told(table["text"].to_pylist(), choice)
    for i, reason, sample in dropped:
        ledger.add(Drop(reason, i, sample))
    table = table.append_column("language", pa.array(labels).dictionary_encode()).append_column("language_score", pa.array(scores))
    return table.filter(pa.array(keep))
