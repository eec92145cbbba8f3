"""Views of titles: the compiled reader is held against a slow one that goes line by line."""

from __future__ import annotations

import bz2
import gzip
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.strings import Strings
from tallyclip.errors import SourceError
from tallyclip.lists import pageviews
from tallyclip.lists.pageviews import MOST_VIEWS, NAMESPACES, ViewChoice, read_views

Found = tuple[list[tuple[str, int]], Counter[str], int]

DUMP = """\
de Berlin 900 0
en Barack_Obama%27s_first_100_days 80 850127
en Main_Page 242332 0
en Special:Search 5000 0
en rare 49 0
en.b Cookbook 700 0
en.m Main_Page 300000 0
en.zero Main_Page 70 0
enx Main_Page 100 0
"""


def texts(strings: Strings) -> list[str]:
    assert strings.valid is None
    content = strings.data.tobytes()
    return [content[start:end].decode() for start, end in zip(strings.offsets[:-1], strings.offsets[1:], strict=True)]


def found_in(path: Path, choice: ViewChoice) -> Found:
    drops: Counter[str] = Counter()
    told: list[int] = []
    pairs: list[tuple[str, int]] = []
    for titles, views in read_views(str(path), choice, drops, told.append):
        assert len(views) > 0
        pairs += zip(texts(titles), views.tolist(), strict=True)
    assert sum(told) == path.stat().st_size
    return pairs, drops, sum(drops.values()) + len(pairs)


def read(folder: Path, content: str | bytes, choice: ViewChoice | None = None) -> Found:
    path = folder / "views"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return found_in(path, choice or ViewChoice())


def slowly(content: bytes, choice: ViewChoice) -> Found:
    """The rule, one line after the other."""
    lines = content.lstrip(b"\r\n").split(b"\n")
    if not lines[-1]:
        lines.pop()
    is_table = b"\t" in lines[0]
    if is_table and not any(byte in b"0123456789" for byte in lines[0].split(b"\t", 1)[1]):
        lines.pop(0)
    codes = [choice.project.encode()]
    if choice.mobile:
        codes += [codes[0] + suffix for suffix in (b".m", b".mw", b".zero")]
    pairs: list[tuple[str, int]] = []
    drops: Counter[str] = Counter()
    for line in lines:
        outcome = slowly_one(line.removesuffix(b"\r"), is_table, codes, choice)
        if isinstance(outcome, str):
            drops[outcome] += 1
        else:
            pairs.append(outcome)
    return pairs, drops, len(lines)


def slowly_one(line: bytes, is_table: bool, codes: list[bytes], choice: ViewChoice) -> str | tuple[str, int]:
    fields = line.split(b"\t" if is_table else b" ")
    if not is_table and fields.pop(0) not in codes:
        return "other project"
    if len(fields) != (2 if is_table else 3):
        return "wrong number of fields"
    if not re.fullmatch(b"[0-9]+", fields[1]):
        return "views are not a whole number"
    views = int(fields[1])
    if views > 10**12:
        return "implausible view count"
    if not is_table and views < choice.min_hourly_views:
        return "too few views"
    decoded = unquote_to_bytes(fields[0])
    try:
        title = decoded.decode()
    except UnicodeDecodeError:
        try:
            title = fields[0].decode()
        except UnicodeDecodeError:
            return "title is not UTF-8"
    title = " ".join(word for word in title.replace("_", " ").split(" ") if word)
    if title in ("", "-"):
        return "title is -" if title else "title is empty"
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") or c == "\ufffd" for c in title):
        return "title has control characters"
    if ":" in title:
        prefix = title.split(":")[0].strip(" ").lower().removesuffix(" talk")
        if prefix in {name.lower().replace("_", " ") for name in (*NAMESPACES, *choice.namespaces)} | {""}:
            return "not in the article namespace"
        if choice.colons == "drop":
            return "title has a colon"
    return title, views


# what counts


def test_the_rows_of_a_project_that_were_looked_at_enough_count(tmp_path: Path) -> None:
    pairs, drops, rows = read(tmp_path, DUMP)
    assert pairs == [("Barack Obama's first 100 days", 80), ("Main Page", 242332)]
    assert drops == {"other project": 5, "not in the article namespace": 1, "too few views": 1}
    assert rows == 9


