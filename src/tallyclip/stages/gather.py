"""The stage gather: applies steps to the pairs of a pool, one shard at a time, and writes the keys by which duplicates are found.

The pairs of crawl files are written whole, since reading them again would take long; of tables only the places of the pairs.

Pairs with the same key are duplicates. The key is the uid of the pair, or of its URL. Keys are sorted here, so that a bucket of keys is
one slice of each file's keys (``stages/duplicates.py``).

Longer than others: the work is there for both, with the options that all later stages take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from jaxtyping import Bool, UInt64
from msgspec.structs import replace

from tallyclip.core.duplicates import first_of_each, preferences, sorted_records
from tallyclip.core.sorting import sort_rows
from tallyclip.core.uids import UID, column_uids, make_uids
from tallyclip.errors import OptionError, StepError
from tallyclip.io.arrays import read_array, write_array
from tallyclip.io.files import replacing
from tallyclip.io.mirror import fetched
from tallyclip.io.tables import TableWriter
from tallyclip.readers.columns import ColumnChoice, Columns
from tallyclip.readers.crawl.gather import page_hashes
from tallyclip.readers.crawl.links import FIELDS
from tallyclip.readers.crawl.read import PAGE_COLUMN, PAIRS, UID_COLUMN, CrawlReading
from tallyclip.readers.estimate import estimate_rows
from tallyclip.readers.ledger import Ledger, Samples
from tallyclip.readers.pairs import pairs_in_parts, strings_at, table_of
from tallyclip.readers.read import open_file, read_shard
from tallyclip.readers.records import Records
from tallyclip.readers.sources import Pool, cut
from tallyclip.run.cost import Cost, Expected
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.shards import ShardItem
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.steps.base import Step, apply
from tallyclip.steps.dropped import dropped_pairs
from tallyclip.steps.filters import Filters, Screen, host_of
from tallyclip.steps.languages import LANGUAGE, SCORE, LanguageChoice, Languages, asked_languages
from tallyclip.steps.own import COLUMN, OwnStep, judges_of
from tallyclip.wording import plural

Duplicates = Literal["pair", "url", "report", "estimate", "off"]
DuplicateKey = Literal["pair", "url", "off"]
CountRepeats = Literal["report", "estimate"]
BYTES_PER_KEY = 32  # of a pair, on disk
ROW, NUMBER = "row", "text_number"  # of a table's pair: the record's number in its file, and the caption's in its record
PLACES = [(ROW, pa.int64()), (NUMBER, pa.int32())]
TEXTS = ("file", "url", "text")  # of a table's pair that may be dropped later, and written then
PLACE_OF_PAGE = ("field", "page_url", "crawl_file", "offset")  # columns of tables that are from crawl files
pc: Any = pyarrow.compute


class DroppingFolder(StageFolder):
    """The folder of a stage that drops pairs, and with --write-dropped writes them, a file for each piece of work."""

    def dropped(self, key: str) -> Path:
        return self.path / "_dropped" / f"{key}.parquet"


class GatherFolder(DroppingFolder):
    """For each file: its pairs, their sorted keys, its duplicate rows, with --max-site-repeats the keys by site, and with --write-dropped
    the pairs that steps dropped."""

    def pairs(self, key: str) -> Path:
        return self.path / f"{key}.parquet"

    def keys(self, key: str) -> Path:
        return self.path / f"{key}.keys.npy"

    def repeats(self, key: str) -> Path:
        return self.path / f"{key}.repeats.npy"

    def sites(self, key: str) -> Path:
        return self.path / f"{key}.sites.npy"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return self.pairs(key), self.keys(key), self.repeats(key), self.sites(key), self.dropped(key)


class PoolOptions(msgspec.Struct, frozen=True):
    """How the pairs of a pool are filtered and deduplicated before they are matched.

    Attributes:
        duplicates: what makes pairs duplicates, of which one is kept: "pair" (URL and caption) or "url"; or all are kept, and repeats
            counted ("report"), estimated ("estimate") or neither ("off"). By default "pair" for crawl files, and for tables if pools are
            excluded, else "estimate".
        exclude: run folders of earlier pools, whose pairs are skipped.
        languages: languages to keep, or None to detect none.
        filters: other filters.
        steps: the user's own.
        write_dropped: write the pairs that are dropped.
        keep_readable: keep the readable part of damaged files.
        max_site_repeats: drop captions that are used with more distinct images than this on the pages of one host.
        max_download: bytes; larger files are not downloaded.
    """

    duplicates: Duplicates | None = None
    exclude: list[str] = []
    languages: LanguageChoice | None = None
    filters: Filters = Filters()
    steps: list[OwnStep] = []
    write_dropped: bool = False
    keep_readable: bool = False
    max_site_repeats: int | None = None
    max_download: int = CrawlReading().max_download

    def of_pool(self, *, crawl: bool) -> PoolOptions:
        """These options with the default for duplicates."""
        default: Duplicates = "pair" if crawl or self.exclude else "estimate"
        return self if self.duplicates else replace(self, duplicates=default)

    @property
    def key(self) -> DuplicateKey:
        """What makes pairs duplicates that are dropped, once the default is known."""
        return self.duplicates if self.duplicates == "pair" or self.duplicates == "url" else "off"

    @property
    def repeats(self) -> CountRepeats | None:
        """How repeats that are kept are counted."""
        return self.duplicates if self.duplicates == "report" or self.duplicates == "estimate" else None

    @property
    def keep_all(self) -> bool:
        """Whether no pair is dropped before matching."""
        none = self.key == "off" and not self.exclude and not self.steps
        return none and self.filters == Filters() and self.max_site_repeats is None

    @property
    def early_languages(self) -> LanguageChoice | None:
        """The languages, if they must be detected before duplicates are removed: the caption kept for a URL must be in one of them."""
        return self.languages if self.duplicates == "url" else None

    def check(self) -> None:
        """Refuse invalid options, before any work.

        Raises:
            OptionError: a language, a filter or a number is invalid.
        """
        if self.languages is not None:
            self.languages.check()
        self.filters.check()
        if self.max_site_repeats is not None and self.max_site_repeats < 1:
            raise OptionError(f"--max-site-repeats {self.max_site_repeats} would keep nothing", "give a number of at least 1")


class GatherOptions(msgspec.Struct, frozen=True):
    """Crawl files, and the options for their pairs."""

    pool: Pool
    steps: PoolOptions


class GatherJob(msgspec.Struct, frozen=True):
    """What is the same for all shards.

    Attributes:
        choice: the user's choices for the columns of tables.
        how: crawl files are read.
        collapse: remove duplicates within a file at once, so that a very frequent pair cannot fill its bucket.
    """

    choice: ColumnChoice
    how: CrawlReading
    duplicates: DuplicateKey
    filters: Filters
    steps: list[OwnStep]
    by_site: bool
    collapse: bool
    languages: LanguageChoice | None
    write_dropped: bool


class GatherReport(Report):
    """``rows`` is the number of pairs; ``seen`` counts records, pages, images and captions; ``repeats`` the duplicates within the file."""

    seen: dict[str, int]
    drops: dict[str, int]
    samples: Samples
    repeats: int


def gather_shard(job: GatherJob, item: ShardItem, folder: GatherFolder, tick: Callable[[int], None]) -> GatherReport:
    """Write the pairs of a file, their sorted keys, and which rows are duplicates within the file."""
    shard, key, of_crawl = item.shard, item.shard.key, item.shard.file.is_gathered
    opened = open_file(shard.file, job.choice)
    own = [] if of_crawl else list(dict.fromkeys(name for step in job.steps for name in step.columns))
    more = [name for name in (*PLACE_OF_PAGE, *own) if opened.schema is not None and name in opened.schema.names]
    steps: list[Step] = [_screen(job.filters), *judges_of(job.steps), *([] if job.languages is None else [Languages(job.languages)])]
    seen, ledger, keys = Counter[str](), Ledger(), _Keys(job.duplicates, by_site=job.by_site)
    schema = gathered_schema(job.languages, of_crawl=of_crawl, with_texts=job.write_dropped)
    repetitive = ["file", "field", "page_url", "crawl_file", LANGUAGE]
    with (
        replacing(folder.pairs(key)) as part,
        TableWriter(part, schema, repetitive) as writer,
        dropped_pairs(folder.dropped(key), wanted=job.write_dropped, file=shard.file.named) as dropped,
    ):
        for records in read_shard(shard, opened.columns, job.choice, more=more, how=job.how):
            seen.update(records.seen)
            for drop in records.drops if of_crawl else []:  # matching reads tables again, and counts these
                ledger.add(drop)
            for pairs in [records.table] if of_crawl else _pairs_of_table(records, opened.columns, own):
                try:
                    table = apply(steps, pairs, ledger, dropped)
                except StepError as error:
                    rows = f"records {records.rows[0]:,} to {records.rows[-1]:,}"
                    raise StepError(f"{error.what}; in {shard.file.path}, {rows}", error.hint) from error
                keys.add(table)
                if job.write_dropped and not of_crawl:
                    table = table.append_column("file", pa.array([shard.file.named] * len(table)))
                writer.write(table.select(schema.names).cast(schema))
            tick(len(records.rows))
    found, repeats = keys.resolved(collapse=job.collapse)
    write_array(folder.keys(key), found)
    write_array(folder.repeats(key), repeats)
    if job.by_site:
        write_array(folder.sites(key), keys.by_site())
    return GatherReport(rows=keys.rows, seen=dict(seen), drops=dict(ledger.counts), samples=ledger.report(), repeats=len(repeats))


def _pairs_of_table(records: Records, columns: Columns, own: Sequence[str]) -> Iterator[pa.Table]:
    """The pairs of records as crawl files have them, with the places of the pairs; with those of pages where the table says them; and with
    the columns that the user's own steps read, null where records lack them."""
    has_pages = {*PLACE_OF_PAGE} <= {*records.table.column_names}
    for pairs in pairs_in_parts(records, columns):
        places = np.searchsorted(records.rows, pairs.rows)
        table = table_of(pairs, records, columns)
        for name in own:
            values = records.table[name].take(pa.array(places)) if name in records.table.column_names else pa.nulls(len(places))
            table = table.append_column(COLUMN + name, values)
        if has_pages:
            field, page, crawl_file = (strings_at(records.table, name, places) for name in ("field", "page_url", "crawl_file"))
            offsets = strings_at(records.table, "offset", places)
            fields = pc.fill_null(pc.index_in(field, value_set=pa.array(FIELDS)), 0)
            table = (
                table.append_column("field", pa.DictionaryArray.from_arrays(fields, pa.array(FIELDS)))
                .append_column("page_url", page.dictionary_encode())
                .append_column(PAGE_COLUMN, pa.array(page_hashes(page, crawl_file, offsets)))
            )
        yield table


