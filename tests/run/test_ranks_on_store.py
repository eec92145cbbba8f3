"""Ranks that share a run on an object store, and nothing else, come to the bytes of one process with a folder on a disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tallyclip.core.data import Metadata
from tallyclip.errors import IncompleteError, InUseError, OptionError
from tallyclip.flows.curate import curate
from tallyclip.io import leases, mirror
from tallyclip.io.leases import SHARERS, TURN, Lease, Turn
from tallyclip.io.locks import LOCK
from tallyclip.io.stores import Store
from tallyclip.places import place_of
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run import ranks
from tallyclip.run.engine import make
from tallyclip.run.log import merged
from tallyclip.run.ranks import Finish, PartDone, Rank, Role
from tallyclip.run.sharing import Sharing
from tallyclip.run.workspace import Workspace
from tallyclip.stages.gather import PoolOptions
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN
from tests.run.driver import WITH_CROWDED, Inline, options_of
from tests.run.test_on_store import content, curate_into, endpoint, entries, note_nothing, on_disk, pool, reach, stored, url
from tests.run.test_shares import driven, ended, standing_still, write_crawl
from tests.tools import PATIENCE, eventually, started, succeeds

__all__ = ["endpoint", "entries", "pool", "reach", "url"]


@pytest.fixture
def on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on this process has nothing of what is on the store, cannot have it where it was, and finds it in another place."""
    machines: list[Path] = []

    def another() -> None:
        mirror._MIRRORS.clear()
        mirror.begin_task()
        machines.append(tmp_path / f"machine{len(machines)}")
        monkeypatch.setenv("TALLYCLIP_SCRATCH", str(machines[-1]))
        for before in machines[:-1]:
            if before.is_dir():
                before.rename(before.with_suffix(".gone"))
                before.touch()  # a file, so no folder can be made there

    return another


def do_part(url: str, pool: Path, entries: Path, options: PoolOptions, role: Role) -> list[str]:
    """What a process of a role does, by the pieces that it did."""
    runner = Inline()
    with suppress(PartDone), Workspace(RUN, place_of(url), runner, role=role) as run:
        curate(run, [str(pool)], ColumnChoice(), Metadata.load(str(entries)), Aim(t=20.0), options=options)
    return runner.done


KINDS = {"tables": PoolOptions(), "repeats dropped": PoolOptions(duplicates="pair", write_dropped=True), "crawl": PoolOptions()}


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_on_machines_of_their_own_and_what_they_wait_for(
    kind: str, url: str, endpoint: str, tmp_path: Path, entries: Path, pool: Path, on_another_machine: Callable[[], None]
) -> None:
    source = write_crawl(tmp_path / "crawl") if kind == "crawl" else pool
    curate_into(tmp_path / "run", source, entries, options=KINDS[kind])
    stages = [stage.name for stage in RUN.stages if stage.name in shared_in(tmp_path / "run")]
    did: list[str] = []
    for stage in stages:
        if stage in ("match", "balance"):
            on_another_machine()
            do_part(url, source, entries, KINDS[kind], Finish("metadata" if stage == "match" else "plan"))
        for _ in RUN.stages[stage].sections:  # one that has nothing to do ends at once
            count = 3 if stage == "match" else 2
            for rank in range(count):
                on_another_machine()
                did += do_part(url, source, entries, KINDS[kind], Rank(rank, count, stage))
        on_another_machine()
        assert do_part(url, source, entries, KINDS[kind], Finish(stage)) == []
    on_another_machine()
    do_part(url, source, entries, KINDS[kind], Finish("card"))
    assert len(did) > 10
    ours, theirs = content(stored(endpoint, url)), content(on_disk(tmp_path / "run"))
    assert ours.keys() == theirs.keys()
    of_own_pool = ("probabilities/", "match/_shards") if kind == "crawl" else ()  # these say where the run's own pool is
    assert [name for name in ours if ours[name] != theirs[name] and not name.startswith(of_own_pool)] == []
    assert Store(url).list(LOCK) == Store(url).list(".work") == {}


