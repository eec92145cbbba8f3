"""``tallyclip curate`` from end to end: pairs a second, memory over all processes, seconds of each stage, and Parquet's part in them.

    python benchmarks/generate.py --pairs 10_000_000 --out /tmp/pool
    python benchmarks/curate.py --pool /tmp/pool --entries /tmp/pool-entries.json --workers 2

The seconds of a stage are those of its pieces, of all workers together. Besides shards there are the start, tables, counts, the plan, the
merging of uids and the card, which one process does. Memory is the proportional set size (PSS) of the command and all its children, added
up twice a second, and its peak. For Parquet's part the same files are read and results of the same size written with nothing done in
between, by as many processes. Where others use the machine, compare the processor seconds of one shard, which are measured last, in this
process and in turn. Prints lines of JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace

from record import record
from tallyclip.core.balance import entry_probability
from tallyclip.run.items import Piece, StageFolder, _read_piece
from tallyclip.stages.balance import BalanceFolder, balance_shard
from tallyclip.stages.match import MatchFolder, match_shard
from tallyclip.stages.runs import RUN

STAGES = [stage.name for stage in RUN.stages if not stage.optional]  # those that every run has
ROUNDS = 7  # of a shard, after one that compiles
SECONDS_BETWEEN_LOOKS = 0.5  # a look at a gigabyte takes milliseconds that the workers lack


class PeakMemory:
    """Watches a process and its children from a thread."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._root = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._over.set()
        self._thread.join()
        return self.peak

    def _watch(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            total = 0
            try:
                processes = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            for process in processes:
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.peak = max(self.peak, total)


def parquet_alone(job: tuple[str, list[str], str]) -> None:
    """What a shard costs Parquet: read the two columns to match, read everything, and write what is kept and all probabilities."""
    pool, columns, run = job
    pa.set_cpu_count(1)
    for wanted in (columns, None):
        for _ in pq.ParquetFile(pool).iter_batches(65_536, columns=wanted, use_threads=False):
            pass
    for folder in ("curated", "probabilities"):
        table = pq.read_table(Path(run) / folder / Path(pool).name, use_threads=False)
        options = {"use_dictionary": False, "write_statistics": False, "compression": "zstd", "compression_level": 1}
        pq.write_table(table, Path(run) / f"parquet-alone-{folder}-{Path(pool).name}", row_group_size=131_072, **options)


def written_down(folder: StageFolder, key: str, work: Callable[..., Any]) -> tuple[Any, Any]:
    """The job and the item of a shard of a stage that is done."""
    item = json.loads(folder.work("shards").read_bytes())["items"][key]
    return _read_piece(folder, Piece(work, type(folder), str(folder.path), "shards", key, item))[1:]


def seconds_of_a_shard(run: Path, pool: Path) -> dict[str, float]:
    """Processor seconds of the first shard, matched, balanced, and read and written by Parquet alone: the least of several rounds."""
    with tempfile.TemporaryDirectory() as place:
        folder, key = Path(place), pool.stem
        matching, balancing = MatchFolder(folder), BalanceFolder(folder)
        for path in (balancing.curated(key), balancing.probabilities(key), balancing.counts(key), balancing.uid_runs / key):
            path.parent.mkdir(exist_ok=True)
        match_job, shard = written_down(MatchFolder(run / "match"), key, match_shard)
        balance_job, matched = written_down(BalanceFolder(run / "balance"), key, balance_shard)
        t = json.loads((run / "balance" / "_manifest.json").read_text())["options"]["t"]
        np.save(folder / "p.npy", entry_probability(np.load(run / "counts" / "counts.npy"), float(t)))
        balance_job = replace(balance_job, probability=str(folder / "p.npy"))
        steps = {
            "match": lambda: match_shard(match_job, shard, matching, lambda _: None),
            "balance": lambda: balance_shard(balance_job, matched, balancing, lambda _: None),
            "parquet_alone": lambda: parquet_alone((str(pool), ["URL", "TEXT"], str(run))),
        }
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(ROUNDS + 1):
            for name, step in steps.items():
                started = time.process_time()
                step()
                seconds[name].append(time.process_time() - started)
    return {name: round(min(found[1:]), 3) for name, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--entries", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("/tmp/tallyclip-benchmark-run"))
    parser.add_argument("--options", nargs="*", default=[], help="more options for tallyclip curate, without their dashes: t=20000")
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    pairs = sum(pq.read_metadata(path).num_rows for path in args.pool.glob("*.parquet"))
    more = [part for option in args.options for part in ("--" + option.split("=")[0], option.split("=")[1])]
    command = [sys.executable, "-c", "from tallyclip.cli import main; main()", "curate", str(args.pool), "--metadata", str(args.entries)]
    command += ["--duplicates", "off"]  # no estimate of repeats, which Parquet alone would not make either
    command += ["--workers", str(args.workers), "--out", str(args.out), *more]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory = PeakMemory(process.pid)
    if process.wait() != 0:
        raise SystemExit(f"tallyclip curate ended with exit code {process.returncode}")
    seconds = time.perf_counter() - started
    peak = memory.stop()
    manifests = {stage: json.loads((args.out / stage / "_manifest.json").read_text()) for stage in STAGES}
    kept = manifests["balance"]["result"]["kept"]
    record(
        "curate",
        pairs=pairs,
        workers=args.workers,
        seconds=round(seconds, 2),
        pairs_per_second=round(pairs / seconds),
        peak_pss_megabytes=round(peak / 1e6),
        matched=manifests["match"]["result"]["matched"],
        kept=kept,
        seconds_of_stages={stage: manifest["seconds"] for stage, manifest in manifests.items()},
        seconds_besides_shards=round(seconds - (manifests["match"]["seconds"] + manifests["balance"]["seconds"]) / args.workers, 2),
    )
    columns = ["URL", "TEXT"]
    jobs = [(str(path), columns, str(args.out)) for path in sorted(args.pool.glob("*.parquet"))]
    started = time.perf_counter()
    with get_context("spawn").Pool(args.workers) as pool:
        pool.map(parquet_alone, jobs, chunksize=1)
    alone = time.perf_counter() - started
    times = round(seconds / alone, 2)
    record("curate, parquet alone", pairs=pairs, workers=args.workers, seconds=round(alone, 2), curate_takes_times_as_long=times)
    shard = seconds_of_a_shard(args.out, min(args.pool.glob("*.parquet")))
    times = round((shard["match"] + shard["balance"]) / shard["parquet_alone"], 2)
    record("curate, processor seconds of a shard", **shard, curate_takes_times_as_long=times)


if __name__ == "__main__":
    main()
