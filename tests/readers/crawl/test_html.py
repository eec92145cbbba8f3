from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from tallyclip.readers.crawl import html
from tallyclip.readers.crawl.archive import read_records
from tallyclip.readers.crawl.gather import Image
from tallyclip.readers.crawl.html import TooComplexError, images_of, largest_of


def alts(page: str | bytes) -> list[str | None]:
    """The alt texts of a page; a dash for an image without texts."""
    return ["-" if image == Image() else image.alt for image in images_of(page)[1]]


def only(page: str) -> Image:
    _, [image] = images_of(page)
    return image


# attributes


def test_an_image_has_its_url_and_its_texts() -> None:
    found = only('<p><IMG SRC=" a.png " ALT="a dog" title=\'a cat\' data-image-title=cow data-x=y>')
    assert found == Image(url=" a.png ", alt="a dog", title="a cat", data_image_title="cow")
    assert only("<img title=x alt>") == Image(title="x")
    assert only('<img title=x alt="" src>') == Image(alt="", title="x")


def test_all_images_count_and_those_that_say_nothing_are_empty() -> None:
    _, images = images_of('<img src=a><img src=b alt=""><img src=c alt=" \t\xa0"><img src=d title=x>')
    assert images == [Image(), Image(), Image(), Image(url="d", title="x")]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"a &amp; b"', "a & b"),
        ('"caf&eacute; caf&eacute"', "café café"),
        ('"&#8217;&#x2019;&#146;"', "’’’"),
        ('"?a=1&copy=2&copy;&lt=&lt"', "?a=1&copy=2©&lt=<"),
        ('"&bogus; & &"', "&bogus; & &"),
        ('"a\nb"', "a\nb"),
        ("'<b>\"bold\"</b>'", '<b>"bold"</b>'),
        ("unquoted>", "unquoted"),
        ("a/b/c", "a/b/c"),
        ("first alt=second", "first"),
        ('"a\0b"', "a\ufffdb"),
    ],
)
def test_texts_are_read_by_the_rules_of_html(written: str, meant: str) -> None:
    assert only(f"<img alt={written} src=x>").alt == meant


def test_bytes_are_utf8_and_what_is_not_is_replaced() -> None:
    assert alts("<img alt='Größe'>".encode()) == ["Größe"]
    assert alts(b"<img alt='a \xff b'>") == ["a \ufffd b"]
    assert alts("<img alt='a\ud800b'>") == ["a?b"]


# URLs


@pytest.mark.parametrize(
    ("attributes", "url"),
    [
        ("src=a data-src=b srcset='c 2x'", "a"),
        ("data-src=b data-lazy-src=c", "b"),
        ("src='' data-lazy-src=c data-original=d", "c"),
        ("src='  ' data-src=' ' data-original=d", "d"),
        ("src=' DATA:image/gif;base64,R0lGOD' data-src=b", "b"),
        ("src=data:x data-src=data:y data-srcset='c 1x, d 2x' srcset=e", "d"),
        ("srcset='small.jpg 320w, large.jpg 1024w, middle.jpg 640w'", "large.jpg"),
        ("src=data:x", "data:x"),
        ("src=data:x srcset='data:image/png;base64,xx 2x'", "data:x"),
        ("src=''", ""),
        ("src", None),
        ("", None),
    ],
)
def test_where_src_is_not_a_link_the_url_is_the_one_that_scripts_load(attributes: str, url: str | None) -> None:
    assert only(f"<img alt=x {attributes}>").url == url


@pytest.mark.parametrize(
    ("srcset", "url"),
    [
        ("a", "a"),
        ("a, b", "a"),
        ("a 1x, b 2x", "b"),
        ("a 1.5x,b 10x,c 9x", "b"),
        ("a, b 0.5x", "a"),
        ("a 100w, b 20w", "a"),
        ("a,b,c 5w, d 6w", "d"),
        ("http://x/c_fill,w_100/a.jpg 100w, http://x/c_fill,w_200/a.jpg 200w", "http://x/c_fill,w_200/a.jpg"),
        ("a,, b 2x", "b"),
        (" ,\n, a ,", "a"),
        ("a 100w 50h, b 60w", "a"),
        ("a x(1,2) 3x, b 2x", "a"),
        ("a (1x, b 2x", "a"),
        ("a bogus, b 2x", "b"),
        ("data:image/gif;base64,AA== 9x, b 1x", "b"),
        ("a 999999999999999999999w, b 2w", "b"),
        ("a nanx, b infx, c -1x", "a"),
        ("", None),
        (" , ", None),
        ("data:x 1x", None),
    ],
)
def test_of_a_srcset_the_largest_image_is_taken(srcset: str, url: str | None) -> None:
    assert largest_of(srcset) == url


