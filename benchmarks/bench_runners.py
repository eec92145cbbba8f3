"""Runners: what Ray costs beside processes on this machine, for a whole curate, for tasks that do nothing, and for very many of them.

python benchmarks/bench_runners.py --pool pool --entries entries.json
"""

from __future__ import annotations

import argparse
import operator
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

import tallyclip as tc
from record import record
from tallyclip.run.runners.base import Done, Runner, Task
from tallyclip.run.runners.local import Workers
from tallyclip.run.runners.ray import RayWorkers

MANY, FEW = 20_000, 1_000
nothing = operator.is_  # a function that workers can import, which those of this script are not


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
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
        for runner in ("local", "ray") if args.pool else ():
            seconds = {
                count: timed(
                    lambda count=count, runner=runner: tc.curate(
                        args.pool, out=folder / f"{runner}{count}", metadata=args.entries, workers=count, runner=runner
                    )
                )
                for count in (1, 2)
            }
            record("runners: curate", libraries=("ray",), runner=runner, seconds=seconds, speed_up=round(seconds[1] / seconds[2], 2))
        with Workers(2) as local:
            record("runners: tasks", libraries=("ray",), runner="local", **dispatched(local, FEW))
        with RayWorkers(None, 2, folder) as cluster:
            for count in (FEW, MANY):
                record("runners: tasks", libraries=("ray",), runner="ray", **dispatched(cluster, count))


if __name__ == "__main__":
    main()
