"""From crawl files to a pool: the three stages in a row, the last of which writes what stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallyclip.errors import IncompleteError, OptionError
from tallyclip.extras import load
from tallyclip.flows.crawl import Crawl, crawl_files
from tallyclip.io.structs import fingerprint_of, read_struct
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.ledger import IN_EARLIER_POOL, REPEATED_IN_POOL
from tallyclip.readers.sources import are_crawl_files, cut, find_files
from tallyclip.run.folder import Frozen, Run
from tallyclip.run.layout import PoolFolder
from tallyclip.run.manifest import Manifest, read_manifest
from tallyclip.run.shards import failure_message, read_report, run_shards, sizes_of
from tallyclip.stages.duplicates import earlier_pool, find_duplicates
from tallyclip.stages.match import start
from tallyclip.stages.parse import PoolOptions, parse_files
from tallyclip.stages.pool_shard import PoolJob, PoolReport, pool_shard
from tallyclip.steps.languages import asked_languages


def pool_of(run: Run, source: Sequence[str] | Crawl, options: PoolOptions, *, accept_failed: bool = False) -> Manifest:
    """A pool of crawl files or of a crawl; see ``make_pool``.

    Raises:
        OptionError: the files are tables already.
    """
    frozen = crawl_files(run, source) if isinstance(source, Crawl) else start(run, source, ColumnChoice())
    if not are_crawl_files(frozen.files):
        raise OptionError(f"{frozen.files[0].path} is a pool already", "give it to 'tallyclip curate'; 'pool' is for WAT and WARC files")
    return make_pool(run, frozen, options, accept_failed=accept_failed)


def make_pool(run: Run, frozen: Frozen, options: PoolOptions, *, accept_failed: bool = False) -> Manifest:
    """From crawl files to ``RUN/pool/*.parquet``.

    Raises:
        OptionError: an option that cannot be, or an earlier pool that is none.
        MissingExtraError: FastWARC is not installed.
        StaleError: a file changed or went after it was read.
        IncompleteError: shards failed and were not accepted, or no pair stays.
    """
    options.check()
    load("fastwarc", "FastWARC", "crawl")  # before every shard fails for the lack of it
    for folder in options.known:
        earlier_pool(run, Path(folder), options.duplicates)
    parse_files(run, frozen, options, accept_failed=accept_failed)
    find_duplicates(run, options)
    return write_pool(run, options)


def write_pool(run: Run, options: PoolOptions) -> Manifest:
    """The stage that writes the pool."""
    parsed, found = run.required("parse"), run.required("duplicates")
    asked = asked_languages(options.languages)
    fingerprint = fingerprint_of(stage="pool 1", duplicates=found.fingerprint, languages=asked)
    manifest = run.in_place_or_whole("pool", fingerprint)
    if manifest is not None:
        return manifest
    under_way = PoolFolder(run.begin("pool", fingerprint))
    parse_frozen = read_struct(run.layout.parse.pool, Frozen)
    assert parse_frozen is not None  # the stage is whole
    shards = {shard.key: shard for shard in cut(parse_frozen.files)}
    jobs = {
        key: PoolJob(
            shard=shards[key],
            number=number,
            buckets=found.result["buckets"],
            site_buckets=found.result["site_buckets"],
            parse=str(run.layout.parse.path),
            duplicates=str(run.layout.duplicates.path),
            folder=str(under_way.path),
            languages=options.languages,
            kind=options.duplicates,
        )
        for number, key in enumerate(parsed.result["shards"])
    }
    per_shard = parsed.result["pairs"] // max(1, len(jobs))
    reports, failures = run_shards(run, under_way, "pool", pool_shard, jobs, lambda _: per_shard, PoolReport)
    if failures:
        raise IncompleteError(*failure_message(failures, len(jobs)))
    result = _result(parsed, found, reports)
    if result["pairs"] == 0:
        raise IncompleteError(*_nothing_stays(parsed, result))
    run.progress.finish(f"{result['pairs']:,} pairs stay of {parsed.result['pairs']:,}")
    return run.publish(
        "pool",
        under_way,
        fingerprint,
        inputs=found.inputs | {"duplicates": found.fingerprint},
        options={"languages": asked},
        result=result,
        outputs=sizes_of(under_way.path, *(path for key in reports for path in (under_way.pairs(key), under_way.index(key)))),
        seconds=sum(report.seconds for report in reports.values()),
    )


def _result(parsed: Manifest, found: Manifest, reports: dict[str, PoolReport]) -> dict[str, Any]:
    drops = Counter[str](parsed.result["drops"])
    if found.result["repeats"]:
        drops[REPEATED_IN_POOL] += found.result["repeats"]
    if found.result["known"]:
        drops[IN_EARLIER_POOL] += found.result["known"]
    for report in reports.values():
        drops.update(report.drops)
    return {
        "shards": list(reports),
        "pairs": sum(report.kept for report in reports.values()),
        "drops": dict(sorted(drops.items())),
        "counts": parsed.result["counts"],
    }


def _nothing_stays(parsed: Manifest, result: dict[str, Any]) -> tuple[str, str]:
    counts, drops = parsed.result["counts"], ", ".join(f"{count:,} {reason}" for reason, count in result["drops"].items())
    if counts.get("texts"):
        hint = "what was left out says why: other options keep more"
    else:
        hint = "are these crawl files of pages? WET files, for one, have no links"
    what = f"no pair stays: {counts.get('pages', 0):,} pages with {counts.get('images', 0):,} images and {counts.get('texts', 0):,} texts"
    return what + (f"; left out: {drops}" if drops else ""), hint


def pool_files(run: Run, sources: list[str]) -> Frozen:
    """The pool in place, as what is to be matched."""
    files, _ = find_files([str(run.layout.pool.path)])
    return Frozen(sources, ColumnChoice(), files, made_here=True)


def pool_reports(run: Run, manifest: Manifest) -> dict[str, PoolReport]:
    """The reports of the pool's files in place."""
    reports = {key: read_report(run.layout.pool, key, PoolReport) for key in manifest.result["shards"]}
    return {key: report for key, report in reports.items() if report is not None}


def refuse_columns(choice: ColumnChoice) -> None:
    """Crawl files have no columns to choose.

    Raises:
        OptionError: some are named.
    """
    if choice != ColumnChoice():
        raise OptionError("the options of columns are for tables, and these are crawl files", "leave them out")


def refuse_other_pool(run: Run, options: PoolOptions) -> None:
    """A command that cannot filter would make a pool in place again without the filters it was made with.

    Raises:
        OptionError: there is one.
    """
    parsed, found = read_manifest(run.layout.parse), read_manifest(run.layout.duplicates)
    filtered = parsed is not None and (parsed.result["filters"] or parsed.options["by_site"] or parsed.options["known"])
    if found is not None and filtered and not (options.known or options.max_site_repeats):
        folder = run.layout.pool.path
        raise OptionError(
            f"{folder} was made with filters, which this command does not have", f"give {folder} as the POOL, and another --out"
        )
