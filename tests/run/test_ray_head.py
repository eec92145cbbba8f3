"""The head of a Ray cluster is the one machine that may not be lost; when it is, nothing that was done is."""

from __future__ import annotations

from pathlib import Path

from tests.run.clusters import cluster_of, curate, done, modules, on, write_shards  # noqa: F401 - a fixture
from tests.tools import assert_same, eventually, results, started, succeeds, write_entries

SHARDS = 60
SLOW = """
import time

def keep(pairs):
    time.sleep(1)
    return [True] * len(pairs)
"""


def test_when_the_head_is_killed_the_command_says_so_and_goes_on_with_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    pool, entries = write_shards(tmp_path / "pool", SHARDS), write_entries(tmp_path / "entries.json")
    succeeds(*curate(pool, entries, tmp_path / "clean"))
    run = tmp_path / "run"
    command = curate(pool, entries, run, "--step", "slow:keep")
    with cluster_of(2) as first:
        driver = started(*command, *on(first), cwd=tmp_path)
        eventually(lambda: done(run, "gather") >= 3 or driver.poll() is not None, "work has begun")
        first.remove_node(first.head_node, allow_graceful=False)
        _, said = driver.communicate(timeout=100)
    assert driver.returncode == 1, said
    assert "the head of the Ray cluster" in said
    assert "run the same command again" in said
    before = done(run, "gather")
    assert 3 <= before < SHARDS
    with cluster_of(2) as second:
        succeeds(*command, *on(second), cwd=tmp_path)
    assert f"{SHARDS:,} shards of which {before:,} are done" in (run / "log.txt").read_text()
    assert_same(run, results(tmp_path / "clean"))
