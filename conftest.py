"""The examples of the documentation are run as tests: Python blocks one after the other, and commands with what they print."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

CHECKER = doctest.OutputChecker()
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SECONDS = 300


def run_console(example: Example) -> None:
    """Run each line that begins with ``$``, and compare what it prints with the lines below it, if there are any."""
    for part in ("\n" + example.parsed).split("\n$ ")[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, f"$ {command}\nended with exit code {done.returncode}:\n{done.stdout}{done.stderr}"
        if expected.strip():
            found = done.stdout.rstrip() + "\n"
            assert CHECKER.check_output(expected.rstrip() + "\n", found, LIKE), f"$ {command}\nprinted\n{found}\ninstead of\n{expected}"


def enter_folder(namespace: dict[str, Any]) -> None:
    """Each page is run in a folder of its own, where Python finds modules as in a session there, and with the command of this Python."""
    namespace["_before"] = (Path.cwd(), os.environ["PATH"])
    namespace["_folder"] = tempfile.TemporaryDirectory()
    os.chdir(namespace["_folder"].name)
    sys.path.insert(0, namespace["_folder"].name)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def leave_folder(namespace: dict[str, Any]) -> None:
    """Back to where the tests run."""
    folder, path = namespace["_before"]
    sys.path.remove(namespace["_folder"].name)
    os.chdir(folder)
    os.environ["PATH"] = path
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser("console", run_console)],
    patterns=["README.md", "docs/*.md"],
    setup=enter_folder,
    teardown=leave_folder,
).pytest()
