"""The line that installs what is missing works where tallyclip is: in a checkout, or installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tallyclip.extras import install_line

ROOT = Path(__file__).parents[1]
FILES = ("__init__.py", "extras.py", "errors.py", "escaping.py", "places.py")
ASK = "from tallyclip.extras import load\nfrom tallyclip.errors import MissingExtraError\n"
ASK += "try: load('tallyclip_needs_this', 'this', 'crawl')\nexcept MissingExtraError as error: print(error.hint)"


def said_in(folder: Path) -> str:
    return subprocess.run([sys.executable, "-S", "-c", ASK], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_in_a_checkout_the_line_installs_the_checkout() -> None:
    assert install_line("crawl") == f"pip install --editable '{ROOT}[crawl]'"


def test_installed_it_names_the_package_or_the_folder_it_was_installed_from(tmp_path: Path) -> None:
    (tmp_path / "tallyclip").mkdir()
    for name in FILES:
        shutil.copy(ROOT / "src" / "tallyclip" / name, tmp_path / "tallyclip" / name)
    assert said_in(tmp_path) == "pip install 'tallyclip[crawl]'"
    record = tmp_path / "tallyclip-9.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: tallyclip\nVersion: 9\n")
    (record / "direct_url.json").write_text(json.dumps({"url": "https://example.org/a.zip", "archive_info": {}}))
    assert said_in(tmp_path) == "pip install 'tallyclip[crawl]'"
    (record / "direct_url.json").write_text(json.dumps({"url": "file:///home/me/my%20code", "dir_info": {}}))
    assert said_in(tmp_path) == "pip install '/home/me/my code[crawl]'"
