"""A run folder on an object store comes to the bytes of one on a disk, wherever its pieces are done, and whatever is interrupted."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tallyclip.core.data import Metadata
from tallyclip.errors import ArtifactError, InUseError, StaleError
from tallyclip.flows.curate import curate
from tallyclip.io import leases, mirror
from tallyclip.io.leases import Lease
from tallyclip.io.locks import LOCK
from tallyclip.io.slices import read_slice, read_slices, write_slices
from tallyclip.io.stores import Store
from tallyclip.places import COPIES, FILES, place_of
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run.runners.base import Event, Payload, Result, Task, Tick
from tallyclip.run.workspace import Workspace
from tallyclip.stages.gather import PoolOptions
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN
from tests.run.driver import Inline
from tests.run.stores import client, environment_for, moto_server, new_bucket, reach, seaweed
from tests.run.test_shares import write_crawl
from tests.stages.merged_keys import merge_keys_of
from tests.tools import PATIENCE, started, succeeds, tallyclip, write_entries, write_pool

__all__ = ["reach"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as found:
        yield found


@pytest.fixture
def url(endpoint: str, reach: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a run folder, which this process and those that it starts can reach."""
    reach(endpoint)
    monkeypatch.setenv("TALLYCLIP_SCRATCH", str(tmp_path / "scratch"))
    return f"s3://{new_bucket(endpoint)}/some/run"


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return write_pool(tmp_path / "pool")


@pytest.fixture
def entries(tmp_path: Path) -> Path:
    return write_entries(tmp_path / "entries.json")


def names(endpoint: str, url: str) -> list[str]:
    """The objects of a folder, by their names within it."""
    bucket, _, start = url.removeprefix("s3://").partition("/")
    pages = client(endpoint).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{start}/")
    return [each["Key"].removeprefix(f"{start}/") for page in pages for each in page.get("Contents", [])]


def stored(endpoint: str, url: str) -> dict[str, bytes]:
    """The same with what is in them."""
    bucket, _, start = url.removeprefix("s3://").partition("/")
    s3 = client(endpoint)
    return {name: s3.get_object(Bucket=bucket, Key=f"{start}/{name}")["Body"].read() for name in names(endpoint, url)}


def content(files: dict[str, bytes]) -> dict[str, bytes]:
    """Those that do not say when and how long they were made, or where the folder is."""
    about = ("_manifest.json", "log.txt", "events.jsonl", "run.json", "README.md")
    return {
        name: each
        for name, each in files.items()
        if name.split("/")[-1] not in about
        and not name.startswith("card/")
        and not {"_done", "_work", "_keys.json", "_runs.json", LOCK} & {*name.split("/")}
    }


