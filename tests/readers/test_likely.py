"""What the message that refuses unknown columns shows, and the command that it gives."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pytest

from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.likely import command_with, likely_columns
from tallyclip.readers.read import columns_of, notes_of
from tests.readers.tools import files_of, hashed, json_lines, read, refused_option, write_table

TABLE: dict[str, list[Any]] = {
    "id": [17, 18],
    "file": ["a/1.jpg", "a/2.jpg"],
    "link": ["http://a.example/1", "http://a.example/2"],
    "note": [None, "x"],
    "words of it": ["a dog on a bench", "a cat"],
    "license": ["CC0", "CC0"],
}


def write(path: Path) -> Path:
    match path.suffix:
        case ".parquet":
            write_table(path, TABLE)
        case ".arrow":
            pyarrow.feather.write_feather(pa.table(TABLE), path)
        case ".jsonl":
            path.write_bytes(json_lines(dict(zip(TABLE, row, strict=True)) for row in zip(*TABLE.values(), strict=True)))
        case _:
            with path.open("w", newline="") as file:
                csv.writer(file, delimiter=";" if path.suffix == ".csv" else "\t").writerows([TABLE, *zip(*TABLE.values(), strict=True)])
    return path


def options_in(hint: str) -> dict[str, str]:
    """The options of the command in a hint, as ColumnChoice takes them."""
    parts = shlex.split(hint.partition(": tallyclip curate ")[2])
    given = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert given.pop("--out") == "RUN"
    return {name.removeprefix("--").removesuffix("-column"): value for name, value in given.items()}


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl", "a.csv", "a.tsv"])
def test_the_command_in_the_refusal_reads_the_captions(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    error = refused_option(
        path, "id .*17.*; file .text: 'a/1.jpg'.; link .text: 'http://a.example/1'.", "words of it .text: 'a dog on a bench'."
    )
    outcome = read(path, **options_in(str(error.hint)))
    assert outcome.texts == TABLE["words of it"]
    assert outcome.uids == hashed(TABLE["link"], TABLE["words of it"])


def test_what_else_was_chosen_is_in_the_command(tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("'a dog';http://a.example/1;5\n'a red; cat';http://a.example/2;6\n")
    choice = {"format": "csv", "delimiter": ";", "quote": "'", "escape": ""}
    error = refused_option(tmp_path / "a b.txt", **choice)
    assert options_in(str(error.hint)) == {**choice, "escape": "none", "caption": "column_0", "url": "column_1"}
    assert command_with("a b", ColumnChoice(caption="x"), ColumnChoice(header=False, quote="")).endswith(
        "'a b' --caption-column x --quote none --no-header --out RUN"
    )


@pytest.mark.parametrize(
    ("example", "name"),
    [
        ("text: 'a dog'", "b"),
        ("text: 'dog'", "b"),
        ("list of text: ['a dog', 'two']", "b"),
        ("list: ['a dog']", "b"),
        ("text: null", "b"),
        ("text: '2024-01-02'", None),
        ("text: 'dog.jpg'", None),
        ("text: '0a1b2c3d4e5f'", None),
        ("text: 'http://a.example/a dog'", None),
        ("list: [{'from': 'human'}]", None),
        ("int64: 5", None),
        ("null", None),
    ],
)
def test_what_may_be_a_caption(example: str, name: str | None) -> None:
    assert likely_columns(["a", "b"], ["int64: 5", example]).caption == name


def test_words_say_more_than_a_name_and_a_name_more_than_nothing() -> None:
    assert likely_columns(["title", "x"], ["text: 'dog'", "text: 'a dog runs'"]).caption == "x"
    assert likely_columns(["x", "title"], ["text: 'dog'", "text: 'cat'"]).caption == "title"
    assert likely_columns(["x", "description"], ["text: 'a b'", "text: 'a dog'"]).caption == "description"
    assert likely_columns(["x", "y"], ["int64: 5", "text: 'http://a.example'"]) == ColumnChoice(url="y")


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl", "a.csv", "a.tsv"])
def test_urls_that_are_not_read_are_told_of(tmp_path: Path, name: str) -> None:
    [file] = files_of(write(tmp_path / name))
    choice = ColumnChoice(caption="words of it")
    [*_, note] = notes_of(file, columns_of(file, choice))
    assert note == "link seems to hold URLs, which are not read: give --url-column link"
    named = ColumnChoice(caption="words of it", url="link")
    assert [note for note in notes_of(file, columns_of(file, named)) if "seems" in note] == []


def test_columns_that_are_not_utf8_or_have_no_rows_are_shown_too(tmp_path: Path) -> None:
    refused_option(write_table(tmp_path / "a.parquet", {"x": pa.array([b"\xff"]).view(pa.string())}), "x .text: b'not UTF-8'.")
    refused_option(
        write_table(tmp_path / "b.parquet", {"x": pa.array([], pa.list_(pa.string()))}), "x .list of text: null.", "--caption-column x"
    )
