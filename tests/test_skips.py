"""Tests of what is not installed are skipped, but not in the gate; what is broken is never skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
AT_THE_TOP = "import no_such_package\n\ndef test_nothing(): pass\n"
IN_A_TEST = "def test_nothing():\n    import no_such_package\n"
OF_AN_EXTRA = "from tallyclip.extras import load\n\ndef test_nothing():\n    load('no_such', 'no-such-package', 'train')\n"
BROKEN = "import tallyclip.no_such_module\n\ndef test_nothing(): pass\n"
WRONG = "def test_nothing():\n    assert 'needs the package numpy' == ''\n"


def last_line(folder: Path, tests: Sequence[str], *options: str) -> str:
    """What pytest says in the end of files with these tests."""
    for number, test in enumerate(tests):
        (folder / f"test_{number}.py").write_text(test)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "conftest",
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
        *options,
    ]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100)
    return f"{done.returncode}: {done.stdout.splitlines()[-1]}"


def test_what_is_not_installed_is_skipped_but_fails_the_gate(tmp_path: Path) -> None:
    assert last_line(tmp_path, [AT_THE_TOP, IN_A_TEST, OF_AN_EXTRA]).startswith("0: 3 skipped in ")
    assert last_line(tmp_path, [AT_THE_TOP, IN_A_TEST, OF_AN_EXTRA], "--strict-skips").startswith("1: 3 skipped in ")


def test_what_is_broken_or_wrong_is_not_skipped(tmp_path: Path) -> None:
    assert last_line(tmp_path, [BROKEN, WRONG]).startswith("1: 1 failed, 1 error in ")
