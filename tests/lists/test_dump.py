"""Dumps of Wikipedia: parts, pages, and damage."""

from __future__ import annotations

import bz2
import gzip
import random
import tracemalloc
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import SourceError
from tallyclip.lists import dump
from tallyclip.lists.dump import Page, find_parts, namespaces_of, read_pages

SITE = (
    '<mediawiki xml:lang="de">\n<siteinfo><namespaces>\n<namespace key="-2" case="first-letter">Medium</namespace>\n'
    '<namespace key="0" case="first-letter" />\n<namespace key="1" case="first-letter">Diskussion</namespace>\n'
    '<namespace key="2" case="first-letter">Benutzer &amp; Co</namespace>\n</namespaces></siteinfo>\n'
)
END = "</mediawiki>\n"


def page(title: str = "A", text: str | None = "a", head: str = "<ns>0</ns>", model: str = "wikitext") -> str:
    inner = "" if text is None else f'<text bytes="9" xml:space="preserve">{text}</text>'
    return (
        f"  <page>\n    <title>{title}</title>\n    {head}\n    <revision>\n      <comment>none</comment>\n"
        f"      <model>{model}</model>\n      {inner}\n    </revision>\n  </page>\n"
    )


def pages(count: int) -> list[str]:
    return [page(f"T{i}", f"text {i} " + "x" * (i * 37 % 301)) for i in range(count)]


def read(path: Path, part: tuple[int, int | None] = (0, None)) -> tuple[list[Page], Counter[str]]:
    drops: Counter[str] = Counter()
    found = list(read_pages(str(path), part, namespaces_of(str(path)), lambda reason: drops.update([reason]), lambda _: None))
    return found, drops


def written(path: Path, *streams: str, packer: Callable[[bytes], bytes] = bz2.compress) -> Path:
    path.write_bytes(b"".join(packer(stream.encode()) for stream in streams))
    return path


def titles(path: Path, part_bytes: int | None = None) -> list[list[str]]:
    """The titles of each part, when all pages are well."""
    parts = [read(path, part) for part in find_parts(str(path), part_bytes)]
    assert not any(drops for _, drops in parts)
    return [[one.title for one in found] for found, _ in parts]


def test_a_multistream_dump_is_cut_between_streams_and_read_whole(tmp_path: Path) -> None:
    content = pages(60)
    path = written(tmp_path / "a.xml.bz2", SITE, *("".join(content[i : i + 5]) for i in range(0, 60, 5)), END)
    parts = titles(path, 300)
    assert len(parts) > 3
    assert titles(path) == [list(chain(*parts))] == [[f"T{i}" for i in range(60)]]


@pytest.mark.parametrize("chunk", [10, 11, 13, 64])
def test_streams_are_found_wherever_the_file_is_read_in_two(tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.xml.bz2", SITE, *pages(30), END)
    expected = find_parts(str(path), 1)
    assert len(expected) == 32
    monkeypatch.setattr(dump, "CHUNK", chunk)
    assert find_parts(str(path), 1) == expected


@given(st.lists(st.integers(0, 3000), max_size=12), st.integers(1, 400))
def test_pages_and_tags_that_streams_cut_belong_to_the_part_of_their_first_byte(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], part_bytes: int
) -> None:
    content = SITE + "".join(pages(8)) + END
    edges = [0, *sorted(cuts), len(content)]
    streams = [content[start:end] for start, end in pairwise(edges)]
    path = written(tmp_path_factory.mktemp("dump") / "a.xml.bz2", *streams)
    starts = []
    place = 0
    for stream in streams:
        starts.append(place)
        place += len(bz2.compress(stream.encode()))
    owners: list[list[str]] = []
    for start, end in find_parts(str(path), part_bytes):
        first = next((edge for edge, at in zip(edges, starts, strict=False) if at >= start), len(content))
        last = len(content) if end is None else next(edge for edge, at in zip(edges, starts, strict=False) if at >= end)
        owners.append([f"T{i}" for i in range(8) if first <= content.index(f"<page>\n    <title>T{i}<") < last])
    assert titles(path, part_bytes) == owners