def test_the_base_is_the_first_that_has_a_url() -> None:
    assert images_of("<base target=x><base href=' a '><base href=b><img>") == (" a ", [Image()])
    assert images_of("<img><BASE HREF=a>")[0] == "a"
    assert images_of("<base href><base href=b>")[0] == ""
    assert images_of("<base><!--<base href=a>--><script><base href=b></script>")[0] is None


# where images are


@pytest.mark.parametrize(
    "page",
    [
        "<noscript><img alt=x></noscript>",
        "<head><noscript><img alt=x></noscript></head>",
        "<picture><source srcset=a><img alt=x></picture>",
        "<template><p><img alt=x></template>",
        "<table><img alt=x><tr>",
        "<select><option><img alt=x>",
        "<image alt=x>",
        "<svg><image alt=y></image></svg><image alt=x>",
        "<svg><style/><script/><title/></svg><img alt=x>",
        "<svg><path><img alt=x>",
        "<svg/><title><img alt=y></title><img alt=x>",
        "<svg><svg></svg><style/></svg><img alt=x>",
        "<svg><![CDATA[<img alt=y>]]></svg><img alt=x>",
        "<svg><foreignObject><style><img alt=y></style><img alt=x>",
        "<svg><g></p><style><img alt=y></style><img alt=x>",
        "<![CDATA[<img alt=y>]]><img alt=x>",
        "<a title='<img alt=y>' href=\"<img alt=y>\"><img alt=x>",
        '<a title = "<img alt=y>"><img alt=x>',
        "<a b=c'><img alt=x>'",
        "<a b='c'd='<img alt=y>'><img alt=x>",
        '<a b=""><img alt=x>">',
        '<a b=c="d>"><img alt=x>',
        '<a ="b>"><img alt=x>',
        '<a-="b>"><img alt=x>',
        "<div<img alt=y><img alt=x>",
        "<div<p<img><img alt=x>",
        "< img alt=y><img alt=x>",
        "<imgx alt=y><img/alt=x>",
        "<img\nalt\n=\nx\n/>",
        "</img alt=y><img alt=x>",
        "</ <img alt=y><img alt=x>",
        "<! <img alt=y><img alt=x>",
        "<?php <img alt=y><img alt=x>",
        "<!-- <img alt=y> --><img alt=x>",
        "<!-- <img alt=y> --!><img alt=x>",
        "<!--><img alt=x>",
        "<!---><img alt=x>",
        "<!--!><img alt=y>--><img alt=x>",
        "<!-- > <img alt=y> -- > - -> <img alt=y>--><img alt=x>",
        "<img alt=x><!-- <img alt=y>",
        *(f"<{name}><img alt=y></{name}><img alt=x>" for name in ("title", "textarea", "style", "script", "xmp", "iframe", "noembed")),
        "<style><img alt=y></STYLE\n><img alt=x>",
        "<style><img alt=y></stylex></style/><img alt=x>",
        "<img alt=x><style><img alt=y>",
        "<img alt=x><plaintext><img alt=y></plaintext><img alt=y>",
        "<script>document.write('<img alt=y>')</script><img alt=x>",
        "<script><!-- '<script>' '</script>' <img alt=y> --></script><img alt=x>",
        "<script><!-- <script> --></script><img alt=x>",
        "<script><!--><script></script><img alt=x>",
        "<script><!-- '</script><img alt=x>",
        "<script>'<script>'</script><img alt=x>",
        "<img alt=x><script><!-- <script></script><img alt=y>",
    ],
)
def test_an_image_is_where_browsers_see_one(page: str) -> None:
    assert alts(page) == ["x"]
    assert in_tags(page.encode()) == in_tree(page.encode())


def test_a_tag_without_an_end_is_ignored() -> None:
    for page in ("<img alt=x", "<img alt='x>", '<img alt="', "<img ", "<img", "<base href=a"):
        assert images_of(page) == (None, [])
        assert in_tree(page.encode()) == Counter()


def attributes_of(nodes: Iterable[Any]) -> list[str]:
    return [str(node.attributes) for node in nodes]


def in_tree(page: bytes) -> Counter[str]:
    """The images in the tree that Lexbor makes from the whole page, templates included."""
    tree = LexborHTMLParser(page)
    found, fragments = attributes_of(tree.css("img")), tree.template_fragments()
    while fragments:
        fragment = fragments.pop()
        found += attributes_of(fragment.css("img"))
        fragments += fragment.template_fragments()
    return Counter(found)


def in_tags(page: bytes) -> Counter[str]:
    return Counter(attributes_of(LexborHTMLParser(b"".join(html._tags(page))).css("img")))


