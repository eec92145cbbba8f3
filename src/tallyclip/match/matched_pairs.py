"""Matches on disk: the pairs of a shard that name at least one entry, as an Arrow file of batches.

The file is not compressed: hashes do not shrink, and LZ4 would take a quarter off the size for more time than everything else done here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int32, Int64, UInt64

from tallyclip.core.data import Matches
from tallyclip.core.uids import UID, column_uids, uid_column
from tallyclip.errors import ArtifactError
from tallyclip.io.mirror import fetched

SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("text", pa.int32()),
        ("uid", UID),
        ("entry_ids", pa.large_list(pa.uint32())),
    ]
)


LANGUAGES = pa.schema([("language", pa.string()), ("language_score", pa.float32())])  # follow where languages were asked for


@dataclass(frozen=True)
class LanguageTags:
    """The languages of N texts: N labels, and float32[N] scores."""

    labels: np.ndarray
    scores: Float32[np.ndarray, " N"]

    def take(self, texts: Int64[np.ndarray, " K"]) -> LanguageTags:
        """Those of some texts, in the order given."""
        return LanguageTags(self.labels[texts], self.scores[texts])


@dataclass(frozen=True)
class MatchedPairs:
    """N pairs that each name an entry, in the order of their file.

    Attributes:
        rows: int64[N]: the number of the pair's record in its file.
        text_numbers: int32[N]: which of the record's texts it is.
        uids: uint64[N, 2].
        matches: N rows, none empty.
        languages: of the texts, if asked for.
    """

    rows: Int64[np.ndarray, " N"]
    text_numbers: Int32[np.ndarray, " N"]
    uids: UInt64[np.ndarray, "N 2"]
    matches: Matches
    languages: LanguageTags | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, pairs: Int64[np.ndarray, " K"]) -> MatchedPairs:
        """Some of the pairs, in the order given."""
        languages = None if self.languages is None else self.languages.take(pairs)
        return MatchedPairs(self.rows[pairs], self.text_numbers[pairs], self.uids[pairs], self.matches.take(pairs), languages)


class MatchWriter:
    """Writes a file of matched pairs, batch by batch; with their languages or without."""

    def __init__(self, path: Path, *, with_languages: bool = False) -> None:
        self._schema = pa.schema([*SCHEMA, *LANGUAGES]) if with_languages else SCHEMA
        self._writer = pa.ipc.new_file(str(path), self._schema)

    def write(self, pairs: MatchedPairs) -> None:
        arrays = [pa.array(pairs.rows), pa.array(pairs.text_numbers), uid_column(pairs.uids)]
        tags = pairs.languages
        languages = [] if tags is None else [pa.array(tags.labels.tolist(), pa.string()), pa.array(tags.scores)]
        self._writer.write_batch(pa.record_batch([*arrays, pairs.matches.to_arrow(), *languages], schema=self._schema))

    def __enter__(self) -> MatchWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._writer.close()


def read_matches(path: Path) -> Iterator[MatchedPairs]:
    """Stream the batches of a file of matched pairs.

    Raises:
        ArtifactError: the file is not whole.
    """
    try:
        with pa.OSFile(str(fetched(path))) as source:
            file = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(use_threads=False))
            for number in range(file.num_record_batches):
                yield _pairs(file.get_batch(number))
    except Exception as error:  # over damaged bytes Arrow and NumPy raise nearly anything
        raise ArtifactError(f"{path}: not readable: {error}", "delete the run's match folder and run the same command again") from error


def _pairs(batch: pa.RecordBatch) -> MatchedPairs:
    """The pairs of a batch. Whether its parts fit each other is looked at before any of it is used; `Matches` looks at its own."""
    batch.validate()
    if batch.schema not in (SCHEMA, pa.schema([*SCHEMA, *LANGUAGES])) or any(column.null_count for column in batch.columns):
        raise ArtifactError("not the columns of matched pairs")
    lists = batch.column("entry_ids")
    uids = column_uids(batch.column("uid"))
    matches = Matches(lists.offsets.to_numpy(), lists.values.to_numpy())
    languages = None
    if "language" in batch.schema.names:
        batch.column("language").validate(full=True)
        labels = np.array(batch.column("language").to_pylist(), np.str_)
        languages = LanguageTags(labels, batch.column("language_score").to_numpy())
    return MatchedPairs(batch.column("row").to_numpy(), batch.column("text").to_numpy(), uids, matches, languages)