@pytest.mark.parametrize("cut", range(8))
def test_a_tag_cut_by_a_stream_is_read_once(tmp_path: Path, cut: int) -> None:
    content = SITE + "".join(pages(3)) + END
    for tag in ("<page>\n    <title>T1", "</page>\n  <page>\n    <title>T2"):
        place = content.index(tag) + cut
        path = written(tmp_path / "a.xml.bz2", content[:place], content[place:])
        first, second = titles(path, 1)
        assert first + second == ["T0", "T1", "T2"]


def test_a_page_over_many_streams_is_read_to_its_end(tmp_path: Path) -> None:
    long = page("Long", "x" * 5000)
    content = SITE + page("T0") + long + page("T1") + END
    path = written(tmp_path / "a.xml.bz2", *(content[i : i + 400] for i in range(0, len(content), 400)))
    assert [title for part in titles(path, 1) for title in part] == ["T0", "Long", "T1"]
    assert len(find_parts(str(path), 1)) == len(range(0, len(content), 400))


@pytest.mark.parametrize("part_bytes", [1, 7, 100, 999, None])
def test_an_unpacked_dump_is_cut_anywhere(tmp_path: Path, part_bytes: int | None) -> None:
    path = written(tmp_path / "a.xml", SITE + "".join(pages(12)) + END, packer=bytes)
    assert [title for part in titles(path, part_bytes) for title in part] == [f"T{i}" for i in range(12)]


@pytest.mark.parametrize(("suffix", "packer"), [("gz", gzip.compress), ("zst", zstandard.compress)])
def test_other_packed_dumps_are_one_part(tmp_path: Path, suffix: str, packer: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path / f"a.xml.{suffix}", SITE, *pages(3), END, packer=packer)
    assert titles(path, 1) == [["T0", "T1", "T2"]]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_dump_in_utf_16_is_one_part_and_read_as_others(tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "PIECE", 7)
    content = SITE + page("Ä柏😀", "ж &lt;") + END
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path = tmp_path / "a.xml.bz2"
    path.write_bytes(bz2.compress((mark + content).encode(encoding)))
    assert find_parts(str(path), 1) == [(0, None)]
    assert read(path) == ([Page("Ä柏😀", 0, False, "ж <".encode())], Counter())
    path.write_bytes(bz2.compress((mark + content.replace("ж", "\ud800")).encode(encoding, "surrogatepass")))
    assert read(path) == ([], Counter({"not UTF-8": 1}))
    assert namespaces_of(str(path))[1] == "Diskussion"


def test_pages_say_their_title_namespace_redirect_and_text(tmp_path: Path) -> None:
    content = [
        page("A &amp; &#xC4;", "a &lt;b&gt; &quot;c&quot; &apos;d&#39; &amp;lt; &amp;#65; &#228;"),
        page("Diskussion:A", "", "<ns>1</ns>"),
        page("B", "#Redirect [[A]]"),
        page("C", "#WEITERLEITUNG [[A]]", '<ns>0</ns>\n<redirect title="A" />'),
        page("D", "#redirected").replace("<text", "<comment>&lt;redirect</comment><text"),
        page("Lines", "a\r\nb\rc&#13;"),
        page("Signs", "&#x1F600; &#x110000; &#00000000065; &#x0000000041; &#99999999; &#;"),
        page("E", "x").replace('<text bytes="9" xml:space="preserve">x</text>', '<text bytes="0" />'),
        page("F", "new").replace("<revision>", "<revision><text>old</text></revision><revision>"),
        page("G", "main").replace("</text>", "</text><content><role>x</role><text>slot</text></content>"),
    ]
    path = written(tmp_path / "a.xml.bz2", SITE, *content, END)
    found, drops = read(path)
    assert drops == Counter()
    assert [(one.title, one.namespace, one.redirect, one.text.decode()) for one in found] == [
        ("A & Ä", 0, False, "a <b> \"c\" 'd' &lt; &#65; ä"),
        ("Diskussion:A", 1, False, ""),
        ("B", 0, True, "#Redirect [[A]]"),
        ("C", 0, True, "#WEITERLEITUNG [[A]]"),
        ("D", 0, False, "#redirected"),
        ("Lines", 0, False, "a\nb\nc\r"),
        ("Signs", 0, False, "😀 &#x110000; A A &#99999999; &#;"),
        ("E", 0, False, ""),
        ("F", 0, False, "new"),
        ("G", 0, False, "main"),
    ]
    assert namespaces_of(str(path)) == {-2: "Medium", 1: "Diskussion", 2: "Benutzer & Co"}