PIECES = [
    *(
        "<img ",
        "<img src=a>",
        '<IMG alt="x>y">',
        "<img alt='a",
        "<image src=i>",
        "<base href=b>",
        ">",
        '"',
        "'",
        "=",
        " ",
        "\n",
        "/",
        "<",
        "a",
        "é",
    ),
    *(
        '<a href="',
        "<b ",
        "<a b=",
        "c>",
        '=="',
        "/>",
        "<div<",
        'x="y"',
        "&amp;",
        "<!--",
        "-->",
        "--!>",
        "-",
        "!",
        "<!",
        "<?",
        "</",
        "<![CDATA[",
        "]]>",
    ),
    *(
        "<script>",
        "</script>",
        "<script ",
        "</script ",
        "<style>",
        "</style>",
        "<title>",
        "</title>",
        "<textarea>",
        "</textarea>",
        "<plaintext>",
    ),
    *("<iframe>", "</iframe>", "<xmp>", "</xmp>", "<noembed>", "</noembed>", "<noscript>", "</noscript>", "<template>", "</template>"),
    *("<p>", "</p>", "<div ", "</div>", "<table>", "<td>", "<svg>", "</svg>", "<svg/>", "<g>", '<path d="a>b"/>'),
]


@given(parts=st.lists(st.sampled_from(PIECES), max_size=12))
def test_the_images_of_a_page_are_those_of_its_tree(parts: list[str]) -> None:
    page = "".join(parts)
    if "<table>" in page:  # where Lexbor loses <image>, and no browser does
        page = page.replace("<image", "<img")
    if "<svg>" in page:  # which may have HTML in its titles, and end with its parent: here it ends at its end tag or a tag of HTML
        page = re.sub("<title>|</(template|div|noscript)>", "<p>", page)
    assert in_tags(page.encode()) == in_tree(page.encode())


@pytest.mark.parametrize("name", ["html-warc/readability-00", "warc/dolma-sample-0000", "warc/aut-example", "warc/resiliparse-warcfile"])
def test_the_images_of_real_pages_are_those_of_their_trees(shared_data: Path, name: str) -> None:
    for record in read_records(str(shared_data / f"{name}.warc.gz"), ("response",), print):
        page = record.content.partition(b"\r\n\r\n")[2]
        assert in_tags(page) == in_tree(page), record.uri


# bounds

ENDLESS = [
    *("<div>", "<b x=1><p>", "<a><b>", "<table><tr>", "<svg>", "<svg><p>", "<template>", "<", "</", "<!", "<!--", "<!-- a -->", "<!----!>"),
    *(
        "<a ",
        '<a b="',
        "<img alt='",
        "<a<a",
        "<script>",
        "<script><!--<script></script>",
        "<style></stylex",
        "<title></title>",
        "&amp",
        "-",
    ),
]


@pytest.mark.parametrize("piece", ENDLESS)
def test_time_is_in_proportion_to_the_size_whatever_a_page_is_made_of(piece: str) -> None:
    """A tree of some of these would take hours, which the time limit of tests ends."""
    images_of((piece * ((2 << 20) // len(piece))).encode())


@pytest.mark.parametrize("inside", [' a{}="b"', " {}a", ' alt="a" srcset="{},"', " ="])
def test_a_tag_may_have_any_number_of_attributes(inside: str) -> None:
    """So many that comparing each with each would exceed the time limit of tests."""
    page = "<img alt=x" + "".join(map(inside.format, range(1_000_000))) + "><img alt=z>"
    assert alts(page)[0] == "x"


def test_many_tags_may_have_many_attributes() -> None:
    page = "".join("<img alt=x " + " ".join(f"a{i}b{j}" for j in range(200)) + ">" for i in range(1_000))
    assert alts(page) == ["x"] * 1_000


def test_attributes_after_the_last_that_counts_are_ignored() -> None:
    def page(count: int) -> str:
        return "<img " + " ".join(f"a{i}" for i in range(count)) + " alt=x><img alt=z>"

    assert alts(page(html.MOST_ATTRIBUTES - 1)) == ["x", "z"]
    assert alts(page(html.MOST_ATTRIBUTES)) == ["-", "z"]


def test_a_srcset_is_read_as_far_as_its_bound() -> None:
    candidates = "a 1w, " * (html.LONGEST_SET // 6)
    assert only(f"<img alt=x srcset='{candidates[:-12]} b 2w'>").url == "b"
    assert only(f"<img alt=x srcset='{candidates}      b 2w'>").url == "a"


def test_a_page_with_more_images_than_any_is_too_complex(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MOST_IMAGES", 100)
    assert len(images_of("<img>" * 100)[1]) == 100
    with pytest.raises(TooComplexError):
        images_of("<img>" * 101)


def test_where_tags_are_put_together_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    page = "<base><base href=a>" + "".join(f"<img alt={i}>" for i in range(50)) + "<base href=b>"
    whole = images_of(page)
    for size in (1, 20, 100):
        monkeypatch.setattr(html, "BYTES_AT_ONCE", size)
        assert images_of(page) == whole


@given(page=st.binary(max_size=100) | st.text(st.characters(codec=None), max_size=100))
def test_of_any_page_there_are_images(page: str | bytes) -> None:
    images_of(page)
    if isinstance(page, str):
        largest_of(page)
