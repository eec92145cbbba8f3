from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import tallyclip as tc
from tallyclip.core.data import concatenate

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=20, unique=True)


def test_the_bundled_list_is_wordnets() -> None:
    metadata = tc.Metadata.wordnet()
    assert len(metadata) == 86_654
    assert metadata.entries[:3] == ("0", "1", "2")
    assert metadata.entries[100:103] == ("entity", "physical entity", "abstraction")
    assert metadata.fingerprint == "b773b83168782cf784125cc2ae63a8994518b3a11abd32e35683c06339584612"
    assert set(metadata.sources or ()) == {"wordnet"}


@given(NAMES)
def test_the_fingerprint_is_of_the_entries_and_their_order(entries: list[str]) -> None:
    metadata = tc.Metadata(entries)
    assert tc.Metadata(list(entries), sources=["x"] * len(entries)).fingerprint == metadata.fingerprint
    assert tc.Metadata([*entries, "\0one more"]).fingerprint != metadata.fingerprint
    if len(entries) > 1:
        assert tc.Metadata(entries[::-1]).fingerprint != metadata.fingerprint
    assert tc.Metadata(["".join(entries) + "\0"]).fingerprint != metadata.fingerprint


@pytest.mark.parametrize("suffix", [".json", ".txt", ".parquet", ".json.gz", ".txt.zst"])
def test_a_list_is_read_as_it_was_written(suffix: str, tmp_path: Path) -> None:
    metadata = tc.Metadata(["dog", "New York", "字", " ,", "a\tb"], sources=["w", "w", "t", "t", "t"], scores=[1.0, 2.0, 3.5, 0.0, -1.0])
    path = str(tmp_path / f"entries{suffix}")
    metadata.save(path)
    found = tc.Metadata.load(path)
    assert found.entries == metadata.entries
    assert found.fingerprint == metadata.fingerprint
    if suffix == ".parquet":
        assert (found.sources, found.scores) == (metadata.sources, metadata.scores)


def test_lists_of_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "plain.json").write_text('["dog", "\\u5b57", "\\ud800"]')
    assert tc.Metadata.load(str(tmp_path / "plain.json")).entries == ("dog", "字", "\ud800")
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbfdog\r\ncat\r\n")
    assert tc.Metadata.load(str(tmp_path / "windows.txt")).entries == ("dog", "cat")
    pq.write_table(pa.table({"word": ["dog", "cat"]}), tmp_path / "one.parquet")
    assert tc.Metadata.load(str(tmp_path / "one.parquet")).entries == ("dog", "cat")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "at least one entry"),
        (["a", "", "b"], "1 empty or repeated entries: empty at 1"),
        (["a", "b", "a", "a"], "2 empty or repeated entries: 'a' at 2, 'a' at 3"),
        (["a"] * 9, "'a' at 5 and 3 more"),
        (["a", 5], "entry 1 is a int, not a string"),
    ],
)
@pytest.mark.usefixtures("without_shape_checks")
def test_an_invalid_list_is_refused(entries: list[str], message: str) -> None:
    with pytest.raises(tc.ArtifactError, match=message):
        tc.Metadata(entries)


def test_cleaning_drops_empty_and_repeated_entries() -> None:
    metadata = tc.Metadata(["b", "", "a", "b"], sources=["1", "2", "3", "4"], scores=[1.0, 2.0, 3.0, 4.0], clean=True)
    assert (metadata.entries, metadata.sources, metadata.scores) == (("b", "a"), ("1", "3"), (1, 3))
    with pytest.raises(tc.ArtifactError, match="at least one entry"):
        tc.Metadata(["", ""], clean=True)


