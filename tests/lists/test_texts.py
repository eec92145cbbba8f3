"""Texts to count words in, from every kind of input."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tallyclip.errors import OptionError, SourceError
from tallyclip.lists import texts
from tallyclip.lists.texts import TextCounts, parts_of, read_texts

SITE = '<mediawiki>\n<siteinfo><namespaces><namespace key="14" case="first-letter">Kategorie</namespace></namespaces></siteinfo>\n'
PAGE = "<page><title>{}</title><ns>{}</ns>{}<revision><text>{}</text></revision></page>\n"
PACKERS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress, ".bz2": bz2.compress}


def read(path: object, part_bytes: int | None = None) -> tuple[list[str], TextCounts]:
    """All texts and counts; what every part tells of its progress must add up."""
    found: list[str] = []
    total = TextCounts()
    for part in parts_of(str(path), part_bytes):
        told: list[int] = []
        counts = TextCounts()
        for batch in read_texts(part, counts, told.append):
            assert batch.valid is None
            found += [batch.data[start:end].tobytes().decode() for start, end in pairwise(batch.offsets)]
        assert sum(told) == part.size
        total.add(counts)
    return found, total


def written(path: Path, content: str | bytes) -> Path:
    packer: Callable[[bytes], bytes] = PACKERS.get(path.suffix, bytes)
    path.write_bytes(packer(content.encode() if isinstance(content, str) else content))
    return path


def table(path: Path, columns: dict[str, Any], rows_per_group: int = 2) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows_per_group)
    return path


# Parquet


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_gives_its_column_of_texts_in_runs_of_row_groups(tmp_path: Path, kind: pa.DataType) -> None:
    rows = [f"text {i} ж" for i in range(9)]
    path = table(tmp_path / "a.parquet", {"id": rows, "title": rows, "text": pa.array(rows, pa.string()).cast(kind)})
    assert [(part.start, part.end) for part in parts_of(str(path), 1)] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert [(part.start, part.end) for part in parts_of(str(path))] == [(0, 5)]
    assert read(path, 1) == read(path) == (rows, TextCounts(9, 9))


def test_the_only_column_of_strings_is_that_of_texts_and_else_it_must_be_named(tmp_path: Path) -> None:
    assert read(table(tmp_path / "a.parquet", {"id": [1, 2], "page": ["a", "b"]}))[0] == ["a", "b"]
    for columns in ({"url": ["a"], "title": ["b"]}, {"text": [1]}):
        with pytest.raises(SourceError, match=f"no column of texts found among {', '.join(columns)}"):
            parts_of(str(table(tmp_path / "b.parquet", columns)))


def test_missing_texts_and_those_that_are_not_utf8_are_counted(tmp_path: Path) -> None:
    rows = [b"a", None, b"", b"\xff", "é".encode()[:1], "é".encode()[1:], "ж".encode()]
    path = table(tmp_path / "a.parquet", {"text": pa.array(rows, pa.binary())}, 100)
    assert read(path) == (["a", "", "ж"], TextCounts(7, 3, drops={"no text": 1, "not UTF-8": 3}))


def test_texts_that_are_utf8_only_together_are_none(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", {"text": pa.array([b"a", "é".encode()[:1], "é".encode()[1:]], pa.binary())}, 100)
    assert read(path) == (["a"], TextCounts(3, 1, drops={"not UTF-8": 2}))


def test_texts_come_in_batches_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BATCH", 10)
    path = table(tmp_path / "a.parquet", {"text": ["abcd", "efgh", "ijkl", "m" * 30, "", "n"]}, 100)
    (part,) = parts_of(str(path))
    batches = [len(batch.offsets) - 1 for batch in read_texts(part, TextCounts(), lambda _: None)]
    assert batches == [2, 1, 1, 2]


def test_parquet_is_read_from_urls_and_dumps_are_not(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", {"text": ["a", "b", "c"]})
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/texts/a.parquet", path.read_bytes())
    assert read("memory://texts/a.parquet", 1) == (["a", "b", "c"], TextCounts(3, 3))
    for name in ("dewiki-latest-pages-articles.xml.bz2", "enwiki-pages-articles1.xml-p1p41242.bz2"):
        with pytest.raises(OptionError, match="fetch it first"):
            parts_of(f"https://dumps.example/{name}")


def test_parquet_without_rows_or_cut_short_fails(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no rows"):
        parts_of(str(table(tmp_path / "a.parquet", {"text": pa.array([], pa.string())})))
    path = table(tmp_path / "b.parquet", {"text": ["a"]})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(SourceError, match=r"b\.parquet"):
        parts_of(str(path))


# dumps


@pytest.mark.parametrize("name", ["a.xml", "a.xml.bz2", "a.xml.gz", "a.xml.zst", "enwiki-articles1.xml-p1p2.bz2", "odd.bz2"])
def test_a_dump_gives_its_articles_without_markup(tmp_path: Path, name: str) -> None:
    pages = [
        PAGE.format("A", 0, "", "'''A''' is {{x}} a [[b|c]].\n[[Kategorie:D]]"),
        PAGE.format("B", 0, '<redirect title="A" />', "#REDIRECT [[A]]"),
        PAGE.format("Talk:A", 1, "", "talk"),
        PAGE.format("C", 0, "", "c &amp;amp; d"),
        PAGE.format("E", 0, "", "e").replace("text>", "txt>"),
    ]
    path = written(tmp_path / name, SITE + "".join(pages) + "</mediawiki>")
    assert read(path) == (["A is a c.", "c & d"], TextCounts(5, 2, 1, 1, {"page without text": 1}))


def test_the_texts_of_a_dump_do_not_depend_on_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [PAGE.format(f"T{i}", 0, "", f"''text'' {i}") for i in range(50)]
    path = tmp_path / "a.xml.bz2"
    path.write_bytes(b"".join(bz2.compress(stream.encode()) for stream in (SITE, *pages, "</mediawiki>")))
    expected = ([f"text {i}" for i in range(50)], TextCounts(50, 50))
    assert len(parts_of(str(path), 500)) > 5
    assert read(path, 500) == read(path) == expected
    monkeypatch.setattr(texts, "BATCH", 30)
    assert read(path, 1) == read(path) == expected


def test_a_dump_without_pages_and_an_empty_file_fail(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no pages in it"):
        parts_of(str(written(tmp_path / "a.xml.bz2", SITE + "</mediawiki>")))
    for name in ("b.xml", "b.xml.bz2", "b.txt", "b.txt.gz"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(SourceError, match=r"/b\."):
            parts_of(str(tmp_path / name))


# plain text


@pytest.mark.parametrize("part_bytes", [1, 5, 100, None])
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".bz2"])
def test_plain_text_is_cut_only_between_lines(tmp_path: Path, suffix: str, part_bytes: int | None) -> None:
    content = "".join(f"\ufeffline {i} ж\n" * (i % 3) for i in range(40)) + "the last"
    found, counts = read(written(tmp_path / f"a.txt{suffix}", "\ufeff" + content), part_bytes)
    assert "".join(found) == content
    assert all(text.endswith("\n") for text in found[:-1])
    assert counts == TextCounts(1, 1)
    assert (len(found) > 3) == (part_bytes in (1, 5, 100) and not suffix)


def test_lines_are_held_together_unless_they_are_longer_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BATCH", 12)
    path = written(tmp_path / "a.txt", "ab cd\nef gh\nij klmnop qrst uvw\na" + "ж" * 11)
    assert read(path)[0] == ["ab cd\nef gh\n", "ij klmnop ", "qrst uvw\n", "aжжжжж", "жжжжжж"]


def test_lines_that_are_not_utf8_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", b"a\n\xff\nb \xe9\nc\n")
    assert read(path) == (["a\nc\n"], TextCounts(1, 1, drops={"not UTF-8": 2}))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_text_in_utf_16_is_one_part_and_read_as_other_text(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BATCH", 15)
    content = "Größe ж\n😀 b\n" * 5
    path = written(tmp_path / f"a.txt{suffix}", content.encode("utf-16"))
    assert len(parts_of(str(path), 10)) == 1
    assert "".join(read(path)[0]) == content


def test_a_packed_text_cut_short_fails(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt.gz", "a line\n" * 5000)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"a\.txt\.gz"):
        read(path)


# what wikiextractor writes

ARTICLES = [("Dog", "A dog barks at AT&T.\n\n1 < 2"), ('Cat "Tom"', "A cat\nsleeps."), ("Ä", "柏林 ж 😀")]


def documents(articles: list[tuple[str, str]] = ARTICLES, end: str = "\n") -> str:
    return end.join(
        f'<doc id="{i}" url="https://en.wikipedia.org/wiki?curid={i}" title="{title}">{end}{title}{end}{end}'
        f"{escape(text).replace(chr(10), end)}{end}{end}</doc>{end}"
        for i, (title, text) in enumerate(articles)
    )


def objects(articles: list[tuple[str, str]] = ARTICLES, keys: tuple[str, ...] = ("id", "revid", "url", "title", "text")) -> str:
    rows = [
        {"id": str(i), "revid": "7", "url": f"https://en.wikipedia.org/wiki?curid={i}", "title": title, "text": escape(text)}
        for i, (title, text) in enumerate(articles)
    ]
    return "".join(json.dumps({key: row[key] for key in keys}) + "\n" for row in rows)


@pytest.mark.parametrize("part_bytes", [1, 50, 200, None])
@pytest.mark.parametrize("name", ["wiki_00", "wiki_00.bz2", "wiki_00.txt", "all.txt.gz", "extracted.zst"])
def test_documents_give_the_lines_of_their_articles_without_those_of_tags(tmp_path: Path, name: str, part_bytes: int | None) -> None:
    for end in ("\n", "\r\n"):
        found, counts = read(written(tmp_path / name, documents(end=end)), part_bytes)
        words = [word for title, text in ARTICLES for word in f"{title} {text}".split()]
        assert "".join(found).split() == words
        assert counts == TextCounts(3, 3)


def test_documents_are_known_by_their_first_line_with_more_in_it_too(tmp_path: Path) -> None:
    more = documents().replace('">', '" language="en" revision="8">')
    assert read(written(tmp_path / "a", "\ufeff\n" + more))[1] == TextCounts(3, 3)
    assert read(written(tmp_path / "b", documents().encode("utf-16")))[1] == TextCounts(3, 3)
    assert "<doc> in a line" in "".join(read(written(tmp_path / "c", documents([("a", "<doc> in a line")])))[0])


@pytest.mark.parametrize("part_bytes", [1, 50, 200, None])
@pytest.mark.parametrize("name", ["wiki_00", "wiki_00.bz2", "wiki_00.txt", "a.jsonl.gz"])
@pytest.mark.parametrize("keys", [("id", "revid", "url", "title", "text"), ("url", "text", "id", "title"), ("text",)])
def test_objects_in_lines_give_their_texts(tmp_path: Path, name: str, part_bytes: int | None, keys: tuple[str, ...]) -> None:
    path = written(tmp_path / name, objects(keys=keys))
    assert read(path, part_bytes) == ([text for _, text in ARTICLES], TextCounts(3, 3))


def test_lines_that_are_no_article_are_counted(tmp_path: Path) -> None:
    odd = [
        '{"id": "1", "title": "no text"}',
        '{"text": 1}',
        "[]",
        "{",
        '{"text": "\\ud800"}',
        "{" + '"a":[' * 50_000,
        "",
        " ",
        '{"text": ""}',
    ]
    path = written(tmp_path / "wiki_00", objects() + "\n".join(odd) + "\n" + objects(ARTICLES[:1]))
    found, counts = read(path)
    assert found == [*(text for _, text in ARTICLES), "", ARTICLES[0][1]]
    assert counts == TextCounts(11, 5, drops={'not a JSON object with a "text"': 6})
    path.write_bytes(objects().encode() + b'{"text": "\xff"}\n')
    assert read(path)[1] == TextCounts(4, 3, drops={"not UTF-8": 1})


@pytest.mark.parametrize("part_bytes", [30, None])
def test_what_wikiextractor_wrote_and_is_cut_short_fails(tmp_path: Path, part_bytes: int | None) -> None:
    path = tmp_path / "wiki_00"
    for content, end in ((documents(), "</doc>\n"), (objects(), "}\n")):
        for cut in range(1, 60, 7):
            with pytest.raises(SourceError, match=r"wiki_00: the file is truncated"):
                read(written(path, content.removesuffix(end)[:-cut]), part_bytes)
        written(path, content.rstrip() + "\n\n \n" if end == "</doc>\n" else content.rstrip())
        assert read(path, part_bytes)[1] == TextCounts(3, 3)


def test_a_line_longer_than_a_batch_is_no_article_and_the_others_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BATCH", 200)
    found, counts = read(written(tmp_path / "wiki_00", objects([("A", "a"), ("B", "b" * 500), ("C", "c")])))
    assert found == ["a", "c"]
    assert set(counts.drops) == {'not a JSON object with a "text"'}


# kinds


@pytest.mark.parametrize(
    ("content", "kind", "hint"),
    [
        (b"<!DOCTYPE html>\n<p>a</p>", "a web page", "an error page"),
        (b"\n <html>", "a web page", "an error page"),
        (b'<?xml version="1.0"?><rss>', "a web page", "an error page"),
        (b"PAR1\x15\x00", "a Parquet file", "suffix .parquet"),
        (b"PK\x03\x04", "a zip archive", "unpack it"),
        (b"\x28\xb5\x2f\xfd", "a Zstandard file", "decompress it, or give it a suffix with .zst"),
        (b'{"query": {"pages": []}}', "JSON", "give JSON with one object per line"),
        (b'[\n {"a": 1}]', "JSON", "give JSON with one object per line"),
    ],
)
def test_what_is_called_text_and_begins_like_something_else_fails(tmp_path: Path, content: bytes, kind: str, hint: str) -> None:
    for name in ("a.txt", "a.txt.gz"):
        with pytest.raises(SourceError, match=f"not plain text: it looks like {kind}") as caught:
            parts_of(str(written(tmp_path / name, content)))
        assert hint in str(caught.value.hint)
    assert read(written(tmp_path / "b.txt", b"a " + content[:4]))[1].articles == 1


def test_an_index_and_what_is_no_text_are_refused_with_what_works(tmp_path: Path) -> None:
    index = written(tmp_path / "dewiki-latest-pages-articles-multistream-index.txt.bz2", "1:2:A\n")
    with pytest.raises(OptionError, match="index of a dump, not text") as caught:
        parts_of(str(index))
    assert "give the dump itself" in str(caught.value)
    for name in ("a.tsv.gz", "a.bz2", "a.pdf", "enwiki-pages-articles1.xml-p1p2.7z"):
        with pytest.raises(OptionError, match=r"give \.parquet files"):
            parts_of(str(written(tmp_path / name, "a\tb\n")))


def test_counts_of_parts_add_up() -> None:
    total = TextCounts(1, 1, 0, 0, {"a": 1})
    total.add(TextCounts(5, 2, 1, 1, {"a": 1, "b": 2}))
    assert total == TextCounts(6, 3, 1, 1, {"a": 2, "b": 2})
    assert TextCounts().drops == {}


def test_real_texts_are_counted_and_without_markup(shared_data: Path) -> None:
    (path,) = (shared_data / "wikipedia").glob("enwiki-latest-pages-articles1*.bz2")
    found, counts = read(path)
    assert counts == TextCounts(206, 106, 99, 1)
    assert len(found) == 106
    assert found[0].startswith(
        "Anarchism is a political philosophy that advocates self-governed societies based on voluntary institutions."
    )
    (bulgarian,) = (shared_data / "wikipedia").glob("bgwiki*.bz2")
    assert read(bulgarian)[1] == TextCounts(3, 1, 0, 2)
    assert "".join(read(shared_data / "wikipedia" / "wikitext2-valid.txt.gz")[0]).encode() == gzip.decompress(
        (shared_data / "wikipedia" / "wikitext2-valid.txt.gz").read_bytes()
    )
