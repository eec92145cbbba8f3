"""The stage kept: which pairs of a table's files are left after filters, languages, exclusion and duplicates. Only these are matched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from tallyclip.errors import IncompleteError
from tallyclip.io.arrays import read_array, write_array
from tallyclip.io.files import replacing
from tallyclip.io.mirror import fetched
from tallyclip.io.tables import TableWriter
from tallyclip.match.matched_pairs import LanguageTags
from tallyclip.readers.ledger import Samples
from tallyclip.readers.pairs import Pairs
from tallyclip.run.items import Work
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.duplicates import Removed, removed_of
from tallyclip.stages.gather import GATHER, NUMBER, ROW, TEXTS, DuplicateKey, GatherFolder, PoolOptions, index_of
from tallyclip.stages.remaining import GatheredFile, RemainingFolder, RemainingReport, drops_of, gathered_files
from tallyclip.steps.dropped import dropped_pairs
from tallyclip.steps.languages import LANGUAGE, SCORE
from tallyclip.wording import plural


class KeptJob(msgspec.Struct, frozen=True):
    """What is the same for all shards: the folder of gathered pairs, and which of them are removed."""

    gathered: str
    removed: Removed
    duplicates: DuplicateKey
    write_dropped: bool


def write_kept(job: KeptJob, item: GatheredFile, folder: RemainingFolder, tick: Callable[[int], None]) -> RemainingReport:
    """Write the places of a shard's pairs that are kept, and their keys."""
    gathered = GatherFolder(Path(job.gathered))
    removed = job.removed.of_file(item.number, read_array(gathered.repeats(item.key)))
    table = pq.read_table(str(fetched(gathered.pairs(item.key))))
    keep, drops = np.ones(len(table), np.bool_), Counter[str]()
    with dropped_pairs(folder.dropped(item.key), wanted=job.write_dropped) as dropped:
        for reason, rows in removed.items():
            keep[rows.astype(np.int64)] = False
            drops[reason] += len(rows)
            dropped.add_at(table, rows, reason)
    kept = table.filter(pa.array(keep)).select([name for name in table.column_names if name not in ("uid", *TEXTS)])
    with replacing(folder.pairs(item.key)) as part, TableWriter(part, kept.schema, [LANGUAGE]) as writer:
        writer.write(kept)
    write_array(folder.index(item.key), index_of(gathered, item.key, job.duplicates, keep))
    tick(len(table))
    return RemainingReport(rows=len(table), kept=len(kept), drops=dict(+drops), samples={})


class KeptPairs:
    """The pairs of a shard that are kept, to select them again when the shard is read again."""

    def __init__(self, path: Path) -> None:
        table = pq.read_table(str(fetched(path)))
        self._places = _places(table[ROW].to_numpy(), table[NUMBER].to_numpy())
        self._languages = None
        if LANGUAGE in table.column_names:
            self._languages = LanguageTags(np.array(table[LANGUAGE].to_pylist(), np.str_), table[SCORE].to_numpy())

    @property
    def has_languages(self) -> bool:
        """Whether the languages of the pairs were detected."""
        return self._languages is not None

    def of(self, pairs: Pairs) -> tuple[Pairs, LanguageTags | None]:
        """Those of some pairs that are kept, and their languages, if these were detected."""
        places = _places(pairs.rows, pairs.text_numbers.astype(np.int64))
        spots = np.searchsorted(self._places, places)
        found = np.zeros(len(places), np.bool_)
        inside = spots < len(self._places)
        found[inside] = self._places[spots[inside]] == places[inside]
        tags, spots = self._languages, spots[found]
        return pairs.take(np.flatnonzero(found)), None if tags is None else LanguageTags(tags.labels[spots], tags.scores[spots])


def _places(rows: Int64[np.ndarray, " N"], numbers: np.ndarray) -> Int64[np.ndarray, " N"]:
    """One rising number for each caption of a file."""
    return (rows << 24) + numbers


def _asked(_: Workspace, __: PoolOptions) -> dict[str, Any]:
    return {}  # all that it depends on is asked of the stages before


def _cut(making: Making[RemainingFolder, PoolOptions]) -> Work:
    run = making.run
    duplicates: Any = run.required(GATHER).options["duplicates"]
    return Work(gathered_files(run), KeptJob(str(run.folder(GATHER).path), removed_of(run), duplicates, making.options.write_dropped))


def _finish(making: Making[RemainingFolder, PoolOptions]) -> Finished:
    gathered = making.run.required(GATHER)
    reports: dict[str, RemainingReport] = making.reports(SHARDS)
    drops = drops_of(making.run, reports.values())
    pairs = sum(report.kept for report in reports.values())
    if pairs == 0:
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(drops.items()))
        what = f"no pair is kept of {gathered.result['pairs'] + sum(gathered.result['drops'].values()):,}"
        raise IncompleteError(f"{what}; dropped: {dropped}", "the reasons above say which options would keep more")
    return Finished({"pairs": pairs, "drops": dict(sorted(drops.items()))}, f"{plural(pairs, 'pair is', 'pairs are')} kept")


def samples_of(run: Workspace) -> list[Samples]:
    """Samples of what the steps before matching dropped."""
    return [report.samples for stage in (GATHER, KEPT) for report in run.reports(stage).values()]


SHARDS = Section(_cut, write_kept, "shards", rows=lambda _, item: item.rows)
KEPT = Stage(
    name="kept",
    version=1,
    command="tallyclip match POOL... --out RUN",
    needs=("gather", "duplicates"),
    sections=(SHARDS,),
    folder=RemainingFolder,
    asked=_asked,
    finish=_finish,
    optional=True,
)
