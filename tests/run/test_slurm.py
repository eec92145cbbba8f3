"""Job scripts for Slurm, run by an sbatch of the tests that does what Slurm would, one job after the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import tallyclip as tc
from tallyclip.flows.slurm import shared_stages
from tests.run.test_ranks import Curated, write_crawl
from tests.stages.merged_keys import merge_keys_of
from tests.tools import COMMAND, PATIENCE, assert_same, environment, eventually, fails, succeeds, write_pool

SBATCH = """#!/usr/bin/env python3
# Runs a job, and prints its number: as sbatch --parsable --dependency=afterok:N, with a job for each number of its array.
import os, pathlib, re, subprocess, sys
jobs = pathlib.Path(os.environ["JOBS"])
*options, script = sys.argv[1:]
number = len(list(jobs.iterdir())) + 1
before = [option.split(":")[1] for option in options if option.startswith("--dependency=afterok:")]
assert "--parsable" in options and "--kill-on-invalid-dep=yes" in options
said = pathlib.Path(script).read_text()
array = re.search("#SBATCH --array=0-([0-9]+)", said)
code = 0
if before and (jobs / before[0]).read_text() != "0":
    code = 1  # what it was to wait for has failed, so it is not started
else:
    for task in range(int(array[1]) + 1) if array else [None]:
        more = {"SLURM_JOB_ID": str(number)} if task is None else {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(task)}
        done = subprocess.run(["bash", script], env={**os.environ, **more}, stdout=sys.stderr)
        code = max(code, done.returncode)
(jobs / str(number)).write_text(str(code))
print(number)
"""
SCONTROL = """#!/bin/bash
echo "$@" >> "$JOBS/../requeued"
"""


class Cluster:
    """A folder of programs with the names of Slurm's."""

    def __init__(self, folder: Path) -> None:
        self.jobs, self.requeued = folder / "numbers", folder / "requeued"
        self.jobs.mkdir(parents=True)
        programs = folder / "bin"
        programs.mkdir()
        for name, content in (("sbatch", SBATCH), ("scontrol", SCONTROL)):
            (programs / name).write_text(content)
            (programs / name).chmod(0o755)
        self.environment = environment(PATH=f"{programs}:{COMMAND.parent}:{os.environ['PATH']}", JOBS=str(self.jobs))

    def submit(self, scripts: Path) -> str:
        done = subprocess.run([scripts / "submit.sh"], env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    @property
    def codes(self) -> list[str]:
        return [(self.jobs / str(number)).read_text() for number in range(1, len(list(self.jobs.iterdir())) + 1)]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "cluster")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Curated:
    folder = tmp_path_factory.mktemp("tables")
    return Curated(folder, write_pool(folder / "pool"))


def test_the_jobs_end_with_the_run_of_one(tables: Curated, cluster: Cluster, tmp_path: Path) -> None:
    """Three ranks, of which a job does two, since the scheduler takes arrays of two."""
    run = tmp_path / "a run"
    succeeds("slurm", tmp_path / "jobs", "--ranks", 3, "--max-array", 2, "--", *tables.asked, "--out", run)
    said = cluster.submit(tmp_path / "jobs")
    assert cluster.codes == ["0"] * 9, said
    assert "rank 2 of 3: its share of match" in said
    assert_same(run, tables.clean)


def test_what_follows_a_barrier_that_fails_is_not_started(tables: Curated, cluster: Cluster, tmp_path: Path) -> None:
    run = tmp_path / "run"
    succeeds("slurm", tmp_path / "jobs", "--ranks", 2, "--", *tables.asked, "--out", run)
    script = tmp_path / "jobs" / "02-match.sh"
    script.write_text(script.read_text().replace("--array=0-1", "--array=0-0"))  # a rank that never runs
    said = cluster.submit(tmp_path / "jobs")
    assert cluster.codes == [*"00", *"1111111"]
    assert "the stage 'match' misses" in said
    assert not (run / "match").exists()
    script.write_text(script.read_text().replace("--array=0-0", "--array=0-1"))
    cluster.submit(tmp_path / "jobs")  # again: what is done stays done
    assert_same(run, tables.clean)


