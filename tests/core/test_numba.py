"""Numba's options and its cache: what is compiled without a private option gives the same, and nothing stale is taken from disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import pytest

import tallyclip
from tallyclip.core.compiled import OPTIONS
from tests.core.compiled_results import results

ROOT = Path(__file__).parents[2]
DRAW = """
import json, sys
import numpy as np
if "--without-nrt" in sys.argv:
    from tests.core.compiled_results import hide_nrt
    hide_nrt()
import tallyclip as tc
from tallyclip.core import balance
kept = tc.draw(np.full(64, 0.5), np.arange(128, dtype=np.uint64).reshape(64, 2))
print(json.dumps([kept.tolist(), sum(balance._draw.stats.cache_hits.values()) > 0]))
"""


def run(*arguments: str, cache: Path, sources: Path = ROOT / "src") -> Any:
    """What a Python process with a cache of its own prints, as JSON."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": f"{sources}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_numba_without_the_private_option_gives_the_same_results(tmp_path: Path) -> None:
    with_option, without = results(), run("-m", "tests.core.compiled_results", "--without-nrt", cache=tmp_path)
    assert set(with_option["options"]) - set(without["options"]) == {"_nrt"}
    assert without["results"] == with_option["results"]


def test_the_installed_numba_takes_the_private_option() -> None:
    """Else matching takes several times as long: docs/log.md, 2026-11-29."""
    if tuple(map(int, numba.__version__.split(".")[:2])) > (0, 68):
        pytest.skip(f"Numba {numba.__version__} is newer than those known to have it")
    assert OPTIONS["_nrt"] is False


def test_code_compiled_with_an_option_is_not_taken_from_disk_without_it(tmp_path: Path) -> None:
    runs = [run("-c", DRAW, *arguments, cache=tmp_path) for arguments in ([], [], ["--without-nrt"], ["--without-nrt"], [])]
    assert [from_disk for _, from_disk in runs] == [False, True, False, True, False]
    assert all(kept == runs[0][0] for kept, _ in runs)


def test_a_function_is_compiled_again_when_a_helper_in_another_file_changes(tmp_path: Path) -> None:
    shutil.copytree(Path(tallyclip.__file__).parent, tmp_path / "tallyclip", ignore=shutil.ignore_patterns("__pycache__"))
    cache = tmp_path / "cache"
    before, again = (run("-c", DRAW, cache=cache, sources=tmp_path) for _ in range(2))
    assert again == [before[0], True]
    helper = tmp_path / "tallyclip" / "core" / "hashing.py"
    helper.write_text(helper.read_text().replace("0xBF58476D1CE4E5B9", "0xBF58476D1CE4E5BB"))
    after, from_disk = run("-c", DRAW, cache=cache, sources=tmp_path)
    assert not from_disk
    assert after != before[0]


def test_a_function_stays_on_disk_when_a_file_that_it_does_not_import_changes(tmp_path: Path) -> None:
    shutil.copytree(Path(tallyclip.__file__).parent, tmp_path / "tallyclip", ignore=shutil.ignore_patterns("__pycache__"))
    run("-c", DRAW, cache=tmp_path / "cache", sources=tmp_path)
    other = tmp_path / "tallyclip" / "match" / "kernel.py"
    other.write_text(other.read_text() + "# edited")
    assert run("-c", DRAW, cache=tmp_path / "cache", sources=tmp_path)[1]
