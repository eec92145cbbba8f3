"""Draw the plot of the README from a run of ``tallyclip demo``:

tallyclip demo --out /tmp/demo && python docs/make_pictures.py /tmp/demo
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tallyclip.report.plots import cumulative_curves, picture
from tallyclip.run.manifest import read_manifest
from tallyclip.stages.balance import BalanceFolder
from tallyclip.stages.counts import CountsFolder


def main(run: str) -> None:
    """Write the plot of the README from a balanced run."""
    balance, counts = BalanceFolder(Path(run) / "balance"), CountsFolder(Path(run) / "counts")
    balanced = read_manifest(balance)
    assert balanced is not None, f"{run} is not balanced"
    before, after = np.load(counts.counts), np.load(balance.counts_curated)
    svg = picture(*cumulative_curves(before, after, float(balanced.options["t"])), height=4.2)
    start = svg.index(">") + 1  # a white background, for dark pages
    svg = f'{svg[:start]}<rect width="100%" height="100%" fill="white"/>{svg[start:]}'
    (Path(__file__).parent / "images" / "before-and-after.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