def test_old_dumps_tell_the_namespace_by_the_title(tmp_path: Path) -> None:
    content = [page(title, head="") for title in ("A", "diskussion:A", "Benutzer_&amp; Co:A", "Star Trek: A", ":A")]
    path = written(tmp_path / "a.xml.bz2", SITE, *content, END)
    assert [one.namespace for one in read(path)[0]] == [0, 1, 2, 0, 0]
    without = written(tmp_path / "b.xml", *content, packer=bytes)
    assert [one.namespace for one in read(without)[0]] == [0, 0, 0, 0, 0]


def test_pages_with_something_wrong_are_counted(tmp_path: Path) -> None:
    broken = page("Without end").replace("</page>", "")
    content = [
        page("A"),
        broken,
        page("B", None),
        page("C").replace("<title>", "<titel>"),
        page("D", '{"a": 1}', model="wikibase-item"),
        page("Modul:E", "return", "<ns>828</ns>", model="Scribunto"),
        page("F").replace("</text>", ""),
        page("G", "\udcff"),
        page("H", "&#xD800;"),
        page("I"),
        broken,
    ]
    path = tmp_path / "a.xml"
    path.write_bytes((SITE + "".join(content) + END).encode("utf-8", "surrogateescape"))
    for part_bytes in (None, 50):
        found: list[str] = []
        drops: Counter[str] = Counter()
        for part in find_parts(str(path), part_bytes):
            more, dropped = read(path, part)
            found += [one.title for one in more]
            drops += dropped
        assert found == ["A", "Modul:E", "I"]
        assert drops == {
            "page without end tag": 2,
            "page without text": 2,
            "page without title": 1,
            "page that is not wikitext": 1,
            "not UTF-8": 2,
        }


def test_a_page_of_fifty_megabytes_is_read_and_a_larger_one_counted_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.xml.bz2", SITE + page("A", "x" * 50_000_000) + page("B") + END)
    assert [(one.title, len(one.text)) for one in read(path)[0]] == [("A", 50_000_000), ("B", 1)]
    monkeypatch.setattr(dump, "LARGEST_PAGE", 4 << 20)
    tracemalloc.start()
    found, drops = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ([one.title for one in found], drops) == (["B"], {"page larger than 64 MiB": 1})
    assert peak < 16 << 20


