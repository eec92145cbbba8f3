"""Tables of counts that others have made: every line is a word with its count, or is counted by the reason why not."""

from __future__ import annotations

import bz2
import gzip
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.strings import Strings
from tallyclip.errors import SourceError
from tallyclip.lists import count_tables
from tallyclip.lists.count_tables import HEADER, LARGEST_COUNT, NO_COUNT, NO_PAIR, NOT_UTF8, ODD_COUNT, read_pair_counts, read_word_counts

Rows = list[tuple[str, int]]


def texts_of(words: Strings) -> list[str]:
    return [words.data[start:end].tobytes().decode() for start, end in pairwise(words.offsets)]


def words_of(path: Path) -> tuple[Rows, dict[str, int]]:
    """The words with their counts, and what was dropped."""
    drops = Counter[str]()
    batches = list(read_word_counts(str(path), drops, lambda _: None))
    return [row for words, counts in batches for row in zip(texts_of(words), counts.tolist(), strict=True)], dict(drops)


def pairs_of(path: Path) -> tuple[list[tuple[str, str, int]], dict[str, int]]:
    drops = Counter[str]()
    rows: list[tuple[str, str, int]] = []
    for words, counts in read_pair_counts(str(path), drops, lambda _: None):
        texts = texts_of(words)
        rows += zip(texts[::2], texts[1::2], counts.tolist(), strict=True)
    return rows, dict(drops)


def write(folder: Path, content: bytes, name: str = "words.tsv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


# words


def test_words_are_read_with_their_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "the\t23135851162\nNew York\t5\nnaïve\t1\n".encode())
    assert words_of(path) == ([("the", 23135851162), ("New York", 5), ("naïve", 1)], {})


@pytest.mark.parametrize(
    ("content", "rows", "drops"),
    [
        (b"word\tcount\ndog\t5\n", [("dog", 5)], {HEADER: 1}),
        (b"word\tcount\r\ndog\t5\r\n", [("dog", 5)], {HEADER: 1}),
        (b"\xef\xbb\xbfdog\t5", [("dog", 5)], {}),
        (b"word\tcount\n", [], {HEADER: 1}),
        (b"dog\t5\nword\tcount\n", [("dog", 5)], {NO_COUNT: 1}),
        (b"dog\ncat\t5\n", [("cat", 5)], {NO_COUNT: 1}),
        (b"\ncat\t5\n\n", [("cat", 5)], {NO_COUNT: 2}),
        (b"dog\t5\tx\ndog\t5\t3\n\t3\ncat\t5\n", [("cat", 5)], {HEADER: 1, NO_COUNT: 2}),
        (b"dog 5\ndog\t-5\ndog\t5.0\ndog\t5 \ndog\t\ncat\t5\n", [("cat", 5)], {NO_COUNT: 5}),
        ("dog\t٥\ncat\t5\ndog\t٥\n".encode(), [("cat", 5)], {HEADER: 1, NO_COUNT: 1}),
        (b"dog\t0\ncat\t5\n", [("cat", 5)], {ODD_COUNT: 1}),
        (b"caf\xe9\t5\ncat\t5\n", [("cat", 5)], {NOT_UTF8: 1}),
        (f"a\t{LARGEST_COUNT}\nb\t{LARGEST_COUNT + 1}\nc\t{'9' * 5000}\n".encode(), [("a", LARGEST_COUNT)], {ODD_COUNT: 2}),
        (b"a\t007\n", [("a", 7)], {}),
    ],
)
def test_a_line_is_a_word_or_is_counted_by_its_reason(tmp_path: Path, content: bytes, rows: Rows, drops: dict[str, int]) -> None:
    assert words_of(write(tmp_path, content)) == (rows, drops)


LINES = st.sampled_from([b"dog\t5", b"New York\t12", b"cat\t0", b"x", b"", b"\xff\t5", b"a\tb\t5", b"word\tcount", b"dog\t5\r", b"\t7"])


