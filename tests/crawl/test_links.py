from __future__ import annotations

from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.crawl.links import DATA_ADDRESS, MALFORMED, NO_ADDRESS, NOT_WEB, base_of, clean_text, resolve, web_address

PAGE = base_of("https://a.example/b/c.html", None)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("http://x.example/i.png", "http://x.example/i.png"),
        ("HTTP://x.example/i.png", "HTTP://x.example/i.png"),
        ("i.png", "https://a.example/b/i.png"),
        ("/i.png", "https://a.example/i.png"),
        ("../i.png", "https://a.example/i.png"),
        ("//x.example/i.png", "https://x.example/i.png"),
        ("?i", "https://a.example/b/c.html?i"),
        (" \n i\n.png\t", "https://a.example/b/i.png"),
        ("i a.png", "https://a.example/b/i a.png"),
        ("http://x.example/a/../b", "http://x.example/a/../b"),
        ("http://x.example/i.png#f", "http://x.example/i.png#f"),
    ],
)
def test_an_address_is_resolved_and_otherwise_as_it_was(address: str, url: str) -> None:
    assert web_address(address, PAGE) == (url, None)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", NO_ADDRESS),
        (" \t", NO_ADDRESS),
        ("data:image/gif;base64,R0lG", DATA_ADDRESS),
        ("DATA:,x", DATA_ADDRESS),
        ("javascript:void(0)", NOT_WEB),
        ("ftp://a.example/i.png", NOT_WEB),
        ("file:///etc/passwd", NOT_WEB),
        ("http:///i.png", MALFORMED),
        ("http://", MALFORMED),
        ("http:i.png", MALFORMED),
        ("http://x.example/\x00", MALFORMED),
    ],
)
def test_what_is_no_web_address_has_a_reason(address: str, reason: str) -> None:
    assert web_address(address, base_of("dns:nowhere", None)) == ("", reason)


def test_the_page_may_name_another_base() -> None:
    assert web_address("i.png", base_of("https://a.example/b/", "c/")) == ("https://a.example/b/c/i.png", None)
    assert web_address("i.png", base_of("https://a.example/b/", "http://x.example")) == ("http://x.example/i.png", None)


@pytest.mark.parametrize("page", ["http://a.example", "http://a.example/?q", "http://a.example/b/c?d=/e", "http://a.example/b/./c/../d"])
@pytest.mark.parametrize("address", ["i.png", "/i.png", "b/c.png?x=1", "./i", "a//b", "a/..", "..", "//h", "//h/p", "#f", "?q", "a;b"])
def test_resolving_is_that_of_the_standard_library(page: str, address: str) -> None:
    url, reason = web_address(address, base_of(page, None))
    assert (url, reason) == (urljoin(page, address), None)


PARTS = st.lists(st.sampled_from(["..", ".", "a", "b.png", "", "c?d", "e;f", "g#h"]), max_size=6).map("/".join)


@given(PARTS, PARTS)
def test_steps_upward_are_taken_as_by_the_standard_library(path: str, address: str) -> None:
    page = f"http://a.example/{path}"
    assert resolve(address, base_of(page, None)) == urljoin(page, address)


def test_a_text_is_one_line_without_blanks_around_it() -> None:
    assert clean_text(" a\r\ndog\nand\ra\tcat\xa0") == "a dog and a\tcat"
