"""The files of a run's curated set, and the pairs in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
from jaxtyping import Bool

from tallyclip.readers.parquet import read_records
from tallyclip.readers.sources import state_of
from tallyclip.run.items import Source
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BALANCE, BalanceFolder, curated_columns
from tallyclip.stages.match import snapshot_of

PAIRS = pa.schema([("url", pa.string()), ("caption", pa.string()), ("uid", pa.string())])  # as img2dataset takes them
pc: Any = pyarrow.compute


class CuratedFile(msgspec.Struct, frozen=True):
    """A file of the curated set, its state, and which of its columns have the URLs, if any, and the captions."""

    key: str
    path: str
    state: str
    url: str | None
    caption: str

    @property
    def source(self) -> Source:
        """So that it is read again if it was written again."""
        return Source(self.path, self.state)

    def pairs(self) -> Iterator[tuple[pa.Table, Bool[np.ndarray, " N"]]]:
        """The pairs in parts, with the columns ``PAIRS``, and which of them have a URL.

        Raises:
            SourceError: the file cannot be read.
        """
        for records in read_records(self.path, None, 0, [name for name in (self.url, self.caption, "uid") if name is not None]):
            table = records.table
            urls = pa.nulls(len(table), pa.string()) if self.url is None else table[self.url].cast(pa.string())
            pairs = pa.table([urls, table[self.caption].cast(pa.string()), table["uid"]], schema=PAIRS)
            yield pairs, pc.fill_null(pc.not_equal(pairs["url"], ""), fill_value=False).to_numpy()


def curated_files(run: Workspace) -> dict[str, CuratedFile]:
    """The files of a run's curated set, by the keys of their shards, in order.

    Raises:
        IncompleteError: the run is not balanced.
    """
    results = BalanceFolder(run.root)  # where they are now
    shards, columns = snapshot_of(run).shards, curated_columns(run)
    found: dict[str, CuratedFile] = {}
    for key in run.required(BALANCE).pieces:
        path, roles = str(results.curated(key)), shards[key].columns
        caption = "caption" if columns.several_captions else columns.names[roles.caption]
        url = None if roles.url is None else columns.names[roles.url]
        found[key] = CuratedFile(key, path, " ".join(map(str, state_of(path))), url, caption)
    return found
