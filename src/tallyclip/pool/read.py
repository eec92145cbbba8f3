"""One way to read any file of a pool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from tallyclip.errors import OptionError
from tallyclip.pool import delimited, lines, parquet, tars
from tallyclip.pool.columns import ColumnChoice, Columns, find_columns
from tallyclip.pool.listing import CRAWL_KINDS
from tallyclip.pool.names import Names
from tallyclip.pool.pairs import check_types
from tallyclip.pool.records import Records
from tallyclip.pool.sources import PoolFile, Shard

BY_PANDAS = "in pandas, table.to_json(PATH, orient='records', lines=True)"
DELIMITERS = {"csv": ",", "tsv": "\t"}


def columns_of(file: PoolFile, choice: ColumnChoice) -> Columns:
    """The roles of a file's columns.

    Raises:
        OptionError: they cannot be told, or hold something else than they should.
        SourceError: the file cannot be read.
    """
    if file.kind in CRAWL_KINDS:
        raise OptionError(f"{file.path} is a crawl file", "make a pool of it with 'tallyclip pool CRAWL... --out RUN', then give RUN/pool")
    schema = full_schema(file)
    looked = _first_names(file, choice)
    names = schema.names if schema is not None else _names(file, choice) if looked is None else looked.with_named(choice)
    if file.kind == "json" and not names:
        return Columns(choice.caption or "caption", layout="an empty list")
    try:
        columns = find_columns(names, choice, looked and looked.described())
        if looked is not None and looked.keyed:
            columns = replace(columns, key=lines.KEY, layout="MetaCLIP v2")
        if schema is not None:
            check_types(schema, columns)
        if looked is not None and looked.is_one_of_columns(columns):
            raise OptionError("it holds one object, with a column in each name", f"write objects a line: {BY_PANDAS}")
        return columns
    except OptionError as error:
        raise OptionError(f"{file.path}: {error.what}", error.hint) from None


def _first_names(file: PoolFile, choice: ColumnChoice) -> Names | None:
    """The names in the first objects of a file; None for formats without objects."""
    match file.kind:
        case "json":
            return lines.json_names(file.path, choice)
        case "tar":
            return tars.tar_names(file.path)
        case _:
            return None


def _names(file: PoolFile, choice: ColumnChoice) -> list[str]:
    match file.kind:
        case "csv" | "tsv":
            return delimited.column_names(file.path, DELIMITERS[file.kind], choice)[0]
        case _:
            return [choice.caption or "caption"]


def full_schema(file: PoolFile) -> pa.Schema | None:
    """All columns of a file with their types, where the file says so itself; None for other formats."""
    return parquet.schema_of(file.path) if file.kind == "parquet" else None


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
            delimiter = DELIMITERS[shard.file.kind]
            return delimited.read_records(path, delimiter, *delimited.column_names(path, delimiter, choice))
        case "tar":
            return tars.read_records(path, columns, choice, schema)
        case _:
            return lines.read_text(path, columns.caption)
