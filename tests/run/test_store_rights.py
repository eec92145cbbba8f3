"""A store that does not allow all that a run needs: said at once, with what is missing, and nothing is begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tallyclip.errors import OptionError, OutputError
from tallyclip.io.stores import Store
from tallyclip.places import place_of
from tallyclip.run.workspace import Workspace
from tallyclip.stages.runs import RUN
from tests.run.driver import Inline
from tests.run.fault_proxy import Faults
from tests.run.stores import FaultProxy, fault_proxy, moto_server, new_bucket, reach
from tests.run.test_on_store import curate_into, entries, pool
from tests.tools import fails, succeeds

__all__ = ["entries", "pool", "reach"]
RIGHTS = ("list", "read", "write", "delete")


@pytest.fixture(scope="module")
def between() -> Iterator[FaultProxy]:
    with moto_server() as endpoint, fault_proxy(endpoint) as proxy:
        yield proxy


@pytest.fixture
def proxy(between: FaultProxy, reach: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    monkeypatch.setenv("TALLYCLIP_SCRATCH", str(tmp_path / "scratch"))
    between.inject(Faults())
    reach(between.endpoint)
    return between


@pytest.fixture
def url(proxy: FaultProxy) -> str:
    return f"s3://{new_bucket(proxy.endpoint)}/some/run"


def curate_by_command(url: str, pool: Path, entries: Path) -> str:
    return fails(2, "curate", pool, "--metadata", entries, "--t", "20", "--out", url)


def curate_here(url: str, pool: Path, entries: Path) -> str:
    with pytest.raises(OptionError) as raised:
        curate_into(url, pool, entries)
    return f"Error: {raised.value}"


@pytest.mark.parametrize(
    ("missing", "curate", "what"),
    [
        ("write", curate_by_command, ".lock/00000001: may not be written: the store says 'Access Denied'"),
        ("delete", curate_here, ".lock/unused: may not be deleted: the store says 'Access Denied'"),
        ("list", curate_here, "may not be listed: the store says 'Access Denied'"),
        ("read", curate_here, "run.json: may not be read: the store says 'Forbidden'"),  # to HEAD, a store gives no reason
    ],
    ids=RIGHTS[2:] + RIGHTS[:2],
)
def test_a_folder_in_which_something_is_not_allowed_is_no_place_for_a_run(
    missing: str, curate: Callable[[str, Path, Path], str], what: str, proxy: FaultProxy, url: str, pool: Path, entries: Path
) -> None:
    before = proxy.injected
    proxy.inject(Faults(denied=(missing,)))
    said = curate(url, pool, entries)
    assert f"Error: {url}: cannot be a run folder: {what}\n" in said
    assert f"Hint: check that your credentials may {', '.join(RIGHTS[:3])} and {RIGHTS[3]} there, or give another folder" in said
    assert (proxy.injected - before)["denied"] == 1  # it is not tried again
    proxy.inject(Faults())
    assert Store(url).list() == {}


def test_a_run_that_may_only_be_read_is_read_and_no_more(proxy: FaultProxy, url: str, pool: Path) -> None:
    with Workspace(RUN, place_of(url), Inline()) as run:
        run.create([str(pool)], 1)
    proxy.inject(Faults(denied=("write", "delete")))
    before = Store(url).list()
    assert "balance" in succeeds("status", url)
    said = fails(2, "plan", url)
    assert f"{url}: cannot be a run folder: .lock/unused: may not be deleted" in said
    assert Store(url).list() == before


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_may_not_be_deleted_later_is_named_at_once(count: int, proxy: FaultProxy, url: str) -> None:
    """Of many that are deleted at once, a store says so in an answer that is no error."""
    store, before = Store(url), proxy.injected
    names = [f"x/{number}" for number in range(count)]
    for name in names:
        store.write(name, b"x")
    proxy.inject(Faults(denied=("delete",)))
    with pytest.raises(OutputError, match=r"run/x\S*: may not be deleted: the store says 'Access Denied'"):
        store.delete(names)
    assert (proxy.injected - before)["denied"] <= 2
    assert [*store.list("x")] == names


def test_copies_that_are_denied_are_named_by_where_they_go(proxy: FaultProxy, url: str, tmp_path: Path) -> None:
    store = Store(url)
    store.write("a", b"x")
    proxy.inject(Faults(denied=("write",), keys="run/b"))
    with pytest.raises(OutputError, match=f"{url}/b: may not be written"):
        store.copy("a", "b", 1)
    place = place_of(url) / "b"
    place.parent.mkdir(parents=True)
    place.write_text("y")
    with pytest.raises(OutputError, match=f"{url}/b: may not be written"):
        store.put("b", place)


@pytest.mark.parametrize(("ahead", "how"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_clock_that_the_store_does_not_believe_is_named(
    ahead: float, how: str, proxy: FaultProxy, url: str, pool: Path, entries: Path
) -> None:
    proxy.inject(Faults(clock=ahead, is_strict=True))
    said = curate_here(url, pool, entries)
    assert "run.json: may not be read" in said
    assert f"Hint: the store's clock is 60 minutes {how} this machine's: set this one right" in said