def test_what_is_told_of_progress_adds_up_to_the_parts(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xml.bz2", SITE, *pages(30), END)
    size = path.stat().st_size
    for start, end in find_parts(str(path), 300):
        told: list[int] = []
        assert list(read_pages(str(path), (start, end), {}, lambda _: None, told.append))
        assert sum(told) == (size if end is None else end) - start


# what is wrong with a file


def test_a_file_without_pages_fails(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.xml\.bz2: no pages in it"):
        find_parts(str(written(tmp_path / "a.xml.bz2", SITE, END)))
    (tmp_path / "b.xml").write_bytes(b"")
    with pytest.raises(SourceError, match="nothing in it"):
        find_parts(str(tmp_path / "b.xml"))


@pytest.mark.parametrize("suffix", ["bz2", "gz", "zst"])
def test_a_dump_cut_short_gives_the_pages_before_and_fails(tmp_path: Path, suffix: str) -> None:
    packer = {"bz2": bz2.compress, "gz": gzip.compress, "zst": zstandard.compress}[suffix]
    noise = random.Random(1)
    streams = [page(f"T{i}", noise.randbytes(30_000).hex()) for i in range(6)]
    path = written(tmp_path / f"a.xml.{suffix}", SITE, *streams, packer=packer)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    found: list[str] = []
    with pytest.raises(SourceError, match=rf"a\.xml\.{suffix}: "):
        found.extend(one.title for one in read_pages(str(path), (0, None), {}, lambda _: None, lambda _: None))
    if suffix == "bz2":
        last = find_parts(str(path), 1)[-1]
        with pytest.raises(SourceError, match=rf"the bzip2 stream that begins at byte {last[0]:,} is truncated"):
            read(path, last)


def test_a_stream_with_a_flipped_bit_fails_with_its_place_and_others_do_not(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xml.bz2", SITE, *pages(3), END)
    parts = find_parts(str(path), 1)
    content = bytearray(path.read_bytes())
    content[parts[2][0] + 40] ^= 1
    path.write_bytes(content)
    assert [one.title for one in read(path, parts[1])[0]] == ["T0"]
    with pytest.raises(SourceError, match=rf"begins at byte {parts[2][0]:,} is damaged"):
        read(path, parts[2])
    assert [one.title for one in read(path, parts[3])[0]] == ["T2"]


def test_zeros_behind_the_last_stream_are_no_damage_and_other_bytes_are(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xml.bz2", SITE, *pages(2), END)
    content = path.read_bytes()
    path.write_bytes(content + bytes(1000))
    assert len(read(path)[0]) == 2
    path.write_bytes(content + b"more")
    with pytest.raises(SourceError, match="damaged"):
        read(path)


PACKERS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".bz2": bz2.compress, ".gz": gzip.compress, ".zst": zstandard.compress}


def read_parts(path: Path, part_bytes: int | None) -> tuple[list[str], Counter[str], set[str]]:
    """The titles of all parts, what was dropped, and what was wrong."""
    found: list[str] = []
    drops: Counter[str] = Counter()
    wrong: set[str] = set()
    for part in find_parts(str(path), part_bytes):
        try:
            for one in read_pages(str(path), part, {}, lambda reason: drops.update([reason]), lambda _: None):
                found.append(one.title)
        except SourceError as error:
            wrong.add(error.what.removeprefix(f"{path}: "))
    return found, drops, wrong


@pytest.mark.parametrize("part_bytes", [None, 50, 300])
@pytest.mark.parametrize("suffix", PACKERS)
def test_a_dump_without_its_end_is_said_to_be_cut_short_wherever_it_was_cut(tmp_path: Path, suffix: str, part_bytes: int | None) -> None:
    path = tmp_path / f"a.xml{suffix}"
    streams = [SITE, *pages(4), END]
    written(path, *streams, packer=PACKERS[suffix])
    assert read_parts(path, part_bytes) == (["T0", "T1", "T2", "T3"], {}, set())
    written(path, *streams[:-1], packer=PACKERS[suffix])
    without_end = "the dump is truncated: it does not end with </mediawiki>"
    assert read_parts(path, part_bytes) == (["T0", "T1", "T2", "T3"], {}, {without_end})
    written(path, *streams[:-1], END[:-4], packer=PACKERS[suffix])
    assert read_parts(path, part_bytes)[2] == {without_end}
    for cut in (20, 150, len(streams[3]) - 5):
        written(path, *streams[:3], streams[3][:cut], packer=PACKERS[suffix])
        found, drops, wrong = read_parts(path, part_bytes)
        assert (found, drops) == (["T0", "T1"], {})
        assert "the dump is truncated: it ends within a page" in wrong


@given(cut=st.integers(0, 1400), part_bytes=st.integers(1, 500), suffix=st.sampled_from(sorted(PACKERS)))
def test_no_beginning_of_a_dump_passes_for_a_whole_one(
    tmp_path_factory: pytest.TempPathFactory, cut: int, part_bytes: int, suffix: str
) -> None:
    content = SITE + "".join(pages(3)) + END
    whole = content.rstrip().removesuffix(">")
    path = tmp_path_factory.mktemp("dump") / f"a.xml{suffix}"
    written(path, content[:cut][: len(whole) - 1], packer=PACKERS[suffix])
    with pytest.raises(SourceError):
        for part in find_parts(str(path), part_bytes):
            list(read_pages(str(path), part, {}, lambda _: None, lambda _: None))


@pytest.mark.parametrize("part_bytes", [None, 1, 300])
@pytest.mark.parametrize("behind", ["", "\n" * 3000, " \n\0", "<!-- done -->\n"])
def test_what_stands_behind_the_end_of_a_dump_is_no_damage(tmp_path: Path, behind: str, part_bytes: int | None) -> None:
    for suffix, packer in PACKERS.items():
        path = written(tmp_path / f"a.xml{suffix}", SITE + "".join(pages(3)) + END.rstrip() + behind, packer=packer)
        assert read_parts(path, part_bytes) == (["T0", "T1", "T2"], {}, set())
    path = written(tmp_path / "b.xml.bz2", SITE, *pages(3), "</media", "wiki", ">", *behind)
    assert read_parts(path, part_bytes) == (["T0", "T1", "T2"], {}, set())


def test_of_dumps_in_a_row_each_must_end(tmp_path: Path) -> None:
    one, other = SITE + "".join(pages(3)) + END, (SITE + "".join(pages(2)) + END).replace("<title>T", "<title>U")
    path = written(tmp_path / "a.xml.bz2", one, other)
    assert read_parts(path, None) == (["T0", "T1", "T2", "U0", "U1"], {}, set())
    before = "the dump is truncated: another begins before its </mediawiki>"
    for first in (one.removesuffix(END), one[:-60]):
        assert before in read_parts(written(path, first, other), None)[2]
    assert read_parts(written(path, one, other.removesuffix(END)), None)[2] == {"the dump is truncated: it does not end with </mediawiki>"}


def test_pages_without_a_dump_around_them_have_no_end_to_look_for(tmp_path: Path) -> None:
    for suffix, packer in PACKERS.items():
        path = tmp_path / f"a.xml{suffix}"
        for part_bytes in (None, 1, 300):
            assert read_parts(written(path, *pages(3), packer=packer), part_bytes) == (["T0", "T1", "T2"], {}, set())
            written(path, *pages(2), pages(3)[2][:60], packer=packer)
            assert read_parts(path, part_bytes) == (["T0", "T1"], {}, {"the dump is truncated: it ends within a page"})


def test_a_dump_that_ends_before_its_first_page_is_cut_short(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="truncated before its first page"):
        find_parts(str(written(tmp_path / "a.xml", SITE, packer=bytes)))


def test_an_export_without_names_of_namespaces_is_read(tmp_path: Path) -> None:
    assert read_parts(written(tmp_path / "a.xml", "<mediawiki>", *pages(2), END, packer=bytes), None) == (["T0", "T1"], {}, set())


def test_real_dumps_have_the_pages_that_an_xml_parser_finds(shared_data: Path) -> None:
    for path in sorted((shared_data / "wikipedia").rglob("*.bz2")):
        root = ElementTree.fromstring(bz2.decompress(path.read_bytes()))
        space = root.tag.removesuffix("mediawiki")
        expected = [
            (element.findtext(f"{space}title"), int(element.findtext(f"{space}ns", "0")), element.findtext(f".//{space}text") or "")
            for element in root.iter(f"{space}page")
            if element.findtext(f".//{space}model", "wikitext") == "wikitext" or element.findtext(f"{space}ns") != "0"
        ]
        if next(root.iter(f"{space}page"), None) is not None:
            assert [(one.title, one.namespace, one.text.decode()) for one in read(path)[0]] == expected, path
