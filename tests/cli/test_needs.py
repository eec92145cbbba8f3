"""A command that needs an extra says so in its help, with the line that its error has where the extra is not installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_help import ALL, WITH_OPTIONS
from tests.stages.conftest import Example
from tests.tools import PATIENCE, environment, succeeds

PACKAGES = ("torch", "open_clip", "PIL", "scipy", "fastwarc", "fasttext", "requests", "icu4py")
WITHOUT = f"import sys\nsys.modules |= dict.fromkeys({PACKAGES})\nfrom tallyclip.cli import main\nmain()"
FOR = {
    ("train",): ("--data", "IMAGES", "--out", "OUT"),
    ("eval",): ("--model", "ViT-B-32", "--data", "IMAGES"),
    ("experiment", "run"): ("quick", "--out", "OUT"),
    ("experiment", "world"): ("--out", "OUT"),
    ("pool",): ("CRAWL", "--out", "OUT"),
    ("curate",): ("POOL", "--languages", "en", "--out", "OUT"),
    ("match",): ("CRAWL", "--out", "OUT"),
    ("metadata", "fetch"): ("--recipe", "english", "--out", "OUT"),
    ("metadata", "build"): ("--recipe", "thai.toml", "--out", "OUT"),
}
THAI = 'language = "th"\n[unigrams]\ntop = 0.5\n[text]\nfiles = ["text.txt"]\n'


def without_extras(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", WITHOUT, *arguments]
    return subprocess.run(words, cwd=folder, env=environment(COLUMNS="400"), capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize("names", FOR, ids=" ".join)
def test_a_command_without_its_extra_says_what_its_help_says(names: tuple[str, ...], example: Example, tmp_path: Path) -> None:
    (tmp_path / "thai.toml").write_text(THAI)
    (tmp_path / "text.txt").write_text("สวัสดีชาวโลก\n" * 9, encoding="utf-8")
    (tmp_path / "a.warc.gz").write_bytes(b"")
    known = {"POOL": str(example.pool), "CRAWL": "a.warc.gz", "IMAGES": str(example.pool), "OUT": "out"}
    done = without_extras(*names, *(known.get(word, word) for word in FOR[names]), folder=tmp_path)
    assert done.returncode == 2, done.stderr
    hint = done.stderr.split("Hint: ")[1].strip()
    assert re.fullmatch(r"pip install .*\[\w+\]'", hint), done.stderr
    words = succeeds(*names, "--help").split("Needs")[1].split()  # a long path of the package goes over two lines
    assert f": {hint} " in " ".join(words)


def test_the_others_name_no_extra() -> None:
    assert [names for names in WITH_OPTIONS if names not in FOR and "Needs" in (ALL[names].help or "")] == []