def shared_in(root: Path) -> set[str]:
    """The stages of a run whose pieces ranks share."""
    return {path.parent.name for path in root.glob("*/_done")}


def test_ranks_that_wait_for_each_other(url: str, endpoint: str, tmp_path: Path, entries: Path, pool: Path) -> None:
    curate_into(tmp_path / "run", pool, entries)
    command = ("curate", pool, "--metadata", entries, "--t", 20, "--workers", 1, "--out", url, "--ranks", 3, "--wait", PATIENCE)
    places = [{"TALLYCLIP_SCRATCH": str(tmp_path / place)} for place in ("one machine", "one machine", "another")]
    all_ranks = [started(*command, "--rank", rank, env=os.environ | place) for rank, place in enumerate(places)]
    for rank in all_ranks:
        _, said = rank.communicate(timeout=PATIENCE)
        assert rank.returncode == 0, said
    files = stored(endpoint, url)
    assert content(files) == content(on_disk(tmp_path / "run"))
    events = [json.loads(line) for line in files["events.jsonl"].splitlines()]
    assert {event["pid"] for event in events} == {rank.pid for rank in all_ranks}
    did = [(event["stage"], event["shard"]) for event in events if event["event"] == "shard_done"]
    assert [stage for stage, _ in sorted({*did})].count("match") == 5
    assert sorted(did) == sorted({*did})  # each once
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert files["log.txt"].count(b"end        done") > 0


def share(url: str, pool: Path, rank: str, after: int | str = "", sent: str = "SIGKILL", wait: float | str = "") -> subprocess.Popen[str]:
    return driven(place_of(url), "match", pool, rank, after, sent, wait)


def matched(url: str, pool: Path, role: Role | None = None) -> list[str]:
    """What a process of a role does of matching, by the pieces that it did; without one, all that is left."""
    runner = Inline()
    with suppress(PartDone), Workspace(WITH_CROWDED, place_of(url), runner, role=role) as run:
        run.open()
        make(run, run.stages["match"], options_of(run, run.stages["match"], pool))
    return runner.done


@pytest.fixture
def begun(url: str, pool: Path, entries: Path) -> str:
    """A run in which matching is next."""
    do_part(url, pool, entries, PoolOptions(), Finish("metadata"))
    return url


def test_a_rank_that_was_killed_comes_again_at_once_and_does_the_rest(
    begun: str, endpoint: str, tmp_path: Path, pool: Path, entries: Path
) -> None:
    ended([share(begun, pool, "1/2", after=1)], -signal.SIGKILL)
    assert [name.split("/")[2] for name in Store(begun).list(SHARERS)] == ["1-of-2"]
    for rank in ("1/2", "0/2"):
        ended([share(begun, pool, rank)])
    assert Store(begun).list(LOCK) == {}
    curate_into(tmp_path / "run", pool, entries)
    assert matched(begun, pool) == []  # nothing is left but to publish
    files, clean = content(stored(endpoint, begun)), content(on_disk(tmp_path / "run"))
    assert len(files) > 10
    assert [name for name in files if name != "match/_shards.json" and files[name] != clean[name]] == []


@pytest.fixture
def stopped(begun: str, pool: Path) -> Iterator[subprocess.Popen[str]]:
    """Rank 1 of 2, which stands still with a piece of its share done and others left."""
    yield from standing_still(share(begun, pool, "1/2", after=1, sent="SIGSTOP"))


def test_a_rank_at_work_is_waited_for_and_one_that_is_killed_no_longer(begun: str, pool: Path, stopped: subprocess.Popen[str]) -> None:
    waits = share(begun, pool, "0/2", wait=0.1)
    log = place_of(begun) / "log.txt"
    eventually(lambda: waits.poll() is not None or (log.exists() and "waits for the others" in log.read_text()), "rank 0 waits")
    time.sleep(4 * ranks.SECONDS_BETWEEN_LOOKS)
    assert waits.poll() is None
    stopped.kill()
    assert "(rank 1)" in ended([waits], 1)


