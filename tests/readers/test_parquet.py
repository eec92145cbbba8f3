"""Parquet files."""

from __future__ import annotations

import random
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallyclip.errors import SourceError, TallyclipError
from tallyclip.readers import parquet, plain_types
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.read import columns_of, open_file, read_shard
from tallyclip.readers.sources import Shard, find_files
from tests.readers.conftest import Site
from tests.readers.tools import batches_of, files_of, hashed, read, refused, refused_option, table_of, write_table

KEYED = pa.list_(pa.struct([("key", pa.string()), ("text", pa.string())]))


def many(rows: int) -> dict[str, Any]:
    return {"url": [f"http://a.example/{i}" for i in range(rows)], "text": [f"caption {i}" for i in range(rows)], "width": range(rows)}


def test_rows_are_read_over_all_row_groups_with_their_numbers(tmp_path: Path) -> None:
    outcome = read(write_table(tmp_path / "a.parquet", many(2500), rows_per_group=1000))
    assert outcome.layouts == ["COYO: caption = text, url = url"]
    assert outcome.texts == [f"caption {i}" for i in range(2500)]
    assert outcome.rows == list(range(2500))
    assert outcome.uids == hashed(many(2500)["url"], many(2500)["text"])


def test_only_the_columns_with_a_role_are_read_for_matching_and_all_for_the_curated_set(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", many(10))
    assert [records.table.column_names for records in batches_of(path, everything=False)] == [["text", "url"]]
    assert table_of(path).equals(pa.table(many(10)))


def test_reading_twice_gives_the_same_batches(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", many(200_000), rows_per_group=70_000)
    once, twice = batches_of(path), batches_of(path)
    assert len(once) > 3
    assert [records.rows.tolist() for records in once] == [records.rows.tolist() for records in twice]
    assert all(one.table.equals(other.table) for one, other in zip(once, twice, strict=True))


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_captions_of_every_type_of_string_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    texts = ["a dog", None, "a longer text about a cat, beyond twelve bytes"] * 3
    plain = pa.array(texts, pa.string())
    column = plain.dictionary_encode() if pa.types.is_dictionary(kind) else plain.cast(kind)
    path = write_table(tmp_path / "a.parquet", {"caption": column, "other": column})
    assert read(path).texts == [text for text in texts if text]
    (records,) = batches_of(path)
    assert records.table.take([2]).num_rows == 1  # which Arrow cannot do with views
    assert records.table.schema == open_file(files_of(path)[0], ColumnChoice()).schema


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["a dog", "a cat"], []], pa.list_(pa.string())),
        pa.array([["a dog", "a cat"], None], pa.large_list(pa.string_view())),
        pa.array([[["alt", "a dog"], ["title", "a cat"]], []], pa.list_(pa.list_(pa.string()))),
        pa.array([[{"key": "alt", "text": "a dog"}, {"key": None, "text": "a cat"}], []], KEYED),
    ],
    ids=lambda column: str(column.type),
)
def test_several_texts_of_an_image_are_read(tmp_path: Path, column: pa.Array) -> None:
    outcome = read(write_table(tmp_path / "a.parquet", {"url": ["http://a", "http://b"], "texts": column}))
    assert outcome.texts == ["a dog", "a cat"]
    assert outcome.reasons == ["no caption"]


VIEW, TEXT = pa.string_view(), pa.string()
INSIDE = [
    (pa.list_(VIEW), pa.list_(TEXT), [["a dog", None], None, []]),
    (pa.large_list(pa.binary_view()), pa.large_list(pa.binary()), [[b"x"], None]),
    (pa.list_(VIEW, 2), pa.list_(TEXT, 2), [["a dog", "a cat"], None]),
    (pa.list_view(VIEW), pa.list_(TEXT), [["a dog"], None, ["a cat", "a bird"]]),
    (pa.large_list_view(pa.int32()), pa.large_list(pa.int32()), [[1], None, [2, 3]]),
    (pa.map_(VIEW, VIEW), pa.map_(TEXT, TEXT), [[("alt", "a dog")], None]),
    (pa.map_(TEXT, pa.list_(VIEW, 1)), pa.map_(TEXT, pa.list_(TEXT, 1)), [[("alt", ["a dog"])], None]),
    (pa.list_(pa.dictionary(pa.int32(), TEXT)), pa.list_(TEXT), [["a dog", "a dog"], None]),
    (pa.struct([("text", VIEW), ("more", VIEW)]), pa.struct([("text", TEXT), ("more", TEXT)]), [{"text": "a dog", "more": None}, None]),
]


