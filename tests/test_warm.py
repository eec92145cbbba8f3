"""Commands that are forked are as those that are started anew: in what they print, how they end, and where they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import COMMAND, tallyclip, write_entries
from tests.warm import run_warm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no command is forked on this machine")


def warm(*arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    done = run_warm(COMMAND, arguments, timeout)
    assert done is not None
    return done


@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("curate", "--help"), ("status", "none"), ("curate", "pool", "--t", "x"), ("match", "--text", "a dog\udcff")],
    ids=" ".join,
)
def test_it_prints_and_ends_as_one_that_is_started_anew(arguments: tuple[str, ...]) -> None:
    found, expected = warm(*arguments), tallyclip(*arguments, env={**os.environ})
    assert (found.returncode, found.stdout, found.stderr) == (expected.returncode, expected.stdout, expected.stderr)


def test_it_is_in_the_folder_of_now_and_its_workers_are_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_entries(tmp_path / "entries.json")
    Path("a.csv").write_text("url,caption\nhttp://a.example/1.png,word1\n")
    done = warm("curate", "a.csv", "--metadata", "entries.json", "--t", "inf", "--out", "run", "--step", "here:keep")
    assert "here" in done.stderr
    Path("here.py").write_text("import sys\ndef keep(pairs):\n    print('of a worker', file=sys.stderr)\n    return [True] * len(pairs)\n")
    done = warm("curate", "a.csv", "--metadata", "entries.json", "--t", "inf", "--out", "run", "--step", "here:keep")
    assert (done.returncode, Path("run/curated").is_dir()) == (0, True), done.stderr
    assert "of a worker" in done.stderr


def test_one_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    write_entries(tmp_path / "entries.json")
    (tmp_path / "a.csv").write_text("url,caption\nhttp://a.example/1.png,word1\n")
    arguments = (
        "curate",
        str(tmp_path / "a.csv"),
        "--metadata",
        str(tmp_path / "entries.json"),
        "--t",
        "inf",
        "--out",
        str(tmp_path / "run"),
    )
    with pytest.raises(subprocess.TimeoutExpired):
        warm(*arguments, timeout=0.01)
    assert not (tmp_path / "run" / "curated").exists()
    assert warm(*arguments).returncode == 0


def test_in_another_environment_a_command_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    warm("--version")
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    assert run_warm(COMMAND, ["--version"], 60.0) is None
    assert "import time:" in tallyclip("--version").stderr
