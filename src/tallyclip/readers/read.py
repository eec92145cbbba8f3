"""One way to read any file of a pool."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from tallyclip.errors import OptionError
from tallyclip.readers import arrow, csv, json_lines, parquet, tar
from tallyclip.readers.columns import NO_CAPTION, ColumnChoice, Columns, NoCaptionError, brief, distinct, find_columns, listed
from tallyclip.readers.content import reading
from tallyclip.readers.crawl import read as crawl
from tallyclip.readers.crawl.read import CrawlReading
from tallyclip.readers.field_names import FieldNames
from tallyclip.readers.formats import named_format
from tallyclip.readers.likely import command_with, examples_of, likely_columns
from tallyclip.readers.listing import CRAWL_KINDS
from tallyclip.readers.others import no_data
from tallyclip.readers.pairs import check_types
from tallyclip.readers.partitions import partition_of, with_folders
from tallyclip.readers.records import Records
from tallyclip.readers.sources import PoolFile, Shard

AS_THEY_ARE = CrawlReading()
BY_PANDAS = "in pandas, table.to_json(PATH, orient='records', lines=True)"


class Opened(NamedTuple):
    """What the beginning or the end of a file says of its columns.

    Attributes:
        columns: their roles.
        schema: all of them with their types, and those that the file's folders give, where the file says so itself.
        footer: of a Parquet file.
    """

    columns: Columns
    schema: pa.Schema | None = None
    footer: parquet.Footer | None = None


def columns_of(file: PoolFile, choice: ColumnChoice) -> Columns:
    """The roles of a file's columns; see ``open_file``."""
    return open_file(file, choice).columns


def open_file(file: PoolFile, choice: ColumnChoice, footer: parquet.Footer | None = None) -> Opened:
    """Look at a file's columns.

    Args:
        file: of the pool.
        choice: what the user said of columns.
        footer: of a Parquet file, if it has been read.

    Raises:
        OptionError: captions cannot be found, columns hold something else than they should, or the file has none to choose from.
        SourceError: the file cannot be read, for whatever reason.
    """
    if file.kind in CRAWL_KINDS:
        if choice != ColumnChoice():
            what = f"{file.path} is a crawl file, which has no columns to choose from"
            raise OptionError(what, "leave out the options of columns")
        return Opened(crawl.COLUMNS, crawl.PAIRS)
    with reading(file.path):
        looked = _look(file, choice, footer)
        schema = None if looked.schema is None else _all_columns(looked.schema, file.path)
        return Opened(_columns_of(file, choice, looked), schema, looked.footer)


def _columns_of(file: PoolFile, choice: ColumnChoice, looked: _Look) -> Columns:
    names = looked.names
    if looked.objects is not None and file.kind != "tar" and not names:
        return Columns(choice.caption or "caption", layout="an empty list", from_folders=partition_of(file.path))
    # A column that folders give has a role where it is named; what is found by itself is found in the file.
    own = distinct(names if looked.objects is None else looked.objects.names)
    from_folders = {name: value for name, value in partition_of(file.path).items() if name not in own}
    try:
        from_named = [name for name in from_folders if name in choice.named and name not in names]
        columns = find_columns([*names, *from_named], choice, looked.examples, _layout(looked, choice))
        if looked.schema is not None:
            check_types(_all_columns(looked.schema, file.path), columns)
        if looked.objects is not None and looked.objects.is_one_of_columns(columns):
            raise OptionError("the file is one object whose values are whole columns", f"write objects a line: {BY_PANDAS}")
        unnamed_url = _unnamed_url(looked) if columns.url is None and columns.key is None else None
        return replace(columns, from_folders=from_folders, table=looked.table, unnamed_url=unnamed_url)
    except OptionError as error:
        what, hint, command = error.what, f"{error.hint or ''}{_more_hints(file.path, from_folders)}", ""
        if isinstance(error, NoCaptionError):
            what, command = _no_caption(file, choice, looked)
        if file.kind == "tar":
            suffixes, key_rule = tar.without_column(file.path, names)
            what, hint = f"{what}; {suffixes}", f"{hint}; {key_rule}"
        if looked.table is not None and looked.table.form:
            hint += f"; it is read as {looked.table.dialect}"
        if looked.table is not None and looked.table.header_by_content:
            hint += "; the first row is taken for a header: give --no-header if it is data"
        raise OptionError(f"{file.path}: {what}", hint + command) from None


def _no_caption(file: PoolFile, choice: ColumnChoice, looked: _Look) -> tuple[str, str]:
    """What the columns hold, and the command that reads the likeliest of them, if one is likely."""
    names, examples = distinct(looked.names), looked.examples
    if looked.schema is not None:
        read = parquet.read_records(file.path, None, 0, None) if file.kind == "parquet" else arrow.read_records(file.path, None)
        first = next(read, None)
        examples = examples_of(looked.schema, None if first is None else first.table)
    likely = likely_columns(names, examples)
    if likely.caption is None:
        command = ""
    else:
        command = f"; if {brief(likely.caption)} holds the captions: {command_with(file.path, likely, choice)}"
    return f"{NO_CAPTION}: {listed(names, examples=examples)}", command


