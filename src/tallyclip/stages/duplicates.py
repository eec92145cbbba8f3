"""The stage of duplicates: over all crawl files, which pairs repeat others. A barrier, worked on bucket by bucket."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tallyclip.core.duplicates import bucket_bits
from tallyclip.errors import IncompleteError, OptionError
from tallyclip.io.files import write_json
from tallyclip.io.structs import fingerprint_of, read_struct
from tallyclip.run.folder import Run
from tallyclip.run.layout import DuplicatesFolder, RunLayout
from tallyclip.run.manifest import Manifest, read_manifest
from tallyclip.run.runners.local import Done, Failed, Progress, Task
from tallyclip.run.shards import sizes_of
from tallyclip.run.versions import PARSE
from tallyclip.stages.duplicates_shard import BucketJob, BucketReport, resolve_bucket
from tallyclip.stages.parse import PoolOptions, parse_reports

ROWS_PER_BUCKET = 4_000_000  # 128 MB of records, and some copies of them


def find_duplicates(run: Run, options: PoolOptions) -> Manifest:
    """Find the pairs that repeat others, or those of earlier pools; with ``duplicates="off"`` there are none.

    Raises:
        OptionError: an earlier pool has no keys, or keys of another kind.
        IncompleteError: parsing is not whole, or a bucket could not be worked on.
    """
    parsed = run.required("parse")
    known = [earlier_pool(run, Path(folder), options.duplicates) for folder in options.known]
    earlier = [manifest.fingerprint for manifest, _ in known]
    limit = options.max_site_repeats
    fingerprint = fingerprint_of(stage="duplicates 1", parse=parsed.fingerprint, known=earlier, site_limit=limit)
    manifest = run.in_place_or_whole("duplicates", fingerprint)
    if manifest is not None:
        return manifest
    started = time.perf_counter()
    under_way = DuplicatesFolder(run.begin("duplicates", fingerprint))
    parsed_reports = parse_reports(run, parsed)
    early = sum(report.repeats for report in parsed_reports.values())
    rows = parsed.result["pairs"] - early if options.duplicates != "off" else 0
    bits = bucket_bits(rows, ROWS_PER_BUCKET)
    parse = run.layout.parse
    runs = {"pairs": [str(parse.keys(key)) for key in parsed_reports], "sites": [str(parse.sites(key)) for key in parsed_reports]}
    write_json(under_way.runs, runs)
    indexes = [str(path) for _, paths in known for path in paths]
    sites: list[BucketJob] = []
    site_bits = bucket_bits(parsed.result["pairs"], ROWS_PER_BUCKET)
    if limit is not None:
        sites = [BucketJob(bucket, site_bits, str(under_way.runs), [], str(under_way.path), limit) for bucket in range(1 << site_bits)]
    site_losers = [under_way.site_losers(job.bucket) for job in sites]
    jobs = [
        BucketJob(bucket, bits, str(under_way.runs), indexes, str(under_way.path), site_losers=list(map(str, site_losers)))
        for bucket in range(1 << bits)
    ]
    files = [*site_losers, *(under_way.losers(job.bucket) for job in jobs)]
    if sites:
        _resolve_all(run, under_way, sites, parsed.result["pairs"])  # before pairs: what goes with a site is no reason for others to go
        run.progress.finish("texts all over a site found")
    of_pairs = _resolve_all(run, under_way, jobs, rows)
    going, of_known = early + sum(report.going for report in of_pairs), sum(report.known for report in of_pairs)
    run.progress.finish(f"{going:,} of {parsed.result['pairs']:,} pairs repeat others" if options.duplicates != "off" else "not looked for")
    return run.publish(
        "duplicates",
        under_way,
        fingerprint,
        inputs={"parse": parsed.fingerprint},
        options={
            "duplicates": options.duplicates,
            "known": options.known,
            "max_site_repeats": limit,
            "parse_version": parsed.options["version"],
        },
        result={
            "pairs": parsed.result["pairs"],
            "repeats": going - of_known,
            "known": of_known,
            "buckets": 1 << bits,
            "site_buckets": 0 if limit is None else 1 << site_bits,
        },
        outputs=sizes_of(under_way.path, under_way.runs, *files),
        seconds=time.perf_counter() - started,
    )


def _resolve_all(run: Run, under_way: DuplicatesFolder, jobs: Sequence[BucketJob], rows: int) -> list[BucketReport]:
    """The reports of all buckets, of which some may be done."""
    done = {job.key: report for job in jobs if (report := read_struct(under_way.done(job.key), BucketReport)) is not None}
    todo = [Task(job.key, job) for job in jobs if job.key not in done]
    run.progress.start("duplicates", len(jobs), len(done), rows * len(todo) // len(jobs))
    failures: list[Failed] = []
    for event in run.workers.map(resolve_bucket, todo):
        match event:
            case Progress(_, count):
                run.progress.advance(count)
            case Done(key, report):
                write_json(under_way.done(key), msgspec.to_builtins(report))
                done[key] = report
                run.progress.shard_done(key)
            case Failed():
                failures.append(event)
                run.progress.shard_failed(event.key, event.what)
    if failures:
        raise IncompleteError(f"bucket {failures[0].key}: {failures[0].what}", failures[0].hint)
    return [done[job.key] for job in jobs]


def earlier_pool(run: Run, folder: Path, duplicates: str) -> tuple[Manifest, list[Path]]:
    """An earlier pool: its manifest, and the files of its keys.

    Raises:
        OptionError: it is this one, or none, or not whole, or its keys are of another kind or version.
    """
    layout = RunLayout(folder.resolve())
    manifest, found = read_manifest(layout.pool), read_manifest(layout.duplicates)
    if layout.root == run.layout.root:
        raise OptionError(f"--known {folder} is the run itself", "give the run folder of an earlier pool")
    if manifest is None or found is None:
        raise OptionError(f"{folder}: no pool was made here", "--known takes the run folders of 'tallyclip pool'")
    if found.options["duplicates"] != duplicates or duplicates == "off":
        raise OptionError(
            f"{folder} was made with --duplicates {found.options['duplicates']}, this one is with {duplicates}",
            "an earlier pool can only be told apart by the same kind of duplicates, pair or url",
        )
    if found.options.get("parse_version", 1) != PARSE:
        raise OptionError(
            f"--known {folder} was made by another version of tallyclip, which writes the same URLs differently",
            "make that pool again with this version, into a new --out, and name it here",
        )
    paths = [layout.pool.index(shard) for shard in manifest.result["shards"]]
    gone = next((path for path in paths if not path.exists()), None)
    if gone is not None:
        raise OptionError(f"{gone} is gone: the pool is not whole", "make it again with the command that made it")
    return manifest, paths