def test_a_rank_is_one_process_at_a_time_and_nobody_works_alone_beside_it(
    begun: str, pool: Path, stopped: subprocess.Popen[str], on_another_machine: Callable[[], None]
) -> None:
    on_another_machine()
    with pytest.raises(InUseError, match=f"rank 1 of 2 is already at work in {begun}: process {stopped.pid} on"):
        matched(begun, pool, Rank(1, 2))
    with pytest.raises(InUseError, match=f"another process, {stopped.pid} on .*, is working on this run"):
        matched(begun, pool)
    stopped.send_signal(signal.SIGCONT)
    ended([stopped])
    assert len(matched(begun, pool)) > 0


def test_no_rank_works_beside_one_that_works_alone(url: str, pool: Path, entries: Path) -> None:
    lease = Lease(Store(url), "run", note_nothing)
    for role in (Rank(0, 2), Finish("metadata")):
        with pytest.raises(InUseError, match=f"another process, {os.getpid()} on .*, is working on this run"):
            do_part(url, pool, entries, PoolOptions(), role)
    lease.release()
    assert Store(url).list(LOCK) == {}


def test_a_rank_of_another_machine_is_at_work_as_long_as_it_gives_signs(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(url)
    silent = Sharing(store, (1, 2), "run", note_nothing)
    watches = Sharing(store, (0, 2), "run", note_nothing)
    monkeypatch.setattr(leases, "_machine", lambda: "another")
    monkeypatch.setattr(leases, "SECONDS_OF_SILENCE", 3.0)
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.1)
    assert watches.sees((1, 2))
    assert not watches.sees((1, 3))

    def is_gone() -> bool:
        watches.give_sign()
        return not watches.sees((1, 2))

    eventually(is_gone, "it gives no sign")
    assert silent.give_sign()
    assert watches.sees((1, 2))
    silent.release()
    assert not watches.sees((1, 2))
    watches.release()


def test_ranks_that_were_killed_elsewhere_are_waited_for_all_at_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, said = Store(url), list[str]()
    for rank in range(20):
        dead = {"host": "there", "pid": rank, "machine": "another", "token": "x"}
        store.write(f"{SHARERS}/{rank}-of-20/00000001", json.dumps(dead).encode())
    monkeypatch.setattr(leases, "SECONDS_OF_SILENCE", 2.0)
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.1)
    lease = Lease(store, "run", said.append)
    assert 0 < len(said) < 10
    assert len(store.list(LOCK)) == 1
    lease.release()


