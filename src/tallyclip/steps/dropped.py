"""Pairs that are dropped, written to Parquet with the reason: what ``--write-dropped`` asks for."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import UInt64

from tallyclip.core.uids import UID, column_uids, uid_strings
from tallyclip.io.files import replacing
from tallyclip.io.tables import TableWriter
from tallyclip.readers.records import Drop

REASON = "reason"
SCHEMA = pa.schema(
    [
        (REASON, pa.string()),
        ("uid", pa.string()),
        ("url", pa.string()),
        ("text", pa.string()),
        ("file", pa.string()),
        ("row", pa.int64()),  # of the file; none for crawl files, where pages have an offset
        ("text_number", pa.int32()),  # which of its record's captions
        ("page_url", pa.string()),
        ("offset", pa.int64()),
    ]
)


@contextmanager
def dropped_pairs(path: Path, *, wanted: bool, file: str = "") -> Generator[DroppedPairs]:
    """A Parquet file of dropped pairs; or if they are not wanted none, so that those who drop pairs need not ask.

    Args:
        path: of the file.
        wanted: write them.
        file: where the pairs are from, unless their own table says so.
    """
    if not wanted:
        yield DroppedPairs(None, file)
        return
    with replacing(path) as part, TableWriter(part, SCHEMA, [REASON, "file", "page_url"]) as writer:
        yield DroppedPairs(writer, file)


class DroppedPairs:
    """Writes dropped pairs, each with its reason and its place. See ``dropped_pairs``."""

    def __init__(self, writer: TableWriter | None, file: str) -> None:
        self._writer, self._file = writer, file

    def add(self, pairs: pa.Table, reasons: str | Sequence[str]) -> None:
        """Write N pairs.

        Args:
            pairs: with any of the columns of ``SCHEMA``; the uid as bytes, and ``crawl_file`` in place of the file.
            reasons: one for all, or N.
        """
        if self._writer is None or len(pairs) == 0:
            return
        given = {name: pairs[name] for name in pairs.column_names}
        if "uid" in given and given["uid"].type == UID:
            given["uid"] = uid_strings(column_uids(given["uid"].combine_chunks()))
        given["file"] = given.get("crawl_file", given.get("file", pa.array([self._file] * len(pairs))))
        given[REASON] = pa.array([reasons] * len(pairs) if isinstance(reasons, str) else reasons)
        columns = [given[field.name].cast(field.type) if field.name in given else pa.nulls(len(pairs), field.type) for field in SCHEMA]
        self._writer.write(pa.table(columns, SCHEMA))

    def add_records(self, drops: Iterable[Drop]) -> None:
        """Write records of a file that never were pairs, with their number and the beginning of what they hold."""
        drops = list(drops)
        rows = pa.table({"row": pa.array([drop.row for drop in drops], pa.int64()), "text": [drop.sample for drop in drops]})
        self.add(rows, [drop.reason for drop in drops])

    def add_at(self, pairs: pa.Table, places: UInt64[np.ndarray, " R"], reason: str) -> None:
        """Write the pairs at some places."""
        if self._writer is not None:
            self.add(pairs.take(pa.array(places.astype(np.int64))), reason)

    def add_drops(self, pairs: pa.Table, drops: Sequence[Drop]) -> None:
        """Write those of N pairs that a step dropped."""
        if self._writer is not None:
            self.add(pairs.take(pa.array([drop.row for drop in drops], pa.int64())), [drop.reason for drop in drops])
