"""CSV and TSV files."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.readers import content as content_module
from tallyclip.readers import csv as csv_module
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.csv import look_at
from tallyclip.readers.detection import USUAL, detect_dialect
from tallyclip.readers.dialects import end_of_rows, is_open, rows_of
from tallyclip.readers.read import columns_of
from tests.readers.tools import batches_of, files_of, hashed, packed, read, refused, refused_option, table_of

CC3M = "a dog\thttp://a.example/1\na cat\thttp://a.example/2\n"


def write(path: Path, content: str | bytes) -> Path:
    return packed(path, content.encode() if isinstance(content, str) else content)


def test_cc3m_is_captions_and_then_urls_without_a_header(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "cc3m.tsv", CC3M))
    assert outcome.texts == ["a dog", "a cat"]
    assert outcome.uids == hashed(["http://a.example/1", "http://a.example/2"], ["a dog", "a cat"])


def test_cc12m_is_urls_and_then_captions_without_a_header(tmp_path: Path) -> None:
    turned = "".join("\t".join(line.split("\t")[::-1]) + "\n" for line in CC3M.splitlines())
    assert read(write(tmp_path / "cc12m.tsv", turned)) == read(write(tmp_path / "cc3m.tsv", CC3M))


def test_a_header_of_a_known_layout_is_distinguished_from_a_row(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "a.csv", "SAMPLE_ID,URL,TEXT\n1,http://a.example/1,a dog\n"))
    assert outcome.layouts == ["LAION: caption = TEXT, url = URL"]
    assert (outcome.texts, outcome.rows) == (["a dog"], [0])


def test_a_header_with_a_named_column_is_distinguished_from_a_row(tmp_path: Path) -> None:
    outcome = read(write(tmp_path / "a.csv", "words,link\na dog,http://a.example/1\n"), caption="words", url="link")
    assert outcome.texts == ["a dog"]


def test_the_option_decides_what_the_first_line_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", CC3M)
    assert read(path, header=False).texts == ["a dog", "a cat"]
    refused_option(path, "among: a dog .*; http://a.example/1", header=True)
    assert read(path, header=True, caption="a dog").texts == ["a cat"]
    named = write(tmp_path / "b.csv", "url,caption\nhttp://a.example/1,a dog\nhttp://a.example/2,a cat\n")
    assert read(named, header=False).texts == ["caption", "a dog", "a cat"]


def test_lines_of_one_value_are_captions(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.tsv", "a dog\na cat\n")).texts == ["a dog", "a cat"]


def test_columns_that_nobody_can_tell_are_numbered_so_that_they_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "1\ta dog\thttp://a.example/1\n")
    refused_option(path, "among: column_0 .text: '1'.; column_1 .text: 'a dog'.; column_2", "--caption-column")
    assert read(path, caption="column_1", url="column_2").uids == hashed(["http://a.example/1"], ["a dog"])


def test_blank_names_in_a_header_are_numbered(tmp_path: Path) -> None:
    assert table_of(write(tmp_path / "a.csv", ",caption,\n0,a dog,x\n")).column_names == ["column_0", "caption", "column_2"]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    refused_option(write(tmp_path / "a.csv", "url,caption,url\n1,2,3\n"), "several columns are called 'url'")


def test_every_value_stays_text(tmp_path: Path) -> None:
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


def test_a_byte_order_mark_and_carriage_returns_are_not_part_of_values(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbf"caption",url\r\na dog,http://a.example/1\r\n')
    assert table_of(path).to_pylist() == [{"caption": "a dog", "url": "http://a.example/1"}]


def test_the_last_line_need_not_end(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "caption\na dog\na cat")).texts == ["a dog", "a cat"]
    assert read(write(tmp_path / "b.csv", "caption")).records == 0


def test_blank_lines_before_the_first_row_are_skipped_and_later_ones_are_rows(tmp_path: Path) -> None:
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
    monkeypatch.setattr(content_module, "CHUNK", 16)
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
    monkeypatch.setattr(content_module, "CHUNK", 100)
    path = write(tmp_path / "a.csv", "caption,x\n" + "".join(f"{i},x\n" if i % 9 else "bad\n" for i in range(99)))
    once, twice = batches_of(path), batches_of(path)
    assert len(once) > 3
    assert [(r.rows.tolist(), r.table.to_pylist(), r.drops) for r in once] == [
        (r.rows.tolist(), r.table.to_pylist(), r.drops) for r in twice
    ]


# dialects that are not the suffix's

CELLS = [("http://a.example/1", "a dog, big"), ("http://a.example/2", 'a "red" cat'), ("http://a.example/3", "x; y")]


def in_dialect(rows: list[tuple[str, str]], **dialect: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n", **dialect).writerows(rows)
    return buffer.getvalue()


@pytest.mark.parametrize("header", [[], [("url", "caption")]], ids=["data", "header"])
@pytest.mark.parametrize(("suffix", "delimiter"), [*(("csv", d) for d in "\t;|"), *(("tsv", d) for d in ",;|")])
@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
def test_another_delimiter_than_the_suffixs_is_detected_and_said(
    tmp_path: Path, header: list[tuple[str, str]], suffix: str, delimiter: str, packing: str
) -> None:
    path = write(tmp_path / f"a.{suffix}{packing}", in_dialect(header + CELLS, delimiter=delimiter))
    outcome = read(path)
    assert outcome.texts == [text for _, text in CELLS]
    assert outcome.uids == hashed(*zip(*CELLS, strict=True))
    assert re.search(r"\((comma|tab|semicolon|pipe)-separated, (not )?quoted", outcome.layouts[0])
    example = columns_of(files_of(path)[0], ColumnChoice()).example
    assert example is not None
    assert "url = 'http://a.example/1', caption = 'a dog, big'" in example


@pytest.mark.parametrize("delimiter", "\t;|")
def test_commas_in_all_captions_are_not_a_delimiter_where_urls_end_before_them(tmp_path: Path, delimiter: str) -> None:
    rows = [(f"http://a.example/{i}", "a cat, asleep") for i in range(3)]
    path = write(tmp_path / "a.csv", "".join(f"{url}{delimiter}{text}\n" for url, text in rows))
    assert read(path).uids == hashed(*zip(*rows, strict=True))


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_tsv_file_with_quoted_values_is_read_as_it_was_written(tmp_path: Path, quoting: Any, newline: str) -> None:
    rows = [("en", "http://a.example/1", "dog\non the beach"), ("en", "http://a.example/2", 'tapir, called "big"'), ("de", "", "a cat")]
    buffer = io.StringIO()
    header = ("language", "image_url", "caption_reference_description")
    csv.writer(buffer, delimiter="\t", quoting=quoting, lineterminator=newline).writerows([header, *rows])
    path = write(tmp_path / "wit.tsv", buffer.getvalue())
    assert read(path, caption=header[2], url=header[1]).texts == [row[2] for row in rows]
    assert "tab-separated, quoted with" in read(path, caption=header[2]).layouts[0]


@pytest.mark.parametrize(
    "captions",
    [
        ['"a dog', "a cat"],  # never closed
        ['"a dog', 'a cat"'],  # which looks like one value over two rows
        ['"a dog" barks', "a cat"],  # with data after the quote
        ['"a dog"', "a cat"],  # quotes that are not needed
        ['"Hello', 'a ""cat"" "', '5" x', '"'],
    ],
)
def test_in_tsv_a_quotation_mark_that_encloses_nothing_is_an_ordinary_character(tmp_path: Path, captions: list[str]) -> None:
    rows = "".join(f"{caption}\thttp://a.example/{i}\n" for i, caption in enumerate(captions))
    assert read(write(tmp_path / "a.tsv", rows)).texts == captions


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_captions_alone_stay_whole_whatever_characters_they_share(tmp_path: Path, suffix: str) -> None:
    captions = ["Red shoes | Shop", "Blue shoes | Shop", "Green shoes | Shop"] * 40
    path = write(tmp_path / f"a.{suffix}", "\n".join(captions))
    assert read(path).texts == captions
    example = columns_of(files_of(path)[0], ColumnChoice()).example
    assert example is not None
    assert "every row also contains '|': if it separates the columns, give --delimiter pipe" in example
    refused_option(path, "among: column_0 .text: 'Red shoes '.", delimiter="|")


def test_a_backslash_before_quotes_is_an_escape_where_doubled_quotes_make_no_sense(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'url,caption\nhttp://a.example/1,"a \\"big\\", red dog"\nhttp://a.example/2,a cat\n')
    assert read(path).texts == ['a "big", red dog', "a cat"]
    assert "escaped with \\" in read(path).layouts[0]
    windows = write(tmp_path / "b.csv", 'url,caption\nhttp://a.example/1,"C:\\dir\\"\nhttp://a.example/2,"a ""cat"""\n')
    assert read(windows).texts == ["C:\\dir\\", 'a "cat"']