@given(lines=st.lists(LINES, min_size=1), end=st.sampled_from([b"\n", b""]))
def test_no_line_is_lost(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes) -> None:
    path = write(tmp_path_factory.mktemp("tables"), b"dog\t1\n" + b"\n".join(lines) + end)
    rows, drops = words_of(path)
    empty_last = end == b"" and lines[-1] == b""  # which is no line
    assert len(rows) + sum(drops.values()) == 1 + len(lines) - empty_last
    assert len(rows) == 1 + sum(line.rstrip(b"\r") in (b"dog\t5", b"New York\t12") for line in lines)


def test_many_lines_come_in_batches_and_progress_is_that_of_all_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_tables, "AT_ONCE", 3)
    content = "".join(f"word{i}\t{i + 1}\n" for i in range(9)) + "odd\n"
    path, ticks = write(tmp_path, content.encode()), list[int]()
    batches = list(read_word_counts(str(path), Counter(), ticks.append))
    assert [len(counts) for _, counts in batches] == [3, 3, 3, 0]
    assert sum(ticks) == len(content)
    assert words_of(path)[0] == [(f"word{i}", i + 1) for i in range(9)]


@pytest.mark.parametrize(("name", "pack"), [("words.tsv.gz", gzip.compress), ("words.txt.bz2", bz2.compress)])
def test_packed_tables_are_unpacked(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    assert words_of(write(tmp_path, pack(b"dog\t5\n"), name)) == ([("dog", 5)], {})


def test_a_table_that_was_cut_short_is_an_error_and_not_a_shorter_table(tmp_path: Path) -> None:
    packed = gzip.compress("".join(f"word{i}\t{i + 1}\n" for i in range(9999)).encode())
    with pytest.raises(SourceError, match=r"words\.tsv\.gz: ") as caught:
        words_of(write(tmp_path, packed[:-3000], "words.tsv.gz"))
    assert "cut short or damaged" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "there is nothing in it"),
        ("dog\t5\n".encode("utf-16"), "does not match the suffix"),
        (gzip.compress(b"dog\t5\n"), "does not match the suffix"),
        (b"dog,5\ncat,6\n", "no usable line: 2 not a word, a tab and a count"),
        (b"count\tword\n5\tdog\n6\tcat\n", "no usable line: 1 a header, 2 not a word, a tab and a count"),
        (b"caf\xe9\t5\n", "no usable line: 1 not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=f"words.tsv: .*{said}") as caught:
        words_of(write(tmp_path, content))
    assert caught.value.hint


def test_batches_before_lines_that_are_odd_are_no_table_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_tables, "AT_ONCE", 1)
    assert words_of(write(tmp_path, b"dog\t5\nodd\n")) == ([("dog", 5)], {NO_COUNT: 1})


# pairs


def test_pairs_are_two_words_with_a_blank_between(tmp_path: Path) -> None:
    content = "first second\tcount\nNew York\t5\ndog\t5\na b c\t5\n x\t5\nx \t5\na  b\t5\né ü\t6\nodd\n"
    rows, drops = pairs_of(write(tmp_path, content.encode()))
    assert rows == [("New", "York", 5), ("é", "ü", 6)]
    assert drops == {HEADER: 1, NO_PAIR: 5, NO_COUNT: 1}


def test_where_all_pairs_are_in_order_nothing_is_said_of_drops(tmp_path: Path) -> None:
    assert pairs_of(write(tmp_path, b"0uplink verified\t523545\nkm to\t1\n")) == ([("0uplink", "verified", 523545), ("km", "to", 1)], {})


# a real table


def test_real_tables_are_read_as_a_plain_reading_has_them(shared_data: Path) -> None:
    path = shared_data / "wordlists" / "wordsegment-bigrams.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        plain = [line.rstrip("\n").split("\t") for line in lines]
    rows, drops = pairs_of(path)
    two = [(*words.split(" "), int(count)) for words, count in plain if words.count(" ") == 1]
    assert rows == two
    assert len(rows) + sum(drops.values()) == len(plain)