def test_columns_must_be_as_long_as_the_list() -> None:
    with pytest.raises(tc.ArtifactError, match="2 entries but 1 sources"):
        tc.Metadata(["a", "b"], sources=["x"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{}", "expected a JSON list of strings, found an object"),
        ("a.json", b"5", "found a number"),
        ("a.json", b'["a", null]', "entry 1 is null"),
        ("a.json", b'["a", ["b"]]', "entry 1 is a list"),
        ("a.json", b'["a", ', "not JSON"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.json", b"", "not JSON"),
        ("a.json", b"[]", "at least one entry"),
        ("a.json", b'["a", "a"]', "repeated entries: 'a' at 1"),
        ("a.txt", b"dog\n\xff\n", "byte 4 is not UTF-8"),
        ("a.txt", b"", "at least one entry"),
        ("a.txt", b"dog\n\ncat\n", "empty at 1"),
        ("a.csv", b"dog", "not the suffix of an entry list"),
        ("a.parquet", b"PAR1 but no more", "not readable as an entry list"),
        ("a.json.gz", b'["a"]', "not readable as an entry list"),
        ("a.json.gz", gzip.compress(b'["a"]' * 50_000, mtime=0)[:-20], "not readable as an entry list"),
        ("a.txt.zst", zstandard.ZstdCompressor().compress(b"dog %d\n" * 90_000)[:-9], "not readable as an entry list"),
    ],
)
def test_a_file_that_is_not_a_list_is_refused_by_name(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(tc.ArtifactError, match=message) as caught:
        tc.Metadata.load(str(path))
    assert str(path) in caught.value.what


@pytest.mark.parametrize(
    ("value", "name"), [(b"dog", "binary"), (5, "a number"), (0.5, "a number"), (True, "a boolean"), (date(2024, 5, 1), "a date")]
)
def test_an_entry_that_is_not_a_string_is_refused_with_its_type(tmp_path: Path, value: Any, name: str) -> None:
    pq.write_table(pa.table({"entry": [value]}), tmp_path / "a.parquet")
    with pytest.raises(tc.ArtifactError, match=f"entry 0 is {name}, not a string"):
        tc.Metadata.load(tmp_path / "a.parquet")


def binary_as(kind: pa.DataType, values: list[bytes | None]) -> pa.Array:
    """Bytes as an array of strings, which Arrow does not look at."""
    strings = {pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    return pa.array(values, strings.get(kind, pa.binary())).view(kind)


BROKEN = [b"dog", "caf\u00e9".encode(), b"caf\xe9", b"cat"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
@pytest.mark.parametrize("as_dictionary", [False, True])
def test_an_entry_in_parquet_that_is_not_utf8_is_refused_with_its_position(tmp_path: Path, kind: pa.DataType, as_dictionary: bool) -> None:
    path = tmp_path / "a.parquet"
    column = binary_as(kind, BROKEN)
    if as_dictionary and kind != pa.string_view():
        column = column.dictionary_encode()
    pq.write_table(pa.table({"entry": column}), path, row_group_size=1)
    with pytest.raises(tc.ArtifactError, match=r"entry 2 is not UTF-8: b'caf\\xe9'(.|\n)*Hint: repair the entry") as caught:
        tc.Metadata.load(path)
    assert str(path) in caught.value.what


def test_a_source_in_parquet_that_is_not_utf8_is_refused_with_its_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for source in (binary_as(pa.string(), [b"", None, b"\xff"]), binary_as(pa.string(), [b"", b"", b"\xff"]).dictionary_encode()):
        pq.write_table(pa.table({"entry": ["a", "b", "c"], "source": source}), path)
        with pytest.raises(tc.ArtifactError, match=r"a\.parquet: the source of entry 2 is not UTF-8: b'\\xff'"):
            tc.Metadata.load(path)


def test_a_value_in_parquet_that_python_lacks_is_refused_with_its_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    late = pa.array([0, 2**31 - 1], pa.int32()).view(pa.date32())
    pq.write_table(pa.table({"entry": ["a", "b"], "score": late}), path)
    with pytest.raises(tc.ArtifactError, match=r"a\.parquet: the score of entry 1 cannot be read"):
        tc.Metadata.load(path)
    pq.write_table(pa.table({"entry": late}), path)
    with pytest.raises(tc.ArtifactError, match=r"a\.parquet: entry 1 cannot be read"):
        tc.Metadata.load(path)


def test_a_null_among_the_entries_is_refused_with_its_position(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"entry": ["a", None]}), path)
    with pytest.raises(tc.ArtifactError, match=r"a\.parquet: entry 1 is null, not a string"):
        tc.Metadata.load(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'["dog", "caf\xe9", "cat"]', "entry 1: byte 12 is not UTF-8"),
        ("a.json", b'["dog", "caf\xe9", ', "a.json: byte 12 is not UTF-8"),
        ("a.json", b'["\\udc80", "\xff"]', "byte 12 is not UTF-8"),
        ("a.txt", b"dog\ncaf\xe9\ncat\n", "entry 1: byte 7 is not UTF-8"),
        ("a.txt.gz", gzip.compress(b"dog\ncat\n\xff", mtime=0), "entry 2: byte 8 is not UTF-8"),
    ],
)
def test_an_entry_in_text_that_is_not_utf8_is_refused_with_its_position(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(tc.ArtifactError, match=message) as caught:
        tc.Metadata.load(path)
    assert str(path) in caught.value.what
    assert caught.value.hint is not None


def test_a_list_of_a_case_that_is_not_utf8_is_refused(shared_data: Path) -> None:
    with pytest.raises(tc.ArtifactError, match=r"e\.parquet: entry 1 is not UTF-8"):
        tc.Metadata.load(shared_data / "cases" / "36-entries-not-utf8" / "e.parquet")


def test_a_list_may_leave_open_where_some_entries_are_from(tmp_path: Path) -> None:
    tc.Metadata(["dog", "cat"], sources=["wordnet", None]).save(tmp_path / "a.parquet")
    assert tc.Metadata.load(tmp_path / "a.parquet").sources == ("wordnet", None)


def test_a_missing_list_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(tc.ArtifactError, match=r"no entry list at (.|\n)*Hint: give a \.json") as caught:
        tc.Metadata.load(str(tmp_path / "none.json"))
    assert caught.value.exit_code == 2


def test_parquet_without_a_column_of_entries_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["x"], "b": ["y"]}), tmp_path / "a.parquet")
    with pytest.raises(tc.ArtifactError, match="no column 'entry' among a, b"):
        tc.Metadata.load(str(tmp_path / "a.parquet"))


