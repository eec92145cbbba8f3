"""CSV and TSV files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.pool import delimited, reading
from tallyclip.pool.detection import USUAL
from tallyclip.pool.dialects import is_open, rows_of
from tests.pool.tools import batches_of, hashed, packed, read, refused, refused_option, table_of

CC3M = "a dog\thttp://a.example/1\na cat\thttp://a.example/2\n"


def write(path: Path, content: str | bytes) -> Path:
    return packed(path, content.encode() if isinstance(content, str) else content)


def test_cc3m_is_captions_and_then_addresses_without_a_header(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "cc3m.tsv", CC3M))
    assert outcome.texts == ["a dog", "a cat"]
    assert outcome.uids == hashed(["http://a.example/1", "http://a.example/2"], ["a dog", "a cat"])


def test_cc12m_is_addresses_and_then_captions_without_a_header(tmp_path: Path) -> None:
    turned = "".join("\t".join(line.split("\t")[::-1]) + "\n" for line in CC3M.splitlines())
    assert read(write(tmp_path / "cc12m.tsv", turned)) == read(write(tmp_path / "cc3m.tsv", CC3M))


def test_a_header_of_a_known_layout_is_told_from_a_row(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "a.csv", "SAMPLE_ID,URL,TEXT\n1,http://a.example/1,a dog\n"))
    assert outcome.layouts == ["LAION: caption = TEXT, url = URL"]
    assert (outcome.texts, outcome.rows) == (["a dog"], [0])


def test_a_header_with_a_named_column_is_told_from_a_row(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "a.csv", "words,link\na dog,http://a.example/1\n"), caption="words", url="link")
    assert outcome.texts == ["a dog"]


def test_the_option_decides_what_the_first_line_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", CC3M)
    assert read(path, header=False).texts == ["a dog", "a cat"]
    refused_option(path, "among: a dog .*, http://a.example/1", header=True)
    assert read(path, header=True, caption="a dog").texts == ["a cat"]
    named = write(tmp_path / "b.csv", "url,caption\nhttp://a.example/1,a dog\nhttp://a.example/2,a cat\n")
    assert read(named, header=False).texts == ["caption", "a dog", "a cat"]


def test_lines_of_one_value_are_captions(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.tsv", "a dog\na cat\n")).texts == ["a dog", "a cat"]


def test_columns_that_nobody_can_tell_are_numbered_so_that_they_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "1\ta dog\thttp://a.example/1\n")
    refused_option(path, "among: column_0 .such as '1'., column_1 .such as 'a dog'., column_2", "--caption-column")
    assert read(path, caption="column_1", url="column_2").uids == hashed(["http://a.example/1"], ["a dog"])


def test_blank_names_in_a_header_are_numbered(tmp_path: Path) -> None:
    assert table_of(write(tmp_path / "a.csv", ",caption,\n0,a dog,x\n")).column_names == ["column_0", "caption", "column_2"]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    refused_option(write(tmp_path / "a.csv", "url,caption,url\n1,2,3\n"), "several columns are called 'url'")


def test_every_value_stays_the_text_it_is(tmp_path: Path) -> None:
    table = table_of(write(tmp_path / "a.csv", "caption,x\nNULL,007\n,nan\n true ,1e3\n"))
    assert table.to_pylist() == [{"caption": "NULL", "x": "007"}, {"caption": "", "x": "nan"}, {"caption": " true ", "x": "1e3"}]


def test_in_csv_quoted_values_hold_commas_line_breaks_and_quotation_marks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'caption,url\n"a ""big"" dog,\nand a cat",http://a.example/1\n"",5" x "y"\n')
    assert table_of(path)["caption"].to_pylist() == ['a "big" dog,\nand a cat', ""]
    assert table_of(path)["url"].to_pylist() == ["http://a.example/1", '5" x "y"']


def test_in_tsv_a_quotation_mark_is_a_letter(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.tsv", '"a dog\thttp://a.example/1\na 5" cat"\thttp://a.example/2\n')).texts == ['"a dog', 'a 5" cat"']


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".bz2"])
def test_compressed_files_are_unpacked(tmp_path: Path, suffix: str) -> None:
    assert read(write(tmp_path / f"a.tsv{suffix}", CC3M)).texts == ["a dog", "a cat"]


def test_a_byte_order_mark_and_carriage_returns_belong_to_no_value(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbf"caption",url\r\na dog,http://a.example/1\r\n')
    assert table_of(path).to_pylist() == [{"caption": "a dog", "url": "http://a.example/1"}]


def test_the_last_line_need_not_end(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "caption\na dog\na cat")).texts == ["a dog", "a cat"]
    assert read(write(tmp_path / "b.csv", "caption")).records == 0


def test_blank_lines_before_the_first_row_are_none_and_later_ones_are_rows(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "a.csv", "\n\r\ncaption\na dog\n\na cat\n"))
    assert (outcome.texts, outcome.rows) == (["a dog", "", "a cat"], [0, 1, 2])


def test_rows_with_too_many_or_too_few_values_are_dropped_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "a.csv", "url,caption\n1,a\n2\n3,c\n4,d,e\n5,f\n"))
    assert (outcome.texts, outcome.rows) == (["a", "c", "f"], [0, 2, 4])
    assert [(drop.reason, drop.row, drop.sample) for drop in outcome.drops] == [
        ("wrong number of columns", 1, "2"),
        ("wrong number of columns", 3, "4,d,e"),
    ]


def test_rows_that_are_not_utf8_are_dropped_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    content = b'url,caption\n1,a\n2,\xff\n3,"c\nc"\n\xff,1,2\n5,e\n6\n'
    outcome = read(write(tmp_path / "a.csv", content))
    assert (outcome.texts, outcome.rows) == (["a", "c\nc", "e"], [0, 2, 4])
    assert sorted((drop.row, drop.reason) for drop in outcome.drops) == [
        (1, "not UTF-8"),
        (3, "not UTF-8"),
        (5, "wrong number of columns"),
    ]


def test_a_first_row_that_is_not_utf8_is_a_bad_row_or_a_header(tmp_path: Path) -> None:
    without = read(write(tmp_path / "a.tsv", b"caf\xe9\thttp://a.example/1\na dog\thttp://a.example/2\n"))
    assert (without.texts, without.rows, without.reasons) == (["a dog"], [1], ["not UTF-8"])
    assert read(write(tmp_path / "b.csv", b"caption,caf\xe9\na dog,x\n")).texts == ["a dog"]


@pytest.mark.parametrize(("name", "quote"), [("a.csv", '"'), ("a.tsv", "")])
def test_a_caption_of_ten_megabytes_is_one(tmp_path: Path, name: str, quote: str) -> None:
    large = "dog " * 2_600_000
    outcome = read(write(tmp_path / name, f"before\n{quote}{large}{quote}\nafter\n"))
    assert [len(text) for text in outcome.texts] == [6, len(large), 5]
    assert outcome.rows == [0, 1, 2]


def test_rows_are_numbered_on_over_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 16)
    content = b"caption,x\n" + b"".join(b'"a\n%d",x\n' % i if i % 7 else b"\xff,x\n" if i % 2 else b"bad\n" for i in range(100))
    path = write(tmp_path / "a.csv", content)
    assert len(batches_of(path)) > 20
    outcome = read(path)
    assert outcome.rows == [i for i in range(100) if i % 7]
    assert outcome.texts == [f"a\n{i}" for i in range(100) if i % 7]
    assert sorted((drop.row, drop.reason) for drop in outcome.drops) == [
        (i, "not UTF-8" if i % 2 else "wrong number of columns") for i in range(0, 100, 7)
    ]


def test_reading_twice_gives_the_same_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 100)
    path = write(tmp_path / "a.csv", "caption,x\n" + "".join(f"{i},x\n" if i % 9 else "bad\n" for i in range(99)))
    once, twice = batches_of(path), batches_of(path)
    assert len(once) > 3
    assert [(r.rows.tolist(), r.table.to_pylist(), r.drops) for r in once] == [
        (r.rows.tolist(), r.table.to_pylist(), r.drops) for r in twice
    ]


# what is wrong with a file


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.tsv.zst"])
def test_an_empty_file_fails_with_its_name(tmp_path: Path, name: str) -> None:
    refused(write(tmp_path / name, b""), "the file is empty")
    (tmp_path / name).write_bytes(b"")
    refused(tmp_path / name, "the file is empty")


def test_a_file_of_blank_lines_fails_with_its_name(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.csv", "\n\r\n\n"), "only blank lines")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\n <!doctype HTML>\n<html>", "web page"),
        (b"PAR1\x15\x04", "a Parquet file: give it the suffix .parquet"),
        (b"\x1f\x8b\x08\x00", "a gzip file"),
        (b"\x28\xb5\x2f\xfd\x00", "a Zstandard file"),
        (b"BZh91AY&SY", "a bzip2 file"),
        (b"PK\x03\x04", "a zip archive"),
        ("caption\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_of_another_kind_fails_with_what_it_looks_like(tmp_path: Path, content: bytes, word: str) -> None:
    refused(write(tmp_path / "a.csv", content), word)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_a_compressed_file_cut_short_fails_with_its_name(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.csv{suffix}", "caption\n" + "a dog\n" * 5000)
    content = path.read_bytes()
    for length in (1, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path, "cut short or damaged")


@pytest.mark.parametrize("tail", ['"a dog', '"a dog\nmore,2\n', '"a ""', 'a,"b\n'])
def test_a_quotation_mark_that_is_never_closed_fails_the_file_with_its_place(tmp_path: Path, tail: str) -> None:
    refused(write(tmp_path / "a.csv", "caption,x\na,b\n" + tail), "a quotation mark in the row at byte 14 is never closed")


def test_a_row_larger_than_any_caption_fails_the_file_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 64)
    monkeypatch.setattr(delimited, "LARGEST", 1000)
    refused(write(tmp_path / "a.csv", 'caption\na\n"' + "dog " * 1000 + '"\n'), "the row at byte 10 is larger", "may not be closed")


# laws


def written(rows: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue()


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6) | st.sampled_from(["", '"', ",", "\n", '""', ",\n"])


@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=12), chunk=st.integers(8, 64))
def test_what_python_writes_as_csv_is_read_back_wherever_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], chunk: int
) -> None:
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", written([["caption", "x"], *map(list, rows)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK", chunk)
        found = table_of(path)
    assert [(row["caption"], row["x"]) for row in found.to_pylist()] == rows


pieces = st.sampled_from([b"a", b",", b"\t", b"\n", b"\r", b"\r\n", b'"', b'""', b"\xff", b"\xc3\xa9", b"\0", b" "])


@given(content=st.lists(pieces, min_size=1, max_size=30).map(b"".join), name=st.sampled_from(["a.csv", "a.tsv"]), chunk=st.integers(1, 40))
def test_of_any_bytes_every_row_is_a_pair_or_a_drop(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str, chunk: int
) -> None:
    content = b"url,caption\n".replace(b",", b"," if name == "a.csv" else b"\t") + content
    path = write(tmp_path_factory.mktemp("any") / name, content)
    dialect = USUAL[name[2:]]
    if is_open(content, dialect):
        refused(path, "never closed")
        return
    whole = read(path)
    rows = len(list(rows_of(content, dialect))) - 1
    assert whole.records == rows
    assert sorted([*whole.rows, *(drop.row for drop in whole.drops)]) == list(range(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK", chunk)
        parts = read(path)
    assert parts._replace(drops=sorted(parts.drops)) == whole._replace(drops=sorted(whole.drops))
