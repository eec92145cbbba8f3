"""The stage lookup: a sorted table of a run's pairs by uid, in which the samples of tars are looked up.

It is made in the folder of an export, of the run that is exported: of its curated set, where the rows are; or of its probabilities, the
probability of each pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow.parquet as pq
from jaxtyping import UInt64

from tallyclip.core.duplicates import ROW_BITS, shard_places
from tallyclip.core.sorting import sort_rows
from tallyclip.core.uids import parse_uids
from tallyclip.errors import StaleError
from tallyclip.io.arrays import write_array
from tallyclip.io.mirror import fetched
from tallyclip.readers.content import reading
from tallyclip.readers.sources import state_of
from tallyclip.run.items import Report, Source, StageFolder, Work
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BALANCE, BalanceFolder
from tallyclip.stages.merged_uids import merge_uids
from tallyclip.wording import plural

Looked = Literal["curated", "probabilities"]
COLUMNS = 3  # two halves of a uid, and what is known of the pair


class LookupFolder(StageFolder):
    """The table, and the sorted runs that it is merged from."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.table = path / "table.npy"

    def run(self, key: str) -> Path:
        return self.path / "runs" / f"{key}.npy"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return (self.run(key),)


class LookupOptions(msgspec.Struct, frozen=True):
    """Which pairs of a run, and the files that have them; what the run has drawn is known by the fingerprint of its balance."""

    files: list[str]
    run: str
    what: Looked

    @classmethod
    def of(cls, run: Workspace, what: Looked) -> LookupOptions:
        """Those for a run.

        Raises:
            IncompleteError: it is not balanced.
        """
        balanced, results = run.required(BALANCE), BalanceFolder(run.root)  # where they are now
        path = results.curated if what == "curated" else results.probabilities
        return cls([str(path(key)) for key in balanced.pieces], balanced.fingerprint, what)


class FileItem(msgspec.Struct, frozen=True):
    """A file of the run, its state, and its number among them."""

    path: str
    state: str
    number: int
    what: Looked

    @property
    def source(self) -> Source:
        """So that it is read again if it was written again."""
        return Source(self.path, self.state)


def sort_file(_: None, item: FileItem, folder: LookupFolder, tick: Callable[[int], None]) -> Report:
    """Write the rows of a file as a sorted run: a pair's uid, and the number of its file and row, or the bits of its probability."""
    with reading(item.path):
        if item.what == "curated":
            uids, _good = parse_uids(pq.read_table(str(fetched(Path(item.path))), columns=["uid"])["uid"])
            known = shard_places(item.number, np.arange(len(uids), dtype=np.uint64))
        else:
            table = pq.read_table(str(fetched(Path(item.path))), columns=["uid_high", "uid_low", "keep_probability"])
            high, low, keep = (table[name].to_numpy() for name in table.column_names)
            uids, known = np.column_stack([high, low]), np.ascontiguousarray(keep).view(np.uint64)
    write_array(folder.run(_key(item.number)), sort_rows(np.column_stack([uids, known])))
    tick(len(uids))
    return Report(rows=len(uids))


def places_of_rows(known: UInt64[np.ndarray, " N"]) -> tuple[np.ndarray, np.ndarray]:
    """Of what a table of curated pairs says: the numbers of files, int64[N], and of their rows, int64[N]."""
    return (known >> np.uint64(ROW_BITS)).astype(np.int64), (known & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)


def _key(number: int) -> str:
    return f"{number:05d}"


def _cut(making: Making[LookupFolder, LookupOptions]) -> Work:
    options = making.options
    states = (" ".join(map(str, state_of(path))) for path in options.files)
    files = enumerate(zip(options.files, states, strict=True))
    return Work({_key(number): FileItem(path, state, number, options.what) for number, (path, state) in files})


def _finish(making: Making[LookupFolder, LookupOptions]) -> Finished:
    folder = making.folder
    if not all(folder.is_done(key, source) for key, source in _cut(making).sources.items()):
        raise StaleError(f"{Path(making.options.files[0]).parent} was written anew while it was read", "run the same command again")
    merged = merge_uids(making.run, [folder.run(key) for key in making.reports(FILES)], folder.table, columns=COLUMNS)
    result = {"uids": merged.unique, "pairs": merged.total}
    return Finished(result, f"{plural(merged.unique, 'uid')} of the run", (folder.table,))


def _asked(_: Workspace, options: LookupOptions) -> dict[str, Any]:
    return {"run": options.run, "what": options.what}


FILES = Section(_cut, sort_file, "files")
LOOKUP = Stage(
    name="lookup",
    version=1,
    command="tallyclip export",
    sections=(FILES,),
    folder=LookupFolder,
    asked=_asked,
    finish=_finish,
    scratch=("runs",),
    optional=True,
)