def test_the_plain_type_of_a_type_has_no_views_at_any_depth() -> None:
    view = pa.struct([("text", VIEW), ("more", pa.large_list(pa.list_(pa.binary_view())))])
    plain = pa.struct([("text", TEXT), ("more", pa.large_list(pa.list_(pa.binary())))])
    column = pa.array([[{"text": "a dog", "more": [[b"x"]]}], None], pa.list_(view))  # which Arrow cannot write
    assert plain_types.plain_type(column.type) == pa.list_(plain)
    assert plain_types.plain_column(column).to_pylist() == column.to_pylist()


@pytest.mark.parametrize(("kind", "plain", "values"), INSIDE, ids=[str(kind) for kind, _, _ in INSIDE])
def test_views_and_dictionaries_become_plain_at_any_depth(tmp_path: Path, kind: pa.DataType, plain: pa.DataType, values: list[Any]) -> None:
    column = pa.array(values, kind)
    path = write_table(tmp_path / "a.parquet", {"caption": ["a dog"] * len(values), "other": column})
    (records,) = batches_of(path)
    assert records.table["other"].type.equals(plain)
    assert records.table.schema == open_file(files_of(path)[0], ColumnChoice()).schema
    assert records.table["other"].to_pylist() == column.to_pylist()
    assert records.table.take([len(values) - 1])["other"].to_pylist() == [column[-1].as_py()]


def test_captions_that_are_not_utf8_are_dropped_with_their_rows(tmp_path: Path) -> None:
    texts = pa.array([b"a dog", b"\xff\xfe", b"a cat"], pa.binary()).view(pa.string())
    outcome = read(write_table(tmp_path / "a.parquet", {"caption": texts}))
    assert outcome.texts == ["a dog", "a cat"]
    assert [(drop.reason, drop.row) for drop in outcome.drops] == [("not UTF-8", 1)]


def test_a_file_without_rows_is_not_an_error(tmp_path: Path) -> None:
    assert read(write_table(tmp_path / "a.parquet", {"caption": pa.array([], pa.string())})).records == 0
    schema = pa.schema([("caption", pa.string())])
    pq.ParquetWriter(tmp_path / "b.parquet", schema).close()
    assert read(tmp_path / "b.parquet").records == 0


def test_failed_downloads_of_img2dataset_are_dropped_by_what_happened(tmp_path: Path) -> None:
    columns = {
        "url": ["http://a", "http://b", "http://c"],
        "caption": ["a dog", "a cat", "a bird"],
        "key": ["000000000", "000000001", "000000002"],
        "status": ["success", "failed_to_download", "success"],
        "error_message": [None, "HTTP Error 404", None],
    }
    outcome = read(write_table(tmp_path / "00000.parquet", columns))
    assert outcome.layouts[0].startswith("img2dataset:")
    assert outcome.texts == ["a dog", "a bird"]
    assert outcome.reasons == ["download: failed_to_download"]