def index_of(folder: GatherFolder, key: str, duplicates: DuplicateKey, kept: Bool[np.ndarray, " N"]) -> UInt64[np.ndarray, "K 2"]:
    """The keys of the N gathered rows that are kept, ascending."""
    if duplicates == "off":  # no keys were made; the key of a pair is its uid
        uids = column_uids(pq.read_table(str(fetched(folder.pairs(key))), columns=[UID_COLUMN])[UID_COLUMN].combine_chunks())
        return sort_rows(uids[kept])
    records = read_array(folder.keys(key))
    return np.ascontiguousarray(records[kept[records[:, 3].astype(np.int64)], :2])


def gathered_schema(languages: LanguageChoice | None, *, of_crawl: bool, with_texts: bool = False) -> pa.Schema:
    """The columns of gathered pairs. Of crawl files they are those of the reader, except the hash of the page, which only chooses among
    duplicates; of tables the uid and the place, and where dropped pairs are written later, ``TEXTS``."""
    of_table = [(UID_COLUMN, UID), *PLACES, *([(name, pa.string()) for name in TEXTS] if with_texts else [])]
    fields = [field for field in PAIRS if field.name != PAGE_COLUMN] if of_crawl else of_table
    return pa.schema([*fields, *([(LANGUAGE, pa.dictionary(pa.int32(), pa.string())), (SCORE, pa.float32())] if languages else [])])


