"""Parsing one crawl file: from WAT or WARC to its pairs, and the keys by which repeats are found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import UInt64

from tallyclip.core.duplicates import first_of_each, preferences, sorted_records
from tallyclip.core.sorting import sort_rows
from tallyclip.core.uids import make_uids
from tallyclip.io.fetch import local_copy
from tallyclip.io.files import replacing, write_array
from tallyclip.io.streams import file_name
from tallyclip.io.tables import TableWriter
from tallyclip.io.web import POLITE
from tallyclip.readers.crawl.gather import SCHEMA, Gatherer, Rows
from tallyclip.readers.warc import read_warc
from tallyclip.readers.wat import read_wat
from tallyclip.run.layout import ParseFolder
from tallyclip.run.shards import ShardJob, ShardReport, sizes_of
from tallyclip.stages.match_shard import Sample, samples_of
from tallyclip.steps.filters import Filters, Screen, host_of
from tallyclip.steps.languages import LanguageChoice, told

READERS = {"wat": read_wat, "warc": read_warc}

Duplicates = Literal["pair", "url", "off"]


class ParseReport(ShardReport, kw_only=True):
    """``rows`` counts the pairs; ``counts`` what was seen; ``repeats`` how many of the pairs repeat others of this file."""

    counts: dict[str, int]
    drops: dict[str, int]
    samples: dict[str, list[Sample]]
    repeats: int


class ParseJob(ShardJob, frozen=True):
    """What a worker needs to parse a crawl file.

    ``collapse``: pairs that repeat others of the file go at once, which keeps a pair that is everywhere from filling its bucket.
    """

    folder: str
    scratch: str
    duplicates: Duplicates
    filters: Filters
    salvage: bool
    by_site: bool
    collapse: bool
    languages: LanguageChoice | None
    max_download: int


def parse_shard(job: ParseJob, tick: Callable[[int], None]) -> ParseReport:
    """Parse a crawl file: writes its pairs, their sorted keys, and which of them repeat others of the file."""
    started = time.perf_counter()
    folder, key = ParseFolder(Path(job.folder)), job.shard.key
    name = file_name(job.shard.file.path).rsplit("/", 1)[-1]  # not that of a copy
    policy = msgspec.structs.replace(POLITE, largest=job.max_download)
    gather, screen, keys = Gatherer(), _screen(job.filters), _Keys(job.duplicates, by_site=job.by_site)
    with (
        local_copy(job.shard.file.path, Path(job.scratch), policy) as path,
        replacing(folder.pairs(key)) as part,
        TableWriter(part, SCHEMA, repetitive=["field", "page_url", "crawl_file"]) as writer,
    ):

        def write(rows: Rows) -> None:
            rows = _in_languages(_screened(rows, screen, gather), job.languages, gather)
            writer.write(rows.table)
            keys.add(rows)
            tick(len(rows.uids))

        for _ in READERS[job.shard.file.kind](path, gather, name=name, salvage=job.salvage):
            if gather.is_full:
                write(gather.take())
        write(gather.take())
    records, repeats = keys.resolved(collapse=job.collapse)
    write_array(folder.keys(key), records)
    write_array(folder.repeats(key), repeats)
    if job.by_site:
        write_array(folder.sites(key), keys.by_site())
    return ParseReport(
        path=job.shard.file.path,
        fingerprint=job.shard.file.fingerprint,
        rows=keys.rows,
        seconds=round(time.perf_counter() - started, 3),
        outputs=sizes_of(folder.path, *(path for path in folder.outputs_of(key) if path.exists())),
        counts=dict(gather.counts),
        drops=dict(gather.drops),
        samples=samples_of(gather.samples),
        repeats=len(repeats),
    )


@lru_cache(maxsize=1)
def _screen(filters: Filters) -> Screen:
    """A worker reads the lists of its filters once."""
    return Screen(filters)


def _screened(rows: Rows, screen: Screen, gather: Gatherer) -> Rows:
    """The rows that no filter drops."""
    if not screen.active:
        return rows
    good = np.ones(len(rows.uids), np.bool_)
    pairs = zip(rows.table["url"].to_pylist(), rows.table["text"].to_pylist(), strict=True)
    for i, (url, text) in enumerate(pairs):
        reason = screen.reason(url, text)
        if reason is not None:
            good[i] = False
            gather.drop(reason, text)
    return rows if good.all() else Rows(rows.table.filter(pa.array(good)), rows.uids[good], rows.pages[good])


def _in_languages(rows: Rows, choice: LanguageChoice | None, gather: Gatherer) -> Rows:
    """The rows in the languages that are asked for, if any are."""
    if choice is None:
        return rows
    _, _, good, drops = told(rows.table["text"].to_pylist(), choice)
    for _, reason, sample in drops:
        gather.drop(reason, sample)
    return Rows(rows.table.filter(pa.array(good)), rows.uids[good], rows.pages[good])


def keys_of(table: pa.Table, duplicates: Duplicates) -> UInt64[np.ndarray, "N 2"]:
    """Of each row what only one may have: the pair's uid, or that of its address."""
    return make_uids(None, table["url"]) if duplicates == "url" else make_uids(table["url"], table["text"])


