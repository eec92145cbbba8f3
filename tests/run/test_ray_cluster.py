"""Whole curates on Ray clusters: the same bytes as on one machine, whatever dies meanwhile.

By default one machine is killed, in the stage match; ``scripts/test --all`` kills one in others too.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallyclip.errors import OptionError
from tallyclip.run.runners.base import Task
from tallyclip.run.runners.ray import RayWorkers
from tests.readers.crawl.tools import image, packed, page, record, write_wat
from tests.run.clusters import Cluster, add_machine, cluster_of, copy_with_version, curate, done, modules, on, ray, write_shards  # noqa: F401 - a fixture
from tests.run.test_local import double
from tests.run.test_shares import content
from tests.stages.test_failed_shards import flip_a_byte
from tests.tools import captions, eventually, fails, leftovers, started, succeeds, write_entries

SHARDS = 60


class Case(NamedTuple):
    """A pool, entries, and the bytes that they come to on one machine."""

    pool: Path
    entries: Path
    clean: dict[str, bytes]


def made(run: Path) -> dict[str, bytes]:
    """All files but those that say how they were made; what they say of the folder's own place is left out."""
    assert leftovers(run) == []
    files = {name: file for name, file in content(run).items() if not name.startswith("card") and name != "README.md"}
    here = str(run).encode()
    return {name: file if name.startswith("probabilities/") else file.replace(here, b"RUN") for name, file in files.items()}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    pool, entries = write_shards(folder / "pool", SHARDS), write_entries(folder / "entries.json")
    succeeds(*curate(pool, entries, folder / "one", "--workers", 1))
    return Case(pool, entries, made(folder / "one"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_of(1) as cluster:
        yield cluster


def machines(cluster: Cluster, count: int) -> list[Any]:
    """So many machines of the cluster; what is missing is added."""
    while len(cluster.worker_nodes) < count:
        add_machine(cluster)
    return list(cluster.worker_nodes)


def test_two_workers_make_the_bytes_that_one_makes(case: Case, tmp_path: Path) -> None:
    succeeds(*curate(case.pool, case.entries, tmp_path / "run", "--workers", 2))
    assert made(tmp_path / "run") == case.clean


@pytest.mark.parametrize("count", [1, 3])
def test_machines_make_the_bytes_that_one_worker_makes(case: Case, cluster: Cluster, tmp_path: Path, count: int) -> None:
    assert len(machines(cluster, count)) == count
    succeeds(*curate(case.pool, case.entries, tmp_path / "run", *on(cluster)))
    assert made(tmp_path / "run") == case.clean


def kill_one_during(stage: str, command: list[object], run: Path, cluster: Cluster) -> None:
    """Kill a machine when work on a stage has begun, and wait until the command ends."""
    doomed = machines(cluster, 3)[0]
    driver = started(*command)
    eventually(lambda: any(run.glob(f".work/{stage}-*/_running/*")) or driver.poll() is not None, f"{stage} has begun")
    assert driver.poll() is None
    cluster.remove_node(doomed, allow_graceful=False)
    printed, said = driver.communicate(timeout=200)
    assert driver.returncode == 0, said
    assert "raylet" not in printed + said
    assert "failed:" not in (run / "log.txt").read_text()


def test_a_machine_that_is_killed_changes_nothing(case: Case, cluster: Cluster, tmp_path: Path) -> None:
    kill_one_during("match", curate(case.pool, case.entries, tmp_path / "run", *on(cluster)), tmp_path / "run", cluster)
    assert made(tmp_path / "run") == case.clean


@pytest.mark.matrix
def test_nor_does_one_that_is_killed_while_pairs_are_drawn(case: Case, cluster: Cluster, tmp_path: Path) -> None:
    kill_one_during("balance", curate(case.pool, case.entries, tmp_path / "run", *on(cluster)), tmp_path / "run", cluster)
    assert made(tmp_path / "run") == case.clean


@pytest.fixture(scope="module")
def crawl(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("crawl")
    (folder / "crawl").mkdir()
    for number in range(SHARDS):
        pages = [page(f"http://{n}.example/", [image(f"{n % 40}.jpg", alt=text)]) for n, text in enumerate(captions(100, number))]
        write_wat(folder / "crawl" / f"{number:03}.warc.wat.gz", pages)
    succeeds(*curate(folder / "crawl", case.entries, folder / "one", "--duplicates", "pair", "--workers", 1))
    return Case(folder / "crawl", case.entries, made(folder / "one"))


def without_places(files: dict[str, bytes]) -> dict[str, object]:
    """What does not say where the run's own pool is, and when it was written: of probabilities, the columns but one."""
    return {
        name: pq.read_table(pa.BufferReader(file)).drop_columns(["file"]) if name.startswith("probabilities/") else file
        for name, file in files.items()
        if name != "match/_shards.json"
    }


@pytest.mark.matrix
@pytest.mark.parametrize("stage", ["gather", "duplicates", "pool"])
def test_nor_does_one_that_is_killed_while_a_crawl_becomes_a_pool(stage: str, crawl: Case, cluster: Cluster, tmp_path: Path) -> None:
    command = curate(crawl.pool, crawl.entries, tmp_path / "run", "--duplicates", "pair", *on(cluster))
    kill_one_during(stage, command, tmp_path / "run", cluster)
    assert without_places(made(tmp_path / "run")) == without_places(crawl.clean)


def write_broken_tables(pool: Path) -> None:
    """Tables, and files of which each is broken in a way of its own."""
    write_shards(pool, 6)
    shards = sorted(pool.glob("*.parquet"))
    content = shards[0].read_bytes()
    (pool / "empty.parquet").write_bytes(b"")
    (pool / "truncated.parquet").write_bytes(content[: len(content) // 2])
    (pool / "flipped.parquet").write_bytes(content)
    flip_a_byte(pool / "flipped.parquet", column=1, group=0)
    lines = gzip.compress(b'{"url": "http://a.example/1.jpg", "caption": "a red dog"}\n' * 2_000)
    (pool / "truncated.jsonl.gz").write_bytes(lines[: len(lines) // 2])
    (pool / "broken.jsonl").write_bytes(b'{"url": "http://a.example/1.jpg", "caption": "a red dog"}\n\x00\x01 no JSON at all\n' * 20)


def write_broken_crawl(pool: Path) -> None:
    """WAT and WARC files, whole and with one record that is broken: as an archive, or, in those named so, only in what it says."""
    pool.mkdir()
    for number, name in enumerate(("whole", "flipped", "header", "said")):
        texts = captions(100, number)
        wat = [page(f"http://{n}.example/", [image(f"{n % 40}.jpg", alt=text)]) for n, text in enumerate(texts)]
        said = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
        warc = [
            record("response", said + f'<img src="{n}.jpg" alt="{text}">'.encode(), f"http://{n}.example/w") for n, text in enumerate(texts)
        ]
        for records, suffix in ((wat, "warc.wat.gz"), (warc, "warc.gz")):
            members = [packed([each]) for each in records]
            match name:
                case "flipped":
                    members[50] = members[50][:-8] + bytes([members[50][-8] ^ 1]) + members[50][-7:]
                case "header":
                    members[50] = packed([records[50].replace(b"Content-Length: ", b"Content-Length: x")])
                case "said":
                    members[50] = packed([record("metadata" if suffix == "warc.wat.gz" else "response", b"\x00\xff{", "http://x.example/")])
                case _:
                    pass
            (pool / f"{name}.{suffix}").write_bytes(b"".join(members))


@pytest.mark.parametrize(
    ("write", "failing"),
    [
        (write_broken_tables, {"empty", "flipped", "truncated"}),
        (write_broken_crawl, {"flipped", "header"}),
    ],
    ids=["tables", "crawl"],
)
def test_broken_files_fail_alone_and_say_the_same_on_all_runners(
    write: Callable[[Path], None], failing: set[str], case: Case, cluster: Cluster, tmp_path: Path
) -> None:
    write(pool := tmp_path / "pool")
    said: list[list[str]] = []
    results: list[list[object]] = []
    for name, more in (("local", ["--workers", 2]), ("ray", on(cluster))):
        refused = fails(1, *curate(pool, case.entries, tmp_path / name, *more))
        assert "failed:" in refused
        succeeds(*curate(pool, case.entries, tmp_path / name, *more, "--allow-failed-shards"))
        stages = json.loads(succeeds("status", tmp_path / name, "--json"))["stages"]
        said.append(sorted(f"{failure['shard']}: {failure['what']}" for stage in stages for failure in stage["failures"]))
        results.append([stage["result"] for stage in stages])
    assert said[0] == said[1]
    assert {line.partition(":")[0].partition(".")[0] for line in said[0]} == failing
    assert results[0] == results[1]  # with what was dropped
    assert without_places(made(tmp_path / "ray")) == without_places(made(tmp_path / "local"))


def test_machines_with_another_version_are_refused_with_both_versions(case: Case, cluster: Cluster, tmp_path: Path) -> None:
    odd = add_machine(cluster, copy_with_version(tmp_path / "other", "0.0.9"))
    try:
        said = fails(2, *curate(case.pool, case.entries, tmp_path / "run", *on(cluster)))
    finally:
        cluster.remove_node(odd, allow_graceful=False)
    assert "tallyclip 0.0.9, here " in said


def test_so_is_a_cluster_with_another_ray(cluster: Cluster, tmp_path: Path) -> None:
    ours = ray.__version__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray, "__version__", "1.2.3")
        with pytest.raises(OptionError) as raised, RayWorkers(cluster.address, None, tmp_path):
            pass
    assert all(version in raised.value.what for version in (ours, "1.2.3"))
    assert not ray.is_initialized()


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")
def test_machines_that_do_not_see_the_folder_are_named(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What /proc/self/cwd is depends on who looks."""
    monkeypatch.chdir(tmp_path)
    with RayWorkers(cluster.address, None, Path("/proc/self/cwd")) as workers:
        with pytest.raises(OptionError) as raised:
            next(workers.map(double, [Task("one", 1)]))
        (name, *_) = {node["NodeManagerAddress"] for node in ray.nodes()}
    assert f"({name}) of the Ray cluster" in raised.value.what
    assert list(tmp_path.iterdir()) == []


def test_without_ray_a_whole_curate_works(case: Case, tmp_path: Path) -> None:
    """Here any import of it is an error."""
    program = "import sys; sys.modules['ray'] = None; from tallyclip.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, curate(case.pool, case.entries, tmp_path / "run"))]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    assert made(tmp_path / "run") == case.clean
    refused = subprocess.run(
        [*command[:3], *map(str, curate(case.pool, case.entries, tmp_path / "other", "--runner", "ray"))], capture_output=True
    )
    assert refused.returncode == 2
    assert b"--runner ray needs the package Ray" in refused.stderr