def test_a_text_file_cannot_hold_line_breaks(tmp_path: Path) -> None:
    with pytest.raises(tc.ArtifactError, match="line break"):
        tc.Metadata(["a\nb"]).save(str(tmp_path / "a.txt"))


@given(st.lists(st.lists(st.integers(0, 9), unique=True, max_size=5).map(sorted), max_size=8), st.data())
def test_matches_are_rows_of_ids(rows: list[list[int]], data: st.DataObject) -> None:
    matches = matches_of(rows)
    assert [matches[i].tolist() for i in range(len(matches))] == rows
    assert matches.to_arrow().to_pylist() == rows
    assert matches.lengths.tolist() == [len(row) for row in rows]
    cut = data.draw(st.integers(0, len(rows)))
    joined = concatenate([matches_of(rows[:cut]), matches_of(rows[cut:])])
    assert joined.to_arrow().to_pylist() == rows
    start, end, step = (data.draw(st.none() | st.integers(-9, 9)) for _ in range(3))
    part = matches[start : end : step or None]
    assert part.to_arrow().to_pylist() == rows[start : end : step or None]
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6)) if rows else []
    assert matches.take(np.array(chosen, np.int64)).to_arrow().to_pylist() == [rows[i] for i in chosen]


def matches_of(rows: list[list[int]]) -> tc.Matches:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return tc.Matches(offsets, np.array([i for row in rows for i in row], dtype=np.uint32))


def test_entries_survive_json_by_name(tmp_path: Path) -> None:
    path = tmp_path / "entries.json"
    tc.Metadata(["\ud800", "é"]).save(str(path))
    assert json.loads(path.read_text()) == ["\ud800", "é"]


def test_a_caption_is_found_by_its_position_from_either_end() -> None:
    matches = matches_of([[1], [], [2, 3]])
    assert matches[-1].tolist() == matches[2].tolist() == [2, 3]
    with pytest.raises(IndexError):
        matches[3]


def test_one_string_is_not_a_list() -> None:
    with pytest.raises(tc.ArtifactError, match="not one string: 'dog'"):
        tc.Metadata("dog")


@pytest.mark.parametrize("name", ["a.txt", "a.parquet"])
def test_an_entry_with_lone_surrogates_is_refused_where_it_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(tc.ArtifactError, match="entry 1 is not Unicode text"):
        tc.Metadata(["dog", "\ud800"]).save(tmp_path / name)
    assert not (tmp_path / name).exists()


BAD_ROWS = [([0, 2, 4], [1]), ([1, 1], [1]), ([0, 2, 1], [1]), ([], []), ([0, 1], [-1])]


@pytest.mark.parametrize(("offsets", "ids"), BAD_ROWS)
@pytest.mark.usefixtures("without_shape_checks")
def test_arrays_that_are_not_sparse_rows_are_refused(offsets: list[int], ids: list[int]) -> None:
    kind = np.int64 if -1 in ids else np.uint32
    with pytest.raises(tc.OptionError, match="matches"):
        tc.Matches(np.array(offsets, np.int64), np.array(ids, kind))
