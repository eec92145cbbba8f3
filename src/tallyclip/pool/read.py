"""One way to read any file of a pool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from tallyclip.errors import OptionError
from tallyclip.pool import delimited, lines, parquet, tars
from tallyclip.pool.columns import ColumnChoice, Columns, distinct, find_columns
from tallyclip.pool.listing import CRAWL_KINDS
from tallyclip.pool.pairs import check_types
from tallyclip.pool.records import Records
from tallyclip.pool.sources import PoolFile, Shard


def columns_of(file: PoolFile, choice: ColumnChoice) -> Columns:
    """The roles of a file's columns.

    Raises:
        OptionError: they cannot be told, or hold something else than they should.
        SourceError: the file cannot be read.
    """
    if file.kind in CRAWL_KINDS:
        raise OptionError(f"{file.path} is a crawl file", "make a pool of it with 'tallyclip pool CRAWL... --out RUN', then give RUN/pool")
    if file.kind in ("csv", "tsv"):
        return _delimited_columns(file, choice)
    schema = parquet.schema_of(file.path) if file.kind == "parquet" else None
    names = _names(file, choice) if schema is None else schema.names
    if file.kind == "json" and not names:
        return Columns(choice.caption or "caption", layout="an empty list")
    try:
        columns = find_columns(names, choice)
        if schema is not None:
            check_types(_with_distinct_names(schema), columns)
        return columns
    except OptionError as error:
        raise OptionError(f"{file.path}: {error.what}", error.hint) from None


def _names(file: PoolFile, choice: ColumnChoice) -> list[str]:
    match file.kind:
        case "json":
            return lines.json_names(file.path).with_named(choice)
        case "tar":
            return tars.tar_names(file.path).with_named(choice)
        case _:
            return [choice.caption or "caption"]


def _delimited_columns(file: PoolFile, choice: ColumnChoice) -> Columns:
    found = delimited.look_at(file.path, file.kind, choice)
    try:
        return replace(find_columns(found.names, choice, found.values), form=found.form, example=found.example)
    except OptionError as error:
        raise OptionError(
            f"{file.path}: {error.what}", f"{error.hint}; it is read as {found.dialect}" if found.form else error.hint
        ) from None


def full_schema(file: PoolFile) -> pa.Schema | None:
    """All columns of a file with their types, where the file says so itself; None for other formats."""
    return _with_distinct_names(parquet.schema_of(file.path)) if file.kind == "parquet" else None


def _with_distinct_names(schema: pa.Schema) -> pa.Schema:
    return pa.schema([column.with_name(name) for name, column in zip(distinct(schema.names), schema, strict=True)])


def read_shard(
    shard: Shard, columns: Columns, choice: ColumnChoice, *, everything: bool = False, schema: pa.Schema | None = None
) -> Iterator[Records]:
    """Stream a shard's records in the file's order.

    Args:
        shard: what to read.
        columns: the roles of its columns.
        choice: what the user said of them.
        everything: read all columns of a Parquet file, not only those that matching needs. Other files are always read whole.
        schema: columns and types for objects, from JSON and tars, which have none of their own; None takes them as they come. Captions
            come as they are in any case.
    """
    path = shard.file.path
    match shard.file.kind:
        case "parquet":
            return parquet.read_records(path, shard.groups, shard.first_row, None if everything else columns.needed)
        case "json":
            return lines.read_json(path, columns, choice, schema)
        case "csv" | "tsv":
            return delimited.read_records(path, delimited.look_at(path, shard.file.kind, choice))
        case "tar":
            return tars.read_records(path, columns, choice, schema)
        case _:
            return lines.read_text(path, columns.caption)