def test_options_take_precedence_over_detection(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "http://a.example/1^'a dog^ big'\nhttp://a.example/2^it%'s\n")
    assert read(path, delimiter="^", quote="'", escape="%").texts == ["a dog^ big", "it's"]
    letters = write(tmp_path / "b.csv", 'url,caption\n1,"a dog\n2,a cat\n')
    refused(letters, "never closed", "--quote none")
    assert read(letters, quote="").texts == ['"a dog', "a cat"]
    quoted = write(tmp_path / "c.tsv", '"a dog"\thttp://a.example/1\n')
    assert read(quoted, quote='"').texts == ["a dog"]


@pytest.mark.parametrize(
    ("form", "row"), [({"quote": '"'}, '"a dog\n%d",x\n'), ({"quote": "'"}, "'a dog\n%d',x\n"), ({"escape": "\\"}, "a dog\\\n%d,x\n")]
)
def test_a_value_with_line_breaks_is_whole_in_every_dialect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any, row: str) -> None:
    path = write(tmp_path / "a.tsv", "caption,x\n" + "".join(row % i for i in range(200)))
    monkeypatch.setattr(content_module, "CHUNK", 16)
    assert len(batches_of(path, delimiter=",", **form)) > 20
    assert read(path, delimiter=",", **form).texts == [f"a dog\n{i}" for i in range(200)]