@lru_cache(maxsize=1)
def _screen(filters: Filters) -> Screen:
    """Cached, so that a worker reads the lists of the filters once."""
    return Screen(filters)


class _Keys:
    """Collects the keys of a file's rows, batch by batch; takes 32 bytes of memory per row."""

    def __init__(self, duplicates: DuplicateKey, *, by_site: bool) -> None:
        self._duplicates: DuplicateKey = duplicates
        self._sites: list[UInt64[np.ndarray, "_ 3"]] | None = [] if by_site else None
        self._keys: list[UInt64[np.ndarray, "_ 2"]] = []
        self._preferences: list[UInt64[np.ndarray, " _"]] = []
        self.rows = 0

    def add(self, table: pa.Table) -> None:
        self.rows += len(table)
        uids = column_uids(table[UID_COLUMN].combine_chunks())
        if self._sites is not None:
            self._sites.append(np.column_stack([_site_keys(table), uids[:, 0]]))
        if self._duplicates == "off":
            return
        self._keys.append(url_keys(table["url"], uids) if self._duplicates == "url" else uids)
        if PAGE_COLUMN not in table.column_names:
            self._preferences.append(uids[:, 0])
            return
        fields = table["field"].combine_chunks().indices.to_numpy().astype(np.uint64)
        self._preferences.append(preferences(table[PAGE_COLUMN].combine_chunks().to_numpy(), fields, uids[:, 0]))

    def resolved(self, *, collapse: bool) -> tuple[UInt64[np.ndarray, "K 4"], UInt64[np.ndarray, " R"]]:
        """The sorted records of the rows that are kept in this file, and the sorted numbers of the other rows."""
        keys = np.concatenate([np.zeros((0, 2), np.uint64), *self._keys])
        preferences = np.concatenate([np.zeros(0, np.uint64), *self._preferences])
        records = sorted_records(keys, preferences, np.arange(len(keys), dtype=np.uint64))
        first = first_of_each(records) if collapse else np.ones(len(records), np.bool_)
        return records[first], np.sort(records[~first, 3])

    def by_site(self) -> UInt64[np.ndarray, "N 4"]:
        """Sorted records: two columns for the hash of host and caption, the first half of the pair's uid, and the row."""
        sites = np.concatenate([np.zeros((0, 3), np.uint64), *(self._sites or [])])
        return sort_rows(np.column_stack([sites, np.arange(len(sites), dtype=np.uint64)]))


