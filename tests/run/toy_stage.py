"""A new stage, whole, as an example: the captions that match many entries. ``RUN.stages.plus(CROWDED)`` is all it takes to have it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tallyclip.io.arrays import read_array, write_array
from tallyclip.match.matched_pairs import read_matches
from tallyclip.report.card import Facts
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace


class CrowdedOptions(msgspec.Struct, frozen=True):  # what can be asked for
    least: int


class CrowdedItem(msgspec.Struct, frozen=True):  # a piece of work, which any process can do
    key: str
    matches: str
    least: int


class CrowdedFolder(StageFolder):  # its files: a piece leaves one, in which the finished stage has all
    def rows(self, key: str) -> Path:
        return self.path / "by_shard" / f"{key}.npy"

    def outputs_of(self, key: str) -> tuple[Path, ...]:
        return (self.rows(key),)


def find_crowded(_: None, item: CrowdedItem, folder: CrowdedFolder, tick: Callable[[int], None]) -> Report:
    found = [pairs.uids[pairs.matches.lengths >= item.least] for pairs in read_matches(Path(item.matches))]
    write_array(folder.rows(item.key), np.concatenate([np.zeros((0, 2), np.uint64), *found]))
    return Report(rows=sum(map(len, found)))


def _cut(making: Making[CrowdedFolder, CrowdedOptions]) -> Work:
    match: Any = making.run.stages["match"]
    shards, folder = making.run.required(match).pieces, making.run.folder(match)
    return Work({key: CrowdedItem(key, str(folder.matches(key)), making.options.least) for key in shards})


def _finish(making: Making[CrowdedFolder, CrowdedOptions]) -> Finished:
    found = np.concatenate([read_array(making.folder.rows(key)) for key in making.reports(SHARDS)])
    write_array(making.folder.path / "crowded.npy", found)
    return Finished({"crowded": len(found)}, f"{len(found):,} crowded captions", (making.folder.path / "crowded.npy",))


def _card(run: Workspace) -> Facts:
    made = run.required(CROWDED)
    return Facts(title="Crowded captions", facts={f"match {made.options['least']} entries or more": f"{made.result['crowded']:,}"})


SHARDS = Section(_cut, find_crowded)
CROWDED = Stage(
    name="crowded",
    version=1,
    command="tallyclip crowded RUN",
    needs=("match",),
    sections=(SHARDS,),
    folder=CrowdedFolder,
    finish=_finish,
    results=("crowded.npy",),
    scratch=("by_shard",),
    card=_card,
)
