"""Finding repeated pairs over a whole pool: rows a second and memory, and that what stays does not change with the split.

    python benchmarks/duplicates.py --pairs 50_000_000

Sorted keys of pairs are written, as parsing leaves them for each crawl file, a share of them repeated in other files. Then the stage's own
bucket work runs over them in worker processes: with some numbers of buckets and workers, and with the files in another order. Memory is
the proportional set size (PSS) of this process and its workers. Prints a line of JSON for each way.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np

from curate import PeakMemory
from record import record
from tallyclip.core.duplicates import MOST_ROWS, ROW_BITS, bucket_bits, first_of_each, preferences, sorted_records
from tallyclip.run.layout import DuplicatesFolder
from tallyclip.run.runners.local import Done, Task, Workers
from tallyclip.stages.duplicates import ROWS_PER_BUCKET
from tallyclip.stages.duplicates_shard import BucketJob, resolve_bucket

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
    """How many rows stay, and a number made of which they are."""
    staying, total = 0, np.uint64(0)
    losers = [np.load(folder.losers(bucket), mmap_mode="r") for bucket in range(buckets)]
    for shard, path in enumerate(paths):
        records = np.load(path)
        first = np.uint64(shard << ROW_BITS)
        going = np.concatenate([part[slice(*np.searchsorted(part, [first, first + np.uint64(MOST_ROWS)]))] - first for part in losers])
        stays = ~np.isin(records[:, 3], going)
        staying += int(np.count_nonzero(stays))
        total ^= np.bitwise_xor.reduce(preferences(records[stays, 0], records[stays, 1], records[stays, 2]))
    return staying, f"{int(total):016x}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50_000_000)
    parser.add_argument("--repeated", type=float, default=0.12)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
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
            jobs = [BucketJob(bucket, way_bits, str(folder.runs), [], str(folder.path)) for bucket in range(1 << way_bits)]
            with Workers(workers, ["tallyclip.stages.duplicates_shard"]) as pool:
                memory = PeakMemory(os.getpid())
                started = time.perf_counter()
                done = [event for event in pool.map(resolve_bucket, [Task(job.key, job) for job in jobs]) if isinstance(event, Done)]
                seconds = time.perf_counter() - started
                peak = memory.stop()
            assert len(done) == len(jobs)
            staying, which = digest(order, folder, len(jobs))
            record(
                "duplicates",
                pairs=options.pairs,
                after_each_file=rows,
                stay=staying,
                which=which,
                buckets=len(jobs),
                workers=workers,
                files=len(order),
                in_order=order == paths,
                seconds=round(seconds, 2),
                rows_per_second=round(rows / seconds),
                peak_pss_megabytes=peak >> 20,
            )


if __name__ == "__main__":
    main()