def test_mobile_rows_count_when_asked_for(tmp_path: Path) -> None:
    pairs, drops, _ = read(tmp_path, DUMP, ViewChoice(mobile=True))
    assert sum(views for title, views in pairs if title == "Main Page") == 242332 + 300000 + 70
    assert drops["other project"] == 3


def test_other_projects_and_thresholds_can_be_chosen(tmp_path: Path) -> None:
    assert read(tmp_path, DUMP, ViewChoice(project="de"))[0] == [("Berlin", 900)]
    assert ("rare", 49) in read(tmp_path, DUMP, ViewChoice(min_hourly_views=49))[0]


def test_titles_with_a_colon_may_be_articles(tmp_path: Path) -> None:
    titles = [
        *("Mission:_Impossible", "Category:Films", "category_talk:X", "Vikipedi:X", "vikipedi tartışma:X".replace(" ", "_")),
        *(":Category:X", "Userland:X", "Talk_:X", "Vikipedi%3AX"),
    ]
    content = "".join(f"tr {title} 60 0\n" for title in titles)
    pairs, drops, _ = read(tmp_path, content, ViewChoice(project="tr"))
    assert (pairs, drops) == ([], {"not in the article namespace": 4, "title has a colon": 5})
    choice = ViewChoice(project="tr", colons="namespaces", namespaces=["Vikipedi", "Vikipedi_tartışma"])
    pairs, drops, _ = read(tmp_path, content, choice)
    assert ([title for title, _ in pairs], drops) == (["Mission: Impossible", "Userland:X"], {"not in the article namespace": 7})


def test_percent_encoding_is_undone_once_and_only_where_it_gives_text(tmp_path: Path) -> None:
    written = {
        "100%25_%2541": "100% %41",
        "Caf%C3%A9": "Café",
        "Caf%E9": "Caf%E9",
        "50%_Grey": "50% Grey",
        "a%5F%5fb": "a b",
        "Dulce_María": "Dulce María",
    }
    pairs, _, _ = read(tmp_path, "".join(f"en {title} 99 0\n" for title in written))
    assert pairs == [(title, 99) for title in written.values()]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"en", "wrong number of fields"),
        (b"en Two 60", "wrong number of fields"),
        (b"en A title 60 0", "wrong number of fields"),
        (b"en A 60 0 ", "wrong number of fields"),
        (b"en A  0", "views are not a whole number"),
        (b"en A -60 0", "views are not a whole number"),
        (b"en A 6e9 0", "views are not a whole number"),
        (b"en A 60.0 0", "views are not a whole number"),
        (b"en A \xd9\xa6\xd9\xa0 0", "views are not a whole number"),
        (b"en A %d 0" % (MOST_VIEWS + 1), "implausible view count"),
        (b"en A 99999999999999999999999999 0", "implausible view count"),
        (b"en  60 0", "title is empty"),
        (b"en _%20_ 60 0", "title is empty"),
        (b"en - 60 0", "title is -"),
        (b"en A\x00 60 0", "title has control characters"),
        (b"en A%0AB 60 0", "title has control characters"),
        (b"en A%E2%80%A8B 60 0", "title has control characters"),
        (b"en A\tB 60 0", "title has control characters"),
        (b"en \xff 60 0", "title is not UTF-8"),
        (b"en \xed\xa0\x80 60 0", "title is not UTF-8"),
        (b"", "other project"),
        (b" en A 60 0", "other project"),
    ],
)
def test_odd_lines_are_counted_by_what_is_odd(tmp_path: Path, line: bytes, reason: str) -> None:
    good = b"en Good 60 0\n"
    assert read(tmp_path, good + line + b"\n" + good) == ([("Good", 60)] * 2, {reason: 1}, 3)


def test_what_is_half_of_a_letter_is_not_mended_by_the_next_title(tmp_path: Path) -> None:
    pairs, drops, _ = read(tmp_path, b"en a\xc3 60 0\nen \xa9b 60 0\nen c 60 0\n")
    assert (pairs, drops) == ([("c", 60)], {"title is not UTF-8": 2})


# tables


