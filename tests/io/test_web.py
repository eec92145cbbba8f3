"""Servers whose answers never end, or take forever: each is aborted, with an error that says why."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tallyclip.errors import SourceError
from tallyclip.io.fetch import fetch, local_copy
from tallyclip.io.web import MOST_REDIRECTS, FetchPolicy
from tallyclip.lists.servers import ListingClient

SLOW = FetchPolicy(tries=2, first_wait=0.002, lowest_rate=2000, rate_window=0.2)
SMALL = FetchPolicy(tries=2, first_wait=0.002, largest=100_000)
OK, END = b"HTTP/1.1 200 OK\r\n", b"\r\n"
LONG, CHUNKED = b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"


class Hostile:
    """A server that sends each answer piece by piece with a pause after each, whatever the request.

    Attributes:
        asked: the first line of each request.
        headers: the others of each.
        sent: bytes of all answers.
    """

    def __init__(self, answer: Callable[[str], Iterable[bytes]], pause: float) -> None:
        self._answer, self._pause = answer, pause
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked: list[str] = []
        self.headers: list[list[str]] = []
        self.sent = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self._threads.append(threading.Thread(target=self._talk, args=(client,), daemon=True))
                self._threads[-1].start()

    def _talk(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            first, *headers = client.recv(65_536).decode().split("\r\n")
            self.asked.append(first)
            self.headers.append(headers)
            for piece in self._answer(self.url):
                client.sendall(piece)
                self.sent += len(piece)
                if self._over.wait(self._pause):
                    return

    def close(self) -> None:
        self._over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def hostile() -> Iterator[Callable[..., Hostile]]:
    servers: list[Hostile] = []

    def start(answer: Callable[[str], Iterable[bytes]], pause: float = 0) -> Hostile:
        servers.append(Hostile(answer, pause))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def error_of(url: str, target: Path, policy: FetchPolicy) -> SourceError:
    with pytest.raises(SourceError, match=re.escape(f"{url}: ")) as caught:
        fetch(url, target, policy)
    assert not target.exists()
    return caught.value


def after(start: bytes, piece: bytes) -> Callable[[str], Iterable[bytes]]:
    return lambda _: itertools.chain([start], itertools.repeat(piece))


TRICKLES = {
    "status": after(b"", b" "),
    "header": after(OK + b"X: ", b"x"),
    "headers": after(OK, b"X: x\r\n"),
    "interim answers": after(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": after(OK + LONG, b"x"),
    "body without a size": after(OK + END, b"x"),
    "chunks": after(OK + CHUNKED, b"1\r\nx\r\n"),
    "size of a chunk": after(OK + CHUNKED + b"5;", b"x"),
    "trailers": after(OK + CHUNKED + b"0\r\n", b"X: x\r\n"),
    "body behind a fast beginning": after(OK + LONG + b"x" * 300, b"x"),
}


@pytest.mark.parametrize("part", TRICKLES)
def test_an_answer_that_trickles_is_broken_off_and_given_up_with_its_rate(
    hostile: Callable[..., Hostile], tmp_path: Path, part: str
) -> None:
    server = hostile(TRICKLES[part], 0.02)
    error = error_of(f"{server.url}/a", tmp_path / "a", SLOW)
    assert re.search(r"bytes came in 0\.\d+ seconds, which is slower than 2,000 bytes a second; given up after [23] tries", error.what)
    assert "try again later" in str(error.hint)


def test_lists_of_servers_may_trickle_no_more_than_files(hostile: Callable[..., Hostile]) -> None:
    server = hostile(TRICKLES["body"], 0.02)
    with pytest.raises(SourceError, match="slower than 2,000 bytes a second"):
        ListingClient(SLOW).ask(f"{server.url}/list")


def test_a_server_that_gives_a_byte_to_each_request_is_given_up(hostile: Callable[..., Hostile], tmp_path: Path) -> None:
    place = itertools.count()

    def answer(_: str) -> Iterable[bytes]:
        at = next(place)
        part = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes %d-99999/100000\r\n" % at if at else OK
        return [part + b'ETag: "1"\r\nContent-Length: %d\r\n\r\nx' % (100_000 - at)]

    server = hostile(answer)
    error = error_of(f"{server.url}/a", tmp_path / "a", FetchPolicy(tries=3, first_wait=0.002, lowest_rate=1e9))
    assert "given up after 3 tries" in error.what
    assert len(server.asked) == 3


ENDLESS = {
    "headers": after(OK, b"X: x\r\n"),
    "header": after(OK + b"X: ", b"x" * 1000),
    "interim answers": after(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "body without a size": after(OK + END, b"x" * 1000),
    "body of a negative size": after(OK + b"Content-Length: -5\r\n\r\n", b"x" * 1000),
    "chunks": after(OK + CHUNKED, b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
    "chunks of more than the size that is named": after(OK + b"Content-Length: 5\r\n" + CHUNKED, b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
    "size of a chunk": after(OK + CHUNKED + b"5;", b"x" * 1000),
    "trailers": after(OK + CHUNKED + b"0\r\n", b"X: x\r\n" * 100),
    "body of a redirect": after(b"HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n", b"x" * 1000),
    "body of an error": after(b"HTTP/1.1 500 No\r\n\r\n", b"x" * 1000),
}


@pytest.mark.parametrize("part", ENDLESS)
def test_an_answer_without_an_end_is_broken_off(hostile: Callable[..., Hostile], tmp_path: Path, part: str) -> None:
    server = hostile(ENDLESS[part])
    error_of(f"{server.url}/a", tmp_path / "a", SMALL)
    assert len(server.asked) <= max(2, MOST_REDIRECTS + 1)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= SMALL.largest + (1 << 18)


def test_without_a_size_the_largest_that_is_allowed_bounds_a_body(hostile: Callable[..., Hostile], tmp_path: Path) -> None:
    server = hostile(ENDLESS["body without a size"])
    error = error_of(f"{server.url}/a", tmp_path / "a", SMALL)
    assert "more than 100,000 bytes received" in error.what
    assert "--max-download" in str(error.hint)
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []
    for size, name in ((100_000, "just"), (100_001, "over")):
        whole = hostile(lambda _, size=size: [OK + END + b"x" * size])
        with contextlib.nullcontext() if name == "just" else pytest.raises(SourceError, match="more than 100,000 bytes received"):
            fetch(f"{whole.url}/{name}", tmp_path / name, SMALL)
    assert (tmp_path / "just").stat().st_size == 100_000


def test_a_file_that_says_it_is_too_large_is_not_begun(hostile: Callable[..., Hostile], tmp_path: Path) -> None:
    server = hostile(after(OK + LONG, b"x" * 1000))
    error = error_of(f"{server.url}/a", tmp_path / "a", SMALL)
    assert "the file has 1,000,000 bytes, over the limit of 100,000" in error.what
    assert "--max-download" in str(error.hint)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "b").write_bytes(b"x" * 100_001)
    with pytest.raises(SourceError, match="over the limit of 100,000"), local_copy(f"file://{tmp_path}/b", tmp_path / "copy", SMALL):
        pass


def test_data_after_a_body_of_a_known_size_is_not_part_of_it(hostile: Callable[..., Hostile], tmp_path: Path) -> None:
    server = hostile(after(OK + b"Content-Length: 5\r\n\r\n12345", b"more" * 1000))
    fetch(f"{server.url}/a", tmp_path / "a", SMALL)
    assert (tmp_path / "a").read_bytes() == b"12345"


def test_more_than_the_size_that_was_named_is_an_error(hostile: Callable[..., Hostile], tmp_path: Path) -> None:
    server = hostile(lambda _: [OK + b"Content-Length: 5\r\n" + CHUNKED + b"8\r\n12345678\r\n0\r\n\r\n"])
    assert "received 8 of 5 bytes; given up" in error_of(f"{server.url}/a", tmp_path / "a", SMALL).what


@pytest.mark.parametrize("target", ["/a", "//127.0.0.1:{port}/a", "http://127.0.0.1:{port}/a", "?", "#x"])
def test_redirects_in_a_circle_end(hostile: Callable[..., Hostile], tmp_path: Path, target: str) -> None:
    def answer(url: str) -> Iterable[bytes]:
        place = target.format(port=url.rpartition(":")[2])
        return [f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()]

    server = hostile(answer)
    assert "more than 30 redirects" in error_of(f"{server.url}/a", tmp_path / "a", SMALL).what
    assert len(server.asked) == MOST_REDIRECTS + 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a.example/", "javascript:x"])
def test_a_redirect_that_leads_out_of_the_web_is_not_followed(hostile: Callable[..., Hostile], tmp_path: Path, target: str) -> None:
    server = hostile(lambda _: [f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()])
    error_of(f"{server.url}/a", tmp_path / "a", SMALL)
    assert len(server.asked) == 1


INVALID = [
    b"http://[bad/x",
    b"http://[::g]/",
    b"/\xe9",
    b"http://a..b.example/",
    b"http://" + b"a" * 70 + b".example/",
    "http://\u2100/".encode(),
    b"http://127.0.0.1:99999/",
    b"http://127.0.0.1:port/",
    b"http://@/",
    b"http://a\x00b/",
]


@pytest.mark.parametrize("target", INVALID)
def test_a_redirect_to_an_invalid_url_is_an_error_of_the_file(hostile: Callable[..., Hostile], tmp_path: Path, target: bytes) -> None:
    server = hostile(lambda _: [b"HTTP/1.1 302 Found\r\nLocation: " + target + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"])
    assert "check the" in str(error_of(f"{server.url}/a", tmp_path / "a", SMALL).hint)
    assert len(server.asked) == 1


@pytest.mark.parametrize("url", ["http://a..b.example/x", f"http://{'a' * 70}.example/x"])
def test_a_host_that_cannot_be_one_is_an_error_of_the_file(tmp_path: Path, url: str) -> None:
    assert "is not a valid URL" in error_of(url, tmp_path / "x", SMALL).what


def test_a_redirect_keeps_the_user_and_password_of_a_url_on_its_host_alone(hostile: Callable[..., Hostile], tmp_path: Path) -> None:
    def redirect(target: str) -> Iterable[bytes]:
        return [f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()]

    end = [OK + b"Content-Length: 5\r\nConnection: close\r\n\r\n12345"]
    other = hostile(lambda _: end)
    server = hostile(lambda url: redirect([f"{url}/b", "?c", other.url.replace("127.0.0.1", "localhost")][len(server.headers) - 1]))
    fetch(f"{server.url.replace('http://', 'http://ann:secret@')}/a", tmp_path / "a", SMALL)
    assert (tmp_path / "a").read_bytes() == b"12345"
    assert [line.split()[1] for line in server.asked] == ["/a", "/b", "/b?c"]
    assert [sum(header == "Authorization: Basic YW5uOnNlY3JldA==" for header in headers) for headers in server.headers] == [1, 1, 1]
    assert not any(header.startswith("Authorization") for headers in other.headers for header in headers)


def test_the_body_of_a_redirect_is_not_read(hostile: Callable[..., Hostile], tmp_path: Path) -> None:
    large = [b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 300000000\r\n\r\n", *[b"x" * 1_000_000] * 300]
    answers = [large, [OK + b"Content-Length: 5\r\n\r\n12345"]]
    server = hostile(lambda _: answers.pop(0))
    fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"12345"
    assert server.sent < 100_000_000  # systems buffer far less