def test_what_is_detected_does_not_depend_on_how_a_file_comes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tsv", "url\tcaption\n" + "".join(f'http://a.example/{i}\t"a ""big"" dog"\n' for i in range(300)))
    whole = look_at(str(path), "tsv", ColumnChoice())
    for size in (1, 7, 1000):
        monkeypatch.setattr(content_module, "CHUNK", size)
        assert look_at(str(path), "tsv", ColumnChoice()).dialect == whole.dialect == ("\t", '"', "")


@pytest.mark.parametrize(
    "rows", ["img,descr\nhttp://a.example/1,a dog\nhttp://a.example/2,a cat\n", "file,descr\n1.jpg,a dog\n2.jpg,a cat\n"]
)
def test_a_header_of_unknown_names_is_detected_by_the_rows_below_it(tmp_path: Path, rows: str) -> None:
    path = write(tmp_path / "a.csv", rows)
    refused_option(path, "among: (img|file) .text: .*; descr .text: 'a dog'.", "--caption-column")
    assert read(path, caption="descr").texts == ["a dog", "a cat"]


@pytest.mark.parametrize(
    ("name", "first", "rest"),
    [
        ("a.csv", "a dog,http://a.example/b c.jpg", "a cat,http://a.example/1.jpg"),
        ("a.tsv", "a dog\tHTTP://a.example/0.jpg", "a cat\thttp://a.example/1.jpg"),
        ("a.tsv", "a dog\tN/A", "a cat\thttp://a.example/1.jpg"),
        ("a.tsv", "dog\tnull", "cat\thttp://a.example/1.jpg"),
        ("a.tsv", "dog\t1.jpg", "cat\thttp://a.example/1.jpg"),
        ("a.csv", "2 dogs", "1"),
    ],
)
def test_a_first_row_that_may_not_be_a_header_is_data_where_the_columns_are_clear_without_one(
    tmp_path: Path, name: str, first: str, rest: str
) -> None:
    outcome = read(write(tmp_path / name, "\n".join([first] + [rest] * 20)))
    caption = rest.partition("," if name == "a.csv" else "\t")[0]
    assert outcome.texts == [first.partition("," if name == "a.csv" else "\t")[0]] + [caption] * 20


def test_where_only_the_rows_below_the_first_make_it_a_header_an_error_names_the_option(tmp_path: Path) -> None:
    unclear = write(tmp_path / "a.csv", "img,descr,x\nhttp://a.example/1,a dog,1\n")
    refused_option(unclear, "first row is taken for a header: give --no-header if it is data")
    known = write(tmp_path / "b.csv", "url,caption\nhttp://a.example/1,a dog\n")
    assert "--no-header" not in str(refused_option(known, "no column 'nosuch'", caption="nosuch"))


