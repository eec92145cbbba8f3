"""The documentation as a site: it builds without a warning, its links lead somewhere, and its reference has every public name."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import tallyclip as tc

ROOT = Path(__file__).parents[1]


def build(checkout: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(checkout / "scripts" / "docs"), str(site)], capture_output=True, text=True, timeout=280)


def test_the_site_builds_and_shows_every_public_name(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference.html").read_text(encoding="utf-8")
    shown = set(re.findall(r'id="tallyclip\.(\w+)"', page))
    assert shown == set(tc.__all__) - {"__version__"}
    first = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'href="walkthrough.html"' in first
    assert "<h1>tallyclip" in first


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("docs", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    with (tmp_path / "docs" / "glossary.md").open("a", encoding="utf-8") as file:
        file.write("\nSee [the other page](other-page.md).\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "docs/glossary.md: the link to other-page.md leads nowhere" in done.stderr


def test_the_tables_of_benchmarks_are_those_of_the_stored_lines(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    places = re.findall(r"<!-- table: (.+) -->", page)
    assert len(places) > 5
    assert len(set(places)) == len(places)
    assert bench(ROOT).returncode == 0
    for name in ("benchmarks", "docs", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "docs" / "benchmarks.md").write_text(page.replace("| **tallyclip** |", "| **tallyclip** | 9"), encoding="utf-8")
    done = bench(tmp_path)
    assert done.returncode == 1
    assert "run scripts/bench" in done.stderr


def bench(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(checkout / "scripts" / "bench"), "--check"], capture_output=True, text=True, timeout=100)
