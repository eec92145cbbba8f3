"""The examples of the documentation are run as tests: Python blocks one after the other, and commands with what they print.

And what holds of all tests: which are slow, which may be skipped, and what happens where an extra is not installed.
"""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

CHECKER = doctest.OutputChecker()
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SECONDS = 300
# What only some machines have or allow; tests that need it may be skipped in the gate. Whatever else is skipped fails it.
MACHINES = (
    "WordNet",
    "only root can mount a small disk",
    "root may write everywhere",
    "this user may write anywhere",
    "needs /proc",
    "only Linux says",
    " on this machine",
    "is newer than those known to have it",
)
GONE = re.compile(r"No module named '(?!tallyclip|tests)(\w+)|needs the package ([\w-]+)")
SLOW = ("tests/train", "tests/cli", "tests/evaluation/test_commands.py", "tests/evaluation/test_zero_shot.py", "tests/stages", "tests/run")
SLOW += ("tests/report/test_browser.py", "tests/fuzz", "README.md", "docs")  # runs, processes, models, and examples
skipped: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option of the gate."""
    parser.addoption("--strict-skips", action="store_true", help="fail if a test is skipped for another reason than what the machine is")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and let it come first: of two processes none is to work at the end while the other has nothing to do."""
    root = Path(__file__).parent
    for item in items:
        if any(item.path == root / name or (root / name) in item.path.parents for name in SLOW):
            item.add_marker("slow")
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """A module of tests for a package that is not installed is skipped, not broken."""
    report = yield
    _skip_without_package(report, (str(collector.path), 0))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """And so is a test that finds only while it runs that it needs one."""
    report = yield
    _skip_without_package(report, (str(item.path), item.location[1]))
    return report


def _skip_without_package(report: pytest.TestReport | pytest.CollectReport, place: tuple[str, int | None]) -> None:
    """With --strict-skips, which the gate has, such a skip is a failure: nothing is hidden there."""
    said = GONE.search(str(report.longrepr)) if report.failed else None
    if said is not None and not (importlib.util.find_spec(said[1]) if said[1] else any(metadata.distributions(name=said[2]))):
        report.outcome, report.longrepr = "skipped", (*place, f"Skipped: needs the package {said[1] or said[2]}, of an extra")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Of a test."""
    _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Of a module."""
    _note_skip(report)


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(known in reason for known in MACHINES):
            skipped.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where tests run in several processes, this is of the first, which is told of all."""
    if session.config.getoption("--strict-skips") and skipped and not hasattr(session.config, "workerinput"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what should not have been skipped."""
    if config.getoption("--strict-skips") and skipped:
        terminalreporter.section("skipped for no reason of the machine", red=True)
        for line in skipped:
            terminalreporter.line(line)


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
