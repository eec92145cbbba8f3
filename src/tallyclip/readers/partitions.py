"""Columns that folders give: in ``lang=en/part.parquet`` each record has ``lang`` "en", as in tables that Hive and Spark write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute

from tallyclip.io.streams import WEB, file_name
from tallyclip.readers.records import Records

NULL = "__HIVE_DEFAULT_PARTITION__"
pc: Any = pyarrow.compute  # which makes its functions when it is imported, where no type checker sees them


def partition_of(path: str) -> dict[str, str | None]:
    """The columns that the folders right above a file give, outermost first: those named ``name=value``, without a gap between them.

    It is taken from the file's path alone, however that was named. Of two folders with one name the inner one counts.
    """
    name = file_name(path)
    folders = name.split("/")[:-1]
    if name.startswith(WEB):
        folders = [unquote(folder) for folder in folders]  # as any name in a web address
    found: list[tuple[str, str | None]] = []
    for folder in reversed(folders):
        column, is_one, value = folder.partition("=")
        if not is_one or not column:
            break
        found.append((_decoded(column), None if value == NULL else _decoded(value)))
    return dict(reversed(found))


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def with_folders(batches: Iterable[Records], from_folders: Mapping[str, str | None]) -> Iterator[Records]:
    """Records with the columns that only their file's folders give.

    In JSON and tars a record may have a name that none of the first has: its own value stays.
    """
    if not from_folders:
        yield from batches
        return
    for records in batches:
        table = records.table
        for name, value in from_folders.items():
            if name not in table.column_names:
                table = table.append_column(name, pa.repeat(pa.scalar(value, pa.string()), len(records.rows)))
                continue
            kind = table.schema.field(name).type
            if value is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                filled = pc.fill_null(table[name], pa.scalar(value, kind))
                table = table.set_column(table.column_names.index(name), name, filled)
        yield Records(records.rows, table, records.drops, records.seen)
