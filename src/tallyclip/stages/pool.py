"""The stage pool: writes the gathered pairs that are kept, one file for each crawl file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool

from tallyclip.core.uids import column_uids, uid_strings
from tallyclip.errors import IncompleteError
from tallyclip.io.arrays import read_array, write_array
from tallyclip.io.files import replacing
from tallyclip.io.mirror import fetched
from tallyclip.io.tables import TableWriter
from tallyclip.readers.crawl.gather import SCHEMA
from tallyclip.readers.crawl.links import FIELDS
from tallyclip.readers.crawl.read import UID_COLUMN
from tallyclip.readers.ledger import Ledger, merge_samples
from tallyclip.report.card import CrawlPart, Part, reasons
from tallyclip.run.cost import Cost, Expected
from tallyclip.run.items import Work
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.duplicates import Removed, removed_of
from tallyclip.stages.gather import BYTES_PER_KEY, GATHER, DuplicateKey, GatherFolder, PoolOptions, index_of
from tallyclip.stages.remaining import GatheredFile, RemainingFolder, RemainingReport, drops_of, gathered_files
from tallyclip.steps.base import apply
from tallyclip.steps.dropped import dropped_pairs
from tallyclip.steps.languages import LANGUAGE, SCORE, LanguageChoice, Languages, asked_languages
from tallyclip.wording import plural

LANGUAGES = [(LANGUAGE, pa.dictionary(pa.int16(), pa.string())), (SCORE, pa.float32())]


class PoolJob(msgspec.Struct, frozen=True):
    """What is the same for all files: the folder of gathered pairs, and which of them are removed."""

    gathered: str
    removed: Removed
    languages: LanguageChoice | None
    detected: bool
    duplicates: DuplicateKey
    write_dropped: bool


def write_pairs(job: PoolJob, item: GatheredFile, folder: RemainingFolder, tick: Callable[[int], None]) -> RemainingReport:
    """Write the pairs of a file that are kept, with their languages if these are detected, and their keys."""
    gathered = GatherFolder(Path(job.gathered))
    removed, ledger = job.removed.of_file(item.number, read_array(gathered.repeats(item.key))), Ledger()
    languages = [] if job.languages is None or job.detected else [Languages(job.languages)]
    schema = pool_schema(job.languages)
    kept: list[Bool[np.ndarray, " _"]] = []
    rows = 0
    with (
        replacing(folder.pairs(item.key)) as part,
        TableWriter(part, schema, repetitive=["field", "page_url", "crawl_file", LANGUAGE]) as writer,
        dropped_pairs(folder.dropped(item.key), wanted=job.write_dropped) as dropped,
        pq.ParquetFile(str(fetched(gathered.pairs(item.key)))) as file,
    ):
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            keep = np.ones(len(table), np.bool_)
            for reason, places in removed.items():
                here = places[np.searchsorted(places, rows) : np.searchsorted(places, rows + len(table))] - np.uint64(rows)
                keep[here.astype(np.int64)] = False
                dropped.add_at(table, here, reason)
            places = np.flatnonzero(keep)
            rows += len(table)
            tick(len(table))
            table = table.filter(pa.array(keep)).append_column("_place", pa.array(places))
            table = apply(languages, table, ledger, dropped)
            keep[:] = False
            keep[table["_place"].to_numpy()] = True
            kept.append(keep)
            uids = uid_strings(column_uids(table[UID_COLUMN].combine_chunks()))
            table = table.set_column(0, UID_COLUMN, uids)
            if job.detected:  # the dictionary of kept rows, in order of appearance
                column = table[LANGUAGE].cast(pa.string()).combine_chunks().dictionary_encode()
                table = table.set_column(table.column_names.index(LANGUAGE), LANGUAGE, column)
            writer.write(table.select(schema.names).cast(schema))
    write_array(folder.index(item.key), index_of(gathered, item.key, job.duplicates, np.concatenate([np.zeros(0, np.bool_), *kept])))
    count = sum(int(np.count_nonzero(keep)) for keep in kept)
    drops = +Counter({reason: len(places) for reason, places in removed.items()}) + ledger.counts
    return RemainingReport(rows=rows, kept=count, drops=dict(drops), samples=ledger.report())


def pool_schema(languages: LanguageChoice | None) -> pa.Schema:
    """The columns of a pool made from crawl files."""
    return pa.schema([(UID_COLUMN, pa.string()), *SCHEMA, *(LANGUAGES if languages is not None else [])])


def _asked(_: Workspace, options: PoolOptions) -> dict[str, Any]:
    return {"languages": asked_languages(options.languages)}


def _cut(making: Making[RemainingFolder, PoolOptions]) -> Work:
    run, options = making.run, making.options
    job = PoolJob(
        gathered=str(run.folder(GATHER).path),
        removed=removed_of(run),
        languages=options.languages,
        detected=options.early_languages is not None,
        duplicates=options.key,
        write_dropped=options.write_dropped,
    )
    return Work(gathered_files(run), job)


def _finish(making: Making[RemainingFolder, PoolOptions]) -> Finished:
    gathered = making.run.required(GATHER)
    reports: dict[str, RemainingReport] = making.reports(FILES)
    drops = drops_of(making.run, reports.values())
    pairs = sum(report.kept for report in reports.values())
    if pairs == 0:
        raise IncompleteError(*_nothing_kept(gathered, drops))
    return Finished({"pairs": pairs, "drops": dict(sorted(drops.items()))}, f"{pairs:,} of {plural(gathered.result['pairs'], 'pair')} kept")


def _nothing_kept(gathered: Manifest, drops: Counter[str]) -> tuple[str, str]:
    seen, dropped = gathered.result["seen"], ", ".join(f"{count:,} {reason}" for reason, count in sorted(drops.items()))
    if seen.get("texts"):
        hint = "see the reasons above, and change the filters that drop too much"
    else:
        hint = "check that these are WAT or WARC files with HTML pages; WET files have no links"
    what = f"no pair was kept: {', '.join(plural(seen.get(f'{one}s', 0), one) for one in ('page', 'image', 'text'))}"
    return what + (f"; dropped: {dropped}" if dropped else ""), hint


class PoolPart(Part):
    """How crawl files became a pool."""

    crawl: CrawlPart


def _card(run: Workspace) -> PoolPart:
    gathered, pool = run.required(GATHER), run.required(POOL)
    reports = [*run.reports(GATHER).values(), *run.reports(POOL).values()]
    return PoolPart(
        crawl=CrawlPart(
            files=len(gathered.pieces),
            bytes=gathered.result["bytes"],
            counts=gathered.result["seen"],
            pairs=pool.result["pairs"],
            duplicates=gathered.options["duplicates"],
            drops=reasons(pool.result["drops"], merge_samples(report.samples for report in reports)),
        )
    )


def _cost(expected: Expected) -> Cost:
    return Cost(disk_bytes=expected.pairs * (expected.row_bytes + BYTES_PER_KEY))


FILES = Section(_cut, write_pairs, "files", rows=lambda _, item: item.rows)


def pool_summary(run: Workspace) -> list[str]:
    """The summary lines of a pool that was made from crawl files.

    Raises:
        IncompleteError: there is none.
    """
    pool, gathered = run.required(POOL), run.required(GATHER)
    seen, pairs = gathered.result["seen"], pool.result["pairs"]
    fields = ", ".join(f"{seen[field]:,} {field}" for field in FIELDS if seen.get(field))
    drops = sorted(pool.result["drops"].items(), key=lambda drop: -drop[1])
    lines = [
        f"files       {len(gathered.pieces):,}, {plural(seen.get('records', 0), 'record')}, {plural(seen.get('pages', 0), 'page')}",
        f"images      {seen.get('images', 0):,}, with {plural(seen.get('texts', 0), 'caption')}: {fields or 'none'}",
        *(f"{'dropped' if not place else '':<11} {count:,} {reason}" for place, (reason, count) in enumerate(drops)),
        f"pairs       {pairs:,}",
    ]
    if gathered.failed:
        lines.insert(1, f"failed      {plural(len(gathered.failed), 'file')}, skipped as --allow-failed-shards allows")
    return lines


POOL = Stage(
    name="pool",
    version=1,
    command="tallyclip pool CRAWL... --out RUN",
    needs=("gather", "duplicates"),
    sections=(FILES,),
    folder=RemainingFolder,
    asked=_asked,
    finish=_finish,
    optional=True,
    card=_card,
    cost=_cost,
)
