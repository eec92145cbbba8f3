"""This checkout against another, command by command, in one run: is anything slower?

    git worktree add /tmp/before v0.1.0
    python benchmarks/generate.py --pairs 3_000_000 --out /tmp/pool
    python benchmarks/against.py --other /tmp/before --pool /tmp/pool --entries /tmp/pool-entries.json \\
        --wat wat/*.warc.wat.gz --dump enwiki.xml.bz2

Each command runs with the code of one checkout and then with that of the other, so many times in turn after one round that is not counted,
and the ratio is taken pair by pair: a machine whose speed drifts slows both. Prints a line of JSON for each command; a ratio above 1 means
that this checkout takes longer.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from crawl import write_copies
from record import record

HERE = Path(__file__).resolve().parents[1]
RECIPE = '[text]\nfiles = ["{name}"]\n[unigrams]\nmin_count = 5\n[bigrams]\nmin_count = 3\n'


def commands(arguments: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """What is timed, by name; OUT stands for the folder to write, RUN for a finished run of the same checkout."""
    listed = {"start: help": ["--help"], "start: status": ["status", "RUN"], "start: no such run": ["count", "nosuch"]}
    workers = ["--workers", str(arguments.workers)]
    if arguments.pool:
        listed["curate: tables"] = [
            "curate",
            str(arguments.pool),
            "--metadata",
            str(arguments.entries),
            "--t",
            "2000",
            *workers,
            "--out",
            "OUT",
        ]
    if arguments.wat:
        write_copies(arguments.wat, arguments.copies, folder / "crawl.warc.wat.gz")
        shutil.copy(folder / "crawl.warc.wat.gz", folder / "other.warc.wat.gz")
        files = [str(folder / name) for name in ("crawl.warc.wat.gz", "other.warc.wat.gz")]
        listed["pool: WAT"] = ["pool", *files, *workers, "--out", "OUT"]
    if arguments.dump:
        (folder / "recipe.toml").write_text(RECIPE.format(name=arguments.dump.name))
        inputs = ["--inputs", str(arguments.dump.resolve().parent)]
        listed["build: dump"] = ["metadata", "build", "--recipe", str(folder / "recipe.toml"), *inputs, *workers, "--out", "OUT"]
    return listed


def seconds_of(checkout: Path, command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Seconds by the clock, and of the processor, children included, that a command takes with a checkout's code."""
    places = {"OUT": str(folder / "out"), "RUN": str(folder / f"run of {checkout.name}")}
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    program = "from tallyclip.cli import main; main()"
    before, started = os.times(), time.perf_counter()
    told = [places.get(part, part) for part in command]
    done = subprocess.run([sys.executable, "-c", program, *told], cwd=folder, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - started, os.times()
    if done.returncode and "nosuch" not in command:
        sys.exit(f"{checkout}: {' '.join(told)}\n{done.stdout}{done.stderr}")
    shutil.rmtree(folder / "out", ignore_errors=True)
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, required=True)
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--entries", type=Path)
    parser.add_argument("--wat", type=Path, nargs="+", default=[])
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--dump", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, checkouts = Path(name), (HERE, arguments.other.resolve())
        for checkout in checkouts:
            seconds_of(checkout, ["demo", "--out", "RUN"], folder)
        for what, command in commands(arguments, folder).items():
            rounds = [[seconds_of(checkout, command, folder) for checkout in checkouts] for _ in range(arguments.rounds + 1)][1:]
            figures = {}
            for place, kind in enumerate(("seconds", "cpu_seconds")):
                ours, theirs = ([one[checkout][place] for one in rounds] for checkout in (0, 1))
                ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
                figures[kind] = round(statistics.median(ours), 2)
                figures[f"{kind}_other"] = round(statistics.median(theirs), 2)
                figures[f"{kind}_ratio"] = [round(value, 3) for value in (min(ratios), statistics.median(ratios), max(ratios))]
            record("against", command=what, rounds=arguments.rounds, **figures)


if __name__ == "__main__":
    main()