def url_keys(urls: pa.Array | pa.ChunkedArray, uids: UInt64[np.ndarray, "N 2"]) -> UInt64[np.ndarray, "N 2"]:
    """The keys of pairs by their URLs; of those without one the uids, so they are duplicates only of the same pairs."""
    keys = make_uids(None, urls)
    without = pc.equal(urls, "").to_numpy(zero_copy_only=False)
    keys[without] = uids[without]
    return keys


def _site_keys(table: pa.Table) -> UInt64[np.ndarray, "N 2"]:
    if PAGE_COLUMN not in table.column_names:
        raise OptionError(f"without the columns {', '.join(PLACE_OF_PAGE)}, hosts of pages are unknown", "leave out --max-site-repeats")
    pages = table["page_url"].combine_chunks()
    hosts = pa.array([host_of(page) for page in pages.dictionary.to_pylist()], pa.string())
    return make_uids(hosts, table["text"], image_kind="key", image_of=pages.indices.to_numpy().astype(np.int64))


def _asked(_: Workspace, options: GatherOptions) -> dict[str, Any]:
    steps = options.steps
    return {
        "duplicates": steps.key,
        "filters": Screen(steps.filters).fingerprint,
        "keep_readable": steps.keep_readable,
        "by_site": steps.max_site_repeats is not None,
        "exclude": bool(steps.exclude),
        "languages": asked_languages(steps.early_languages),
        "steps": [step.asked for step in steps.steps],
        "write_dropped": steps.write_dropped,
    }


def _cut(making: Making[GatherFolder, GatherOptions]) -> Work:
    steps = making.options.steps
    by_site = steps.max_site_repeats is not None
    job = GatherJob(
        choice=making.options.pool.choice,
        how=CrawlReading(str(making.run.downloads), steps.keep_readable, steps.max_download),
        duplicates=steps.key,
        filters=steps.filters,
        steps=steps.steps,
        by_site=by_site,
        collapse=not by_site and not steps.exclude,
        languages=steps.early_languages,
        write_dropped=steps.write_dropped,
    )
    return Work({shard.key: ShardItem(shard) for shard in cut(making.options.pool.files)}, job)


def _finish(making: Making[GatherFolder, GatherOptions]) -> Finished:
    reports: dict[str, GatherReport] = making.reports(SHARDS)
    seen, drops = Counter[str](), Counter[str]()
    for report in reports.values():
        seen.update(report.seen)
        drops.update(report.drops)
    pairs = sum(report.rows for report in reports.values())
    filters = {name: value for name, value in msgspec.to_builtins(making.options.steps.filters).items() if value}
    pool = making.options.pool
    result = {
        "pairs": pairs,
        "repeats": sum(report.repeats for report in reports.values()),
        "seen": dict(sorted(seen.items())),
        "drops": dict(sorted(drops.items())),
        "filters": filters,
        "sources": pool.names,
        "files": len(pool.files),
        "bytes": sum(file.size for file in pool.files),
    }
    of = f" from {plural(seen['images'], 'image')} of {plural(seen['pages'], 'page')}" if seen["pages"] else ""
    return Finished(result, f"{plural(pairs, 'pair')}{of}")


def _cost(expected: Expected) -> Cost:
    return Cost(expected.read_seconds, expected.pairs * (expected.row_bytes + BYTES_PER_KEY))


SHARDS = Section(cut=_cut, work=gather_shard, name="shards", rows=lambda _, item: estimate_rows(item.shard))
GATHER = Stage(
    name="gather",
    version=2,
    command="tallyclip match POOL... --out RUN",
    sections=(SHARDS,),
    reads_files=True,
    folder=GatherFolder,
    asked=_asked,
    finish=_finish,
    optional=True,
    cost=_cost,
)
