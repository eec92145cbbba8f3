"""Columns from folder names."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pytest

from tallyclip.errors import OptionError
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.field_names import LOOKED_AT
from tallyclip.readers.partitions import NULL, partition_of
from tallyclip.readers.read import columns_of, folders_note, open_file, read_shard
from tallyclip.readers.sources import cut
from tests.readers.conftest import Site
from tests.readers.test_sources import CAPTIONS, write_text
from tests.readers.tools import files_of, json_lines, read, write_table, write_tar


def rows_of(*pool: object, schema: pa.Schema | None = None, **choice: str) -> list[dict[str, object]]:
    """All columns of a pool, as they are written to the curated set."""
    chosen = ColumnChoice(**choice)
    shards = cut(files_of(*pool))
    records = [
        part for shard in shards for part in read_shard(shard, columns_of(shard.file, chosen), chosen, everything=True, schema=schema)
    ]
    return [row for part in records for row in part.table.to_pylist()]


def note_of(path: Path | str) -> str | None:
    (file,) = files_of(path)
    return folders_note(file, columns_of(file, ColumnChoice()))


def write_one(folder: Path, kind: str) -> Path:
    folder.mkdir(parents=True)
    path = folder / f"a.{kind}"
    match kind:
        case "parquet":
            return write_table(path, {"caption": ["a dog"]})
        case "jsonl":
            path.write_bytes(json_lines([{"caption": "a dog"}]))
        case "tar":
            return write_tar(path, [("0.txt", b"a dog")])
        case "csv":
            path.write_text("caption,width\na dog,5\n")
        case _:
            path.write_text("a dog\n")
    return path


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv", "txt", "tar"])
def test_folders_give_columns_to_files_of_every_kind(tmp_path: Path, kind: str) -> None:
    write_one(tmp_path / "lang=en" / "year=2024", kind)
    (row,) = rows_of(tmp_path)
    assert (row["caption"], row["lang"], row["year"]) == ("a dog", "en", "2024")
    assert list(row)[-2:] == ["lang", "year"]
    schema = pa.schema([("year", pa.string()), ("caption", pa.string()), ("lang", pa.string())])
    assert rows_of(tmp_path, schema=None if kind in ("parquet", "csv", "txt") else schema)[0]["lang"] == "en"


def test_the_columns_do_not_depend_on_how_a_file_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    path = write_one(tmp_path / "site" / "pool" / "lang=en" / "year=2024", "parquet")
    monkeypatch.chdir(path.parent)
    expected = [{"caption": "a dog", "lang": "en", "year": "2024"}]
    for name in ("a.parquet", path, path.parent, tmp_path / "site", f"file://{path}", tmp_path / "**" / "*.parquet", f"{site.url}/pool/"):
        assert rows_of(name) == expected, name
    assert rows_of(f"{site.url}/pool/lang=en/year=2024/a.parquet") == expected


@pytest.mark.parametrize(
    ("path", "partition"),
    [
        ("/pool/lang=en/a.parquet", {"lang": "en"}),
        ("/pool/a=1/b=2/c.parquet", {"a": "1", "b": "2"}),
        ("/pool/a=1/more/b=2/c.parquet", {"b": "2"}),
        ("/pool/a=1/more/c.parquet", {}),
        ("/pool/a=1/a=2/c.parquet", {"a": "2"}),
        ("/pool/a=b=c/c.parquet", {"a": "b=c"}),
        ("/pool/a=/c.parquet", {"a": ""}),
        ("/pool/=a/c.parquet", {}),
        ("/pool/a=1.parquet", {}),
        (f"/pool/a={NULL}/c.parquet", {"a": None}),
        ("/pool/a%20b=c%2Fd%3D/c.parquet", {"a b": "c/d="}),
        ("/pool/a=%ff/c.parquet", {"a": "%ff"}),
        ("s3://bucket/lang=en/a.parquet", {"lang": "en"}),
        ("s3://lang=en/a.parquet", {"lang": "en"}),
        ("https://a.example/lang%3Den/city=a%2520b/a.parquet?x=1/y=2/b", {"lang": "en", "city": "a b"}),
        ("zip://lang=en/a.parquet::s3://bucket/x.zip", {"lang": "en"}),
        ("zip://a.parquet::s3://bucket/lang=en/x.zip", {}),
        ("simplecache::s3://bucket/lang=en/a.parquet", {"lang": "en"}),
    ],
)
def test_the_unbroken_run_of_folders_right_above_a_file_counts(path: str, partition: dict[str, str | None]) -> None:
    assert partition_of(path) == partition


def test_the_columns_are_those_that_arrow_finds(tmp_path: Path) -> None:
    table = pa.table({"caption": ["a", "b", "c", "d"], "lang": ["en", None, "a/b c=", "ä%"], "width": [1, 2, 3, 4]})
    pyarrow.dataset.write_dataset(table, tmp_path, format="parquet", partitioning=["lang"], partitioning_flavor="hive")
    key = lambda row: row["width"]  # noqa: E731
    assert sorted(rows_of(tmp_path), key=key) == sorted(table.select(["caption", "width", "lang"]).to_pylist(), key=key)


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_a_column_of_the_files_own_wins_and_that_is_said(tmp_path: Path, kind: str) -> None:
    path = write_one(tmp_path / "caption=no", kind)
    assert [row["caption"] for row in rows_of(tmp_path)] == ["a dog"]
    assert note_of(path) == "the file has a column of its own: caption, so its folders do not give it"


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "tar"])
def test_the_files_own_column_is_never_filled(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "lang=en" / "caption=no"
    folder.mkdir(parents=True)
    items: list[dict[str, str | None]] = [
        {"caption": "a dog", "lang": "fr"},
        {"caption": "a cat", "lang": None},
        {"caption": "a bird"},
        {"caption": None, "lang": "de"},
    ]
    match kind:
        case "parquet":
            write_table(folder / "a.parquet", pa.Table.from_pylist(items))
        case "jsonl":
            (folder / "a.jsonl").write_bytes(json_lines(items))
        case _:
            write_tar(folder / "a.tar", [(f"{i}.json", json_lines([item])) for i, item in enumerate(items)])
    schema = pa.schema([("lang", pa.string()), ("caption", pa.string())])
    for given in (None, None if kind == "parquet" else schema):
        assert [row["lang"] for row in rows_of(tmp_path, schema=given)] == ["fr", None, None, "de"]
    outcome = read(tmp_path)
    assert (outcome.texts, outcome.reasons) == (["a dog", "a cat", "a bird"], ["no caption"])


def test_a_column_that_first_comes_behind_those_looked_at_keeps_its_values(tmp_path: Path) -> None:
    folder = tmp_path / "lang=en"
    folder.mkdir()
    items = [{"caption": "a dog"}] * LOOKED_AT + [{"caption": "un chien", "lang": "fr"}, {"caption": "a cat"}]
    (folder / "a.jsonl").write_bytes(json_lines(items))
    assert [row["lang"] for row in rows_of(tmp_path)] == ["en"] * LOOKED_AT + ["fr", "en"]
    assert read(tmp_path, caption="lang").texts == ["en"] * LOOKED_AT + ["fr", "en"]
    assert note_of(folder / "a.jsonl") == "columns from folders: lang"


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv", "tsv"])
def test_a_named_column_of_the_file_takes_precedence_over_that_of_its_folders(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "title=foo"
    folder.mkdir()
    rows = [{"title": "a dog", "descr": "x"}, {"title": "a cat", "descr": "y"}]
    path = folder / f"a.{kind}"
    match kind:
        case "parquet":
            write_table(path, pa.Table.from_pylist(rows))
        case "jsonl":
            path.write_bytes(json_lines(rows))
        case _:
            table = [("title", "descr"), *(row.values() for row in rows)]
            path.write_text("".join((","[kind == "tsv" :] or "\t").join(row) + "\n" for row in table))
    assert read(tmp_path, caption="title").texts == ["a dog", "a cat"]


def test_a_folder_with_the_name_of_a_numbered_column_does_not_give_a_second_one(tmp_path: Path) -> None:
    folder = tmp_path / "score_2=x"
    folder.mkdir()
    (folder / "a.csv").write_text("caption,score,score\na dog,1,2\n")
    assert rows_of(tmp_path) == [{"caption": "a dog", "score": "1", "score_2": "2"}]


def test_detection_looks_only_at_the_files_own_columns(tmp_path: Path) -> None:
    """Otherwise a folder would change the uids of its files."""
    bare = read(write_one(tmp_path / "bare", "parquet"))
    inner = read(write_one(tmp_path / "key=1" / "url=x" / "uid=00000000000000000000000000000000", "parquet"))
    assert inner == bare._replace(layouts=inner.layouts)
    assert inner.layouts == bare.layouts


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv", "tar"])
def test_a_column_from_folders_can_be_named_like_any_other(tmp_path: Path, kind: str) -> None:
    path = write_one(tmp_path / "lang=a red bird", kind)
    outcome = read(path, caption="lang")
    assert outcome.texts == ["a red bird"]
    assert read(path, caption="caption", url="lang").uids != read(path).uids


def test_a_column_that_is_nowhere_is_refused_with_those_of_folders(tmp_path: Path) -> None:
    path = write_one(tmp_path / "lang=en", "parquet")
    with pytest.raises(OptionError, match="its folders give: lang"):
        read(path, caption="nosuch")


def test_the_schema_of_a_parquet_file_has_the_columns_of_its_folders(tmp_path: Path) -> None:
    path = write_one(tmp_path / "b=1" / "a=2" / "caption=3", "parquet")
    schema = open_file(files_of(path)[0], ColumnChoice()).schema
    assert schema is not None
    assert schema.names == ["caption", "b", "a"]


def test_the_reported_folders_give_their_language(shared_data: Path) -> None:
    rows = rows_of(shared_data / "cases" / "18-hive-partitions" / "pool")
    assert [(row["caption"], row["lang"]) for row in rows] == [("ein red cat", "de"), ("a dog", "en")]


def test_files_outside_of_such_folders_are_as_they_were(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", CAPTIONS)
    write_text(tmp_path / "b.txt")
    assert all(note_of(file.path) is None for file in files_of(tmp_path))
    assert rows_of(tmp_path) == [{"caption": text} for text in CAPTIONS["caption"]] * 2
