"""The files of a run's curated set, and the pairs in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
from jaxtyping import Bool, UInt64

from tallyclip.core.duplicates import shard_places
from tallyclip.core.lookup import find_uids
from tallyclip.core.uids import parse_uids
from tallyclip.io.arrays import map_array
from tallyclip.readers.parquet import read_records
from tallyclip.readers.sources import state_of
from tallyclip.run.items import Source
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BALANCE, BalanceFolder, curated_columns
from tallyclip.stages.match import snapshot_of

PAIRS = pa.schema([("url", pa.string()), ("caption", pa.string()), ("uid", pa.string())])  # as img2dataset takes them
pc: Any = pyarrow.compute


class CuratedPairs(NamedTuple):
    """N pairs of the curated set.

    Attributes:
        table: the columns ``PAIRS``.
        uids: of the pairs.
        has_url: which have a URL.
        is_first: of the pairs of the whole set with the same uid one is, the first.
    """

    table: pa.Table
    uids: UInt64[np.ndarray, "N 2"]
    has_url: Bool[np.ndarray, " N"]
    is_first: Bool[np.ndarray, " N"]


class CuratedFile(msgspec.Struct, frozen=True):
    """A file of the curated set, its number, its state, and which of its columns have the URLs, if any, and the captions."""

    key: str
    number: int
    path: str
    state: str
    url: str | None
    caption: str

    @property
    def source(self) -> Source:
        """So that it is read again if it was written again."""
        return Source(self.path, self.state)

    def pairs(self, table: str) -> Iterator[CuratedPairs]:
        """The pairs in parts.

        Args:
            table: the file of the lookup table of the curated set.

        Raises:
            SourceError: the file cannot be read.
        """
        known, rows = map_array(table), 0
        for records in read_records(self.path, None, 0, [name for name in (self.url, self.caption, "uid") if name is not None]):
            read = records.table
            urls = pa.nulls(len(read), pa.string()) if self.url is None else read[self.url].cast(pa.string())
            pairs = pa.table([urls, read[self.caption].cast(pa.string()), read["uid"]], schema=PAIRS)
            uids = parse_uids(pairs["uid"])[0]
            places = shard_places(self.number, np.arange(rows, rows + len(read), dtype=np.uint64))
            has_url = pc.fill_null(pc.not_equal(pairs["url"], ""), fill_value=False).to_numpy()
            yield CuratedPairs(pairs, uids, has_url, known[find_uids(known, uids), 2] == places)
            rows += len(read)


def curated_files(run: Workspace) -> dict[str, CuratedFile]:
    """The files of a run's curated set, by the keys of their shards, in order.

    Raises:
        IncompleteError: the run is not balanced.
    """
    results = BalanceFolder(run.root)  # where they are now
    shards, columns = snapshot_of(run).shards, curated_columns(run)
    found: dict[str, CuratedFile] = {}
    for number, key in enumerate(run.required(BALANCE).pieces):
        path, roles = str(results.curated(key)), shards[key].columns
        caption = "caption" if columns.several_captions else columns.names[roles.caption]
        url = None if roles.url is None else columns.names[roles.url]
        found[key] = CuratedFile(key, number, path, " ".join(map(str, state_of(path))), url, caption)
    return found
