from __future__ import annotations

import asyncio
import http.server
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.readers.crawl.links import DATA_ADDRESS, MALFORMED, NO_URL, NOT_WEB, base_of, clean_text, resolve, sendable, web_address

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
        ("c/..?i", "https://a.example/b/?i"),
        ("../c/..?i", "https://a.example/?i"),
        ("../c;p#f", "https://a.example/c;p#f"),
        ("http://x.example/a/../b", "http://x.example/a/../b"),
        ("http://x.example/i.png#f", "http://x.example/i.png#f"),
    ],
)
def test_a_url_is_resolved_and_otherwise_unchanged(address: str, url: str) -> None:
    assert web_address(address, PAGE) == (url, None)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", NO_URL),
        (" \t", NO_URL),
        ("data:image/gif;base64,R0lG", DATA_ADDRESS),
        ("DATA:,x", DATA_ADDRESS),
        ("javascript:void(0)", NOT_WEB),
        ("ftp://a.example/i.png", NOT_WEB),
        ("file:///etc/passwd", NOT_WEB),
        ("http:///i.png", MALFORMED),
        ("http://", MALFORMED),
        ("//[x.example/i.png", MALFORMED),
        ("http:i.png", MALFORMED),
        ("http://x example/i.png", MALFORMED),
        ("http://x\x00.example/i.png", MALFORMED),
        ("http://x\u2100.example/i.png", MALFORMED),
        ("http://\u00ad/i.png", MALFORMED),
        ("http://\u00e9.example:x/i.png", MALFORMED),
        ("http://\u00e9%2f.example/i.png", MALFORMED),
        ("http://" + "é" * 60 + ".example/i.png", MALFORMED),
        ("http://" + "\ufdfa" * 200 + ".example/i.png", MALFORMED),
        pytest.param("http://" + "é" * 10_000_000 + ".example/i.png", MALFORMED, id="a host of 20 MB"),
    ],
)
def test_a_value_that_is_not_a_web_url_has_a_reason(address: str, reason: str) -> None:
    assert web_address(address, base_of("dns:nowhere", None)) == ("", reason)


# As in the URL standard, except that printable ASCII keeps its bytes.
SENT = [
    ("i a.png", "https://a.example/b/i%20a.png"),
    ("été.png?q=é#é", "https://a.example/b/%C3%A9t%C3%A9.png?q=%C3%A9#%C3%A9"),
    ("\x01i\x01.png\x7f", "https://a.example/b/i%01.png%7F"),
    ("\xa0i.png\u3000", "https://a.example/b/%C2%A0i.png%E3%80%80"),
    ("a%20b c%zz%.png", "https://a.example/b/a%20b%20c%zz%.png"),
    ("http://x.example/😀", "http://x.example/%F0%9F%98%80"),
    ("http://x.example/ü?", "http://x.example/%C3%BC?"),
    ("http://x.example/é/../b c", "http://x.example/%C3%A9/../b%20c"),
    ("http://BÜCHER.example/A", "http://xn--bcher-kva.example/A"),
    ("http://straße.example", "http://xn--strae-oqa.example"),
    ("http://中文。example/", "http://xn--fiq228c.example/"),
    ("http://☕.example/", "http://xn--53h.example/"),
    ("http://a_b.ü.example/", "http://a_b.xn--tda.example/"),
    ("http://ü%C3%BC.example/", "http://xn--tdaa.example/"),
    ("http://１２７.0.0.1:80/", "http://127.0.0.1:80/"),
    ("http://ü s:p@ss@ä.example:8080/é", "http://%C3%BC%20s:p@ss@xn--4ca.example:8080/%C3%A9"),
    ("http://é@[::1]:80/", "http://%C3%A9@[::1]:80/"),
    ("//ä.example/i.png", "https://xn--4ca.example/i.png"),
    ("HTTP://ä.example\\b c", "HTTP://xn--4ca.example\\b%20c"),
]


@pytest.mark.parametrize(("address", "url"), SENT)
def test_in_a_url_only_what_cannot_be_sent_is_changed(address: str, url: str) -> None:
    assert web_address(address, PAGE) == (url, None)


PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


@given(
    st.text(PRINTABLE, max_size=30),
    st.sampled_from(["http://a.example:80/", "https://A.example./", "http://u:p@[::1]/?", "http://a^b_c|/"]),
)
def test_a_url_of_printable_ascii_keeps_its_bytes(tail: str, start: str) -> None:
    assert sendable(start + tail) == start + tail
    assert web_address(start + tail, PAGE) == (start + tail, None)


HOSTS = st.text(st.sampled_from("aé中ßب☕.-_%１\u0301\u200d\u3002 \x00:@"), min_size=1, max_size=8)


@given(HOSTS, st.text(max_size=10), st.text(max_size=10))
def test_any_url_becomes_printable_ascii_and_then_no_longer_changes(host: str, path: str, query: str) -> None:
    try:
        url = sendable(f"http://{host}/{path}?{query}")
    except ValueError:
        return
    assert re.fullmatch("[!-~]+", url)
    assert sendable(url) == url
    urllib.request.Request(url)


@given(st.text(max_size=20))
def test_only_what_cannot_be_sent_is_changed_behind_the_host(path: str) -> None:
    changed = sendable(f"http://a.example/{path}")
    expected = "".join(c if "!" <= c <= "~" else "".join(f"%{byte:02X}" for byte in c.encode()) for c in path)
    assert changed == f"http://a.example/{expected}"


def test_a_page_whose_own_url_cannot_be_sent_has_images_that_can() -> None:
    for address, url in (("i.png", "/é b/i.png"), ("/i.png", "/i.png"), ("../i.png", "/i.png"), ("?q", "/é b/c.html?q")):
        found = web_address(address, base_of("http://ä.example/é b/c.html", None))
        assert found == ("http://xn--4ca.example" + url.replace("é b", "%C3%A9%20b"), None)
    assert web_address("i.png", base_of("http://a b.example/", None)) == ("", MALFORMED)
    assert web_address("http://x.example/i.png", base_of("http://a b.example/", None)) == ("http://x.example/i.png", None)


class _Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the target of the request and its Host."""

    def do_GET(self) -> None:
        content = f"{self.path} {self.headers['Host']}".encode("latin-1")
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any, **__: Any) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def by_urllib(url: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url), timeout=10) as answer:
        return answer.read().decode("latin-1")


def by_requests(url: str) -> str:
    return requests.get(url, timeout=10).text


def by_aiohttp(url: str) -> str:
    async def ask() -> str:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()

    return asyncio.run(ask())


@pytest.mark.parametrize("client", [by_urllib, by_requests, by_aiohttp])
@pytest.mark.parametrize("tail", ["/i a.png", "/été/写真.png?q=ключ слово", "/\x01\x7f", "/a%20b ü", "/😀?é=%C3%A9", "/ a?b c"])
def test_a_changed_url_can_be_fetched_and_arrives_as_it_is(echo: str, client: Callable[[str], str], tail: str) -> None:
    url, reason = web_address(f"http://{echo.replace('1', '１', 1)}{tail}", PAGE)
    assert reason is None
    assert client(url) == f"{url.removeprefix(f'http://{echo}')} {echo}"


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
