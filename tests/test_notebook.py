"""The notebook of the documentation runs, in a kernel of its own, and prints what it shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))
RUN = """
import sys
import nbformat
from nbclient import NotebookClient

book = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(book, timeout=280, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(book, sys.argv[3])
"""


def printed(path: Path) -> list[tuple[str, list[str]]]:
    """Each cell of code, and the words that it prints."""
    cells: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return [("".join(cell["source"]), words(cell["outputs"])) for cell in cells if cell["cell_type"] == "code"]


def words(outputs: list[dict[str, Any]]) -> list[str]:
    texts = [output.get("text") or output.get("data", {}).get("text/plain") or [] for output in outputs if output.get("name") != "stderr"]
    return "".join("".join(text) for text in texts).split()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_shows(tmp_path: Path, notebook: Path) -> None:
    (tmp_path / "folder").mkdir()
    command = [sys.executable, "-c", RUN, str(notebook), str(tmp_path / "folder"), str(tmp_path / "done.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=290)
    assert done.returncode == 0, done.stderr
    shown = printed(notebook)
    assert len(shown) > 5
    assert sum(map(len, (text for _, text in shown))) > 100
    for (source, expected), (_, found) in zip(shown, printed(tmp_path / "done.ipynb"), strict=True):
        assert found == expected, source
