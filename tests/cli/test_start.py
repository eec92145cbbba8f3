"""What computes nothing starts at once: it loads no libraries that compute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tallyclip.stages.outline import RUN_OUTLINE
from tallyclip.stages.runs import RUN
from tests.stages.conftest import Example
from tests.tools import PATIENCE, fails

HEAVY = ("numpy", "numba", "pyarrow", "pandas", "matplotlib", "jaxtyping", "fsspec")
LOADED = "import sys\nfrom tallyclip.cli import main\ntry:\n    main()\nfinally:\n    print('loaded', *sys.modules, file=sys.stderr)\n"


def loaded(*arguments: object) -> set[str]:
    """The modules that a command has loaded when it ends."""
    command = [sys.executable, "-c", LOADED, *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stderr
    return set(said[said.index("loaded ") :].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("curate", "--help"),
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


def test_what_is_said_of_stages_without_loading_them_is_what_they_say() -> None:
    assert RUN.outline == RUN_OUTLINE


def test_a_name_that_leads_nowhere_is_said_to_among_others_that_do(example: Example, tmp_path: Path) -> None:
    said = fails(2, "curate", example.pool, tmp_path / "none", "--out", tmp_path / "run")
    assert f"Error: {tmp_path / 'none'}: no such file, folder or glob, or an empty one\n\nHint: POOL takes" in said
    assert list(tmp_path.iterdir()) == []
