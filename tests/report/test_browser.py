"""The card in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND"]
WIDTH, HEIGHT = 1200, 4600


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium on this machine")
    return found


def browse(chromium: str, profile: Path, *options: str) -> str:
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}", *OFFLINE, *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_page_looks_like_something(chromium: str, run_folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "card.png"
    address = (run_folder / "card" / "card.html").as_uri()
    browse(chromium, tmp_path / "profile", f"--window-size={WIDTH},{HEIGHT}", "--hide-scrollbars", f"--screenshot={picture}", address)
    pixels = (matplotlib.image.imread(picture)[:, :, :3] * 255).astype(int)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    for color in ((0xD1, 0x49, 0x5B), (0x76, 0x83, 0x9B)):  # the curves of the curated set and of the pool
        near = (np.abs(pixels - color).sum(axis=2) < 24).sum()
        assert near > 2000, f"nothing is drawn in {color}"
    inked = (pixels.min(axis=2) < 200).any(axis=1)
    assert inked[: HEIGHT // 2].mean() > 0.3, "the page is mostly empty"


def test_a_narrow_window_does_not_scroll_sideways(chromium: str, run_folder: Path, tmp_path: Path) -> None:
    page = (run_folder / "card" / "card.html").read_text()
    probe = "<script>document.title = document.documentElement.scrollWidth + '/' + window.innerWidth</script></body>"
    (tmp_path / "probe.html").write_text(page.replace("</body>", probe))
    dom = browse(chromium, tmp_path / "profile", "--window-size=500,900", "--dump-dom", (tmp_path / "probe.html").as_uri())
    found = re.search(r"<title>(\d+)/(\d+)</title>", dom)
    assert found is not None
    assert int(found[1]) <= int(found[2])
