"""Ranks: the same command started several times, each for a share, ends with the run of one; and says what is missing if it does not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tallyclip.errors import OptionError
from tallyclip.run.ranks import Alone, Finish, Rank, number_of, role_of
from tallyclip.stages.outline import RUN_OUTLINE
from tests.readers.crawl.tools import image, page, write_wat
from tests.stages.test_failed_shards import flip_a_byte
from tests.tools import (
    PATIENCE,
    assert_calm,
    assert_same,
    captions,
    environment,
    eventually,
    fails,
    modified,
    results,
    started,
    succeeds,
    write_entries,
    write_pool,
)

FILES = 6


def write_crawl(folder: Path) -> Path:
    """Six WAT files whose pairs repeat each other, with captions that are on many pages of a site."""
    folder.mkdir()
    for number in range(FILES):
        texts = captions(80, number)
        pages = [page(f"http://{n % 7}.example/{number}/{n}", [image(f"/{n % 40}.jpg", alt=text)]) for n, text in enumerate(texts)]
        write_wat(folder / f"{number}.warc.wat.gz", pages)
    return folder


class Curated:
    """A pool, how it is curated, and what that comes to in one process."""

    def __init__(self, folder: Path, pool: Path, *more: object) -> None:
        self.folder = folder
        self.asked = ["curate", pool, "--metadata", write_entries(folder / "entries.json"), "--t", "20", *more]
        succeeds(*self.asked, "--out", folder / "alone")
        self.clean, self.names = results(folder / "alone"), sorted(os.listdir(folder / "alone"))

    def command(self, out: Path, *more: object) -> list[object]:
        return [*self.asked, "--out", out, "--workers", 1, *more]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Curated:
    folder = tmp_path_factory.mktemp("tables")
    return Curated(folder, write_pool(folder / "pool"))


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Curated:
    folder = tmp_path_factory.mktemp("crawl")
    return Curated(folder, write_crawl(folder / "crawl"), "--max-site-repeats", 5, "--write-dropped")


def ended(processes: Sequence[subprocess.Popen[str]], code: int = 0) -> list[str]:
    said: list[str] = []
    for process in processes:
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, err
        assert_calm(err)
        said.append(err)
    return said


@pytest.mark.parametrize("kind", ["tables", "crawl"])
def test_ranks_that_wait_for_each_other_end_with_the_run_of_one(kind: str, request: pytest.FixtureRequest) -> None:
    case: Curated = request.getfixturevalue(kind)
    run = case.folder / "alone"  # at the same place, which the rows of a crawl's own pool name
    shutil.rmtree(run)
    ended([started(*case.command(run, "--rank", rank, "--ranks", 2, "--wait", 60)) for rank in (0, 1)])
    assert_same(run, case.clean)
    assert sorted(os.listdir(run)) == case.names


def test_a_barrier_is_a_step_of_its_own_and_the_number_of_ranks_may_change(tables: Curated, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def rank(number: int, of: int, until: str) -> str:
        return succeeds(*tables.command(run, "--rank", number, "--ranks", of, "--until", until))

    assert f"tallyclip finish {run} metadata" in fails(1, *tables.command(run, "--rank", 0, "--ranks", 2, "--until", "match"))
    succeeds("finish", run, "metadata")
    rank(0, 3, "match")
    before = {path.stem for path in run.glob(".work/match-*/_done/*.json")}
    assert 0 < len(before) < 5
    said = fails(1, "finish", run, "match")
    assert "misses" in said
    for name in {"apple", "berry", "cherry", "date", "elder"} - before:
        assert name in said
    for number in (0, 1):
        rank(number, 2, "match")
    assert f"tallyclip finish {run} match" in fails(1, *tables.command(run, "--rank", 0, "--ranks", 2, "--until", "balance"))
    succeeds("finish", run, "match")
    rank(0, 1, "repeats")
    succeeds("finish", run, "plan")
    for number in (3, 1, 0, 2):
        rank(number, 4, "balance")
    succeeds("finish", run, "card")
    assert_same(run, tables.clean)


def test_finish_repeats_the_command_in_the_folder_that_it_was_started_in(tables: Curated, tmp_path: Path) -> None:
    shutil.copytree(tables.folder / "pool", tmp_path / "pool")
    entries = write_entries(tmp_path / "entries.json").name
    asked = ["match", "pool", "--metadata", entries, "--out", "run", "--rank", 0, "--ranks", 1]
    fails(1, *asked, cwd=tmp_path)
    for stage in ("metadata", "match"):
        succeeds("finish", tmp_path / "run", stage, cwd="/")
        if stage == "metadata":
            succeeds(*asked, cwd=tmp_path)
    assert (tmp_path / "run" / "match" / "_manifest.json").exists()


def test_a_rank_that_never_ran_is_named_with_its_shards(tables: Curated, tmp_path: Path) -> None:
    said = fails(1, *tables.command(tmp_path / "run", "--rank", 0, "--ranks", 2, "--wait", 1))
    missing = [name for name in ("apple", "berry", "cherry", "date", "elder") if f"{name} (rank 1)" in said]
    assert missing
    assert "(rank 0)" not in said
    succeeds(*tables.command(tmp_path / "run"))  # one process alone does the rest
    assert_same(tmp_path / "run", tables.clean)


def test_a_rank_that_is_killed_and_starts_again_does_the_rest(tables: Curated, tmp_path: Path) -> None:
    run = tmp_path / "run"
    one, other = (started(*tables.command(run, "--rank", rank, "--ranks", 2, "--wait", 60)) for rank in (0, 1))
    eventually(lambda: list(run.glob(".work/match-*/_done/*.json")) or (run / "match").exists(), "matching has begun")
    os.killpg(one.pid, signal.SIGKILL)
    one.communicate()
    again = started(*tables.command(run, "--rank", 0, "--ranks", 2, "--wait", 60))
    ended([other, again])
    assert_same(run, tables.clean)


def test_ranks_that_were_started_with_other_options_are_told_so(tables: Curated, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fails(1, *tables.command(run, "--rank", 0, "--ranks", 2))
    succeeds("finish", run, "metadata")
    succeeds(*tables.command(run, "--rank", 0, "--ranks", 2))
    said = fails(2, *tables.command(run, "--languages", "all", "--rank", 1, "--ranks", 2))
    assert "under way with other options" in said
    assert "start all ranks with the same command" in said
    succeeds(*tables.command(run))
    assert_same(run, tables.clean)


def test_a_rank_that_drops_no_pairs_does_not_delete_what_others_do_that_drop_some(tables: Curated, tmp_path: Path) -> None:
    run = tmp_path / "run"
    succeeds(*tables.command(run, "--duplicates", "pair", "--rank", 0, "--ranks", 2))
    done = sorted(run.glob(".work/gather-*/_done/*.json"))
    assert done
    assert "'gather' is under way with other options" in fails(2, *tables.command(run, "--rank", 1, "--ranks", 2))
    assert sorted(run.glob(".work/gather-*/_done/*.json")) == done
    succeeds(*tables.command(run))  # one process alone may give it up
    assert_same(run, tables.clean)


def test_what_is_deleted_under_a_rank_that_waits_is_no_empty_result(tables: Curated, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rank = started(*tables.command(run, "--rank", 0, "--ranks", 2, "--wait", 60))
    eventually(lambda: (run / "log.txt").exists() and "waits for the others" in (run / "log.txt").read_text(), "it waits")
    (attempt,) = run.glob(".work/match-*")
    shutil.rmtree(attempt)
    (said,) = ended([rank], 2)
    assert f"{attempt} was deleted by another process" in said
    assert not (run / "match").exists()


def test_a_shard_that_fails_is_blamed_by_its_rank_and_at_the_barrier(tables: Curated, tmp_path: Path) -> None:
    pool, run = tmp_path / "pool", tmp_path / "run"
    shutil.copytree(tables.folder / "pool", pool)
    flip_a_byte(pool / "berry.parquet", column=1, group=1)
    asked = ["curate", pool, "--metadata", tables.folder / "entries.json", "--t", 20, "--workers", 1]

    def rank(number: int, until: str, *more: object) -> list[object]:
        return [*asked, "--out", run, "--rank", number, "--ranks", 2, "--until", until, *more]

    mine = number_of("berry") % 2
    fails(1, *rank(0, "match"))
    succeeds("finish", run, "metadata")
    assert "berry.parquet" in fails(1, *rank(mine, "match"))
    succeeds(*rank(1 - mine, "match"))
    assert "berry.parquet" in fails(1, "finish", run, "match")
    accepted = "--allow-failed-shards"
    succeeds(*rank(mine, "match", accepted))  # so that jobs that wait for its success go on
    succeeds("finish", run, "match", accepted)
    matched = modified(run, "match")
    for stage, barrier in (("repeats", "plan"), ("balance", "card")):
        for number in (0, 1):
            succeeds(*rank(number, stage, accepted))
        succeeds("finish", run, barrier, accepted)
    assert modified(run, "match") == matched  # what was accepted is not tried again
    succeeds(*asked, "--out", tmp_path / "clean", accepted)
    assert_same(run, results(tmp_path / "clean"))


def at_clock(ahead: int, folder: Path) -> dict[str, str]:
    """The environment of a machine whose clock is so many seconds ahead of the file system's."""
    place = folder / f"clock {ahead}"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(f"import time\nright = time.time\ntime.time = lambda: right() + {ahead}\n")
    return environment(PYTHONPATH=os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")]))


def test_waiting_ranks_all_say_what_failed_whatever_their_clocks_say(tables: Curated, tmp_path: Path) -> None:
    pool, run = tmp_path / "pool", tmp_path / "run"
    shutil.copytree(tables.folder / "pool", pool)
    flip_a_byte(pool / "berry.parquet", column=1, group=1)
    asked = ["curate", pool, "--metadata", tables.folder / "entries.json", "--t", 20, "--workers", 1]

    def both(code: int) -> list[str]:
        common = [*asked, "--out", run, "--wait", 60, "--ranks", 2]
        return ended([started(*common, "--rank", rank, env=at_clock(ahead, tmp_path)) for rank, ahead in ((0, 3600), (1, -3600))], code)

    for said in both(1):
        assert "berry.parquet" in said
    shutil.copy(tables.folder / "pool" / "berry.parquet", pool)  # repaired
    both(0)
    succeeds(*asked, "--out", tmp_path / "clean")
    assert_same(run, results(tmp_path / "clean"))


@pytest.mark.parametrize(
    ("variables", "rank", "ranks"),
    [
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_PROCID": "0"}, 2, 4),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "RANK": "1", "WORLD_SIZE": "2"}, 3, 8),
        ({"RANK": "1", "WORLD_SIZE": "2"}, 1, 2),
    ],
)
def test_rank_auto_is_what_the_scheduler_says(variables: Mapping[str, str], rank: int, ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert role_of({"rank": "auto"}, RUN_OUTLINE.stages) == Rank(rank, ranks)
    assert role_of({"rank": "auto", "ranks": ranks + 10}, RUN_OUTLINE.stages) == Rank(rank, ranks + 10)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rank": "auto"}, "none of SLURM_ARRAY_TASK_ID, SLURM_PROCID, RANK is set"),
        ({"rank": "0"}, "of how many"),
        ({"rank": "x", "ranks": 2}, "--rank x is no number"),
        ({"rank": "2", "ranks": 2}, "numbered from 0 to N - 1"),
        ({"rank": "-1", "ranks": 2}, "numbered from 0 to N - 1"),
        ({"rank": "0", "ranks": 0}, "numbered from 0 to N - 1"),
        ({"rank": "0", "ranks": 2, "until": "card"}, "ranks share no stage of that name"),
        ({"rank": "0", "ranks": 2, "wait": -1.0}, "below 0"),
        ({"rank": "0", "ranks": 2, "finish": "match"}, "no rank's"),
        ({"finish": "none"}, "no stage 'none'"),
        ({"ranks": 2}, "are for ranks"),
        ({"until": "match"}, "are for ranks"),
        ({"wait": 1.0}, "are for ranks"),
    ],
)
def test_options_that_make_no_sense_together(given: Mapping[str, object], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OptionError, match=said):
        role_of(given, RUN_OUTLINE.stages)


def test_without_ranks_a_process_does_all() -> None:
    assert isinstance(role_of({}, RUN_OUTLINE.stages), Alone)
    assert role_of({"finish": "card"}, RUN_OUTLINE.stages) == Finish("card")