def test_a_job_at_its_time_limit_is_queued_again_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cluster: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path_factory.mktemp("limit")
    case = Curated(folder, write_pool(folder / "pool"))
    run = tmp_path / "run"
    succeeds("slurm", tmp_path / "jobs", "--ranks", 1, "--time", "0:10:00", "--", *case.asked, "--out", run)
    assert "#SBATCH --time=0:10:00" in (tmp_path / "jobs" / "02-match.sh").read_text()
    subprocess.run(["bash", tmp_path / "jobs" / "01-finish-metadata.sh"], env=cluster.environment, check=True, timeout=PATIENCE)
    numbers = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}
    job = subprocess.Popen(["bash", tmp_path / "jobs" / "02-match.sh"], env={**cluster.environment, **numbers}, start_new_session=True)
    eventually(lambda: list(run.glob(".work/match-*")), "the job has begun")
    job.send_signal(signal.SIGTERM)
    assert job.wait(PATIENCE) == 0
    assert cluster.requeued.read_text() == "requeue 7_0\n"
    cluster.submit(tmp_path / "jobs")
    assert_same(run, case.clean)


def made(run: Path) -> list[str]:
    """The stages of a run that were made of pieces."""
    return [path.parent.name for path in sorted(run.glob("*/_work"), key=lambda path: (path.parent / "_manifest.json").stat().st_mtime_ns)]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("match", []),
        ("match", ["--duplicates", "pair", "--write-dropped"]),
        ("match", ["--min-text-length", 3]),
        ("match", ["--duplicates", "off"]),
        ("pool", ["--write-dropped"]),
        ("match", ["crawl"]),
    ],
)
def test_the_stages_that_are_shared_are_those_that_the_command_makes(
    name: str, more: list[object], tables: Curated, tmp_path: Path
) -> None:
    import typer.main

    from tallyclip.cli.app import app
    from tallyclip.cli.slurm import parsed

    crawl = name == "pool" or "crawl" in more
    pool = write_crawl(tmp_path / "crawl") if crawl else tables.folder / "pool"
    entries = [] if name == "pool" else ["--metadata", tables.folder / "entries.json"]
    words = list(map(str, [name, pool, *entries, *(word for word in more if word != "crawl"), "--out", tmp_path / "run"]))
    succeeds(*words)
    root = typer.main.get_command(app)
    assert shared_stages(name, parsed(root, words)) == made(tmp_path / "run")


@pytest.mark.parametrize(
    ("more", "stage"),
    [({}, "duplicates"), ({"max_site_repeats": 5}, "duplicates"), ({"duplicates": "report"}, "repeats")],
)
def test_there_is_an_array_for_each_section_that_may_have_something_to_do(
    more: dict[str, Any], stage: str, tables: Curated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks that do not wait end after a section."""
    pool = tables.folder / "pool" if stage == "repeats" else write_crawl(tmp_path / "crawl")
    entries, words = tables.folder / "entries.json", [f"--{name.replace('_', '-')}={value}" for name, value in more.items()]
    succeeds("slurm", tmp_path / "jobs", "--ranks", 1, "--", "match", pool, "--metadata", entries, *words, "--out", tmp_path / "slurm")
    arrays = sum(job.name.endswith(f"-{stage}.sh") and "finish" not in job.name for job in (tmp_path / "jobs").iterdir())
    merge_keys_of(monkeypatch, files=2, rows_per_bucket=30)
    tc.match_pool(pool, metadata=entries, out=tmp_path / "run", workers=1, **more)
    sections = [path for path in (tmp_path / "run" / stage / "_work").iterdir() if not path.name.endswith(".job.json")]
    busy = [path for path in sections if json.loads(path.read_bytes())["items"]]
    assert arrays == len(busy) > 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ranks", 2, "--", "plan", "run"], "has no ranks"),
        (["--ranks", 2, "--", "match", "pool"], "no folder for its run"),
        (["--ranks", 2, "--", "curate", "pool", "--out", "run", "--rank", 0], "leave out --rank"),
        (["--ranks", 0, "--", "curate", "pool", "--out", "run"], "--ranks"),
        (["--ranks", 2, "--", "curate", "none", "--out", "run"], "none"),
        (["--ranks", 2, "--", "curate", "pool", "--out", "run", "--t", "many"], "valid number"),
    ],
)
def test_bad_input(words: list[object], said: str, tmp_path: Path, tables: Curated) -> None:
    assert said in fails(2, "slurm", tmp_path / "jobs", *words, cwd=tables.folder)
    assert not (tmp_path / "jobs").exists()
