"""The stage dropped: the pairs that the stages before have dropped, a folder for each reason. They are written where it is asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.compute
import pyarrow.parquet as pq

from tallyclip.io.files import replacing
from tallyclip.io.mirror import fetched, is_there
from tallyclip.io.tables import TableWriter
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.stages.gather import GATHER
from tallyclip.stages.kept import KEPT
from tallyclip.stages.match import MATCH
from tallyclip.stages.pool import POOL
from tallyclip.steps.dropped import REASON
from tallyclip.wording import plural

LONGEST_NAME = 120  # bytes; file systems allow about twice that
pc: Any = pyarrow.compute


class DroppedFolder(StageFolder):
    """A folder of Parquet files for each reason."""

    def pairs(self, reason: str, key: str) -> Path:
        return self.path / folder_of(reason) / f"{key}.parquet"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return self.path.glob(f"*/{key}.parquet")


class DroppedItem(msgspec.Struct, frozen=True):
    """A file of dropped pairs that a stage has left."""

    key: str
    path: str


class DroppedReport(Report):
    """How many pairs were dropped, by reason."""

    drops: dict[str, int]


def folder_of(reason: str) -> str:
    """The name of a reason's folder; reasons that differ only in case and signs share one, and long ones are cut.

    >>> folder_of("URL: not http or https")
    'url-not-http-or-https'
    """
    name = re.sub(r"[^\w]+", "-", reason.lower()).strip("-")
    content = name.encode()
    return name if len(content) <= LONGEST_NAME else f"{content[:LONGEST_NAME].decode(errors='ignore')}-{sha256(content).hexdigest()[:8]}"


def write_by_reason(_: None, item: DroppedItem, folder: DroppedFolder, tick: Callable[[int], None]) -> DroppedReport:
    """Write the pairs of a file to the folders of their reasons."""
    table = pq.read_table(str(fetched(Path(item.path))))
    reasons = table[REASON].unique().to_pylist()
    folders = {folder_of(reason): [other for other in reasons if folder_of(other) == folder_of(reason)] for reason in reasons}
    for some in folders.values():
        pairs = table.filter(pc.is_in(table[REASON], pyarrow.array(some)))
        with replacing(folder.pairs(some[0], item.key)) as part, TableWriter(part, table.schema, [REASON, "file", "page_url"]) as writer:
            writer.write(pairs)
    tick(len(table))
    counts = pc.value_counts(table[REASON].combine_chunks()).to_pylist()
    return DroppedReport(rows=len(table), drops={found["values"]: found["counts"] for found in counts})


def _cut(making: Making[DroppedFolder, None]) -> Work:
    run, items = making.run, dict[str, DroppedItem]()
    for stage in (GATHER, KEPT, POOL, MATCH):
        whole, folder = run.whole(stage), run.folder(stage)
        for shard in [] if whole is None else whole.pieces:
            if is_there(folder.dropped(shard)):
                items[f"{stage.name}-{shard}"] = DroppedItem(f"{stage.name}-{shard}", str(folder.dropped(shard)))
    return Work(items)


def _finish(making: Making[DroppedFolder, None]) -> Finished:
    drops = Counter[str]()
    for report in making.reports(FILES).values():
        drops.update(report.drops)
    dropped = plural(sum(drops.values()), "dropped pair or record", "dropped pairs and records")
    said = f"{dropped}, in {plural(len(set(map(folder_of, drops))), 'folder')}"
    return Finished({"drops": dict(sorted(drops.items()))}, said)


FILES = Section(_cut, write_by_reason, "files")
DROPPED = Stage(
    name="dropped",
    version=1,
    command="tallyclip curate POOL... --write-dropped --out RUN",
    uses=("gather", "kept", "pool", "match"),
    sections=(FILES,),
    folder=DroppedFolder,
    finish=_finish,
    optional=True,
)
