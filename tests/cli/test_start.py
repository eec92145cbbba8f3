"""What computes nothing starts at once, as it loads no libraries that compute; and what has to be compiled first says so."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tallyclip.cli import progress
from tallyclip.cli.progress import Shown
from tallyclip.stages.outline import RUN_OUTLINE
from tallyclip.stages.runs import RUN
from tests.stages.conftest import Example
from tests.tools import PATIENCE, assert_same, fails, tallyclip

HEAVY = ("numpy", "numba", "pyarrow", "pandas", "matplotlib", "jaxtyping", "fsspec")
LOADED = "import sys\nfrom tallyclip.cli import main\ntry:\n    main()\nfinally:\n    print('loaded', *sys.modules, file=sys.stderr)\n"

BESIDE = """import sys, psutil
from tallyclip.cli import main
try:
    main()
finally:
    print("beside it", *(process.pid for process in psutil.Process().children(recursive=True)), file=sys.stderr)
"""


def loaded(*arguments: object) -> set[str]:
    """The modules that a command has loaded when it ends."""
    command = [sys.executable, "-c", LOADED, *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stderr
    return set(said[said.index("loaded ") :].split())


def beside(*arguments: object) -> list[str]:
    """The processes that a command has beside itself when it ends: that which workers are forked from stays until then."""
    command = [sys.executable, "-c", BESIDE, *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stderr
    return said[said.index("beside it") :].split()[2:]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("curate", "--help"),
        ("eval", "--help"),
        ("eval", "--model", "ViT-B-32"),
        ("config", "show", "--t", "5"),
        ("curate", "nowhere.parquet", "--out", "out"),
        ("curate", "none-*.parquet", "--out", "out"),
        ("curate", "--config", "nowhere.toml"),
        ("count", "nowhere"),
        ("balance", "nowhere"),
        ("status", "nowhere"),
    ],
    ids=" ".join,
)
def test_help_and_errors_load_nothing_that_computes(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = loaded(*arguments)
    assert "tallyclip.cli.app" in found
    assert not found & set(HEAVY)
    assert list(tmp_path.iterdir()) == []


def test_status_loads_nothing_that_computes(example: Example) -> None:
    for more in ((), ("--json",)):
        found = loaded("status", example.run, *more)
        assert "tallyclip.run.status" in found
        assert not found & set(HEAVY)


def test_a_command_that_finds_nothing_to_do_starts_no_other_process(example: Example, tmp_path: Path) -> None:
    run = shutil.copytree(example.run, tmp_path / "run")
    again = (*example.arguments, "--out", run)
    for arguments in (("count", run), ("plan", run, "--t", 20), ("card", run), again, (*again, "--caption-column", "none")):
        assert beside(*arguments) == [], arguments
    assert_same(run, example.results)
    assert beside("balance", run, "--t", 5) != []
    assert beside(*example.arguments, "--out", tmp_path / "new") != []


def test_what_is_said_of_stages_without_loading_them_is_what_they_say() -> None:
    assert RUN.outline == RUN_OUTLINE


def test_a_name_that_leads_nowhere_is_said_to_among_others_that_do(example: Example, tmp_path: Path) -> None:
    said = fails(2, "curate", example.pool, tmp_path / "none", "--out", tmp_path / "run")
    assert f"Error: {tmp_path / 'none'}: no such file, folder or glob, or an empty one\n\nHint: POOL takes" in said
    assert list(tmp_path.iterdir()) == []


def test_compiling_is_said_once_where_it_is_waited_for_and_no_time_is_foretold_before_it_is_done(example: Example, tmp_path: Path) -> None:
    fresh = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    arguments = ("curate", example.pool, "--metadata", example.entries, "--t", 20, "--workers", 2, "--out")
    said = tallyclip(*arguments, tmp_path / "run", env=fresh, timeout=5 * PATIENCE).stderr
    assert said.count("compiling, once per machine: about") == 1
    assert said.index("compiling, once per machine") < said.index("✓ metadata")
    before = said.split("✓ match")[0].splitlines()
    told = [line for line in before if " left" in line]
    assert all(re.search(r" (\d[\d,]*) of [\d,]+ rows \(", line) for line in told)
    assert not any(re.search(r" 0 of [\d,]+ rows \(", line) for line in told)  # rows are done after compiling
    assert "compiling, once" not in tallyclip(*arguments, tmp_path / "again", env=fresh, timeout=PATIENCE).stderr
    assert_same(tmp_path / "again", example.results)


def test_more_rows_than_were_estimated_are_no_share_and_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    out = io.StringIO()
    shown = Shown(Console(file=out, width=200))
    shown.start("pool", 1, 0, 100)
    shown.advance(100)
    shown.advance(14)
    lines = out.getvalue().splitlines()
    assert lines[0] == "pool: 100 rows in 1 shard"
    assert lines[1].startswith("pool: 100 of 100 rows (100%), ")
    assert lines[1].endswith(", 0 s left")
    assert lines[2].startswith("pool: 114 rows, ")
    assert not re.search("%|left|-", lines[2])


def test_without_rows_done_after_compiling_there_is_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    out = io.StringIO()
    shown = Shown(Console(file=out, width=200))
    shown.compiling()
    shown.start("match", 2, 0, 100)
    shown.advance(10)
    shown.advance(20)
    shown.compiling()
    shown.finish("done")
    lines = out.getvalue().splitlines()
    assert lines[:3] == ["  compiling, once per machine: about 20 seconds", "match: 100 rows in 2 shards", "match: 10 of 100 rows (10%)"]
    assert lines[3].startswith("match: 30 of 100 rows (30%), ")
    assert lines[3].endswith(" left")
    assert len(lines) == 5
