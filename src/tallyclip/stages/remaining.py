"""What the stages pool and kept have in common: both write which of the gathered pairs remain, a file for each that was gathered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tallyclip.readers.ledger import Samples
from tallyclip.run.items import Report
from tallyclip.run.workspace import Workspace
from tallyclip.stages.gather import GATHER, DroppingFolder


class RemainingFolder(DroppingFolder):
    """For each file the pairs that remain, their keys in ascending order, and with --write-dropped the others."""

    def pairs(self, key: str) -> Path:
        return self.path / f"{key}.parquet"

    def index(self, key: str) -> Path:
        return self.path / "_index" / f"{key}.npy"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return self.pairs(key), self.index(key), self.dropped(key)


class GatheredFile(msgspec.Struct, frozen=True):
    """A file of gathered pairs. ``number`` is its position among all files, as in the places of rows; ``rows`` is an estimate."""

    key: str
    number: int
    rows: int


class RemainingReport(Report):
    """``rows`` is the number of gathered pairs, ``kept`` the number of these that are kept."""

    kept: int
    drops: dict[str, int]
    samples: Samples


def gathered_files(run: Workspace) -> dict[str, GatheredFile]:
    """All files that were gathered, by key."""
    gathered = run.required(GATHER)
    rows = gathered.result["pairs"] // max(1, len(gathered.pieces))
    return {key: GatheredFile(key, number, rows) for number, key in enumerate(gathered.pieces)}


def drops_of(run: Workspace, reports: Iterable[RemainingReport]) -> Counter[str]:
    """What was dropped up to here, by reason: when pairs were gathered, and by the stage that has these reports."""
    drops = Counter[str](run.required(GATHER).result["drops"])
    for report in reports:
        drops.update(report.drops)
    return drops