@pytest.mark.parametrize("killed", [False, True], ids=["", "one was killed"])
def test_one_has_the_turn_at_a_time(url: str, *, killed: bool) -> None:
    """Each adds one to a number, which is lost where two do at once."""
    store, people, times = Store(url), 6, 5
    store.write("number", b"0")
    if killed:
        dead = {"host": "here", "pid": 2**22 + 1, "machine": leases._machine(), "token": "x"}
        store.create(f"{TURN}/00000003", json.dumps(dead).encode())

    def add() -> None:
        for _ in range(times):
            turn = Turn(store, "run", note_nothing)
            before = int(store.read("number") or 0)
            time.sleep(0.01)
            store.write("number", str(before + 1).encode())
            turn.release()

    threads = [threading.Thread(target=add) for _ in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read("number") == str(people * times).encode()
    assert store.list(LOCK) == {}


def test_a_name_that_came_free_and_is_anothers_is_not_taken_for_the_one_that_ended(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(url)
    first = Turn(store, "run", note_nothing)
    waited = Turn._await_end

    def slowly(self: Turn, name: str) -> bytes | None:
        gone = waited(self, name)
        monkeypatch.setattr(Turn, "_await_end", waited)
        others.append(Turn(store, "run", note_nothing))  # another takes the name that has just come free
        threading.Timer(1, others[0].release).start()
        return gone

    others: list[Turn] = []
    monkeypatch.setattr(Turn, "_await_end", slowly)
    threading.Timer(0.5, first.release).start()
    mine = Turn(store, "run", note_nothing)
    assert not others[0]._holds()
    assert mine._holds()
    mine.release()


def test_a_store_on_which_nobody_can_be_kept_out_is_refused(url: str, pool: Path, entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: Store, name: str, content: bytes) -> bool:
        self.write(name, content)
        return True

    monkeypatch.setattr(Store, "create", write)
    with pytest.raises(OptionError, match="ranks cannot share a folder on this store"):
        do_part(url, pool, entries, PoolOptions(), Rank(0, 2))
    assert Store(url).list() == {}


def test_what_failed_elsewhere_is_named_by_what_ranks_wait_for(
    url: str, tmp_path: Path, pool: Path, entries: Path, on_another_machine: Callable[[], None]
) -> None:
    do_part(url, pool, entries, PoolOptions(), Finish("metadata"))
    whole = (pool / "berry.parquet").read_bytes()
    (pool / "berry.parquet").write_bytes(whole[:-100])
    for rank in range(2):
        on_another_machine()
        with suppress(IncompleteError):
            do_part(url, pool, entries, PoolOptions(), Rank(rank, 2))
    on_another_machine()
    with pytest.raises(IncompleteError, match="1 of 5 shards failed") as raised:
        do_part(url, pool, entries, PoolOptions(), Finish("match"))
    assert "berry" in str(raised.value.details)
    (pool / "berry.parquet").write_bytes(whole)
    on_another_machine()
    assert [key for rank in range(2) for key in do_part(url, pool, entries, PoolOptions(), Rank(rank, 2))] == ["berry"]
    do_part(url, pool, entries, PoolOptions(), Finish("match"))
    assert Store(url).look("match/_manifest.json") is not None


def test_a_piece_that_a_killed_rank_left_here_and_not_there_is_done_again(begun: str, pool: Path) -> None:
    """Its mark was written here, and not sent: on other machines, it is not done."""
    ended([share(begun, pool, "0/1", after=2)], -signal.SIGKILL)
    (mark, *_) = sorted(place_of(begun).glob(".work/match-*/_done/*.json"))
    name = mark.relative_to(place_of(begun)).as_posix()
    Store(begun).delete([name])
    (place_of(begun).with_name(mirror.NOTES) / f"{name}.note").unlink()
    mirror._MIRRORS.clear()
    assert mark.stem in matched(begun, pool, Rank(0, 1))
    assert Store(begun).look(name) is not None


def test_two_logs_of_the_same_lines_are_one_and_the_others_are_in_order() -> None:
    ours = b"2026-01-01T00:00:00+00:00  begin      a\n2026-01-01T00:00:02+00:00  end        done\n"
    theirs = (
        b"2026-01-01T00:00:00+00:00  begin      a\n2026-01-01T00:00:01+00:00  note       b  c\n2026-01-01T00:00:02+00:00  end        b\n"
    )
    assert merged(ours, theirs).splitlines() == [
        b"2026-01-01T00:00:00+00:00  begin      a",
        b"2026-01-01T00:00:01+00:00  note       b  c",
        b"2026-01-01T00:00:02+00:00  end        done",
        b"2026-01-01T00:00:02+00:00  end        b",
    ]
    assert merged(merged(ours, theirs), theirs) == merged(ours, theirs)


def test_slurm_writes_jobs_for_a_run_on_a_store(url: str, tmp_path: Path, pool: Path, entries: Path) -> None:
    succeeds("slurm", tmp_path / "jobs", "--ranks", 2, "--", "curate", pool, "--metadata", entries, "--out", url)
    scripts = "".join(path.read_text() for path in (tmp_path / "jobs").glob("*.sh"))
    assert f"--out {url}" in scripts
    assert str(place_of(url)) not in scripts
