"""``tallyclip status`` of a job that is under way: on a narrow screen, for programs, and as metrics."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from tallyclip import api
from tallyclip.errors import OutputError
from tallyclip.io.files import write_json
from tallyclip.run.items import Mark, Running, StageFolder, Work, write_work
from tests.stages.conftest import Example
from tests.tools import environment, leftovers, succeeds, tallyclip


def test_the_command_shows_a_running_job_on_a_narrow_screen_and_writes_metrics(example: Example, tmp_path: Path) -> None:
    shutil.copytree(example.run, tmp_path / "run")
    folder = StageFolder(tmp_path / "run" / ".work" / "match-0123")
    write_work(folder, "shards", Work({f"{n:03}": Mark({}, 0.0, None, "", None) for n in range(100)}), "")
    for n in range(50):
        write_json(folder.done(f"{n:03}"), msgspec.to_builtins(Mark({}, 2.0, None, "", {"rows": 1000})))
    began = time.time() - 600
    write_json(folder.running("060"), msgspec.to_builtins(Running("node7", 1, began)))
    os.utime(folder.running("060"), (began, began))
    file = tmp_path / "match.prom"
    shown = tallyclip("status", tmp_path / "run", "--metrics", file, env=environment(COLUMNS="40")).stdout
    assert max(map(len, shown.split("card  ")[0].splitlines()[1:])) <= 40
    for said in ("rows a second", "left", "1 shard running", "slow 060 for 10 min on node7"):
        assert said in shown
    assert 'tallyclip_shards{stage="match",state="done"} 50\n' in file.read_text()
    found = json.loads(succeeds("status", tmp_path / "run", "--json"))
    (match,) = [stage for stage in found["stages"] if stage["stage"] == "match"]
    assert [(each["shard"], each["host"], each["straggler"]) for each in match["running"]] == [("060", "node7", True)]
    assert match["rows_per_second"] > 1000
    assert match["eta_seconds"] > 0
    with pytest.raises(OutputError):
        api.status(tmp_path / "run", metrics=tmp_path / "match.prom" / "x")


def test_a_finished_run_is_done_in_its_metrics(example: Example, tmp_path: Path) -> None:
    api.status(example.run, metrics=tmp_path / "run.prom")
    text = (tmp_path / "run.prom").read_text()
    assert set(re.findall(r'tallyclip_stage_done\{stage="\w+"\} (\d)', text)) == {"1"}
    assert [path.name for path in tmp_path.iterdir()] == ["run.prom"]
    assert leftovers(example.run) == []
