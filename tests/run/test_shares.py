"""Processes that share a stage's work in one folder leave what one process alone leaves, byte for byte."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import pytest

from tallyclip.core.data import Metadata
from tallyclip.errors import IncompleteError, StaleError
from tallyclip.io.files import write_json
from tallyclip.run.engine import make
from tallyclip.run.items import Failure, StageFolder
from tallyclip.run.ranks import SECONDS_BETWEEN_LOOKS, PartDone, Rank, number_of
from tallyclip.run.workspace import Workspace
from tallyclip.stages.counts import COUNTS
from tallyclip.stages.metadata import METADATA, MetadataOptions
from tests.readers.crawl.tools import image, page, write_wat
from tests.run.driver import WITH_CROWDED, Inline, options_of
from tests.stages.test_failed_shards import flip_a_byte
from tests.tools import PATIENCE, assert_calm, captions, eventually, leftovers, write_entries, write_pool

PIECES = 5


class Case(NamedTuple):
    """A stage that is to be made of a pool, a folder in which all is ready for it, and the bytes that it comes to."""

    stage: str
    pool: Path
    ready: Path
    clean: dict[str, bytes]


@pytest.fixture(scope="module", params=["match", "balance", "gather"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder, stage = tmp_path_factory.mktemp("shares"), request.param
    pool = write_crawl(folder / "crawl") if stage == "gather" else write_pool(folder / "pool")
    ready = folder / "ready"
    with Workspace(WITH_CROWDED, ready, Inline()) as run:
        run.create([str(pool)], PIECES)
        if stage != "gather":
            make(run, METADATA, MetadataOptions(Metadata.load(str(write_entries(folder / "entries.json"))), "exact"))
        if stage == "balance":
            make(run, run.stages["match"], options_of(run, run.stages["match"], pool))
            make(run, COUNTS)
    shutil.copytree(ready, folder / "alone")
    assert len(made(folder / "alone", stage, pool)) == PIECES
    return Case(stage, pool, ready, content(folder / "alone"))


def write_crawl(folder: Path) -> Path:
    folder.mkdir()
    for number in range(PIECES):
        texts = captions(100, number)
        pages = [page(f"http://{n}.example/", [image(f"{n % 40}.jpg", alt=text)]) for n, text in enumerate(texts)]
        write_wat(folder / f"{number}.warc.wat.gz", pages)
    return folder


def made(root: Path, stage: str, pool: Path) -> list[str]:
    """Make the stage in this process, or what is left of it; returns the pieces that were done."""
    runner = Inline()
    with Workspace(WITH_CROWDED, root, runner) as run:
        run.open()
        make(run, run.stages[stage], options_of(run, run.stages[stage], pool))
    assert leftovers(root) == []
    return runner.done


def content(root: Path) -> dict[str, bytes]:
    """All files but those that say when and how long they were made: manifests, marks and the record."""
    files = [
        path
        for path in root.rglob("*")
        if path.is_file() and path.name not in ("_manifest.json", "log.txt", "events.jsonl") and path.parent.name != "_done"
    ]
    return {str(path.relative_to(root)): path.read_bytes() for path in files if path.name != "run.json" and path.parent.name != "_work"}


def share(root: Path, case: Case, rank: str, after: int | str = "", sent: str = "SIGKILL", wait: float | str = "") -> subprocess.Popen[str]:
    return driven(root, case.stage, case.pool, rank, after, sent, wait)


def driven(
    root: Path, stage: str, pool: Path, rank: str, after: int | str = "", sent: str = "SIGKILL", wait: float | str = ""
) -> subprocess.Popen[str]:
    """A rank's share of a stage, in a process of its own; see ``driver.py``."""
    command = [sys.executable, "-m", "tests.run.driver", root, stage, pool, rank, str(after), sent, str(wait)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def ended(drivers: Sequence[subprocess.Popen[str]], code: int = 0) -> str:
    """What they say on standard error, once they have ended with a code."""
    all_said = ""
    for driver in drivers:
        _, said = driver.communicate(timeout=PATIENCE)
        assert driver.returncode == code, said
        assert_calm(said)
        all_said += said
    return all_said


def done(root: Path, stage: str) -> list[str]:
    return sorted(path.stem for path in root.glob(f".work/{stage}-*/_done/*.json"))


@pytest.fixture
def root(case: Case, tmp_path: Path) -> Path:
    shutil.copytree(case.ready, tmp_path / "run")
    return tmp_path / "run"


def test_one_after_the_other(case: Case, root: Path) -> None:
    ended([share(root, case, "0/2")])
    first = done(root, case.stage)
    assert 0 < len(first) < PIECES
    ended([share(root, case, "1/2")])
    assert len(done(root, case.stage)) == PIECES
    assert made(root, case.stage, case.pool) == []  # nothing is left but to publish
    assert content(root) == case.clean


def test_at_the_same_time(case: Case, root: Path) -> None:
    ended([share(root, case, f"{rank}/3") for rank in range(3)])
    assert made(root, case.stage, case.pool) == []
    assert content(root) == case.clean


def test_one_that_dies_half_way_leaves_the_rest_of_its_share(case: Case, root: Path) -> None:
    ended([share(root, case, "1/2", after=1)], -signal.SIGKILL)
    ended([share(root, case, "0/2")])
    before = done(root, case.stage)
    left = made(root, case.stage, case.pool)
    assert left != []
    assert sorted([*before, *left]) == sorted({*before, *left})
    assert len(before) + len(left) == PIECES
    assert content(root) == case.clean


def test_one_that_died_and_comes_again_does_the_rest(case: Case, root: Path) -> None:
    for dies_after, code in ((1, -signal.SIGKILL), ("", 0)):
        ended([share(root, case, "1/2", dies_after)], code)
    ended([share(root, case, "0/2")])
    assert made(root, case.stage, case.pool) == []
    assert content(root) == case.clean


def test_one_that_comes_too_late_does_nothing(case: Case, root: Path) -> None:
    made(root, case.stage, case.pool)
    ended([share(root, case, "0/2")])
    assert leftovers(root) == []
    assert content(root) == case.clean


def test_who_makes_a_stage_is_alone_in_its_folder(case: Case, root: Path) -> None:
    with Workspace(WITH_CROWDED, root, Inline(), role=Rank(0, 2)) as sharing:
        sharing.open()
        with pytest.raises(StaleError, match="another process is working on this run"), Workspace(WITH_CROWDED, root, Inline()) as run:
            run.open()


@pytest.fixture
def stopped(case: Case, root: Path) -> Iterator[subprocess.Popen[str]]:
    """Rank 1 of 2, which stands still with a piece of its share done and others left."""
    yield from standing_still(share(root, case, "1/2", after=1, sent="SIGSTOP"))


def standing_still(driver: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """A rank that stops itself, once it has; it is killed in the end."""
    try:
        eventually(lambda: psutil.Process(driver.pid).status() == psutil.STATUS_STOPPED, "the rank stands still")
        yield driver
    finally:
        driver.kill()
        driver.communicate()


def waiting(root: Path, case: Case) -> subprocess.Popen[str]:
    """Rank 0 of 2, whose patience has long been over if it counted."""
    driver = share(root, case, "0/2", wait=0.1)
    eventually(lambda: driver.poll() is not None or "waits for the others" in (root / "log.txt").read_text(), "rank 0 waits")
    time.sleep(4 * SECONDS_BETWEEN_LOOKS)
    return driver


only_matching = pytest.mark.parametrize("case", ["match"], indirect=True)


@only_matching
def test_a_rank_at_work_is_waited_for_as_long_as_it_takes(case: Case, root: Path, stopped: subprocess.Popen[str]) -> None:
    waits = waiting(root, case)
    stopped.send_signal(signal.SIGCONT)
    ended([waits, stopped])
    assert content(root) == case.clean


@only_matching
def test_a_rank_that_is_killed_is_waited_for_no_longer_and_named(case: Case, root: Path, stopped: subprocess.Popen[str]) -> None:
    waits = waiting(root, case)
    assert waits.poll() is None
    stopped.kill()
    said = ended([waits], 1)
    keys = {"apple", "berry", "cherry", "date", "elder"} - {*done(root, case.stage)}
    assert keys
    assert {line.strip() for line in said.splitlines() if "(rank" in line} == {f"{key} (rank 1)" for key in keys}


@only_matching
def test_a_failure_of_a_rank_at_work_is_not_waited_for_without_end(case: Case, root: Path, stopped: subprocess.Popen[str]) -> None:
    """The rank may be done with it, and wait for this one in turn."""
    (folder,) = map(StageFolder, root.glob(".work/match-*"))
    keys = {"apple", "berry", "cherry", "date", "elder"} - {*done(root, case.stage)}
    for key in keys:
        if number_of(key) % 2:
            write_json(folder.failed(key), msgspec.to_builtins(Failure("broken")))
    said = ended([waiting(root, case)], 1)
    assert said.count("broken") == sum(number_of(key) % 2 for key in keys) > 0
    assert stopped.poll() is None


@only_matching
def test_a_rank_is_one_process_at_a_time(case: Case, root: Path, stopped: subprocess.Popen[str]) -> None:
    said = ended([share(root, case, "1/2")], 1)
    assert f"rank 1 of 2 is already at work in {root}: process {stopped.pid} on" in said


@pytest.mark.parametrize("case", ["match", "balance"], indirect=True)
def test_a_piece_that_fails_is_named_and_what_others_stand_on_stays(case: Case, root: Path) -> None:
    """When balancing alone, a file that cannot be read in whole takes matching back under way; here others read the matches."""
    pool = root.parent / "pool"
    shutil.copytree(case.pool, pool)
    if case.stage == "balance":
        shutil.rmtree(root / "match")
        for stage in ("match", "counts"):
            made(root, stage, pool)
    flip_a_byte(pool / "berry.parquet", column=1 if case.stage == "match" else 2, group=1)
    with pytest.raises(IncompleteError, match=r"berry\.parquet"):
        for rank in (0, 1):
            with suppress(PartDone), Workspace(WITH_CROWDED, root, Inline(), role=Rank(rank, 2)) as run:
                run.open()
                stage = run.stages[case.stage]
                make(run, stage, options_of(run, stage, pool))
    assert (root / "match").exists() == (case.stage == "balance")
    assert "berry" not in done(root, case.stage)
