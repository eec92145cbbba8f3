"""One way to read any file of a pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from tallyclip.errors import OptionError
from tallyclip.readers import csv, json_lines, parquet, tar
from tallyclip.readers.columns import ColumnChoice, Columns, distinct, find_columns
from tallyclip.readers.content import reading
from tallyclip.readers.field_names import FieldNames
from tallyclip.readers.listing import CRAWL_KINDS
from tallyclip.readers.others import no_data
from tallyclip.readers.pairs import check_types
from tallyclip.readers.partitions import partition_of, with_folders
from tallyclip.readers.records import Records
from tallyclip.readers.sources import PoolFile, Shard

BY_PANDAS = "in pandas, table.to_json(PATH, orient='records', lines=True)"


def columns_of(file: PoolFile, choice: ColumnChoice) -> Columns:
    """The roles of a file's columns.

    Raises:
        OptionError: they cannot be told, or hold something else than they should.
        SourceError: the file cannot be read, for whatever reason.
    """
    if file.kind in CRAWL_KINDS:
        raise OptionError(f"{file.path} is a crawl file", "make a pool of it with 'tallyclip pool CRAWL... --out RUN', then give RUN/pool")
    with reading(file.path):
        return _columns_of(file, choice)


def _columns_of(file: PoolFile, choice: ColumnChoice) -> Columns:
    looked = _look(file, choice)
    names = looked.names
    if file.kind == "json" and not names:
        return Columns(choice.caption or "caption", layout="an empty list", from_folders=partition_of(file.path))
    # A column that folders give has a role where it is named; what is found by itself is found in the file.
    own = distinct(names if looked.objects is None else looked.objects.names)
    from_folders = {name: value for name, value in partition_of(file.path).items() if name not in own}
    try:
        from_named = [name for name in from_folders if name in choice.named and name not in names]
        columns = find_columns([*names, *from_named], choice, looked.examples)
        if looked.schema is not None:
            check_types(_all_columns(looked.schema, file.path), columns)
        if looked.objects is not None:
            if looked.objects.keyed:
                columns = replace(columns, key=json_lines.KEY, layout="MetaCLIP v2")
            if looked.objects.is_one_of_columns(columns):
                raise OptionError("the file is one object whose values are whole columns", f"write objects a line: {BY_PANDAS}")
        return replace(columns, from_folders=from_folders, table=looked.table)
    except OptionError as error:
        what, hint = error.what, f"{error.hint or ''}{_more_hints(file.path, from_folders)}"
        if file.kind == "tar":
            suffixes, key_rule = tar.without_column(file.path, names)
            what, hint = f"{what}; {suffixes}", f"{hint}; {key_rule}"
        if looked.table is not None and looked.table.form:
            hint += f"; it is read as {looked.table.dialect}"
        if looked.table is not None and looked.table.header_by_content:
            hint += "; the first row is taken for a header: give --no-header if it is data"
        raise OptionError(f"{file.path}: {what}", hint) from None


def folders_note(file: PoolFile, columns: Columns) -> str | None:
    """What the folders of a file give, for people to read; None if they give nothing."""
    own = [name for name in partition_of(file.path) if name not in columns.from_folders]
    parts = [f"columns from folders: {', '.join(columns.from_folders)}"] if columns.from_folders else []
    parts += [f"the file has a column of its own: {', '.join(own)}, so its folders do not give it"] if own else []
    return "; ".join(parts) or None


def _more_hints(path: str, from_folders: Iterable[str]) -> str:
    folders = f"; its folders give: {', '.join(from_folders)}" if from_folders else ""
    name = no_data(path)
    return folders + (f"; files called {name} seldom hold captions: in a folder they are skipped, so leave it out" if name else "")


class _Look(NamedTuple):
    """What the beginning of a file says of its columns: their names, an example of each where values show no type, and where it is from."""

    names: list[str]
    examples: Sequence[str] = ()
    schema: pa.Schema | None = None
    objects: FieldNames | None = None
    table: csv.TableFormat | None = None


def _look(file: PoolFile, choice: ColumnChoice) -> _Look:
    match file.kind:
        case "parquet":
            schema = parquet.schema_of(file.path)
            return _Look(schema.names, schema=schema)
        case "json" | "tar":
            objects = (json_lines.json_names if file.kind == "json" else tar.tar_names)(file.path, choice)
            return _Look(objects.with_named(choice), objects.examples, objects=objects)
        case "csv" | "tsv":
            table = csv.look_at(file.path, file.kind, choice)
            return _Look(table.names, [f"such as {value!r}" for value in table.values], table=table)
        case _:
            return _Look([choice.caption or "caption"])


def full_schema(file: PoolFile) -> pa.Schema | None:
    """All columns of a file with their types, and those that its folders give, where the file says so itself; None for other formats."""
    return _all_columns(parquet.schema_of(file.path), file.path) if file.kind == "parquet" else None


def _all_columns(schema: pa.Schema, path: str) -> pa.Schema:
    """A file's columns, each with a name of its own, and those that only its folders give."""
    own = distinct(schema.names)
    named = [column.with_name(name) for name, column in zip(own, schema, strict=True)]
    return pa.schema([*named, *((name, pa.string()) for name in partition_of(path) if name not in own)])


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

    Raises:
        SourceError: the file cannot be read, for whatever reason.
    """
    with reading(shard.file.path):
        yield from _records_of(shard, columns, choice, schema, everything=everything)


def _records_of(shard: Shard, columns: Columns, choice: ColumnChoice, schema: pa.Schema | None, *, everything: bool) -> Iterator[Records]:
    """The records of a shard with the columns of its file and those that its folders give."""
    needed = None if everything else [name for name in columns.needed if name not in columns.from_folders]
    return with_folders(_read_file(shard, columns, choice, needed, schema), columns.from_folders)


def _read_file(
    shard: Shard, columns: Columns, choice: ColumnChoice, needed: list[str] | None, schema: pa.Schema | None
) -> Iterator[Records]:
    """The records of a shard with the columns that its file has."""
    path = shard.file.path
    match shard.file.kind:
        case "parquet":
            return parquet.read_records(path, shard.groups, shard.first_row, needed)
        case "json":
            return json_lines.read_json(path, columns, choice, schema)
        case "csv" | "tsv":
            assert columns.table is not None
            return csv.read_records(path, columns.table)
        case "tar":
            return tar.read_records(path, columns, choice, schema)
        case _:
            return json_lines.read_text(path, columns.caption)