def on_disk(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class FarAway(Inline):
    """Does every task as another machine would, on which nothing is but what comes from the store, and whose files stay there."""

    def map(self, function: Callable[[Payload, Tick], Result], tasks: Iterable[Task[Payload]]) -> Iterator[Event]:
        for task in tasks:
            ours, copies = dict(mirror._MIRRORS), Path(os.environ["TALLYCLIP_SCRATCH"]) / COPIES
            aside = copies.with_name("aside")
            copies.rename(aside)
            mirror._MIRRORS.clear()
            mirror.begin_task()
            try:
                yield from super().map(function, [task])
            finally:
                shutil.rmtree(copies, ignore_errors=True)
                aside.rename(copies)
                mirror._MIRRORS.update(ours)


def curate_into(root: str | Path, pool: Path, entries: Path, runner: Inline | None = None, options: PoolOptions | None = None) -> None:
    with Workspace(RUN, place_of(root) if isinstance(root, str) else root, runner or Inline()) as run:
        curate(run, [str(pool)], ColumnChoice(), Metadata.load(str(entries)), Aim(t=20.0), options=options or PoolOptions())


KINDS = {
    "tables": PoolOptions(),
    "tables, repeats dropped": PoolOptions(duplicates="pair", write_dropped=True),
    "tables, keys merged": PoolOptions(duplicates="pair", write_dropped=True),
    "crawl": PoolOptions(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_that_other_machines_do_come_to_the_same_bytes(
    kind: str, url: str, endpoint: str, tmp_path: Path, entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = write_crawl(tmp_path / "crawl") if kind == "crawl" else write_pool(tmp_path / "pool")
    if kind == "tables, keys merged":
        merge_keys_of(monkeypatch, files=2, rows_per_bucket=500)
    curate_into(tmp_path / "run", pool, entries, options=KINDS[kind])
    runner = FarAway()
    curate_into(url, pool, entries, runner, KINDS[kind])
    assert len(runner.done) > 10
    ours, theirs = content(stored(endpoint, url)), content(on_disk(tmp_path / "run"))
    tables = [pq.read_table(BytesIO(each)) for name, each in ours.items() if name.startswith("probabilities/")]
    files = {file for table in tables for file in table["file"].to_pylist()}
    start = f"{url}/pool/" if kind == "crawl" else f"{pool}/"
    assert [file for file in files if file.removeprefix(start) != Path(file).name] == []  # where the pool is, and no copy of it
    if kind == "crawl":  # these say where the run's own pool is
        for name in [name for name in ours if name.startswith(("probabilities/", "match/_shards"))]:
            del ours[name], theirs[name]
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    again = FarAway()
    curate_into(url, pool, entries, again, KINDS[kind])
    assert again.done == []


def test_of_a_file_of_slices_only_a_slice_comes(url: str, endpoint: str) -> None:
    path = place_of(url) / ".work" / "some.slices"
    slices = [np.full((rows, 2), rows, np.uint64) for rows in (0, 5, 1000)]
    write_slices(path, slices, len(slices))
    mirror.send([path])
    assert names(endpoint, url) == [".work/some.slices"]
    path.unlink()
    for number, rows in enumerate(slices):
        assert read_slice(path, number, 2).tolist() == rows.tolist()
    assert [len(rows) for rows in read_slices([path] * 3, 1, 2)] == [5] * 3
    with pytest.raises(ArtifactError, match=r"other\.slices: broken"):
        read_slice(path.with_name("other.slices"), 0, 2)
    assert not path.exists()


def test_the_command_and_what_it_says(url: str, endpoint: str, tmp_path: Path, pool: Path, entries: Path) -> None:
    said = succeeds("curate", pool, "--metadata", entries, "--t", "20", "--workers", "2", "--out", url)
    assert f"{url}/curated/*.parquet" in said
    shutil.rmtree(tmp_path / "scratch")  # as on another machine
    status = json.loads(succeeds("status", "--json", url))
    assert {stage["state"] for stage in status["stages"]} == {"done"}
    assert status["root"] == url
    succeeds("balance", url, "--t", "30")
    succeeds("card", url)
    objects = stored(endpoint, url)
    assert json.loads(objects["run.json"])["command"][3] == url
    assert b"t = 30" in objects["card/card.md"]
    assert [name for name in objects if name.startswith((".work", LOCK))] == []
    secret = environment_for(endpoint)["AWS_SECRET_ACCESS_KEY"].encode()
    for name, found in objects.items():
        assert secret not in found, name
        assert name.split("/")[-1].startswith("_") or "/_" in name or FILES.encode() not in found, name  # what people read


@pytest.mark.parametrize(
    "where",
    [
        "s3://key:secret@bucket/run",
        "s3://bucket/run?X-Amz-Signature=1",
        "https://host/run",
        "memory://run",
        "s3:///run",
        "s3://b/run#2",
        "s3://b/run*",
        "s3://b/../run",
    ],
)
def test_folders_that_cannot_be(where: str, tmp_path: Path, pool: Path) -> None:
    done = tallyclip("curate", pool, "--out", where, cwd=tmp_path)
    assert done.returncode == 2
    assert "Hint: give " in done.stderr
    assert "secret" not in done.stderr.split("Hint: ")[0].replace("no user, key or signature", "")
    assert [path.name for path in tmp_path.iterdir()] == ["pool"]


FIRST, *OTHERS = r"\.work/match-\w+/_done/", r"\.work/match-\w+/_manifest", r"match/_done/", r"\.work/balance-\w+/_done/"
KILLED_AT = [FIRST, *(pytest.param(each, marks=pytest.mark.matrix) for each in OTHERS)]


def killed_and_taken_up(seen: str, url: str, endpoint: str, tmp_path: Path, pool: Path, entries: Path) -> None:
    command = ("curate", pool, "--metadata", entries, "--t", "20", "--workers", "2", "--out", url)
    with started(*command) as driver:
        while not any(re.match(seen, name) for name in names(endpoint, url)):
            assert driver.poll() is None, driver.communicate()
            time.sleep(0.05)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate()
    succeeds(*command)
    succeeds("curate", pool, "--metadata", entries, "--t", "20", "--out", tmp_path / "run")
    assert content(stored(endpoint, url)) == content(on_disk(tmp_path / "run"))


@pytest.mark.parametrize("seen", KILLED_AT)
def test_a_driver_that_is_killed_goes_on_where_it_was(
    seen: str, url: str, endpoint: str, tmp_path: Path, pool: Path, entries: Path
) -> None:
    """Killed at the first such object: as it matches, before and while the matches are put into place, and as it balances."""
    killed_and_taken_up(seen, url, endpoint, tmp_path, pool, entries)


def test_workers_of_ray_go_to_the_store_themselves(url: str, endpoint: str, tmp_path: Path, pool: Path, entries: Path) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    common = ("curate", pool, "--metadata", entries, "--t", "20", "--workers", "2", "--out")
    succeeds(*common, url, "--runner", "ray")
    succeeds(*common, tmp_path / "run")
    assert content(stored(endpoint, url)) == content(on_disk(tmp_path / "run"))


def test_a_bucket_that_is_not_there(url: str, pool: Path, entries: Path) -> None:
    done = tallyclip("curate", pool, "--metadata", entries, "--out", url.replace("runs-", "no-"))
    assert done.returncode == 1
    assert "there is no such bucket" in done.stderr
    assert "credentials" in done.stderr.split("Hint: ")[1]


def test_another_store_does_as_well(
    reach: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pool: Path, entries: Path
) -> None:
    with seaweed() as endpoint:
        reach(endpoint)
        monkeypatch.setenv("TALLYCLIP_SCRATCH", str(tmp_path / "scratch"))
        url = f"s3://{new_bucket(endpoint)}/some/run"
        killed_and_taken_up(FIRST, url, endpoint, tmp_path, pool, entries)
        lease = Lease(Store(url), "run", note_nothing)
        with pytest.raises(InUseError):
            Lease(Store(url), "run", note_nothing)
        lease.release()
        assert Store(url).list(LOCK) == {}


def note_nothing(_: str) -> None: ...


def test_one_holds_a_folder_at_a_time(url: str) -> None:
    store = Store(url)
    first = Lease(store, "run", note_nothing)
    with pytest.raises(InUseError, match=f"process, {os.getpid()} on"):
        Lease(store, "run", note_nothing)
    first.release()
    second = Lease(store, "run", note_nothing)
    second.check()
    second.release()
    assert store.list(LOCK) == {}


def test_who_gave_no_sign_loses_the_folder_and_knows_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, said = Store(url), list[str]()
    silent = Lease(store, "run", note_nothing)
    monkeypatch.setattr(leases, "SECONDS_OF_SILENCE", 1.0)
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.1)
    monkeypatch.setattr(Lease, "give_sign", lambda _: True)
    monkeypatch.setattr(leases, "_machine", lambda: "another")
    other = Lease(store, "run", said.append)
    monkeypatch.undo()
    assert ["waiting" in line for line in said] == [True]
    assert other.give_sign()
    assert not silent.give_sign()
    with pytest.raises(StaleError, match="took over"):
        silent.check()
    other.check()
    silent.release()
    assert len(store.list(LOCK)) == 1
    other.release()


def test_who_was_killed_on_this_machine_is_not_waited_for(url: str) -> None:
    store, said = Store(url), list[str]()
    dead = {"host": "here", "pid": 2**22 + 1, "machine": leases._machine(), "token": "x"}
    store.create(f"{LOCK}/00000007", json.dumps(dead).encode())
    lease = Lease(store, "run", said.append)
    assert [*store.list(LOCK)] == [f"{LOCK}/00000008"]
    assert said == []
    lease.release()


def test_of_two_that_come_at_once_one_works(url: str, pool: Path, entries: Path) -> None:
    command = ("curate", pool, "--metadata", entries, "--t", "20", "--workers", "1", "--out", url)
    both = [started(*command) for _ in range(2)]
    ends = [driver.communicate(timeout=PATIENCE) for driver in both]
    codes = sorted(driver.returncode for driver in both)
    assert codes in ([0, 0], [0, 2]), ends
    assert codes == [0, 0] or any("is working on this run" in said for _, said in ends)
