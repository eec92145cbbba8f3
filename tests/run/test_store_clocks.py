"""A store whose clock is an hour ahead of this machine's, or behind: nothing is done by comparing the two."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tallyclip.errors import IncompleteError, InUseError, StaleError
from tallyclip.io import leases, mirror
from tallyclip.io.files import write_json
from tallyclip.io.leases import Lease
from tallyclip.io.mirror import send
from tallyclip.io.stores import Store
from tallyclip.places import place_of
from tallyclip.run.items import Running
from tallyclip.run.status import read_status
from tallyclip.run.workspace import only_read
from tests.run.fault_proxy import Faults
from tests.run.stores import FaultProxy, fault_proxy, moto_server, new_bucket, reach
from tests.run.test_on_store import note_nothing
from tests.run.test_store_faults import INTERRUPTED, KIND, STAGE, SquaresFolder, made

__all__ = ["reach"]
HOUR = 3600.0
COUNT = 30


@pytest.fixture(scope="module")
def between() -> Iterator[FaultProxy]:
    with moto_server() as endpoint, fault_proxy(endpoint) as proxy:
        yield proxy


@pytest.fixture(params=[HOUR, -HOUR], ids=["ahead", "behind"])
def proxy(
    request: pytest.FixtureRequest, between: FaultProxy, reach: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FaultProxy:
    monkeypatch.setenv("TALLYCLIP_SCRATCH", str(tmp_path / "scratch"))
    between.inject(Faults(clock=request.param))
    reach(between.endpoint)
    return between


@pytest.fixture
def url(proxy: FaultProxy) -> str:
    return f"s3://{new_bucket(proxy.endpoint)}/run"


def test_what_is_done_is_known_and_copies_are_not_fetched_again(proxy: FaultProxy, url: str) -> None:
    with pytest.raises(IncompleteError):
        made(place_of(url), COUNT, INTERRUPTED)
    before = proxy.requests
    assert made(place_of(url), COUNT) == []
    assert (proxy.requests - before)["GET"] < COUNT / 2
    assert made(place_of(url), COUNT) == []


def test_a_copy_that_another_replaced_comes_again(proxy: FaultProxy, url: str) -> None:
    path, store = place_of(url) / "a", Store(url)
    path.parent.mkdir(parents=True)
    for content in ("one", "two"):  # of the same size, within a second
        store.write("a", content.encode())
        mirror.begin_task()
        assert mirror.fetched(path).read_text() == content
    path.write_text("new")  # likewise
    assert mirror.fetched(path).read_text() == "new"
    assert mirror.mirror_of(path).unsent(path.parent) == [path]  # pyright: ignore[reportOptionalMemberAccess]


def test_status_says_how_fast_it_goes_and_for_how_long_pieces_run(proxy: FaultProxy, url: str) -> None:
    root = place_of(url)
    with pytest.raises(IncompleteError):
        made(root, COUNT, INTERRUPTED)
    folder = SquaresFolder(next((root / ".work").glob(f"{STAGE.name}-*")))
    Store(url).delete([f"{folder.path.relative_to(root)}/_done/{key}.json" for key in ("1", "2", "3")])
    for key, host in (("1", socket.gethostname()), ("2", "elsewhere")):
        write_json(folder.running(key), msgspec.to_builtins(Running(host, os.getpid(), time.time())))
        send([folder.running(key)])
    mirror._MIRRORS.clear()
    shutil.rmtree(root.parent)  # as on another machine
    (found,) = read_status(KIND.outline, only_read(KIND, root).root).stages
    assert (found.shards_done, found.shards) == (COUNT - 3, COUNT)
    assert {each.shard for each in found.running} == {"1", "2"}
    assert all(0 <= each.seconds < HOUR / 10 for each in found.running)
    assert found.rows_per_second is not None
    assert found.eta_seconds is not None
    assert found.rows_per_second > COUNT * 10 / HOUR
    assert 0 < found.eta_seconds < HOUR / 10


def test_one_holds_a_folder_as_long_as_it_gives_signs(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(url)
    with monkeypatch.context() as often:
        often.setattr(leases, "SECONDS_BETWEEN_SIGNS", 0.05)
        first = Lease(store, "run", note_nothing)
        often.setattr(leases, "_machine", lambda: "another")
        often.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.2)
        with pytest.raises(InUseError):
            Lease(store, "run", note_nothing)
        first._ended.set()  # no more signs
        first._thread.join()
        often.setattr(leases, "SECONDS_OF_SILENCE", 0.5)
        other = Lease(store, "run", note_nothing)
        with pytest.raises(StaleError, match="took over"):
            first.check()
    first.release()
    other.check()
    other.release()
    assert store.list() == {}
