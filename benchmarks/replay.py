"""The engine alone: a section of many shards that do nothing, made, taken up when all are done, and shown by ``status`` in between.

python benchmarks/replay.py --shards 100_000 --workers 2

It says how many shards a second are given out and marked, how long the same command takes when all are done but nothing is published, and
when all is in place, and the peak memory of the driver (a process of its own for each step).
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from record import record
from tallyclip.run.engine import make
from tallyclip.run.items import Report, Source, StageFolder, Work
from tallyclip.run.runners.local import Workers
from tallyclip.run.stage import Finished, Making, Section, Stage, Stages
from tallyclip.run.status import read_status
from tallyclip.run.workspace import Kind, Workspace

STEPS = ("make", "status", "resume", "again")


class Replayed(msgspec.Struct, frozen=True):
    """A shard as that of a pool: where its file is, and which rows of it."""

    path: str
    first: int
    rows: int

    @property
    def source(self) -> Source:
        """A file that never changes."""
        return Source(self.path, "0123456789abcdef")


def do_nothing(_: None, item: Replayed, folder: StageFolder, tick: Callable[[int], None]) -> Report:  # noqa: ARG001
    """The work."""
    return Report(rows=item.rows)


def cut(making: Making[StageFolder, int]) -> Work:
    """The shards, by keys as those of a pool."""
    return Work({f"part-{n:08}": Replayed(f"/pool/2024/part-{n:08}.parquet", 0, 1_000_000) for n in range(making.options)})


def finish(making: Making[StageFolder, int]) -> Finished:
    """Add up the reports, as stages do; or, where the step is to end before anything is published, end."""
    rows = sum(report.rows for report in making.reports(SHARDS).values())
    if not (making.run.root / "publish").exists():
        raise KeyboardInterrupt
    return Finished({"rows": rows})


SHARDS = Section(cut, do_nothing, "shards", rows=lambda _, item: item.rows)
REPLAY = Stage(name="replay", version=1, command="a benchmark", sections=(SHARDS,), reads_files=True, asked=lambda *_: {}, finish=finish)
KIND = Kind(noun="replay", record="replay.json", stages=Stages(REPLAY), start="a benchmark", others=("publish",))


def step(name: str, root: str, shards: str, workers: str, profiled: str) -> None:
    """One step in this process; prints its seconds and its peak memory."""
    profile = cProfile.Profile()
    started = time.perf_counter()
    if profiled:
        profile.enable()
    if name == "status":
        read_status(KIND.outline, Path(root))
    else:
        with suppress(KeyboardInterrupt), Workers(int(workers), ["replay"]) as pool, Workspace(KIND, root, pool) as run:
            run.create([], int(shards))
            make(run, REPLAY, int(shards))
    seconds = time.perf_counter() - started
    if profiled:
        profile.disable()
        pstats.Stats(profile, stream=sys.stderr).sort_stats("cumulative").print_stats(40)
    print(json.dumps({"seconds": round(seconds, 3), "peak_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)}))


def main() -> None:
    """Each step in a process of its own, one after the other, in one folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="print where the driver's time goes in each step, to standard error")
    args = parser.parse_args()
    code = "import sys, replay; replay.step(*sys.argv[1:])"  # so that workers find what it has, which they do not in __main__
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        for name in ("make", "status", "resume", "again"):
            if name == "resume":
                (root / "publish").touch()
            command = [sys.executable, "-c", code, name, root, str(args.shards), str(args.workers), "profiled" if args.profile else ""]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=os.environ | {"PYTHONPATH": paths})
            found = json.loads(done.stdout)
            rate = {"shards_per_second": round(args.shards / found["seconds"])} if name == "make" else {}
            record("replay", step=name, shards=args.shards, workers=args.workers, **found, **rate)


if __name__ == "__main__":
    main()
