"""Shared by the tests of pools: writing small ones in every format, and everything that reading one gives."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tallyclip.core.uids import make_uids, uid_strings
from tallyclip.errors import OptionError, SourceError, TallyclipError
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.pairs import pairs_of
from tallyclip.readers.read import columns_of, read_shard
from tallyclip.readers.records import Drop, Records
from tallyclip.readers.sources import PoolFile, Shard, cut, find_files

PACKERS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress, ".bz2": bz2.compress}


class Outcome(NamedTuple):
    """Everything that reading a pool gives: ``records`` counts those that were read, dropped ones too; the lists are of pairs."""

    layouts: list[str]
    records: int
    rows: list[int]
    texts: list[str]
    uids: list[str]
    own_uids: int
    drops: list[Drop]

    @property
    def reasons(self) -> list[str]:
        return [drop.reason for drop in self.drops]


def files_of(*pool: object, **choice: Any) -> list[PoolFile]:
    return find_files([str(name) for name in pool], ColumnChoice(**choice))[0]


def read(*pool: object, **choice: Any) -> Outcome:
    """Read a pool from end to end; options are those of ColumnChoice."""
    outcome = Outcome([], 0, [], [], [], 0, [])
    for shard in cut(files_of(*pool, **choice)):
        outcome = add_shard(outcome, shard, ColumnChoice(**choice))
    return outcome


def add_shard(outcome: Outcome, shard: Shard, choice: ColumnChoice) -> Outcome:
    columns = columns_of(shard.file, choice)
    found = outcome._replace(layouts=[*outcome.layouts, str(columns)])
    for records in read_shard(shard, columns, choice):
        assert np.all(np.diff(records.rows) > 0)
        assert len(records.rows) == len(records.table)
        pairs = pairs_of(records, columns)
        found = Outcome(
            found.layouts,
            found.records + len(records.rows) + len(records.drops),
            found.rows + pairs.rows.tolist(),
            found.texts + pairs.texts.to_pylist(),
            found.uids + uid_strings(pairs.uids).to_pylist(),
            found.own_uids + pairs.own_uids,
            found.drops + pairs.drops,
        )
    return found


def batches_of(path: object, *, everything: bool = True, schema: pa.Schema | None = None, **choice: Any) -> list[Records]:
    """The records of a file, as one shard."""
    (file,) = files_of(path, **choice)
    chosen = ColumnChoice(**choice)
    return list(read_shard(Shard(file.key, file), columns_of(file, chosen), chosen, everything=everything, schema=schema))


def table_of(path: object, **choice: Any) -> pa.Table:
    return pa.concat_tables([records.table for records in batches_of(path, **choice)])


def refused(path: object, *words: str, error: type[TallyclipError] = SourceError, **choice: Any) -> TallyclipError:
    """Check that reading a file fails with an error that names it and has these words in it; returns the error."""
    with pytest.raises(error) as caught:
        read(path, **choice)
    assert str(path) in caught.value.what
    for word in words:
        assert re.search(word, str(caught.value)), str(caught.value)
    return caught.value


def refused_option(path: object, *words: str, **choice: Any) -> TallyclipError:
    return refused(path, *words, error=OptionError, **choice)


def hashed(images: Sequence[str] | None, texts: Sequence[str], kind: Any = "url") -> list[str]:
    """The uids of pairs by their content."""
    return uid_strings(make_uids(images, texts, image_kind=kind)).to_pylist()


def packed(path: Path, content: bytes) -> Path:
    """Write a file, compressed as its name says."""
    path.write_bytes(PACKERS.get(path.suffix, bytes)(content))
    return path


def write_table(path: Path, columns: dict[str, Any] | pa.Table, rows_per_group: int = 1000, **options: Any) -> Path:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, path, row_group_size=rows_per_group, write_page_checksum=True, **options)
    return path


def json_lines(items: Iterable[Any]) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def tar_bytes(members: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    path.write_bytes(tar_bytes(members))
    return path
