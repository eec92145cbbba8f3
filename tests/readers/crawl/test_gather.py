from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.uids import make_uids
from tallyclip.readers.crawl import gather
from tallyclip.readers.crawl.gather import NOT_UNICODE, REPEATED_ON_PAGE, TOO_COMPLEX, Gatherer, Image
from tallyclip.readers.crawl.links import FIELDS, base_of, clean_text, web_address

PIECES = [
    "http:",
    "https:",
    "HTTP:",
    "//",
    "/",
    "..",
    ".",
    "a",
    "b.png",
    "?",
    "x=1",
    "#f",
    ";p",
    ":",
    "@",
    " ",
    "\t",
    "\n",
    "\x00",
    "%20",
    "é",
    "ü.example",
    "\x7f",
    "\ud800",
]
SCHEMES = [
    "data:image/png;base64,AA",
    "javascript:void(0)",
    "mailto:a@b",
    "blob:http://a/b",
    "ftp://a/b",
    "[",
    "http://[::1]/a",
    "http://[bad/a",
]
ADDRESSES = st.one_of(st.lists(st.sampled_from(PIECES), max_size=7).map("".join), st.sampled_from(SCHEMES), st.text(max_size=10))
PAGES = st.one_of(
    st.sampled_from(
        [
            "http://a.example/x/y.html",
            "http://ä.example/é x/y.html",
            "http://a b.example/",
            "https://a.example",
            "http://a.example/x/../y/",
            "http://a.example/p;q/r?s#t",
            "",
            "dns:a",
        ]
    ),
    ADDRESSES,
)
BASES = st.one_of(st.none(), st.sampled_from(["/base/", "//other.example/d/", "https://b.example/c/d", "  ", "sub/"]), ADDRESSES)
TEXTS = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "a dog", "a dog ", "a\r\ndog", "a\ndog", "\xa0dog\u3000", "\u200b", "\ud800", "x\x00y"]),
    st.text(max_size=8),
)
IMAGES = st.lists(st.tuples(st.one_of(st.none(), ADDRESSES), TEXTS, TEXTS, TEXTS), max_size=6)


def is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def slowly(pages: list[tuple[str, str | None, list[tuple[str | None, str | None, str | None, str | None]]]]) -> tuple[list, dict[str, int]]:
    """The rule, one text at a time."""
    rows: list[tuple[str, str, str, int]] = []
    drops: dict[str, int] = {}
    for number, (page, base, images) in enumerate(pages):
        seen: set[tuple[str, str]] = set()
        for address, *texts in images:
            for field, text in zip(FIELDS, texts, strict=True):
                cleaned = clean_text(text or "")
                if not cleaned:
                    continue
                url, reason = web_address(address or "", base_of(page, base))
                if reason is None and not is_unicode((address or "") + (text or "")):
                    reason = NOT_UNICODE
                if reason is None and (url, cleaned) in seen:
                    reason = REPEATED_ON_PAGE
                if reason is not None:
                    drops[reason] = drops.get(reason, 0) + 1
                    continue
                seen.add((url, cleaned))
                rows.append((url, cleaned, field, number))
    return rows, drops


@given(st.lists(st.tuples(PAGES, BASES, IMAGES), max_size=4))
def test_whole_columns_follow_the_rule_as_single_texts_do(pages: list) -> None:
    if not all(is_unicode(page + (base or "")) for page, base, _ in pages):
        return
    gather = Gatherer()
    for number, (page, base, images) in enumerate(pages):
        gather.page(page, base, "file", number, [Image(None, *image) for image in images])
    rows = gather.take()
    expected, drops = slowly(pages)
    found = rows.table
    assert (
        list(zip(found["url"].to_pylist(), found["text"].to_pylist(), found["field"].to_pylist(), found["offset"].to_pylist(), strict=True))
        == expected
    )
    assert dict(gather.drops) == drops
    assert gather.counts["images"] == sum(len(images) for _, _, images in pages)
    assert gather.counts["texts"] == len(expected) + sum(drops.values())


@given(st.lists(st.tuples(PAGES, BASES, IMAGES), max_size=2))
def test_nothing_that_a_page_can_say_is_too_much(pages: list) -> None:
    gather = Gatherer()
    for page, base, images in pages:
        gather.page(page, base, "\ud800", 0, [Image(None, *image) for image in images])
    rows = gather.take()
    assert len(rows.table) + sum(gather.drops.values()) == gather.counts["texts"]
    rows.table.validate(full=True)


def test_rows_say_where_they_are_from_and_carry_the_pairs_uid() -> None:
    gather, one, two = Gatherer(), "http://a.example/x/", "http://b.example/"
    gather.page(one, None, "1.warc.gz", 10, [Image(None, "1.png", "a dog", "a dog", "a cat"), Image(None, "1.png", "a dog")])
    gather.page(two, "https://c.example/d/", "2.warc.gz", 20, [Image(None, "e.png", "a cow")])
    rows = gather.take()
    assert [tuple(row.values()) for row in rows.table.to_pylist()] == [
        ("http://a.example/x/1.png", "a dog", "alt", one, "1.warc.gz", 10),
        ("http://a.example/x/1.png", "a cat", "data-image-title", one, "1.warc.gz", 10),
        ("https://c.example/d/e.png", "a cow", "alt", two, "2.warc.gz", 20),
    ]
    assert (rows.uids == make_uids(rows.table["url"], rows.table["text"])).all()
    assert dict(gather.drops) == {REPEATED_ON_PAGE: 2}
    assert len(gather.take().table) == 0


def test_a_base_as_long_as_a_book_is_ignored_and_many_long_ones_fill_a_batch() -> None:
    gather = Gatherer()
    gather.page("http://a.example/", f"http://b.example/{'a' * 100_000}/", "f", 0, [Image(None, f"{i}.png", "a dog") for i in range(5)])
    assert len(gather.take().uids) == 0
    assert dict(gather.drops) == {"URL: not http or https": 5}
    for page in range(10):
        images = [Image(None, f"{i}.png", "a dog") for i in range(1_000)]
        gather.page("http://a.example/", f"http://b.example/{'a' * 7_000}/{page}/", "f", 0, images)
    assert gather.is_full
    assert len(gather.take().uids) == 10_000


def test_many_texts_and_long_ones_are_enough_for_a_batch() -> None:
    gather = Gatherer()
    for number in range(7):
        gather.page("http://a.example/", None, "f", number, [Image(None, "1.png", f"{number}" * 10_000_000)])
        assert gather.is_full == (number == 6)
    assert len(gather.take().uids) == 7
    assert not gather.is_full
    gather.page("http://a.example/", None, "f", 0, [Image(None, "1.png", f"{number}") for number in range(65_536)])
    assert gather.is_full


def test_a_page_with_more_text_and_urls_than_memory_is_dropped_and_others_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "MOST_CHARACTERS", 100_000)
    gatherer = Gatherer()
    images = [Image(url=f"{i}.jpg", alt="a dog") for i in range(1000)]
    for number, base in enumerate(["http://a.example/", "http://a.example/" + "b" * 8000 + "/", "http://a.example/c/"]):
        gatherer.page(f"http://a.example/{number}", base, "file", 0, images)
    assert not gatherer.is_full
    urls = gatherer.take().table["url"].to_pylist()
    assert urls == [f"http://a.example/{folder}{i}.jpg" for folder in ("", "c/") for i in range(1000)]
    assert gatherer.drops == {TOO_COMPLEX: 1}
    assert (gatherer.counts["pages"], gatherer.counts["images"]) == (2, 2000)