def test_a_first_row_that_nobody_can_tell_from_a_header_is_data_and_the_option_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "descr\na dog\na cat\n")
    assert read(path).texts == ["descr", "a dog", "a cat"]
    example = columns_of(files_of(path)[0], ColumnChoice()).example
    assert example is not None
    assert "no header (--header if the first row is one)" in example
    assert columns_of(files_of(write(tmp_path / "b.tsv", CC3M))[0], ColumnChoice()).example is None


def test_spaces_around_the_names_of_a_header_are_ignored_where_a_known_name_is_meant(tmp_path: Path) -> None:
    path = write(tmp_path / "results.csv", "image_name| comment_number| comment\n1.jpg| 0| a dog , a cat\n1.jpg| 1| a red cat .\n")
    outcome = read(path)
    assert outcome.layouts == ['Flickr30k: caption = comment, key = image_name (pipe-separated, quoted with ")']
    assert outcome.texts == read(path, caption="comment").texts == [" a dog , a cat", " a red cat ."]


def test_columns_of_one_name_are_numbered_and_one_with_a_role_is_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "url,caption,score,score\nhttp://a.example/1,a dog,1,2\n")
    assert table_of(path).to_pylist() == [{"url": "http://a.example/1", "caption": "a dog", "score": "1", "score_2": "2"}]
    twice = write(tmp_path / "b.csv", "url,caption,caption\nhttp://a.example/1,a dog,a cat\n")
    refused_option(twice, "several columns are called 'caption'", "--caption-column: caption, caption_2")
    assert read(twice, caption="caption").texts == ["a dog"]
    assert read(twice, caption="caption_2").texts == ["a cat"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_row_of_very_many_values_fails_the_file(tmp_path: Path, name: str) -> None:
    refused(write(tmp_path / name, (",\t"[name == "a.tsv"] * 20_000) + "\n"), "first row has more than 10,000 values", "--delimiter")


def test_other_peoples_files_are_read(shared_data: Path) -> None:
    cases = shared_data / "cases"
    cc, semi = read(cases / "11-csv-other-delimiter/cc.csv"), read(cases / "11-csv-other-delimiter/semi.csv")
    assert cc.uids == hashed([f"http://e.example/{i}.jpg" for i in (1, 2, 3)], ["a dog on the beach", "a red cat, asleep", "a tapir"])
    assert semi.uids == hashed([f"http://e.example/{i}.jpg" for i in (1, 2)], ["a dog, big", "a red cat"])
    assert len(read(cases / "11-csv-other-delimiter/results.csv", caption="comment").texts) == 2
    wit = read(cases / "13-tsv-with-quotes/wit.tsv", caption="caption_reference_description", url="image_url")
    assert wit.texts == ["dog\non the beach", "a cat", 'tapir, called "big", near a tree']
    assert read(cases / "19-duplicate-columns/joined.parquet").texts == ["a dog"]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("unit", [' ""', '""', '\\"', ',""', '\t"""', '"\t"'])
def test_the_time_to_detect_quotes_is_linear_in_the_size(tmp_path: Path, unit: str) -> None:
    row = "x" + unit * (1_000_000 // len(unit)) + "y\n"
    path = write(tmp_path / "a.tsv", 'url\tcaption\nhttp://a/1\t"b ""c"""\nhttp://a/2\t' + row)
    assert look_at(str(path), "tsv", ColumnChoice()).names == ["url", "caption"]


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
    monkeypatch.setattr(content_module, "CHUNK", 64)
    monkeypatch.setattr(csv_module, "LARGEST", 1000)
    refused(write(tmp_path / "a.csv", 'caption\na\n"' + "dog " * 1000 + '"\n'), "the row at byte 10 is larger", "may not be closed")


def in_chunks(patch: pytest.MonkeyPatch, size: int) -> None:
    """Files are read in chunks of this size, and an unfinished row is searched again after as many bytes."""
    patch.setattr(content_module, "CHUNK", size)
    patch.setattr(csv_module, "CHUNK", size)


# memory


@pytest.mark.parametrize("row", ["\n", "a\n", "a,b\n", "\r", "a\r", "a,b\r", '"a",b\r', "a,b\r\n"], ids=ascii)
@pytest.mark.parametrize("start", ["caption,url", 'caption,url,"\n"'], ids=["line", "quoted line end"])
def test_however_short_rows_are_batches_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, start: str) -> None:
    monkeypatch.setattr(csv_module, "MOST_LINES", 1000)
    wide = start.count(",") - 1
    rows = row.replace("b", "b" + ",c" * wide) * 20_000
    batches = batches_of(write(tmp_path / "a.csv", start + row.lstrip('a,b"') + rows))
    sizes = [len(batch.rows) + len(batch.drops) for batch in batches]
    assert sum(sizes) == 20_000
    assert max(sizes) <= 1001  # and one that began before


def test_a_file_of_carriage_returns_is_read_however_large_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_chunks(monkeypatch, 1000)
    monkeypatch.setattr(csv_module, "LARGEST", 5000)
    outcome = read(write(tmp_path / "a.csv", "caption,x\r" + "a,b\r" * 5000))
    assert outcome.texts == ["a"] * 5000
    assert outcome.rows == list(range(5000))


def test_an_unfinished_row_is_searched_once_per_chunk_and_not_once_per_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    monkeypatch.setattr(csv_module, "MOST_LINES", 10)
    monkeypatch.setattr(csv_module, "end_of_rows", lambda rows, dialect: looked_at.append(len(rows)) or end_of_rows(rows, dialect))
    content = 'caption,x\n"' + "\n" * 100_000 + '",b\n'
    outcome = read(write(tmp_path / "a.csv", content))
    assert [len(text) for text in outcome.texts] == [100_000]
    assert sum(looked_at) < 10 * len(content)


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
        in_chunks(patch, chunk)
        found = table_of(path)
    assert [(row["caption"], row["x"]) for row in found.to_pylist()] == rows


pieces = st.sampled_from([b"a", b",", b"\t", b"\n", b"\r", b"\r\n", b'"', b'""', b"\xff", b"\xc3\xa9", b"\0", b" "])


@given(content=st.lists(pieces, min_size=1, max_size=30).map(b"".join), name=st.sampled_from(["a.csv", "a.tsv"]), chunk=st.integers(1, 40))
def test_of_any_bytes_every_row_is_a_pair_or_a_drop(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str, chunk: int
) -> None:
    content = b"url,caption\n".replace(b",", b"," if name == "a.csv" else b"\t") + content
    path = write(tmp_path_factory.mktemp("any") / name, content)
    dialect, _ = detect_dialect(content.lstrip(b"\r\n"), whole=True, kind=name[2:], choice=ColumnChoice())
    if is_open(content, dialect):
        refused(path, "never closed")
        return
    whole = read(path)
    rows = len(list(rows_of(content, dialect))) - 1
    assert whole.records == rows
    assert sorted([*whole.rows, *(drop.row for drop in whole.drops)]) == list(range(rows))
    with pytest.MonkeyPatch.context() as patch:
        in_chunks(patch, chunk)
        parts = read(path)
    assert parts._replace(drops=sorted(parts.drops)) == whole._replace(drops=sorted(whole.drops))


odd_cells = st.lists(st.sampled_from(["a", "dog", "é", '"', '""', ",", "\t", ";", "|", "\n", "\r\n", " ", "\\", "'", "5"]), max_size=6).map(
    "".join
)


@given(
    texts=st.lists(odd_cells, min_size=1, max_size=40),
    kind=st.sampled_from(["csv", "tsv"]),
    delimiter=st.sampled_from(",\t;|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    header=st.booleans(),
)
def test_what_python_writes_in_any_dialect_is_read_as_written_or_as_the_suffix_says(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], kind: str, delimiter: str, quoting: Any, header: bool
) -> None:
    """In RFC 4180's form with any delimiter: the values that were written, or the suffix's dialect, or an error; never a third reading."""
    rows = [(f"http://a.example/{i}", text) for i, text in enumerate(texts)]
    content = in_dialect([("url", "caption")] * header + rows, delimiter=delimiter, quoting=quoting)
    path = write(tmp_path_factory.mktemp("any") / f"a.{kind}", content)
    dialect, _ = detect_dialect(content.encode(), whole=True, kind=kind, choice=ColumnChoice())
    if dialect == USUAL[kind] != (delimiter, '"', ""):
        return
    found = table_of(path).to_pylist()
    assert [(row["url"], row["caption"]) for row in found] == rows
