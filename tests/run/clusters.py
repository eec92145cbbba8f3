"""Ray clusters on this machine, for tests: machines are processes, so they can be killed as machines are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.tools import captions, write_parquet

ROOT = Path(__file__).parents[2]
# Ray reads this when it is imported. Its tokens would be kept in the home folder.
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}

import pytest  # noqa: E402
import ray  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

MODULES = os.pathsep.join(map(str, (ROOT / "src", ROOT)))
__all__ = ["MODULES", "Cluster", "add_machine", "cluster_of", "copy_with_version", "curate", "done", "modules", "on", "ray", "write_shards"]


def add_machine(cluster: Cluster, modules: str = MODULES) -> Any:
    """A machine with one processor more, which finds modules in these folders."""
    return cluster.add_node(num_cpus=1, include_dashboard=False, env_vars={"PYTHONPATH": modules})


@contextmanager
def cluster_of(machines: int) -> Generator[Cluster]:
    """A cluster of a head, which does no tasks, and so many machines."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(machines):
            add_machine(cluster)
        yield cluster
    finally:
        cluster.shutdown()


def copy_with_version(folder: Path, version: str) -> str:
    """Folders of modules in which tallyclip has another version."""
    shutil.copytree(ROOT / "src" / "tallyclip", folder / "tallyclip", ignore=shutil.ignore_patterns("__pycache__"))
    init = folder / "tallyclip" / "__init__.py"
    lines = [f'__version__ = "{version}"' if line.startswith("__version__") else line for line in init.read_text().splitlines()]
    init.write_text("\n".join(lines))
    return str(folder)


def write_shards(folder: Path, count: int) -> Path:
    """A pool of many small files, so that work on it is under way for a while."""
    folder.mkdir()
    for number in range(count):
        texts = captions(60, number)
        columns = {"url": [f"https://{number}.example/{i}.jpg" for i in range(len(texts))], "caption": texts}
        write_parquet(folder / f"{number:03}.parquet", columns)
    return folder


def curate(pool: Path, entries: Path, out: Path, *more: object) -> list[object]:
    return ["curate", pool, "--metadata", entries, "--t", 20, "--out", out, *more]


def on(cluster: Cluster) -> list[str]:
    return ["--runner", "ray", "--ray-address", cluster.address]


def done(run: Path, stage: str) -> int:
    return len(list(run.glob(f".work/{stage}-*/_done/*.json")))


@pytest.fixture(scope="module", autouse=True)
def modules() -> Iterator[None]:
    """Commands are those of this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([MODULES, os.environ.get("PYTHONPATH", "")]))
        yield