@pytest.mark.parametrize("header", ["", "article\tviews\n", "title\tviews\n", "\n\ntitle\tviews\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_has_titles_and_views_and_may_have_a_header(tmp_path: Path, header: str, end: str) -> None:
    content = header + "Dr._Seuss\t98051\nNew York\t7\nTemplate:A\t203864\nodd\n3\t4\t5\nFour\tfive\n"
    pairs, drops, rows = read(tmp_path, content.replace("\n", end))
    assert pairs == [("Dr. Seuss", 98051), ("New York", 7)]
    assert drops == {"not in the article namespace": 1, "wrong number of fields": 2, "views are not a whole number": 1}
    assert rows == 6


def test_real_tables_are_read(shared_data: Path) -> None:
    pairs, drops, rows = found_in(shared_data / "wikipedia" / "pageviews-top-enwiki-20151010-first60.tsv", ViewChoice())
    assert ("Dulce María", 98801) in pairs
    assert (rows, len(pairs), drops) == (60, 48, {"not in the article namespace": 10, "title has a colon": 2})
    path = shared_data / "wikipedia" / "enwiki-sample-link-titles.tsv.gz"
    assert found_in(path, ViewChoice()) == slowly(gzip.decompress(path.read_bytes()), ViewChoice())


# files


def test_a_file_may_be_packed(tmp_path: Path) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "zst": zstandard.compress}
    for suffix, pack in packers.items():
        path = tmp_path / f"views.{suffix}"
        path.write_bytes(pack(DUMP.encode()))
        assert found_in(path, ViewChoice()) == slowly(DUMP.encode(), ViewChoice())


def test_what_comes_before_the_first_line_is_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfen A 60 0\n")[0] == [("A", 60)]
    monkeypatch.setattr(pageviews, "CHUNK", 2)
    assert read(tmp_path, "\n\r\n\n\nen A 60 0\n") == ([("A", 60)], {}, 1)


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "zst": zstandard.compress}
    for suffix, pack in packers.items():
        path = tmp_path / f"views.{suffix}"
        path.write_bytes(pack(os.urandom(20_000).hex().encode())[:-9])
        with pytest.raises(SourceError, match=re.escape(str(path))):
            found_in(path, ViewChoice())


def test_what_is_no_file_of_views_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content, said in [
        (b"", "nothing in it"),
        (b"<!doctype html>", "does not match the suffix"),
        (b"\xff\xfee\x00", "match the suffix"),
    ]:
        with pytest.raises(SourceError, match=said):
            read(tmp_path, content)
    with pytest.raises(SourceError, match="No such file"):
        found_in(tmp_path / "missing", ViewChoice())
    monkeypatch.setattr(pageviews, "CHUNK", 1000)
    monkeypatch.setattr(pageviews, "LARGEST", 5000)
    with pytest.raises(SourceError, match="the line at byte 9 is larger"):
        read(tmp_path, b"en A 1 0" + b"\n" + b"x" * 10_000)


@pytest.mark.parametrize("content", ["Dog\nCat\n", "Dog,100\n", "\r\n\nDog 100\n", "en Dog 100\n", "en Dog many 0\n", "en A dog 60 0\n"])
def test_lines_of_neither_form_are_refused_with_both(tmp_path: Path, content: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, content)
    first = content.strip().splitlines()[0]
    assert f"not an hourly dump or a table, by its first line: b'{first}'" in caught.value.what
    assert "en Main_Page 242332 0" in str(caught.value.hint)
    assert "a title, a tab and a whole number of views" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("title\tviews\nDog\t912.0\nCat\t7.0\nA\tB\t7\n", "2 views are not a whole number, 1 wrong number of fields"),
        ("Dog\t9e2\n", "1 views are not a whole number"),
        ("Talk:Dog\t9\n", "1 not in the article namespace"),
        ("title\tviews\n", "it has no rows"),
        ("\r\n\n", "it has no rows"),
    ],
)
def test_a_table_without_a_row_that_can_be_used_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(SourceError, match=f"no usable row: {said}\n"):
        read(tmp_path, content)


def test_an_hour_without_a_row_of_the_project_is_none_the_worse(tmp_path: Path) -> None:
    assert read(tmp_path, DUMP, ViewChoice(project="kl")) == ([], {"other project": 9}, 9)


@pytest.mark.parametrize("name", ["views", "views.parquet", "views.gz"])
def test_parquet_is_refused_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pq.write_table(pa.table({"title": ["Dog"], "views": [912]}), path)
    with pytest.raises(SourceError, match="Parquet") as caught:
        found_in(path, ViewChoice())
    assert "give an hourly dump or a table" in str(caught.value.hint)


