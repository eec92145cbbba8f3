"""Arrow's IPC files and streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallyclip.readers import arrow
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.estimate import estimate_rows
from tallyclip.readers.read import columns_of, read_shard
from tallyclip.readers.sources import cut
from tests.readers.conftest import Site
from tests.readers.tools import batches_of, files_of, hashed, read, refused, refused_option, table_of, write_table

FORMS = ["file", "stream", "lz4"]
ROWS = {"url": [f"http://a.example/{i}" for i in range(250)], "text": [f"caption {i}" for i in range(250)], "width": list(range(250))}


def write(path: Path, columns: dict[str, Any] | pa.Table, form: str = "stream", rows_per_batch: int = 100) -> Path:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    options = pa.ipc.IpcWriteOptions(compression="lz4" if form == "lz4" else None, emit_dictionary_deltas=True)
    new = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as target, new(target, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows_per_batch)
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".arrow", ".feather", ".ipc"])
def test_files_and_streams_are_read_like_parquet(tmp_path: Path, form: str, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", ROWS, form)
    assert read(path) == read(write_table(tmp_path / "a.parquet", ROWS))
    assert table_of(path).to_pydict() == ROWS
    assert estimate_rows(cut(files_of(path))[0]) == pytest.approx(250, rel=0.3)


def test_feather_files_of_other_libraries_are_read(tmp_path: Path) -> None:
    import pandas
    import polars

    pandas.DataFrame(ROWS).to_feather(tmp_path / "a.feather")
    polars.DataFrame(ROWS).write_ipc(tmp_path / "b.arrow", compression="zstd")
    assert read(tmp_path / "a.feather").texts == read(tmp_path / "b.arrow").texts == ROWS["text"]


def test_only_the_columns_that_are_needed_are_read_in_the_files_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.arrow", {"url": ["http://a", "http://b"], "x": [1, 2], "text": ["a dog", "a cat"]})
    (file,) = files_of(path)
    (records,) = read_shard(cut([file])[0], columns_of(file, ColumnChoice()), ColumnChoice())
    assert sorted(records.table.column_names) == ["text", "url"]
    assert read(path).uids == hashed(["http://a", "http://b"], ["a dog", "a cat"])


def test_columns_of_one_name_get_numbers(tmp_path: Path) -> None:
    table = pa.table([["a dog"], ["a cat"], [1]], names=["caption", "caption", "x"])
    path = write(tmp_path / "a.arrow", table)
    refused_option(path, "several columns are called 'caption'")
    assert read(path, caption="caption_2").texts == ["a cat"]
    assert table_of(path, caption="caption").column_names == ["caption", "caption_2", "x"]


@pytest.mark.parametrize("rows", [1, 7, 65_536])
def test_large_batches_come_in_parts_and_rows_keep_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(arrow, "RECORDS_AT_ONCE", rows)
    batches = batches_of(write(tmp_path / "a.arrow", ROWS))
    assert max(len(records.rows) for records in batches) <= rows
    assert np.concatenate([records.rows for records in batches]).tolist() == list(range(250))
    monkeypatch.setattr(arrow, "BYTES_AT_ONCE", 1000)
    assert max(records.table.nbytes for records in batches_of(tmp_path / "a.arrow")) < 2000


@pytest.mark.parametrize("form", FORMS)
def test_texts_that_are_not_utf8_are_dropped_and_the_others_are_read(tmp_path: Path, form: str) -> None:
    texts = pa.array([b"a dog", b"a\xff", None, b"a cat"]).view(pa.string())
    lists = pa.ListArray.from_arrays([0, 2, 2, 3, 4], texts)
    for column in (texts, texts.dictionary_encode(), lists):
        outcome = read(write(tmp_path / "a.arrow", pa.table({"caption": column}), form))
        assert outcome.texts == ["a dog", "a cat"]
        assert sorted(set(outcome.reasons)) == ["no caption", "not UTF-8"]


def test_dictionaries_that_grow_and_views_are_read(tmp_path: Path) -> None:
    parts = [pa.array(["a dog", "a cat"]), pa.array(["a bird", "a dog"])]
    chunks = pa.chunked_array([part.dictionary_encode() for part in parts])
    table = pa.table({"caption": chunks, "other": pa.chunked_array([part.cast(pa.string_view()) for part in parts])})
    path = write(tmp_path / "a.arrow", table, rows_per_batch=2)
    assert read(path).texts == ["a dog", "a cat", "a bird", "a dog"]
    assert table_of(path).schema.types == [pa.string(), pa.string()]


def test_files_without_rows_have_no_records(tmp_path: Path) -> None:
    nothing = pa.schema([("caption", pa.string())]).empty_table()
    for form in FORMS:
        path = write(tmp_path / "a.arrow", nothing, form)
        assert read(path).records == 0
        assert estimate_rows(cut(files_of(path))[0]) == 0


def test_captions_from_folders_alone_are_read(tmp_path: Path) -> None:
    (tmp_path / "lang=en").mkdir()
    outcome = read(write(tmp_path / "lang=en" / "a.arrow", {"x": [1, 2]}), caption="lang")
    assert outcome.texts == ["en", "en"]
    (needed,) = batches_of(tmp_path / "lang=en" / "a.arrow", everything=False, caption="lang")
    assert needed.table.column_names == ["lang"]


def test_a_file_on_a_web_server_is_read_like_one_on_disk(site: Site) -> None:
    for form in FORMS:
        write(site.folder / "a.arrow", ROWS, form)
        assert read(f"{site.url}/a.arrow").texts == ROWS["text"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "there is nothing in it"),
        (b"FEA1" + b"\0" * 100, "Feather file of version 1"),
        (b"PAR1\x15 something", "a Parquet file"),
        (b"caption,url\na dog,http://a.example\n", "a.arrow"),
        (b"ARROW1\0\0", "a.arrow"),
    ],
)
def test_what_is_no_arrow_file_fails_with_its_name(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.arrow").write_bytes(content)
    refused(tmp_path / "a.arrow", words)


def test_an_arrow_file_of_another_suffix_fails_with_what_it_is(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", ROWS, "file")
    refused(tmp_path / "a.jsonl", "begins like an Arrow file: give it the suffix .arrow")


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_cut_short_anywhere_fails_with_its_name(tmp_path: Path, form: str) -> None:
    content = write(tmp_path / "whole.arrow", ROWS, form).read_bytes()
    path = tmp_path / "a.arrow"
    with pa.memory_map(str(tmp_path / "whole.arrow")) as source:
        ends = [] if form == "file" else [source.tell() for _ in pa.ipc.open_stream(source)]
    for size in [*range(1, len(content), 97), *ends, len(content) - 1]:
        path.write_bytes(content[:size])
        refused(path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.none() | st.just("http://a")), max_size=9
    ),
    st.sampled_from(FORMS),
    st.integers(1, 4),
)
def test_any_table_is_read_like_the_same_table_in_parquet(tmp_path: Path, rows: list[Any], form: str, rows_per_batch: int) -> None:
    table = pa.table({"text": pa.array([text for text, _ in rows], pa.string()), "url": pa.array([url for _, url in rows], pa.string())})
    assert read(write(tmp_path / "a.arrow", table, form, rows_per_batch)) == read(write_table(tmp_path / "a.parquet", table))
