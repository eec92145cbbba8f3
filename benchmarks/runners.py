"""Runners: what Ray and ranks cost beside processes on this machine, for a whole curate, for tasks that do nothing, and for very many.

python benchmarks/runners.py --pool pool --entries entries.json

A whole curate is a command with its start, and of Ray with the start of a cluster; what that costs is seen by pools of two sizes.
"""

from __future__ import annotations

import argparse
import operator
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

import tallyclip as tc
from record import record
from tallyclip.run.runners.base import Done, Runner, Task
from tallyclip.run.runners.local import Workers
from tallyclip.run.runners.ray import RayWorkers

MANY, FEW = 20_000, 1_000
nothing = operator.is_  # a function that workers can import, which those of this script are not


RANKS = [["--workers", "1", "--rank", str(rank), "--ranks", "2", "--wait", "600"] for rank in range(2)]
WAYS = {  # the options of each process
    "local, 1 worker": [["--workers", "1"]],
    "local, 2 workers": [["--workers", "2"]],
    "ray, 2 workers": [["--workers", "2", "--runner", "ray"]],
    "2 ranks, 1 worker each": RANKS,
}
BASE = "local, 2 workers"


def curated(pool: str, entries: str, out: Path, ways: Sequence[Sequence[str]]) -> float:
    """How many seconds it takes, from the start of the first process to the end of the last."""
    command = [sys.executable, "-m", "tallyclip", "curate", pool, "--metadata", entries, "--out", str(out)]
    started = time.perf_counter()
    processes = [subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for options in ways]
    codes = [process.wait() for process in processes]
    assert codes == [0] * len(ways), codes
    return round(time.perf_counter() - started, 2)


def dispatched(runner: Runner, count: int) -> dict[str, float]:
    """Tasks that do nothing: how many a second, and what the driver needs."""
    list(runner.map(nothing, [Task(str(n), n) for n in range(20)]))  # workers start
    largest, driver = 0, psutil.Process()
    started = time.perf_counter()
    for number, event in enumerate(runner.map(nothing, [Task(str(n), n) for n in range(count)])):
        assert isinstance(event, Done)
        if number % 500 == 0:
            largest = max(largest, driver.memory_info().rss)
    seconds = time.perf_counter() - started
    return {
        "tasks": count,
        "tasks_per_second": round(count / seconds),
        "ms_per_task": round(seconds / count * 1000, 2),
        "driver_rss_mb": round(largest / 2**20),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", help="to curate with each runner; without it, only tasks that do nothing are measured")
    parser.add_argument("--entries", default="wordnet")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.pool:
            curated(args.pool, args.entries, folder / "first", WAYS[BASE])  # so that all is compiled
            seconds = {way: curated(args.pool, args.entries, folder / way, options) for way, options in WAYS.items()}
            matched = next(stage for stage in tc.status(folder / BASE).stages if stage.stage == "match")
            rows = matched.result["records"]
            speed_up = round(seconds["local, 1 worker"] / seconds[BASE], 2)
            record("runners: curate", libraries=("ray",), shards=matched.shards, rows=rows, seconds=seconds, speed_up=speed_up)
        with Workers(2) as local:
            record("runners: tasks", libraries=("ray",), runner="local", **dispatched(local, FEW))
        with RayWorkers(None, 2, folder) as cluster:
            for count in (FEW, MANY):
                record("runners: tasks", libraries=("ray",), runner="ray", **dispatched(cluster, count))


if __name__ == "__main__":
    main()