# what is wrong with a file


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["the file is empty"]),
        (b"<!DOCTYPE html><html>404</html>", ["the file begins like a web page"]),
        (b'\n<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', ["the file begins like a web page"]),
        (b"\x1f\x8b\x08", ["gzip"]),
        (b"PAR1", ["cut short or damaged"]),
        (b"no Parquet at all", ["[Pp]arquet"]),
    ],
)
def test_a_file_of_another_kind_fails_with_what_it_looks_like(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    refused(path, *words)


def test_a_parquet_file_cut_short_anywhere_fails_with_its_name(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", many(100), rows_per_group=30)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        refused(path)


def test_a_bit_flipped_in_a_page_is_noticed_where_the_file_has_checksums(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", many(100), rows_per_group=30, compression="none", use_dictionary=False)
    content, texts = path.read_bytes(), read(path).texts
    flips = random.Random(0)
    footer = int.from_bytes(content[-8:-4], "little") + 8
    noticed = 0
    for _ in range(200):
        damaged = bytearray(content)
        damaged[flips.randrange(4, len(content) - footer)] ^= 1 << flips.randrange(8)
        path.write_bytes(damaged)
        try:
            assert read(path).texts == texts  # such as in the statistics of a page, or in a column that is not read
        except TallyclipError as error:
            assert isinstance(error, SourceError)
            assert str(path) in error.what
            noticed += 1
    assert noticed > 100


def test_a_damaged_footer_fails_the_file_and_not_the_process(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", many(60), rows_per_group=20)
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    damage = random.Random(0)
    for _ in range(200):
        damaged = bytearray(content)
        damaged[damage.randrange(len(content) - footer, len(content))] = damage.randrange(256)
        path.write_bytes(damaged)
        find_files([str(path)])
        try:
            read(path)
        except TallyclipError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("column", ["caption", "url"])
def test_a_mistyped_column_is_refused_before_reading_with_the_files_name(tmp_path: Path, column: str) -> None:
    columns = {"caption": ["a dog"], "url": ["http://a"]} | {column: [5]}
    path = write_table(tmp_path / "a.parquet", columns)
    refused_option(path, f"column '{column}' holds int64, not text", f"--{column}-column")


def test_a_file_without_captions_is_refused_with_its_columns(tmp_path: Path) -> None:
    refused_option(
        write_table(tmp_path / "a.parquet", {"width": [5], "height": [6]}),
        "no caption column found among: width .int64: 5.; height .int64: 6.",
    )


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", {"words": ["a dog"], "link": ["http://a"], "digest": ["0" * 32]})
    assert read(path, caption="words", url="link").uids == hashed(["http://a"], ["a dog"])
    assert read(path, caption="words", url="link", uid="digest").uids == ["0" * 32]
    refused_option(path, "no column 'text' for --caption-column", "the columns are: words, link, digest", caption="text")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["caption", "caption"])
    refused_option(write_table(tmp_path / "a.parquet", table), "several columns are called 'caption'")


# memory


def allocated_while_reading(path: Path) -> int:
    """The most bytes that Arrow held at any batch."""
    (file,) = files_of(path)
    columns = columns_of(file, ColumnChoice())
    before = pa.total_allocated_bytes()
    most = 0
    for records in read_shard(Shard("a", file), columns, ColumnChoice()):
        most = max(most, pa.total_allocated_bytes() - before)
        del records
    return most


def write_random(path: Path, groups: int, rows_per_group: int) -> Path:
    """Row groups of text that does not compress."""
    draw = np.random.default_rng(0)
    letters = np.frombuffer((string.ascii_letters + string.digits).encode(), np.uint8)
    with pq.ParquetWriter(path, pa.schema([("caption", pa.string())]), use_dictionary=False) as writer:
        for _ in range(groups):
            data = letters[draw.integers(0, len(letters), rows_per_group * 100)]
            offsets = pa.py_buffer(np.arange(rows_per_group + 1, dtype=np.int32) * 100)
            writer.write_table(pa.table({"caption": pa.StringArray.from_buffers(rows_per_group, offsets, pa.py_buffer(data))}))
    return path


def test_memory_does_not_grow_with_the_number_of_row_groups(tmp_path: Path) -> None:
    few = allocated_while_reading(write_random(tmp_path / "few.parquet", 16, 10_000))
    many = allocated_while_reading(write_random(tmp_path / "many.parquet", 64, 10_000))
    assert many < few * 1.5


def test_memory_does_not_grow_with_the_size_of_a_row_group(tmp_path: Path) -> None:
    path = write_random(tmp_path / "a.parquet", 1, 320_000)
    assert allocated_while_reading(path) < path.stat().st_size / 2


def test_batches_of_large_rows_are_small(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "a.parquet", {"caption": [f"{i} " * 500_000 for i in range(40)]}, compression="zstd", use_dictionary=False
    )
    assert max(records.table.nbytes for records in batches_of(path)) <= parquet.BYTES_AT_ONCE * 1.1
    assert read(path).rows == list(range(40))


LARGE, REPEATED = 100_000, 8000  # bytes of a caption that is stored once, and how many rows share it


def most_while_reading(path: Path) -> int:
    """By how many bytes a new process grows at most, after it has read another file."""
    small = write_table(path.with_name("small.parquet"), {"caption": ["a dog"] * 1000})
    if not Path("/proc/self/status").exists():
        pytest.skip("getrusage would tell of the parent's memory too, so this needs /proc")
    command = (
        "import re, sys\n"
        "from tallyclip.readers.parquet import read_records\n"
        "most = lambda: int(re.search('VmHWM:\\\\s*(.*) kB', open('/proc/self/status').read())[1]) << 10\n"
        "for path in sys.argv[1:]:\n"
        "    before = most()\n"
        "    for records in read_records(path, None, 0, None): del records\n"
        "print(most() - before)"
    )
    done = subprocess.run([sys.executable, "-c", command, small, path], capture_output=True, text=True, check=True, timeout=100)
    return int(done.stdout)


@pytest.mark.parametrize("kind", [pa.string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.string())], ids=str)
def test_a_large_value_that_many_rows_share_takes_no_more_memory_than_a_few_batches(tmp_path: Path, kind: pa.DataType) -> None:
    text = "dog " * (LARGE // 4)
    plain = pa.array([[text]] * REPEATED if pa.types.is_list(kind) else [text] * REPEATED)
    column = plain.dictionary_encode() if pa.types.is_dictionary(kind) else plain.cast(kind)
    path = write_table(tmp_path / "a.parquet", {"caption": column}, rows_per_group=REPEATED)
    del plain, column
    assert path.stat().st_size < LARGE
    assert most_while_reading(path) < 10 * parquet.BYTES_AT_ONCE < LARGE * REPEATED / 2


def test_rows_that_become_large_within_a_row_group_take_no_more_memory_than_a_step(tmp_path: Path) -> None:
    texts = [f"caption {i % 100}" for i in range(50_000)] + ["dog " * (LARGE // 4)] * REPEATED
    path = write_table(tmp_path / "a.parquet", {"caption": texts}, rows_per_group=len(texts))
    assert most_while_reading(path) < 10 * parquet.BYTES_AT_ONCE + LARGE * parquet.MOST_ROWS * 1.5
    assert sum(len(records.rows) for records in batches_of(path)) == len(texts)


def test_rows_are_read_in_batches_of_the_usual_size_whatever_the_row_groups(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", many(200_000), rows_per_group=7_000)
    sizes = [len(records.rows) for records in batches_of(path)]
    assert sum(sizes) == 200_000
    assert min(sizes[:-1]) > parquet.RECORDS_AT_ONCE - parquet.MOST_ROWS
    assert max(sizes) <= parquet.RECORDS_AT_ONCE


# servers


def test_a_parquet_file_on_a_web_server_is_read_in_parts(site: Site) -> None:
    write_table(site.folder / "a.parquet", many(3000), rows_per_group=1000)
    assert read(f"{site.url}/a.parquet") == read(site.folder / "a.parquet")


def test_a_web_server_that_gives_whole_files_only_will_not_do_for_parquet(plain_site: Site) -> None:
    write_table(plain_site.folder / "a.parquet", many(10))
    refused(f"{plain_site.url}/a.parquet", "copy it to this machine")


def test_a_large_footer_is_read_whole(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", many(4000), rows_per_group=10)
    assert int.from_bytes(path.read_bytes()[-8:-4], "little") > parquet.USUAL_FOOTER
    assert read(path).rows == list(range(4000))


def test_columns_of_one_name_are_numbered_and_can_be_chosen(tmp_path: Path) -> None:
    arrays = [pa.array(["http://a.example/1"]), pa.array(["a dog"]), pa.array([1]), pa.array([2])]
    scores = write_table(tmp_path / "a.parquet", pa.table(arrays, names=["url", "caption", "score", "score"]))
    assert read(scores).texts == ["a dog"]
    assert table_of(scores).to_pylist() == [{"url": "http://a.example/1", "caption": "a dog", "score": 1, "score_2": 2}]
    twice = write_table(tmp_path / "b.parquet", pa.table([*arrays[:2], pa.array(["a cat"])], names=["url", "caption", "caption"]))
    refused_option(twice, "several columns are called 'caption'", "--caption-column: caption, caption_2")
    assert [read(twice, caption=name).texts for name in ("caption", "caption_2")] == [["a dog"], ["a cat"]]
    (file,) = files_of(twice)
    columns = columns_of(file, ColumnChoice(caption="caption_2"))
    (needed,) = read_shard(Shard("a", file), columns, ColumnChoice(caption="caption_2"))
    assert needed.table.to_pylist() == [{"caption_2": "a cat", "url": "http://a.example/1"}]