def test_bytes_are_told_of_as_the_file_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pageviews, "CHUNK", 100_000)
    content = b"".join(b"en %s 60 0\n" % os.urandom(20).hex().encode() for _ in range(10_000))
    for path, packed in [(tmp_path / "views", content), (tmp_path / "views.gz", gzip.compress(content))]:
        path.write_bytes(packed)
        told: list[int] = []
        for _ in read_views(str(path), ViewChoice(), Counter(), told.append):
            pass
        assert len(told) > 3
        assert all(0 <= size < len(packed) for size in told)
        assert sum(told) == len(packed)


# the whole rule

CODES = st.sampled_from(["en", "en.m", "en.mw", "en.zero", "en.b", "e", "enx", "de", "", "-", "EN"])
PIECES = [
    "a",
    "B",
    "é",
    "東",
    "_",
    "__",
    "%20",
    "%5F",
    "%41",
    "%C3%A9",
    "%C3",
    "%",
    "%2541",
    "%zz",
    "-",
    "\x00",
    "%0a",
    "\x85",
    "\u2028",
    "\ufffd",
    "'",
]
SPACES = ["User:", "user_talk:", "_Special_:", "Portal%3A", ":", "x:", "Benutzer:", "Benutzer_Diskussion:", "Talk", "%55ser:"]
BYTES = st.sampled_from([b"\xff", b"\xc3", b"\xa9", b"\xed\xa0\x80", b"\r", b"\t", b" ", b""])
TITLES = st.lists(st.one_of(st.sampled_from([piece.encode() for piece in PIECES + SPACES]), BYTES), max_size=5).map(b"".join)
VIEWS = st.one_of(
    st.integers(0, 120).map(str),
    st.sampled_from(["", "-5", "+5", "1e3", "007", "0" * 30 + "70", str(10**12), str(10**12 + 1), "9" * 25, "x", "5,000", "５"]),
)
ENDS = st.sampled_from([b"\n", b"\n", b"\r\n"])


@st.composite
def dump_lines(draw: st.DrawFn) -> bytes:
    fields = [draw(CODES).encode(), draw(TITLES), draw(VIEWS).encode(), b"0"]
    fields = fields[: draw(st.sampled_from([4, 4, 4, 4, 3, 2, 1]))] + [b"more"] * draw(st.sampled_from([0, 0, 0, 0, 1]))
    return b" ".join(fields) + draw(ENDS)


@st.composite
def table_lines(draw: st.DrawFn) -> bytes:
    fields = [draw(TITLES), draw(VIEWS).encode()]
    return b"\t".join(fields[: draw(st.sampled_from([2, 2, 2, 1]))] + [b"more"] * draw(st.sampled_from([0, 0, 0, 1]))) + draw(ENDS)


FILES = st.one_of(
    st.lists(dump_lines(), max_size=12).map(lambda lines: b"".join([b"de Berlin 900 0\n", *lines])),
    st.tuples(st.sampled_from([b"article\tviews\nA\t7\n", b"A\t7\n"]), st.lists(table_lines(), max_size=12).map(b"".join)).map(b"".join),
)
CHOICES = st.builds(
    ViewChoice,
    project=st.sampled_from(["en", "de"]),
    mobile=st.booleans(),
    min_hourly_views=st.sampled_from([0, 1, 50]),
    colons=st.sampled_from(["drop", "namespaces"]),
    namespaces=st.sampled_from([[], ["Benutzer", "Benutzer_Diskussion"]]),
)


@given(content=FILES, choice=CHOICES, chunk=st.one_of(st.integers(1, 40), st.just(1 << 20)), whole=st.booleans())
def test_every_file_gives_what_the_slow_reader_finds(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, choice: ViewChoice, chunk: int, whole: bool
) -> None:
    content = content if whole else content.removesuffix(b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pageviews, "CHUNK", chunk)
        assert read(tmp_path_factory.getbasetemp(), content, choice) == slowly(content, choice)


@given(lines=st.lists(dump_lines(), min_size=1, max_size=12).flatmap(lambda lines: st.tuples(st.just(lines), st.permutations(lines))))
def test_the_order_of_the_rows_does_not_matter(tmp_path_factory: pytest.TempPathFactory, lines: tuple[list[bytes], list[bytes]]) -> None:
    first = b"en A 1 0\n"
    (pairs, drops, _), (others, other_drops, _) = (read(tmp_path_factory.getbasetemp(), first + b"".join(part)) for part in lines)
    assert (Counter(pairs), drops) == (Counter(others), other_drops)
