"""Finding repeated pairs over a whole pool: rows a second and memory, and that what is kept does not change with the split.

    python benchmarks/duplicates.py --pairs 50_000_000
    python benchmarks/duplicates.py --pairs 10_000_000 --files 10_000 --buckets 256
    python benchmarks/duplicates.py --pairs 50_000_000 --tables [--distinct]

Sorted keys of pairs are written, as gathering leaves them for each crawl file, a share of them repeated in other files. Then the stage's
own bucket work runs over them in worker processes: with some numbers of buckets and workers, and with the files in another order. With
--files, there are so many small ones, and slices are read of each, and of groups of them that are merged before. With --tables, a table of
as many pairs is written as Parquet, and the stages gather, duplicates and kept run over it with ``--duplicates pair``; with --distinct,
DuckDB counts the distinct pairs too. Memory is the proportional set size (PSS) of this process and its workers. Prints a line of JSON for
each way.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import PeakMemory
from record import record
from tallyclip.core.duplicates import MOST_ROWS, ROW_BITS, bucket_bits, first_of_each, preferences, sorted_records
from tallyclip.flows.find import find_pool
from tallyclip.io.files import write_json
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run.engine import make
from tallyclip.run.items import Work, do_piece, piece_of_work, write_work
from tallyclip.run.progress import Silent
from tallyclip.run.runners.base import Task, collect
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages import PRELOAD
from tallyclip.stages.buckets import COLUMNS, REMOVED, ROWS_PER_BUCKET, Bucket, BucketJob, DuplicatesFolder, bucket_key, find_repeats
from tallyclip.stages.duplicates import DUPLICATES
from tallyclip.stages.gather import GATHER, GatherOptions, PoolOptions
from tallyclip.stages.kept import KEPT
from tallyclip.stages.key_groups import (
    FILES_OF_A_GROUP,
    GroupsJob,
    Places,
    PlacesJob,
    collect_places,
    groups_of,
    merge_keys,
    places_of,
)
from tallyclip.stages.runs import RUN

ROWS_PER_SHARD = 1_000_000


def write_keys(folder: Path, pairs: int, repeated: float, of_a_file: int = ROWS_PER_SHARD) -> list[Path]:
    """Keys of pairs in files: drawn from fewer numbers than there are pairs, so that a share of them is repeated."""
    draw = np.random.default_rng(0)
    different = round(pairs * (1 - repeated))
    paths = []
    for shard, start in enumerate(range(0, pairs, of_a_file)):
        rows = np.arange(start, min(start + of_a_file, pairs), dtype=np.uint64)
        numbers = np.where(rows < different, rows, draw.integers(0, different, len(rows), dtype=np.uint64))
        keys = np.column_stack([preferences(numbers), preferences(numbers, numbers)])
        records = sorted_records(keys, preferences(rows), np.arange(len(rows), dtype=np.uint64))
        paths.append(folder / f"{shard:05d}.keys.npy")
        np.save(paths[-1], records[first_of_each(records)])
    return paths


def find(folder: DuplicatesFolder, paths: list[Path], bits: int, workers: int, *, merged: bool = False) -> tuple[float, int]:
    """Find the repeats among some files of keys; returns the seconds that it takes, and the peak memory in bytes."""
    folder.path.mkdir()
    files = {"pairs": list(map(str, paths)), "known": []}
    buckets: dict[str, Any] = {bucket_key(number): Bucket(number, 0) for number in range(1 << bits)}
    groups = groups_of("pairs", files["pairs"], 0) if merged else {}
    runs, starts = (folder.group_runs("pairs"), [group.first for group in groups.values()]) if merged else (folder.runs, None)
    if merged:
        files["pairs"] = [str(folder.group(key)) for key in groups]
    write_json(runs, files)
    steps: list[tuple[str, Any, dict[str, Any], Any]] = [("pairs", find_repeats, buckets, BucketJob(bits, str(runs), groups=starts))]
    if merged:
        found = [str(folder.found(key, REMOVED)) for key in buckets]
        steps.insert(0, ("groups", merge_keys, groups, GroupsJob(bits, COLUMNS)))
        steps.append(("places", collect_places, places_of(REMOVED, len(paths)), PlacesJob({REMOVED: found})))
    with Workers(workers, ["tallyclip.stages.duplicates"]) as pool:
        memory, started = PeakMemory(os.getpid()), time.perf_counter()
        for section, work, items, job in steps:
            write_work(folder, section, Work(items, job), barrier="")
            done, failed = collect(
                pool, Silent(), do_piece, [Task(key, piece_of_work(work, folder, section, key, item)) for key, item in items.items()]
            )
            assert len(done) == len(items), failed
        return time.perf_counter() - started, memory.stop()


def over_small_files(root: Path, pairs: int, repeated: float, files: int, buckets: int, workers: int) -> None:
    """Of very many files: slices of each, and of groups."""
    paths = write_keys(root, pairs, repeated, -(-pairs // files))
    bits, kept = bucket_bits(buckets, 1), set[tuple[int, int]]()
    for merged in (False, True):
        folder = DuplicatesFolder(root / f"merged {merged}")
        seconds, peak = find(folder, paths, bits, workers, merged=merged)
        if merged:
            places = Places([str(folder.places(key)) for key in places_of(REMOVED, len(paths))], FILES_OF_A_GROUP)
            removed = [(len(places.of_file(number)), int(places.of_file(number).sum())) for number in range(len(paths))]
        else:
            everything = np.sort(np.concatenate([np.load(folder.removed(bucket_key(number))) for number in range(1 << bits)]))
            shards, rows = everything >> np.uint64(ROW_BITS), everything & np.uint64(MOST_ROWS - 1)
            cuts = np.searchsorted(shards, np.arange(1, len(paths), dtype=np.uint64))
            removed = [(len(part), int(part.sum())) for part in np.split(rows, cuts)]
        kept.add((pairs - sum(count for count, _ in removed), hash(tuple(removed))))
        record(
            "duplicates of many files",
            pairs=pairs,
            files=len(paths),
            buckets=1 << bits,
            merged=merged,
            workers=workers,
            seconds=round(seconds, 2),
            rows_per_second=round(pairs / seconds),
            peak_pss_megabytes=peak >> 20,
        )
    assert len(kept) == 1, kept


def digest(paths: list[Path], folder: DuplicatesFolder, buckets: int) -> tuple[int, str]:
    """How many rows are kept, and a number made of which they are."""
    kept, total = 0, np.uint64(0)
    removed = [np.load(folder.removed(f"{bucket:05d}"), mmap_mode="r") for bucket in range(buckets)]
    for shard, path in enumerate(paths):
        records = np.load(path)
        first = np.uint64(shard << ROW_BITS)
        here = np.concatenate([part[slice(*np.searchsorted(part, [first, first + np.uint64(MOST_ROWS)]))] - first for part in removed])
        keep = ~np.isin(records[:, 3], here)
        kept += int(np.count_nonzero(keep))
        total ^= np.bitwise_xor.reduce(preferences(records[keep, 0], records[keep, 1], records[keep, 2]))
    return kept, f"{int(total):016x}"


def write_tables(folder: Path, pairs: int, repeated: float) -> None:
    """Files of a million pairs, drawn from fewer numbers than there are pairs."""
    draw = np.random.default_rng(0)
    different = round(pairs * (1 - repeated))
    for shard, start in enumerate(range(0, pairs, ROWS_PER_SHARD)):
        rows = np.arange(start, min(start + ROWS_PER_SHARD, pairs))
        numbers = pa.array(np.where(rows < different, rows, draw.integers(0, different, len(rows)))).cast(pa.string())
        urls = pc.binary_join_element_wise("http://images.example/photos/", numbers, ".jpg", "")
        captions = pc.binary_join_element_wise("a photo of the thing with the number", numbers, " ")
        pq.write_table(pa.table({"url": urls, "caption": captions}), folder / f"{shard:05d}.parquet", use_dictionary=False)


def over_tables(root: Path, pairs: int, repeated: float, workers: int, *, distinct: bool) -> None:
    """The stages that find the repeats of a table, one after the other."""
    (root / "pool").mkdir()
    write_tables(root / "pool", pairs, repeated)
    with Workers(workers, PRELOAD) as pool_of_workers, Workspace(RUN, root / "run", pool_of_workers) as run:
        pool = find_pool(run, [str(root / "pool")], ColumnChoice())
        steps = PoolOptions(duplicates="pair")
        for stage, options in ((GATHER, GatherOptions(pool, steps)), (DUPLICATES, steps), (KEPT, steps)):
            memory = PeakMemory(os.getpid())
            started = time.perf_counter()
            made = make(run, stage, options)
            seconds = time.perf_counter() - started
            peak = memory.stop() >> 20
            rate = round(pairs / seconds)
            record(f"tables: {stage.name}", pairs=pairs, seconds=round(seconds, 2), rows_per_second=rate, peak_pss_megabytes=peak)
        kept = made.result["pairs"]
    started = time.perf_counter()
    found = None
    if distinct:
        query = f"select count(*) from (select distinct url, caption from '{root}/pool/*.parquet')"
        found = duckdb.connect(config={"threads": workers}).execute(query).fetchall()[0][0]
    record("tables", pairs=pairs, kept=kept, distinct_by_duckdb=found, duckdb_seconds=round(time.perf_counter() - started, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50_000_000)
    parser.add_argument("--repeated", type=float, default=0.12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--files", type=int, help="so many small files, whose slices are read from each and from groups")
    parser.add_argument("--buckets", type=int, default=256, help="with --files")
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--distinct", action="store_true")
    options = parser.parse_args()
    if options.tables:
        with tempfile.TemporaryDirectory() as name:
            over_tables(Path(name), options.pairs, options.repeated, options.workers, distinct=options.distinct)
        return
    if options.files:
        with tempfile.TemporaryDirectory() as name:
            over_small_files(Path(name), options.pairs, options.repeated, options.files, options.buckets, options.workers)
        return
    bits = bucket_bits(options.pairs, ROWS_PER_BUCKET)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        paths = write_keys(root, options.pairs, options.repeated)
        rows = sum(len(np.load(path, mmap_mode="r")) for path in paths)
        mixed = random.Random(1).sample(paths, len(paths))
        ways = [(paths, bits, options.workers), (mixed, bits + 2, options.workers), (mixed[::-1], max(0, bits - 1), 1)]
        for number, (order, way_bits, workers) in enumerate(ways):
            folder = DuplicatesFolder(root / f"way{number}")
            seconds, peak = find(folder, order, way_bits, workers)
            buckets = 1 << way_bits
            kept, which = digest(order, folder, buckets)
            record(
                "duplicates",
                pairs=options.pairs,
                after_each_file=rows,
                kept=kept,
                which=which,
                buckets=buckets,
                workers=workers,
                files=len(order),
                in_order=order == paths,
                seconds=round(seconds, 2),
                rows_per_second=round(rows / seconds),
                peak_pss_megabytes=peak >> 20,
            )


if __name__ == "__main__":
    main()