def _unnamed_url(looked: _Look) -> str | None:
    """A column that seems to hold URLs, where none is named or known to."""
    examples = looked.examples if looked.schema is None else examples_of(looked.schema, None)
    return likely_columns(distinct(looked.names), examples).url


def _layout(looked: _Look, choice: ColumnChoice) -> Columns | None:
    """The roles of columns, where they are known before their names are looked at."""
    if looked.objects is not None:
        return looked.objects.layout
    return None if choice.format is None else named_format(choice.format).columns


def notes_of(file: PoolFile, columns: Columns) -> list[str]:
    """What people should know of how a file is read."""
    example = None if columns.example is None else f"{file.path}: {columns.example}"
    column = brief(columns.unnamed_url or "")
    urls = f"{column} seems to hold URLs, which are not read: give --url-column {shlex.quote(column)}" if column else None
    return [note for note in (example, folders_note(file, columns), urls) if note is not None]


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
    footer: parquet.Footer | None = None
    schema: pa.Schema | None = None
    objects: FieldNames | None = None
    table: csv.TableFormat | None = None


def _look(file: PoolFile, choice: ColumnChoice, footer: parquet.Footer | None) -> _Look:
    match file.kind:
        case "parquet":
            footer = parquet.read_footer(file.path) if footer is None else footer
            return _Look(footer.schema.names, footer=footer, schema=footer.schema)
        case "arrow":
            schema = arrow.schema_of(file.path)
            return _Look(schema.names, schema=schema)
        case "json" | "tar":
            objects = (json_lines.json_names if file.kind == "json" else tar.tar_names)(file.path, choice)
            return _Look(objects.with_named(choice), objects.examples, objects=objects)
        case "text" if (objects := json_lines.text_names(file.path, choice)) is not None:
            return _Look(objects.with_named(choice), objects.examples, objects=objects)
        case "csv" | "tsv":
            table = csv.look_at(file.path, file.kind, choice)
            return _Look(table.names, [f"text: {value!r}" for value in table.values], table=table)
        case _:
            return _Look([choice.caption or "caption"])


def _all_columns(schema: pa.Schema, path: str) -> pa.Schema:
    """A file's columns, each with a name of its own, and those that only its folders give."""
    own = distinct(schema.names)
    named = [column.with_name(name) for name, column in zip(own, schema, strict=True)]
    return pa.schema([*named, *((name, pa.string()) for name in partition_of(path) if name not in own)])


def read_shard(
    shard: Shard,
    columns: Columns,
    choice: ColumnChoice,
    *,
    everything: bool = False,
    more: Sequence[str] = (),
    schema: pa.Schema | None = None,
    footer: parquet.Footer | None = None,
    how: CrawlReading = AS_THEY_ARE,
) -> Iterator[Records]:
    """Stream a shard's records in the file's order.

    Args:
        shard: what to read.
        columns: the roles of its columns.
        choice: what the user said of them.
        everything: read all columns of a Parquet or Arrow file, not only those that matching needs. Other files are always read whole.
        more: other columns of a Parquet file to read, where it has them.
        schema: columns and types for objects, from JSON and tars, which have none of their own; None takes them as they come. Captions
            come as they are in any case.
        footer: of a Parquet file, if it has been read.
        how: crawl files are read.

    Raises:
        SourceError: the file cannot be read, for whatever reason.
    """
    needed = None if everything else [name for name in (*columns.needed, *more) if name not in columns.from_folders]
    path = shard.file.path
    with reading(path):
        match shard.file.kind:
            case "parquet":
                records = parquet.read_records(path, shard.groups, shard.first_row, needed, footer)
            case "arrow":
                records = arrow.read_records(path, needed)
            case "wat" | "warc" as kind:
                records = crawl.read_crawl(path, kind, how)
            case _:
                records = _read_text(path, shard.file.kind, columns, choice, schema)
        yield from with_folders(records, columns.from_folders)


def _read_text(path: str, kind: str, columns: Columns, choice: ColumnChoice, schema: pa.Schema | None) -> Iterator[Records]:
    """The records of a file without types of its own."""
    match kind:
        case "json":
            return json_lines.read_json(path, columns, choice, schema)
        case "csv" | "tsv":
            assert columns.table is not None
            return csv.read_records(path, columns.table)
        case "tar":
            return tar.read_records(path, columns, choice, schema)
        case _:
            return json_lines.read_text(path, columns, choice, schema)
