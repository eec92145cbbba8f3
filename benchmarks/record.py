"""A benchmark's result as a line of JSON, with what it was measured on."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("tallyclip", "numpy", "numba", "pyarrow")


def processor() -> str:
    """The processor's name, as Linux gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The checkout's commit, with a plus where it was changed since."""
    described = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, cwd=Path(__file__).parent)
    return described.stdout.strip() or "unknown"


def record(benchmark: str, *, libraries: tuple[str, ...] = (), **figures: Any) -> None:
    """Print one line."""
    versions = {name: version(name) for name in (*LIBRARIES, *libraries)}
    about = {"commit": commit(), "cpu": processor(), "python": platform.python_version(), "versions": versions}
    print(json.dumps({"benchmark": benchmark, **figures, **about}), flush=True)