class _Keys:
    """The keys of a file's rows, batch by batch: 32 bytes a row are held."""

    def __init__(self, duplicates: Duplicates, *, by_site: bool) -> None:
        self._duplicates: Duplicates = duplicates
        self._sites: list[UInt64[np.ndarray, "_ 3"]] | None = [] if by_site else None
        self._keys: list[UInt64[np.ndarray, "_ 2"]] = []
        self._preferences: list[UInt64[np.ndarray, " _"]] = []
        self.rows = 0

    def add(self, rows: Rows) -> None:
        self.rows += len(rows.uids)
        if self._sites is not None:
            self._sites.append(np.column_stack([_site_keys(rows.table), rows.uids[:, 0]]))
        if self._duplicates == "off":
            return
        fields = rows.table["field"].combine_chunks().indices.to_numpy().astype(np.uint64)
        self._keys.append(keys_of(rows.table, self._duplicates))
        self._preferences.append(preferences(rows.pages, fields, rows.uids[:, 0]))

    def resolved(self, *, collapse: bool) -> tuple[UInt64[np.ndarray, "K 4"], UInt64[np.ndarray, " R"]]:
        """The sorted records of the rows that stay in this file, and the others' numbers in ascending order."""
        keys = np.concatenate([np.zeros((0, 2), np.uint64), *self._keys])
        preferences = np.concatenate([np.zeros(0, np.uint64), *self._preferences])
        records = sorted_records(keys, preferences, np.arange(len(keys), dtype=np.uint64))
        first = first_of_each(records) if collapse else np.ones(len(records), np.bool_)
        return records[first], np.sort(records[~first, 3])

    def by_site(self) -> UInt64[np.ndarray, "N 4"]:
        """Sorted records of host and text, with the pair's uid and the row."""
        sites = np.concatenate([np.zeros((0, 3), np.uint64), *(self._sites or [])])
        return sort_rows(np.column_stack([sites, np.arange(len(sites), dtype=np.uint64)]))


def _site_keys(table: pa.Table) -> UInt64[np.ndarray, "N 2"]:
    pages = table["page_url"].combine_chunks()
    hosts = pa.array([host_of(page) for page in pages.dictionary.to_pylist()], pa.string())
    return make_uids(hosts, table["text"], image_kind="key", image_of=pages.indices.to_numpy().astype(np.int64))


def merged_counts(reports: list[ParseReport]) -> tuple[Counter[str], Counter[str]]:
    """What was seen and what was left out, over all files."""
    counts: Counter[str] = Counter()
    drops: Counter[str] = Counter()
    for report in reports:
        counts.update(report.counts)
        drops.update(report.drops)
    return counts, drops
