"""The curated set as tables: one row per kept pair, with the columns of the pool, followed by ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from tallyclip.core.uids import uid_strings
from tallyclip.match.matched_pairs import LANGUAGES, MatchedPairs
from tallyclip.readers.columns import UID, Columns
from tallyclip.readers.pairs import Texts
from tallyclip.readers.records import BYTES_AT_ONCE, Records, as_kind

OURS = ("uid", "entry_ids", "keep_probability")
ENTRY_IDS_PATH = "entry_ids.list.element"  # of the ids themselves, in Parquet
OURS_WITH_SEVERAL = ("caption", "text_number")  # added if images have several captions
OURS_WITH_LANGUAGES: tuple[str, ...] = tuple(LANGUAGES.names)  # added if languages were detected


class CuratedColumns(msgspec.Struct, frozen=True):
    """Which columns the curated set has.

    Attributes:
        names: its columns from the pool: name in the pool to name in the curated set.
        several_captions: whether it has the columns for images with several captions.
        languages: whether it has the columns of languages.
    """

    names: dict[str, str]
    several_captions: bool
    languages: bool

    @classmethod
    def of(cls, names: Sequence[str], *, several_captions: bool, all_own: bool, languages: bool) -> CuratedColumns:
        """Choose the columns. A column of the pool with the name of one of ours is renamed to ``pool_...``.

        The pool's uid is not copied if it is the uid of every pair (``all_own``).
        """
        ours = (*OURS, *(OURS_WITH_SEVERAL if several_captions else ()), *(OURS_WITH_LANGUAGES if languages else ()))
        taken = {*names, *ours}
        renamed: dict[str, str] = {}
        for name in names:
            if name == UID and all_own and not several_captions:
                continue
            new = name
            if name in ours:
                while new in taken:
                    new = f"pool_{new}"
                taken.add(new)
            renamed[name] = new
        return cls(renamed, several_captions, languages)


def repetitive(fields: Iterable[pa.Field], columns: Columns | None) -> list[str]:
    """The columns whose values may repeat: not those with one of these roles, nor fractions."""
    unique = () if columns is None else (columns.caption, columns.url, columns.key, columns.uid)
    return [field.name for field in fields if field.name not in unique and not pa.types.is_floating(field.type)]


class CuratedRows:
    """Makes the rows of one shard.

    Args:
        schema: the columns of the pool, of all files together.
        columns: the roles of this shard's columns.
        out: the columns of the curated set.
        list_captions: whether the shard's captions are lists; lists are not copied to the curated set.
    """

    def __init__(self, schema: pa.Schema, columns: Columns, out: CuratedColumns, *, list_captions: bool) -> None:
        self._pools = [field for field in schema if field.name in out.names]
        self._columns, self._out, self._list_captions = columns, out, list_captions
        several = [("caption", pa.string()), ("text_number", pa.int32())] if out.several_captions else []
        languages = list(LANGUAGES) if out.languages else []
        ours = [("uid", pa.string()), *several, *languages, ("entry_ids", pa.list_(pa.uint32())), ("keep_probability", pa.float64())]
        self.schema = pa.schema([*((out.names[field.name], field.type) for field in self._pools), *ours])

    @property
    def repetitive(self) -> list[str]:
        """The columns whose values may repeat. Captions and URLs repeat only if an image has a row for each of its captions."""
        return [self._out.names[name] for name in repetitive(self._pools, None if self._list_captions else self._columns)]

    def tables(self, records: Records, captions: Texts, kept: MatchedPairs, keep: Float64[np.ndarray, " K"]) -> Iterator[pa.Table]:
        """The rows of K kept pairs of a batch of records; in several tables if large records are repeated."""
        places = captions.places(kept.rows)
        texts = captions.at(places, kept.text_numbers) if self._out.several_captions else None
        skipped = self._columns.caption if self._list_captions else None
        there = records.table.column_names
        table = records.table.select([field.name for field in self._pools if field.name in there and field.name != skipped])
        for start, end in _parts(table, places):
            some = kept if end - start == len(kept) else kept.take(np.arange(start, end))
            own = None if texts is None else texts.slice(start, end - start)
            yield self._table(table.take(pa.array(places[start:end])), own, some, keep[start:end])

    def _table(self, rows: pa.Table, texts: pa.Array | None, kept: MatchedPairs, keep: Float64[np.ndarray, " K"]) -> pa.Table:
        arrays: list[pa.Array | pa.ChunkedArray] = []
        for field in self._pools:
            missing = field.name not in rows.column_names
            arrays.append(pa.nulls(len(kept), field.type) if missing else as_kind(rows[field.name], field.type))
        ids = pa.ListArray.from_arrays(pa.array(kept.matches.offsets.astype(np.int32)), pa.array(kept.matches.entry_ids))
        several = [] if texts is None else [texts.cast(pa.string()), pa.array(kept.text_numbers)]
        ours = [uid_strings(kept.uids), *several, *self._languages(kept), ids, pa.array(keep)]
        return pa.table([*arrays, *ours], schema=self.schema)

    def _languages(self, kept: MatchedPairs) -> list[pa.Array]:
        if not self._out.languages:
            return []
        if kept.languages is None:  # there are no pairs
            return [pa.array([], field.type) for field in LANGUAGES]
        return [pa.array(kept.languages.labels.tolist(), pa.string()), pa.array(kept.languages.scores)]


def _parts(table: pa.Table, places: Int64[np.ndarray, " K"]) -> Iterator[tuple[int, int]]:
    """Split ascending row numbers into ranges to take at once: one row may be large and taken thousands of times.

    Ranges are halved until their size is at most ``BYTES_AT_ONCE``, assuming that each row is taken as often as the most frequent one.
    """
    ranges = [(0, len(places))]
    while ranges:
        start, end = ranges.pop()
        if start == end:
            yield start, end
            continue
        first, last = int(places[start]), int(places[end - 1])
        most = int(np.bincount(places[start:end] - first).max())
        nbytes = table.slice(first, last - first + 1).nbytes
        if most == 1 or most * nbytes <= BYTES_AT_ONCE:
            yield start, end
        elif first < last:
            middle = int(np.searchsorted(places, (first + last) // 2, side="right"))
            ranges += [(middle, end), (start, middle)]
        else:
            step = max(1, BYTES_AT_ONCE // nbytes)
            yield from ((place, min(place + step, end)) for place in range(start, end, step))
