"""What is written on one machine and read on another, or by the next command, goes through the store: each file that is, one by one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tallyclip.core.data import Metadata
from tallyclip.errors import OptionError, OutputError, StaleError
from tallyclip.flows.curate import curate
from tallyclip.io import leases, mirror
from tallyclip.io.leases import Lease
from tallyclip.io.mirror import fetched, send
from tallyclip.io.slices import read_slice, write_slices
from tallyclip.io.stores import Store
from tallyclip.places import place_of
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run.items import Report, StageFolder, Work, do_piece, piece_of_work, write_work
from tallyclip.run.workspace import Workspace, only_read
from tallyclip.stages import sums
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.match import MATCH
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN
from tests.run.driver import Inline
from tests.run.stores import fault_proxy
from tests.run.test_on_store import FarAway, content, curate_into, endpoint, entries, note_nothing, on_disk, pool, reach, stored, url

__all__ = ["endpoint", "entries", "pool", "reach", "url"]


def test_sums_of_groups_that_other_machines_add_up(url: str, pool: Path, entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "SHARDS_OF_A_GROUP", 1)
    curate_into(url, pool, entries, FarAway())


def test_an_exact_size_counts_the_pairs_that_other_machines_read(
    url: str, endpoint: str, tmp_path: Path, pool: Path, entries: Path
) -> None:
    for root, runner in ((tmp_path / "run", Inline()), (place_of(url), FarAway())):
        with Workspace(RUN, root, runner) as run:
            curate(run, [str(pool)], ColumnChoice(), Metadata.load(str(entries)), Aim(size=40, exactly=True))
    assert content(stored(endpoint, url)) == content(on_disk(tmp_path / "run"))


class Two(StageFolder):
    """A piece writes one file, or two."""

    def outputs_of(self, key: str) -> tuple[Path, Path]:
        return self.path / f"{key}.a", self.path / f"{key}.b"


def write_letters(_: None, item: str, folder: Two, __: Callable[[int], None]) -> Report:
    for path, letter in zip(folder.outputs_of("k"), item, strict=False):
        path.write_text(letter)
    return Report()


@pytest.mark.parametrize("sent", [True, False], ids=["copies", "what was not sent"])
def test_what_an_earlier_try_left_on_a_machine_is_not_of_the_next(url: str, *, sent: bool) -> None:
    folder, store = Two(place_of(url) / "stage"), Store(url)
    write_work(folder, "items", Work({"k": "xy"}), "")
    if sent:
        do_piece(piece_of_work(write_letters, folder, "items", "k", "xy"), lambda _: None)
        store.delete([*store.list("stage/_done"), "stage/k.a", "stage/k.b"])  # by another machine, because the file was repaired
    else:
        write_letters(None, "xy", folder, lambda _: None)  # and was killed
    mirror.begin_task()
    do_piece(piece_of_work(write_letters, folder, "items", "k", "z"), lambda _: None)
    mark = folder.mark("k")
    assert mark is not None
    assert mark.outputs == {"k.a": 1}
    assert store.read("stage/k.a") == b"z"
    assert store.read("stage/k.b") is None


def test_a_copy_of_what_was_deleted_is_not_read(url: str) -> None:
    path = place_of(url) / "a"
    path.parent.mkdir(parents=True)
    path.write_text("old")
    send([path])
    Store(url).delete(["a"])
    mirror.begin_task()
    assert not fetched(path).exists()


@pytest.mark.parametrize("sent", [True, False], ids=["copies", "what was not sent"])
def test_a_slice_is_of_the_file_on_the_store_whatever_an_earlier_try_left_on_a_machine(url: str, tmp_path: Path, *, sent: bool) -> None:
    here, there = place_of(url) / "some.slices", tmp_path / "there.slices"
    write_slices(here, [np.zeros((3, 2), np.uint64)], 1)
    if sent:
        send([here])
    write_slices(there, [np.ones((2, 2), np.uint64)], 1)
    Store(url).put("some.slices", there)  # by another machine
    mirror.begin_task()
    assert read_slice(here, 0, 2).tolist() == [[1, 1]] * 2


def test_a_folder_of_other_things_is_refused(url: str, pool: Path, entries: Path) -> None:
    Store(url).write("holiday.jpg", b"x")
    with pytest.raises(OptionError, match=r"no run \(holiday.jpg\)"):
        curate_into(url, pool, entries)


def test_to_see_that_a_stage_is_whole_asks_nothing_that_the_list_has_said(
    url: str, endpoint: str, pool: Path, entries: Path, reach: Callable[[str], None]
) -> None:
    curate_into(url, pool, entries)
    with fault_proxy(endpoint) as proxy:
        reach(proxy.endpoint)
        mirror._MIRRORS.clear()
        assert only_read(RUN, place_of(url)).whole(BALANCE) is not None
        assert proxy.requests["HEAD"] == 0
        assert proxy.requests["LIST"] > 0


def test_matches_that_are_taken_back_are_in_place_until_all_are_copied(
    url: str, pool: Path, entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curate_into(url, pool, entries)
    with Workspace(RUN, place_of(url), Inline()) as run:
        run.open()
        with monkeypatch.context() as broken, pytest.raises(OutputError, match="killed"):
            broken.setattr(Store, "copy", cannot)
            run.withdraw(MATCH, "f" * 64)
    mirror._MIRRORS.clear()
    shutil.rmtree(place_of(url).parent)  # as on another machine
    assert only_read(RUN, place_of(url)).whole(MATCH) is not None


def cannot(*_: object) -> None:
    raise OutputError("killed")


def test_of_many_that_are_deleted_those_that_the_store_refused_are_deleted_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, calls = Store(url), list[int]()
    for number in range(3):
        store.write(f"x/{number}", b"x")
    whole = store._fs.rm

    def all_but_one_at_first(paths: list[str]) -> Any:
        calls.append(len(paths))
        return whole(paths[1:] if len(calls) == 1 else paths)

    monkeypatch.setattr(store._fs, "rm", all_but_one_at_first)
    store.delete(["x/0", "x/1", "x/2"])
    assert store.list("x") == {}
    assert calls == [3, 1]


def test_who_wakes_after_a_long_sleep_asks_before_it_changes_anything(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(url)
    lease = Lease(store, "run", note_nothing)
    other = {"token": "of another, who has taken the same number since"}
    store.write(lease._name, str(other).replace("'", '"').encode())
    monkeypatch.setattr(leases, "SECONDS_OF_SILENCE", 0.0)
    with pytest.raises(StaleError, match="took over"):
        lease.check()
    lease.release()
    assert len(store.list(".lock")) == 1  # the other's


def test_a_store_that_does_not_answer_for_a_while_ends_no_lease(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, failed = Store(url), list[str]()
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_SIGNS", 0.01)
    read = store.read

    def fails_twice(name: str) -> bytes | None:
        if len(failed) < 2:
            failed.append(name)
            raise OutputError("no answer")
        return read(name)

    lease = Lease(store, "run", note_nothing)
    monkeypatch.setattr(store, "read", fails_twice)
    while lease._signs < 3:
        assert lease._thread.is_alive()
    lease.release()
    assert len(failed) == 2
