"""Columns from folder names: in ``lang=en/part.parquet`` each record has ``lang`` "en", as in tables that Hive and Spark write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute

from tallyclip.io.streams import WEB, file_name
from tallyclip.readers.records import Records

NULL = "__HIVE_DEFAULT_PARTITION__"
pc: Any = pyarrow.compute  # its functions are made on import, where no type checker sees them


def partition_of(path: str) -> dict[str, str | None]:
    """The columns that the unbroken run of ``name=value`` folders right above a file gives, outermost first.

    Only the file's path counts, however the user named the file. Of two folders with the same name the inner one counts.
    """
    name = file_name(path)
    folders = name.split("/")[:-1]
    if name.startswith(WEB):
        folders = [unquote(folder) for folder in folders]  # as in all web URLs
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

    In JSON and tars a later record may have a field of that name: its own value is kept.
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
