"""Finding repeated pairs over a whole pool: rows a second and memory, and that what is kept does not change with the split.

    python benchmarks/duplicates.py --pairs 50_000_000
    python benchmarks/duplicates.py --pairs 50_000_000 --tables [--distinct]

Sorted keys of pairs are written, as gathering leaves them for each crawl file, a share of them repeated in other files. Then the stage's
own bucket work runs over them in worker processes: with some numbers of buckets and workers, and with the files in another order. With
--tables, a table of as many pairs is written as Parquet, and the stages gather, duplicates and kept run over it with ``--duplicates pair``;
with --distinct, DuckDB counts the distinct pairs too. Memory is the proportional set size (PSS) of this process and its workers. Prints a
line of JSON for each way.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import PeakMemory
from record import record
from tallyclip.core.duplicates import MOST_ROWS, ROW_BITS, bucket_bits, first_of_each, preferences, sorted_records
from tallyclip.flows.find import find_pool
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run.engine import make
from tallyclip.run.items import Work, do_piece, piece_of_work, write_work
from tallyclip.run.progress import Silent
from tallyclip.run.runners.base import Task, collect
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages import PRELOAD
from tallyclip.stages.buckets import ROWS_PER_BUCKET, Bucket, BucketJob, DuplicatesFolder, find_repeats
from tallyclip.stages.duplicates import DUPLICATES
from tallyclip.stages.gather import GATHER, GatherOptions, PoolOptions
from tallyclip.stages.kept import KEPT
from tallyclip.stages.runs import RUN

ROWS_PER_SHARD = 1_000_000


def write_keys(folder: Path, pairs: int, repeated: float) -> list[Path]:
    """Keys of pairs, a file for every million: drawn from fewer numbers than there are pairs, so that a share of them is repeated."""
    draw = np.random.default_rng(0)
    different = round(pairs * (1 - repeated))
    paths = []
    for shard, start in enumerate(range(0, pairs, ROWS_PER_SHARD)):
        rows = np.arange(start, min(start + ROWS_PER_SHARD, pairs), dtype=np.uint64)
        numbers = np.where(rows < different, rows, draw.integers(0, different, len(rows), dtype=np.uint64))
        keys = np.column_stack([preferences(numbers), preferences(numbers, numbers)])
        records = sorted_records(keys, preferences(rows), np.arange(len(rows), dtype=np.uint64))
        paths.append(folder / f"{shard:05d}.keys.npy")
        np.save(paths[-1], records[first_of_each(records)])
    return paths


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
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--distinct", action="store_true")
    options = parser.parse_args()
    if options.tables:
        with tempfile.TemporaryDirectory() as name:
            over_tables(Path(name), options.pairs, options.repeated, options.workers, distinct=options.distinct)
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
            folder.path.mkdir()
            folder.runs.write_text(json.dumps({"pairs": [str(path) for path in order]}))
            buckets = {f"{number:05d}": Bucket(number, rows >> way_bits) for number in range(1 << way_bits)}
            write_work(folder, "pairs", Work(buckets, BucketJob(way_bits, str(folder.runs))), barrier="")
            tasks = [Task(key, piece_of_work(find_repeats, folder, "pairs", key, bucket)) for key, bucket in buckets.items()]
            with Workers(workers, ["tallyclip.stages.duplicates"]) as pool:
                memory = PeakMemory(os.getpid())
                started = time.perf_counter()
                done, failed = collect(pool, Silent(), do_piece, tasks)
                seconds = time.perf_counter() - started
                peak = memory.stop()
            assert len(done) == len(buckets), failed
            kept, which = digest(order, folder, len(buckets))
            record(
                "duplicates",
                pairs=options.pairs,
                after_each_file=rows,
                kept=kept,
                which=which,
                buckets=len(buckets),
                workers=workers,
                files=len(order),
                in_order=order == paths,
                seconds=round(seconds, 2),
                rows_per_second=round(rows / seconds),
                peak_pss_megabytes=peak >> 20,
            )


if __name__ == "__main__":
    main()
