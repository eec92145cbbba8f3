"""The prose of wikitext: each rule on a small page, and the compiled passes against the rules."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import mwparserfromhell
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.strings import Strings, from_python
from tallyclip.lists import dump
from tallyclip.lists.wikitext.reference import plain_text
from tallyclip.lists.wikitext.stripper import Stripper
from tallyclip.lists.wikitext.tables import namespace_names

NAMESPACES = {6: "Datei", 14: "Kategorie", -2: "Médium"}
STRIPPER = Stripper(NAMESPACES)
PIECES = [
    *(
        "{{",
        "}}",
        "{",
        "}",
        "{|",
        "|}",
        "\n{|",
        "\n|}",
        "\n|-",
        "|",
        "|}}}",
        "[[",
        "]]",
        "[",
        "]",
        "[[File:a.png|",
        "[[x:y]]",
        ":A",
        ".jpg",
    ),
    *("<ref>", "</ref>", "<ref name=x/>", "<ref", "<!--", "-->", "<nowiki>", "</nowiki>", "<nowiki/>", "<br />", "<b>", "</b>", "<math>"),
    *(
        "</math >",
        "<",
        ">",
        "''",
        "'",
        "=",
        "\n",
        "\n\n",
        "*",
        "#",
        ":",
        ";",
        "----",
        "-",
        "[http://x ",
        "[//",
        "mailto:",
        "&nbsp;",
        "&lt;",
    ),
    *("&amp;lt;", "&#10;", "&#x41;", "&#1114112;", "&", "&foo;", "__TOC__", "__", "_", "-{", "}-", "zh-hans:", "zh:", "A|", "T|", "(", ")"),
    *(",", ".", "foo", "bar", " ", "  ", "é", "柏", "ж", "—", "\xa0", "\t", "\x01", "\x02", "\x03", "\x0e", "1"),
]
soup = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
IN_TAGS = (
    *(
        "<ref",
        "</ref>",
        "<span",
        "<br",
        "<nowiki",
        "</nowiki>",
        "</",
        "<",
        ">",
        "/>",
        ' name="',
        " name='",
        "=",
        '"',
        "'",
        '" ',
        "' ",
        '">',
    ),
    *("'>", '"/>', "<b>", "<!--", "-->", "<!-- a -->", "a", " ", "\n", "/", "!", "-", "REF", "|", "{{", "}}", "[[", "]]"),
)
IN_LINKS = (
    *(
        "[[",
        "]]",
        "[",
        "]",
        "|",
        "http://",
        "//",
        "mailto:",
        "NEWS:",
        "File:",
        "x:y",
        ".png",
        " ",
        "\n",
        "\n\n",
        "a",
        "b ",
        "<br>",
        "{{a}}",
    ),
    *("&#", "&#x", "0", "0000000", "41", "65", "110000", "9999999", "f", ";", "&amp;"),
)


def encoded(pages: list[bytes]) -> Strings:
    return Strings(np.frombuffer(b"".join(pages), np.uint8), np.cumsum([0, *map(len, pages)], dtype=np.int64), None)


def strip(pages: list[bytes], stripper: Stripper = STRIPPER) -> list[bytes]:
    texts = stripper.strip(encoded(pages))
    return [texts.data[start:end].tobytes() for start, end in pairwise(texts.offsets)]


def text_of(page: str, stripper: Stripper = STRIPPER) -> str:
    (text,) = strip([page.encode()], stripper)
    assert text == plain_text(page.encode(), stripper.names)
    return text.decode()


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("a <!-- b --> c<!-- d", "a c"),
        ("a<ref>b</ref> c<ref name=x/>, d<REF name='y'>e</Ref >.", "a c, d."),
        ("a<ref>b c", "a b c"),
        ("a<math>b</math>c <gallery>\nd|e\n</gallery> f", "a c f"),
        ("H<sub>2</sub>O <span style='x'>b</span><br/>c", "H2O b\nc"),
        ("1 < 2, a<b and <john@a.example>", "1 < 2, a<b and <john@a.example>"),
        ("<nowiki>[[a|b]] ''c'' &lt;</nowiki>", "[[a|b]] ''c'' <"),
        ("[[a]]<nowiki/>s '<nowiki/>'", "as ''"),
        ("a<blockquote>b</blockquote>c", "a\nb\nc"),
    ],
)
def test_comments_and_elements_without_prose_are_removed_and_other_tags_leave_their_content(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("a {{b|c={{d}}}} e", "a e"),
        ("a{{b}}, c", "a, c"),
        ("a {{b}}. c", "a. c"),
        ("a{{b}}c 1{{b}}é", "a c 1 é"),
        ("柏{{b}}林{{b}}。ж{{b}}柏{{b}}（林）{{b}}한😀{{b}}a—{{b}}c", "柏 林。ж 柏（林）한😀 a—c"),
        ("'''Foo''' ({{lang|a}}; ''{{b}}'') is", "Foo is"),
        ("Foo ({{lang|a}}; born 1)", "Foo (born 1)"),
        ("a {{{b|c}}} d {{{{e}}}} f", "a d {} f"),
        ("{{a\n{|\n| b\n|}\n}}c", "c"),
        ("a\n{| class=x\n| b {{c\n|-\n| {|\n|}\n|}\nd", "a\n\nd"),
        ("a {| b |} c", "a {| b |} c"),
        (":{|\n|a|}}\n|}b", "b"),
        ("{|\n| {{a|\n|}}\n|}\nb", "b"),
    ],
)
def test_templates_and_tables_are_removed_with_everything_in_them(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("a {{b c\nd", "a b c\nd"),
        ("a {{b {{c}} d", "a b d"),
        ("a}} b", "a b"),
        ("{| class=x\n|-\n| a\nb", "| a\nb"),
        ("|} a", "a"),
        ("{{{{a}} {|\n|b\n|}\nc", "{|\n|b\n\nc"),
        ("a [[b|c\n\nd]] e", "a b|c\n\nd e"),
    ],
)
def test_unclosed_markup_removes_nothing(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("[[a]] [[b|c]]s [[d|e|f]] [[g|]] [[#h]]", "a cs f g #h"),
        ("a[[File:b.jpg|thumb|c [[d|e]] [f]]]g", "a g"),
        ("a [[datei:b|c]] [[KATEGORIE : d]] [[médium:e]] [[MÉDIUM:f]] [[Image_:g]] h", "a h"),
        ("a [[Archivo:b.PNG|c]] d", "a d"),
        ("[[:Kategorie:a|b]] [[:Kategorie:c]]", "b Kategorie:c"),
        ("a\n[[Luokka:b]]\n[[fr:c]] [[de:d]]\ne [[fr:f]]\n* [[Star Trek: G]]\n[[Star Trek: H]]", "a\n\ne fr:f\nStar Trek: G\nStar Trek: H"),
        ("a [http://b c d] [http://e] [//f g] [mailto:h i] http://j [k]", "a c d g i http://j [k]"),
        ("a [http://b [c] d\n[http://e f", "a [c d\n[http://e f"),
        ("-{zh-hans:甲; zh-hant:乙}-丙-{A|zh:丁;}- -{T|a}--{re:b}--{c", "甲丙丁 re:b-{c"),
    ],
)
def test_links_leave_what_is_read(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("== a ==\nb\n=c= \n=====\nd = e", "a\nb\nc\n\nd = e"),
        ("* a\n** b\n#c\n;d\n: e", "a\nb\nc\nd\ne"),
        ("a\n-----b\n---c", "a\nb\n---c"),
        ("''a'' '''b''' '''''c''''' L''''d' e'f", "a b c L'd' e'f"),
        ("__NOTOC__a __b__ __NICHT_INDEXIEREN__c __無目次__ d", "a __b__ c d"),
        ("&#x00004A; &#x000000004A; &#0000074; &#00000000000000000000074;", "J J J J"),
        (
            "&#; &#x; &#x110000; &#1114112; &#4294967361; &#x10000000000000041;",
            "&#; &#x; &#x110000; &#1114112; &#4294967361; &#x10000000000000041;",
        ),
        ("a&nbsp;b &amp;lt; &eacute;&#233;&#xE9; &hellip; &foo; &#1; &amp", "a b &lt; ééé … &foo; &#1; &amp"),
        ("a\xa0b\tc\x01d\r\ne", "a b c d\ne"),
        ("a\n\n\n{{b}}\n\nc\n{{d}}\ne\n", "a\n\nc\n\ne"),
        ("", ""),
        (" {{a}} ", ""),
    ],
)
def test_markup_of_lines_is_removed(page: str, text: str) -> None:
    assert text_of(page) == text


def test_names_of_namespaces_are_the_wikis_own_and_the_common_ones() -> None:
    assert {b"file", b"image", b"category", b"media", b"kategorie"} <= namespace_names(NAMESPACES)
    assert {"médium".encode(), "mÉdium".encode()} <= namespace_names(NAMESPACES)
    assert text_of("a [[Kategorie:b]] c", Stripper({})) == "a Kategorie:b c"
    assert text_of("a [[Élé_mé:b]] c", Stripper({6: "élé mé"})) == "a c"


QUOTED = (
    *('"a > b"', "'a > b'", '"<x>"', "'<b>\"x\"</b>'", '"a>b"', '"-->"', '"<!-- c -->"', '"<"', "'>'", '"a|b"', '"{{a|[[b]]}}"', '""'),
    *("'=\"'", '"<nowiki>"'),
)


@pytest.mark.parametrize("value", QUOTED)
def test_a_value_in_quotes_may_hold_any_sign_and_leaves_nothing(value: str) -> None:
    for name in ("ref", "math", "GALLERY", "syntaxhighlight"):
        assert text_of(f"a<{name} name={value}>text</{name}> b") == "a b"
        assert text_of(f"a<{name} x=1 name = {value} y>text</{name} > b") == "a b"
        assert text_of(f"a<{name} name={value}/> b <{name}>c</{name}>") == "a b"
    for name in ("span", "i", "section"):
        assert text_of(f"a <{name} title={value}>b</{name}> c<{name} title={value} />") == "a b c"
    assert text_of(f"a<div title={value}>b</div>c<br clear={value}/>d") == "a\nb\nc\nd"
    assert text_of(f"<nowiki title={value}>[[a]]</nowiki>") == "[[a]]"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ('a<ref name="b>c</ref> d <ref name="e">f</ref> g', "a d g"),
        ('a<ref name="b>c</ref> d <ref name="e" /> f', "a d f"),
        ('a<ref name="b>c</ref> "d" e\n"f" > g', 'a "d" e\n"f" > g'),
        ('a<ref name="b>c</ref> 5" > d', 'a 5" > d'),
        ('a<ref name="b\n>c</ref> "d', 'a "d'),
        ("a<ref name=O'Brien>b</ref> c 'd > e'", "a c 'd > e'"),
        ('a<ref name="b"c">d</ref> e', "a e"),
        ('a<ref name={{b|c="d"}}>e</ref> f', "a f"),
        ("a<ref name=b <!-- c -->>d</ref> e", "a e"),
        ('a<ref <!-- "c" --> name="<d>">e</ref> f', "a f"),
        ('a<span title="b > c', "a c"),
        ('a<span title="b > c" d', 'a c" d'),
    ],
)
def test_an_unclosed_quote_removes_no_more_than_its_tag(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("[[http://example.com foo bar]]", "[foo bar]"),
        ("a\n[[HTTPS://example.com foo]]\nb [[//example.com c]] [[mailto:d@e f]] g", "a\n[foo]\nb [c] [f] g"),
        ("[[http://example.com|foo bar]]", "[bar]"),
        ("[[ http://example.com foo]]", "http://example.com foo"),
        ("a\n[[News: The Movie|b]]\n[[News: The Movie]]", "a\nb\nNews: The Movie"),
        ("[[:http://example.com foo]]", "http://example.com foo"),
        ("a [[File:b.png|thumb|c [[http://d e|f]] g]] h", "a h"),
        ("[[a|b [[http://c d]] e]] f", "b [d] e f"),
        ("[[http://a [[b|c]] d]] e", "[c d] e"),
        ("[[http://a b\nc]] [http://a d]", "http://a b\nc d"),
    ],
)
def test_a_url_in_two_brackets_is_a_link_in_one(page: str, text: str) -> None:
    assert text_of(page) == text


@given(st.lists(soup, max_size=3))
def test_the_passes_give_what_the_rules_say(pages: list[str]) -> None:
    raw = [page.encode() for page in pages]
    texts = strip(raw)
    assert texts == [plain_text(page, STRIPPER.names) for page in raw]
    for text in texts:
        assert text == text.strip()
        assert b"  " not in text


@pytest.mark.parametrize("pieces", [PIECES, IN_TAGS, IN_LINKS])
def test_the_passes_give_what_the_rules_say_of_long_pages_too(pieces: Sequence[str]) -> None:
    choose = random.Random(7)
    raw = ["".join(choose.choices(pieces, k=choose.randint(1, 300))).encode() for _ in range(1500)]
    raw += ["".join(choose.choices(pieces, k=choose.randint(1, 12))).encode() for _ in range(15_000)]
    assert strip(raw) == [plain_text(page, STRIPPER.names) for page in raw]


@st.composite
def attributes(draw: st.DrawFn) -> str:
    quote = draw(st.sampled_from("\"'"))
    signs = ["a", "b ", "<x>", " < ", ">", "=", "/", "|", "!", "-", "&", ";", "\"'".replace(quote, "")]
    value = "".join(draw(st.lists(st.sampled_from(signs), max_size=6)))
    blank = draw(st.sampled_from(["", " "]))
    return f" name{blank}={blank}{quote}{value}{quote}"


@st.composite
def elements(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(["ref", "REF", "span", "b", "math"]))
    opening = f"<{name}{''.join(draw(st.lists(attributes(), max_size=3)))}"
    return f"{opening} />" if draw(st.booleans()) else f"{opening}>in</{name}>"


links = st.tuples(st.sampled_from(["http://a.example", "//a.example", "mailto:a@b"]), st.sampled_from(["", " c", " c d"]))
numbers = st.tuples(st.sampled_from(["&#%d;", "&#x%x;", "&#%012d;", "&#X%09X;"]), st.sampled_from([65, 0xE9, 0x110000, 1 << 40]))
markup = st.one_of(
    elements(), links.map(lambda link: f"[[{link[0]}{link[1]}]]"), numbers.map(lambda number: number[0] % number[1]), st.just(" text ")
)


@given(st.lists(markup, max_size=5))
def test_tags_external_links_and_numbers_are_those_that_another_parser_finds(pieces: list[str]) -> None:
    found: list[str] = []
    for node in mwparserfromhell.parse(page := " w ".join(pieces)).nodes:
        match node:
            case mwparserfromhell.nodes.Tag():
                found.append("" if str(node.tag).lower() in ("ref", "math") else str(node.contents or ""))
            case mwparserfromhell.nodes.ExternalLink():
                found.append(str(node.title or ""))
            case mwparserfromhell.nodes.HTMLEntity():
                found.append(node.normalize())
            case _:
                found.append(str(node))
    assert text_of(page).split() == "".join(found).split()


@given(st.lists(st.text(), max_size=3), st.integers(0, 5))
def test_texts_of_any_characters_and_offsets_are_read(pages: list[str], skipped: int) -> None:
    whole = from_python(pages)
    texts = STRIPPER.strip(Strings(whole.data, whole.offsets[min(skipped, len(pages)) :], None))
    assert len(texts.offsets) == len(pages) - min(skipped, len(pages)) + 1
    names = STRIPPER.names
    expected = b"".join(plain_text(page.encode(), names) for page in pages[skipped:])
    assert texts.data.tobytes() == expected


def test_every_real_page_is_stripped_as_the_rules_say(shared_data: Path) -> None:
    for path in sorted((shared_data / "wikipedia").rglob("*.bz2")):
        if path.stat().st_size < 100_000 or "enwiki-table" in path.name:
            namespaces = dump.namespaces_of(str(path)) if path.stat().st_size > 1000 else {}
            if not namespaces:
                continue
            pages = list(dump.read_pages(str(path), (0, None), namespaces, lambda _: None, lambda _: None))
            stripper = Stripper(namespaces)
            raw = [page.text for page in pages]
            assert strip(raw, stripper) == [plain_text(text, stripper.names) for text in raw], path


@pytest.mark.parametrize(
    "piece",
    [
        *("{{", "{{ ", "}}", "[[", "[[a|", "[[a:b ", "<ref>", "<ref ", "<nowiki>", "</ref  ", "<!--", "[http://a ", "-{", "-{a|", "''"),
        *(
            "<ref name=",
            '<ref name="',
            '<ref name=" x" c="',
            "<a b='",
            "<a b=\" c='",
            '<a b="<!-- ',
            "<a <!-- ",
            '<a b="</a',
            "<a b=\n",
            '"',
            '="',
        ),
        *("[[http://a ", "[[http://a b|c]]", "[[http://a [[b ", "&#", "&#0", "&#x0", "&"),
        *("&#1", "__A_", "(", "({{a}} ", "\n|}", "\n{|", "\n{|\n{{", "{{a}} ", "[[x:y]] ", "\n=", "[[a [b ]]]", "<ref></ref>"),
    ],
)
def test_a_page_of_one_sign_over_and_over_is_read_in_time_proportional_to_its_size(piece: str) -> None:
    """The square of it would exceed the time limit of tests."""
    strip([piece.encode() * (2_000_000 // len(piece))])


@pytest.mark.parametrize(("opening", "closing"), [("{{a|", "}}"), ("[[a|", "]]"), ("\n{|", "\n|}"), ("{{{{{", "}}")])
def test_deeply_nested_markup_is_read(opening: str, closing: str) -> None:
    for depth in (3, 9, 4095, 5000):
        page = (opening * depth + "b" + closing * depth).encode()
        assert strip([page]) == [plain_text(page, STRIPPER.names)]
    deep = 1_000_000  # its square would exceed the time limit of tests
    strip([(opening * deep + "b " * deep + closing * deep).encode()])


def test_a_page_of_fifty_megabytes_is_read() -> None:
    part = b"{{Infobox|a=b}} '''Foo''' is a [[bar|baz]].\n\n"
    (text,) = strip([part * (50_000_000 // len(part))])
    assert text == b"\n\n".join([b"Foo is a baz."] * (50_000_000 // len(part)))
