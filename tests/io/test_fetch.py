"""Downloading from servers that break off, stall, refuse, change their files and send wrong headers."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

import tallyclip
from tallyclip.errors import MissingExtraError, NoRoomError, OptionError, OutputError, SourceError, StaleError
from tallyclip.extras import install_line
from tallyclip.io.fetch import MissingFileError, fetch, local_copy
from tallyclip.io.streams import filesystem
from tallyclip.io.web import FetchPolicy

QUICK = FetchPolicy(tries=3, first_wait=0.002, longest_wait=0.01)
IMPATIENT = FetchPolicy(tries=3, read_timeout=0.3, first_wait=0.002, longest_wait=0.01)
CONTENT = bytes(i * i % 251 for i in range(50_000))
OTHER = CONTENT[::-1]
PAGE = b"<!doctype html><title>Please reduce your request rate</title>"


class Answer(NamedTuple):
    """The server's answer to one request.

    Args:
        content: the file as it is now.
        status: another one than 200 and 206 comes with ``content``, whatever was asked for.
        etag: of the file; None says none.
        sent: so many bytes of the content come, then the connection is closed.
        stalls: after ``sent`` bytes nothing comes, rather than an end.
        ranges: are parts given?
        believes: is If-Range looked at?
        offset: how far from what was asked for a part begins.
        longest: a part has no more bytes than these.
        more: what follows the content, which the headers do not tell of.
        chunked: comes in chunks of a size not told before.
        drips: the first byte comes by itself.
        silent: closes the connection without a word.
    """

    content: bytes = CONTENT
    status: int = 200
    etag: str | None = '"1"'
    headers: tuple[tuple[str, str], ...] = ()
    sent: int | None = None
    stalls: bool = False
    ranges: bool = True
    believes: bool = True
    offset: int = 0
    longest: int | None = None
    more: bytes = b""
    chunked: bool = False
    drips: bool = False
    silent: bool = False


class Asked(NamedTuple):
    path: str
    range: str | None
    if_range: str | None
    agent: str
    encoding: str
    at: float


class Server(http.server.ThreadingHTTPServer):
    """Sends the answers of its script one after another, and then the last one again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.script: list[Answer] = []
        self.by_path: dict[str, Answer] = {}
        self.asked: list[Asked] = []
        self.over = threading.Event()

    def answers(self, *script: Answer) -> None:
        self.script, self.asked = list(script), []

    def next_answer(self, path: str) -> Answer:
        if path in self.by_path:
            return self.by_path[path]
        if not self.script:
            return Answer(b"", 404)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def handle_error(self, *_: Any, **__: Any) -> None:
        pass  # a client that was killed


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any, **__: Any) -> None:
        pass

    def do_GET(self) -> None:
        server, get = cast(Server, self.server), self.headers.get
        asked = Asked(self.path, get("Range"), get("If-Range"), get("User-Agent", ""), get("Accept-Encoding", ""), time.monotonic())
        server.asked.append(asked)
        answer = server.next_answer(self.path)
        if answer.silent:
            self.close_connection = True
            return
        status, start = answer.status, 0
        if status == 200 and asked.range and answer.ranges and (not answer.believes or asked.if_range in (None, answer.etag)):
            status, start = 206, int(asked.range.removeprefix("bytes=").removesuffix("-")) + answer.offset
            if start >= len(answer.content):
                status, start = 416, len(answer.content)
        body = answer.content[start:]
        if status == 206:
            body = body[: answer.longest]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(answer.content)}")
        if answer.etag is not None:
            self.send_header("ETag", answer.etag)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header(*(("Transfer-Encoding", "chunked") if answer.chunked else ("Content-Length", str(len(body)))))
        self.end_headers()
        body += answer.more
        sent = body if answer.sent is None else body[: answer.sent]
        self.close_connection = len(sent) < len(body)
        if answer.chunked:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(sent), sent) + (b"" if self.close_connection else b"0\r\n\r\n"))
        elif answer.drips:
            self.wfile.write(sent[:1])
            time.sleep(0.1)
            self.wfile.write(sent[1:])
        else:
            self.wfile.write(sent)
        if answer.stalls:
            server.over.wait(30)


@contextlib.contextmanager
def serving() -> Generator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "files" / "a.bin"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def fetched(server: Server, target: Path, *script: Answer, name: str = "a.bin", policy: FetchPolicy = QUICK) -> bytes:
    """The content of a fetched file; nothing else may be left beside it."""
    server.answers(*script)
    fetch(f"{server.url}/{name}", target, policy)
    assert files_in(target.parent) == [target.name]
    return target.read_bytes()


def refused(server: Server, target: Path, *script: Answer, name: str = "a.bin", policy: FetchPolicy = QUICK) -> SourceError:
    server.answers(*script)
    with pytest.raises(SourceError, match=re.escape(f"{server.url}/{name}: ")) as caught:
        fetch(f"{server.url}/{name}", target, policy)
    assert not target.exists()
    return caught.value


def ranges(server: Server) -> list[str | None]:
    return [asked.range for asked in server.asked]


# one answer


def test_a_file_comes_as_it_is_and_by_its_name(server: Server, target: Path) -> None:
    assert fetched(server, target, Answer()) == CONTENT
    (asked,) = server.asked
    assert (asked.agent, asked.encoding, asked.range) == (f"tallyclip/{tallyclip.__version__}", "identity", None)


@pytest.mark.parametrize("answer", [Answer(b""), Answer(chunked=True), Answer(etag=None), Answer(etag='W/"1"')])
def test_a_file_may_be_empty_or_of_an_unknown_size_or_version(server: Server, target: Path, answer: Answer) -> None:
    assert fetched(server, target, answer) == answer.content


def test_an_earlier_file_of_that_name_is_replaced(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"earlier")
    assert fetched(server, target, Answer()) == CONTENT


def test_a_file_that_moved_is_followed(server: Server, target: Path) -> None:
    assert fetched(server, target, Answer(b"", 302, headers=(("Location", "/b.bin"),)), Answer()) == CONTENT
    assert [asked.path for asked in server.asked] == ["/a.bin", "/b.bin"]


def test_a_file_compressed_on_the_way_stays_compressed(server: Server, target: Path) -> None:
    packed = gzip.compress(CONTENT)
    assert fetched(server, target, Answer(packed, headers=(("Content-Encoding", "gzip"),)), name="a.gz") == packed


# resuming


@pytest.mark.parametrize("broken", [Answer(sent=20_000), Answer(sent=20_000, stalls=True)], ids=["cut", "stalled"])
def test_a_broken_transfer_resumes_where_it_stopped(server: Server, target: Path, broken: Answer) -> None:
    assert fetched(server, target, broken, broken, Answer(), policy=IMPATIENT) == CONTENT
    assert ranges(server) == [None, "bytes=20000-", "bytes=40000-"]
    assert {asked.if_range for asked in server.asked[1:]} == {'"1"'}


def test_a_transfer_in_chunks_that_breaks_begins_again_for_its_size_is_not_known(server: Server, target: Path) -> None:
    assert fetched(server, target, Answer(chunked=True, sent=20_000), Answer(chunked=True)) == CONTENT
    assert ranges(server) == [None, None]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_a_version_without_an_etag_is_not_resumed(server: Server, target: Path, etag: str | None) -> None:
    assert fetched(server, target, Answer(sent=20_000, etag=etag), Answer(OTHER, etag=etag)) == OTHER
    assert ranges(server) == [None, None]


@pytest.mark.parametrize(
    "changed",
    [
        Answer(OTHER, etag='"2"'),
        Answer(OTHER, etag='"2"', believes=False),
        Answer(OTHER, etag=None, believes=False),
        Answer(OTHER + b"more", believes=False),
        Answer(OTHER[:10], etag='"2"'),
        Answer(OTHER[:10], etag='"2"', believes=False),
        Answer(OTHER, ranges=False),
    ],
    ids=["told", "other ETag", "no ETag", "other size", "shorter", "shorter, blindly", "no ranges"],
)
def test_a_file_that_changes_meanwhile_begins_again(server: Server, target: Path, changed: Answer) -> None:
    assert fetched(server, target, Answer(sent=20_000), changed) == changed.content


def test_a_part_that_is_not_what_was_asked_for_is_not_taken(server: Server, target: Path) -> None:
    assert fetched(server, target, Answer(sent=20_000), Answer(offset=7), Answer()) == CONTENT
    assert ranges(server) == [None, "bytes=20000-", None]


def test_a_part_that_is_less_than_was_asked_for_is_gone_on_with(server: Server, target: Path) -> None:
    assert fetched(server, target, Answer(sent=20_000), Answer(longest=10_000)) == CONTENT
    assert ranges(server) == [None, "bytes=20000-", "bytes=30000-", "bytes=40000-"]


def test_a_part_that_is_more_than_there_is_is_not_taken(server: Server, target: Path) -> None:
    assert fetched(server, target, Answer(sent=20_000), Answer(more=b"more", chunked=True), Answer()) == CONTENT
    assert ranges(server) == [None, "bytes=20000-", None]


def test_a_server_that_gives_a_little_each_time_is_not_given_up(server: Server, target: Path) -> None:
    assert fetched(server, target, Answer(sent=5000)) == CONTENT
    assert len(server.asked) == 10 > QUICK.tries


@pytest.mark.parametrize("answer", [Answer(sent=5000, ranges=False), Answer(sent=5000, etag=None), Answer(sent=0)])
def test_a_server_that_always_breaks_off_at_one_place_is_given_up(server: Server, target: Path, answer: Answer) -> None:
    error = refused(server, target, answer)
    assert re.search(r"given up after [34] tries", error.what)
    assert "resumes from there" in str(error.hint)


def test_the_next_fetch_resumes_what_a_failed_one_left(server: Server, target: Path) -> None:
    refused(server, target, Answer(sent=20_000), Answer(silent=True))
    assert fetched(server, target, Answer()) == CONTENT
    assert ranges(server) == ["bytes=20000-"]


@pytest.mark.parametrize("damage", ["no note", "torn note", "other address", "too long"])
def test_a_part_that_its_note_does_not_fit_is_not_gone_on_with(server: Server, target: Path, damage: str) -> None:
    refused(server, target, Answer(OTHER, sent=20_000), Answer(silent=True))
    part = target.with_name(".a.bin.part-fetch")
    note = target.with_name(".a.bin.part-fetch.etag")
    assert part.read_bytes() == OTHER[:20_000]
    if damage == "no note":
        note.unlink()
    elif damage == "torn note":
        note.write_bytes(note.read_bytes()[:-5])
    elif damage == "too long":
        part.write_bytes(OTHER + b"more")
    name = "b.bin" if damage == "other address" else "a.bin"
    assert fetched(server, target, Answer(OTHER if damage == "too long" else CONTENT), name=name) == server.script[-1].content
    assert ranges(server) == (["bytes=49999-"] if damage == "too long" else [None])


def test_the_next_process_resumes_what_a_killed_one_left(server: Server, target: Path) -> None:
    code = "import sys, pathlib; from tallyclip.io.fetch import fetch; fetch(sys.argv[1], pathlib.Path(sys.argv[2]))"

    def kill(*script: Answer, when: Callable[[], bool]) -> None:
        server.answers(*script)
        with subprocess.Popen([sys.executable, "-c", code, f"{server.url}/a.bin", str(target)]) as process:
            while not when():
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL

    part = target.with_name(".a.bin.part-fetch")
    kill(Answer(sent=20_000, stalls=True), when=lambda: part.exists() and part.stat().st_size > 0)
    left = part.stat().st_size
    assert part.read_bytes() == CONTENT[:left]
    assert not target.exists()
    assert fetched(server, target, Answer()) == CONTENT
    assert ranges(server) == [f"bytes={left}-"]


def test_a_whole_part_is_asked_for_its_last_byte_alone(server: Server, target: Path) -> None:
    refused(server, target, Answer(sent=20_000), Answer(silent=True))
    target.with_name(".a.bin.part-fetch").write_bytes(CONTENT)  # as if killed before it got its name
    assert fetched(server, target, Answer()) == CONTENT
    assert ranges(server) == ["bytes=49999-"]


VERSIONS = [bytes([31, 139, i]) + bytes([i]) * size for i, size in enumerate([40, 40, 40, 60])]
ETAGS = [f'"{i}"' for i in range(4)]


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    i = draw(st.integers(0, 3))
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from([Answer(PAGE, etag=ETAGS[i]), Answer(PAGE, 503), Answer(silent=True)]))
    return Answer(
        VERSIONS[i],
        etag=draw(st.sampled_from([ETAGS[i], ETAGS[i], f"W/{ETAGS[i]}", None])),
        sent=draw(st.integers(0, 50)),
        ranges=draw(st.booleans()),
        believes=draw(st.booleans()),
        offset=draw(st.sampled_from([0, 0, 0, -1, 1])),
        longest=draw(st.sampled_from([None, 7])),
        chunked=draw(st.integers(0, 5)) == 0,
    )


@settings(max_examples=100)
@given(script=st.lists(answers(), max_size=8), last=st.integers(0, 3), tries=st.integers(1, 3))
def test_a_file_is_one_version_from_end_to_end_whatever_a_server_does(
    shared_server: Server, tmp_path_factory: pytest.TempPathFactory, script: list[Answer], last: int, tries: int
) -> None:
    target = tmp_path_factory.mktemp("mix") / "a.gz"
    shared_server.answers(*script, Answer(VERSIONS[last], etag=ETAGS[last]))
    policy = FetchPolicy(tries, first_wait=0)
    for _ in range(len(script) + 2):  # the next process resumes
        with contextlib.suppress(SourceError):
            fetch(f"{shared_server.url}/a.gz", target, policy)
            break
    assert target.read_bytes() in VERSIONS
    assert files_in(target.parent) == ["a.gz"]


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Server]:
    with serving() as server:
        yield server


# trying again


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(server: Server, target: Path, status: int) -> None:
    busy = Answer(PAGE, status)
    assert fetched(server, target, busy, busy, Answer()) == CONTENT
    error = refused(server, target.with_name("b"), busy)
    assert f"the server answers {status} " in error.what
    assert "given up after 3 tries" in error.what
    assert "fewer" in str(error.hint)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 405, 451])
def test_a_server_that_refuses_is_not_asked_again(server: Server, target: Path, status: int) -> None:
    error = refused(server, target, Answer(PAGE, status))
    assert f"the server answers {status} " in error.what
    assert len(server.asked) == 1
    assert files_in(target.parent) == []


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_not_there_is_an_error_of_its_own(server: Server, target: Path, status: int) -> None:
    assert isinstance(refused(server, target, Answer(PAGE, status)), MissingFileError)
    assert len(server.asked) == 1


def test_a_server_that_closes_the_connection_is_asked_again(server: Server, target: Path) -> None:
    assert fetched(server, target, Answer(silent=True), Answer()) == CONTENT
    assert "Remote end closed connection" in refused(server, target.with_name("b"), Answer(silent=True)).what


def test_a_server_that_says_nothing_is_not_waited_for_without_end(server: Server, target: Path) -> None:
    error = refused(server, target, Answer(sent=0, stalls=True), policy=FetchPolicy(2, read_timeout=0.1, first_wait=0))
    assert "timed out" in error.what


def test_a_server_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    with serving() as server:
        url = server.url
    with pytest.raises(SourceError, match=r"/a: .*Connection refused; given up after 3 tries"):
        fetch(f"{url}/a", tmp_path / "a", QUICK)


@pytest.mark.parametrize("url", ["http://", "https://[", "ftp://a.example/a"])
def test_an_invalid_url_is_not_tried_again(tmp_path: Path, url: str) -> None:
    with pytest.raises(SourceError, match=re.escape(f"{url}: ")) as caught:
        fetch(url, tmp_path / "a", FetchPolicy(first_wait=1000))
    assert caught.value.hint == "check the URL"


def test_a_web_page_in_place_of_a_gzip_file_is_asked_for_again_and_costs_nothing_of_what_there_is(server: Server, target: Path) -> None:
    packed = gzip.compress(CONTENT, 0)
    page = Answer(PAGE, etag='"page"', ranges=False)
    assert fetched(server, target, page, Answer(packed, sent=20_000), page, Answer(packed), name="a.gz?x=1") == packed
    assert ranges(server) == [None, None, "bytes=20000-", "bytes=20000-"]
    assert "the response is not a gzip file" in refused(server, target.with_name("b"), page, name="a.gz").what
    assert "the response is not a gzip file" in refused(server, target.with_name("b"), Answer(b""), name="a.gz").what
    assert fetched(server, target, page) == PAGE


def test_a_gzip_file_that_comes_byte_by_byte_is_one(server: Server, target: Path) -> None:
    packed = gzip.compress(CONTENT)
    assert fetched(server, target, Answer(packed, drips=True), name="a.gz") == packed
    assert len(server.asked) == 1


def soon(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        (lambda: "1", 1, 3),
        (lambda: soon(2), 0.9, 4),  # dates have no parts of seconds
        (lambda: soon(-5), 0, 0.9),
        (lambda: "soon", 0, 0.9),
    ],
    ids=["seconds", "date", "past", "nonsense"],
)
def test_a_server_is_left_alone_for_as_long_as_it_asks(
    server: Server, target: Path, said: Callable[[], str], least: float, most: float
) -> None:
    policy = FetchPolicy(first_wait=0.01, longest_wait=30)
    assert fetched(server, target, Answer(b"", 503, headers=(("Retry-After", said()),)), Answer(), policy=policy) == CONTENT
    first, second = server.asked
    assert least <= second.at - first.at < most


def test_the_wait_that_a_server_asks_for_is_not_its_slowness(server: Server, target: Path) -> None:
    policy = FetchPolicy(tries=2, first_wait=0.01, longest_wait=2, lowest_rate=25_000)
    script = Answer(b"", 503, headers=(("Retry-After", "2"),)), Answer(sent=30_000), Answer()
    assert fetched(server, target, *script, policy=policy) == CONTENT
    assert ranges(server) == [None, None, "bytes=30000-"]


def test_a_server_cannot_ask_for_more_than_the_longest_wait(server: Server, target: Path) -> None:
    for said in ("100000", soon(100_000)):
        policy = FetchPolicy(first_wait=0.01, longest_wait=0.1)
        fetched(server, target, Answer(b"", 429, headers=(("Retry-After", said),)), Answer(), policy=policy)
        first, second = server.asked
        assert 0.1 <= second.at - first.at < 1


def test_waits_double_up_to_a_bound(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", max)  # the longest waits
    refused(server, target, Answer(PAGE, 503), policy=FetchPolicy(tries=6, first_wait=0.04, longest_wait=0.2))
    waits = [after.at - before.at for before, after in pairwise(server.asked)]
    assert all(least <= wait < least + 0.1 for wait, least in zip(waits, [0.04, 0.08, 0.16, 0.2, 0.2], strict=True))


def test_waits_are_left_to_chance(server: Server, target: Path) -> None:
    random.seed(1)
    chances = [random.uniform(0, 0.3 * 2**i) for i in range(2)]
    assert chances[0] < 0.1
    random.seed(1)
    refused(server, target, Answer(PAGE, 503), policy=FetchPolicy(tries=3, first_wait=0.3))
    waits = [after.at - before.at for before, after in pairwise(server.asked)]
    assert all(chance <= wait < chance + 0.15 for wait, chance in zip(waits, chances, strict=True))


# files and folders


def test_a_full_disk_is_an_error_that_says_so_and_the_part_is_gone_on_with(server: Server, target: Path) -> None:
    """A limit on the size of files works like a full disk."""
    code = (
        "import resource, signal, sys, pathlib\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from tallyclip.io.fetch import fetch\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "fetch(sys.argv[1], pathlib.Path(sys.argv[2]))\n"
    )
    server.answers(Answer())
    done = subprocess.run([sys.executable, "-c", code, f"{server.url}/a.bin", str(target)], capture_output=True, text=True, check=False)
    assert f"{NoRoomError.__name__}: {target}: no room to write" in done.stderr
    assert len(server.asked) == 1
    assert not target.exists()
    assert fetched(server, target, Answer()) == CONTENT
    assert ranges(server) == ["bytes=10000-"]


def test_a_folder_that_cannot_be_is_an_error_before_anything_is_asked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        fetch(f"{server.url}/a.bin", tmp_path / "file" / "a.bin")
    assert server.asked == []


def test_two_processes_do_not_fetch_to_one_place(server: Server, target: Path) -> None:
    server.answers(Answer(sent=20_000, stalls=True), Answer())
    errors: list[Exception] = []

    def first() -> None:
        try:
            fetch(f"{server.url}/a.bin", target, FetchPolicy(read_timeout=1, first_wait=0))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    while not server.asked:
        time.sleep(0.01)
    with pytest.raises(StaleError, match="another process is downloading it"):
        fetch(f"{server.url}/a.bin", target)
    thread.join()
    assert (errors, target.read_bytes(), files_in(target.parent)) == ([], CONTENT, ["a.bin"])


def test_without_requests_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(MissingExtraError) as caught:
        fetch("http://a.example/a", tmp_path / "a")
    assert caught.value.hint == install_line("metadata")


@pytest.mark.parametrize("etag", ['"1"', None])
def test_bytes_are_reported_as_they_arrive_and_each_once(server: Server, tmp_path: Path, etag: str | None) -> None:
    server.answers(Answer(sent=20_000, etag=etag), Answer(etag=etag))
    ticks: list[int] = []
    fetch(f"{server.url}/a", tmp_path / "a", QUICK, ticks.append)
    assert 0 < ticks[0] <= 20_000 < len(CONTENT)
    assert sum(ticks) == len(CONTENT)


# copies


def test_a_file_on_this_machine_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(CONTENT)
    with local_copy(str(path), tmp_path / "scratch") as copy:
        assert copy == str(path)
    assert files_in(tmp_path) == ["a.warc.gz"]


@pytest.mark.parametrize("end", ["done", "failed"])
def test_a_copy_from_a_web_server_is_there_for_the_block(server: Server, tmp_path: Path, end: str) -> None:
    server.answers(Answer())
    with contextlib.suppress(ValueError), local_copy(f"{server.url}/deep/a.bin?x=1", tmp_path, QUICK) as copy:
        assert Path(copy).parent == tmp_path
        assert copy.endswith("-a.bin")
        assert Path(copy).read_bytes() == CONTENT
        if end == "failed":
            raise ValueError
    assert files_in(tmp_path) == []


def test_copies_have_unique_names_that_are_not_paths(server: Server, tmp_path: Path) -> None:
    server.answers(Answer())
    names: set[str] = set()
    for path in ("a", "b/a", "a?b", "..%2F..%2Fa", "..", "%00", "\u00e9 [*]", "", f"{'x' * 300}.gz/{'y' * 300}.bin"):
        with local_copy(f"{server.url}/{path}", tmp_path, QUICK) as copy:
            name = Path(copy).relative_to(tmp_path).as_posix()
            assert re.fullmatch(r"[0-9a-f]{16}-[A-Za-z0-9._-]{0,80}", name)
            names.add(name)
    assert len(names) == 9
    assert f"{'y' * 76}.bin" in {name[17:] for name in names}
    assert files_in(tmp_path) == []


def test_an_interrupted_block_leaves_its_copy_for_the_next_one(server: Server, tmp_path: Path) -> None:
    server.answers(Answer())
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), local_copy(f"{server.url}/a.bin", tmp_path, QUICK) as copy:
            assert Path(copy).read_bytes() == CONTENT
            raise KeyboardInterrupt
    with local_copy(f"{server.url}/a.bin", tmp_path, QUICK) as copy:
        assert Path(copy).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=49999-", "bytes=49999-"]
    assert files_in(tmp_path) == []


def test_a_copy_that_was_left_and_has_changed_on_the_server_is_fetched_again(server: Server, tmp_path: Path) -> None:
    server.answers(Answer(), Answer(OTHER, etag='"2"'))
    with pytest.raises(KeyboardInterrupt), local_copy(f"{server.url}/a.bin", tmp_path, QUICK):
        raise KeyboardInterrupt
    with local_copy(f"{server.url}/a.bin", tmp_path, QUICK) as copy:
        assert Path(copy).read_bytes() == OTHER


def test_a_web_url_without_a_file_has_no_copy(server: Server, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError), local_copy(f"{server.url}/nosuch", tmp_path, QUICK):
        pass
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_a_copy_of_what_fsspec_opens_is_there_for_the_block(tmp_path: Path, protocol: str) -> None:
    url = f"{protocol}://{tmp_path}/site/a.bin"
    fs, inner = filesystem(url)
    fs.makedirs(inner.rpartition("/")[0])
    fs.pipe(inner, CONTENT)
    scratch = tmp_path / "scratch"
    with local_copy(url, scratch, QUICK) as copy:
        assert Path(copy).parent == scratch
        assert Path(copy).read_bytes() == CONTENT
    assert files_in(scratch) == []
    for name, kind in {"nosuch": MissingFileError, "": SourceError}.items():
        with pytest.raises(kind, match=re.escape(f"{protocol}://{tmp_path}/site/{name}: ")), local_copy(url[:-5] + name, scratch, QUICK):
            pass
    assert files_in(scratch) == []
    with pytest.raises(OptionError), local_copy("nosuch://a/b", scratch):
        pass


class Flaky(LocalFileSystem):
    """A store of local files that sometimes fails."""

    protocol = "flaky"
    cachable = False
    days: list[str] = []  # noqa: RUF012 - shared by all, and looked at by the test

    def get_file(self, *paths: Any, **_: Any) -> None:
        content, lpath = Path(self._strip_protocol(paths[0])).read_bytes(), paths[1]
        day = self.days.pop(0) if self.days else "good"
        Path(lpath).write_bytes(content[:7] if day in ("short", "broken") else content)
        if day == "broken":
            raise ConnectionResetError("Connection reset by peer")
        if day == "refusing":
            raise PermissionError("Access Denied")
        if day == "full":
            raise OSError(28, "No space left on device")


@pytest.fixture
def flaky(tmp_path: Path) -> Iterator[str]:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    (tmp_path / "a.bin").write_bytes(CONTENT)
    yield f"flaky://{tmp_path}/a.bin"
    Flaky.days.clear()


def test_a_store_with_errors_is_asked_again_and_a_short_copy_is_refused(flaky: str, tmp_path: Path) -> None:
    Flaky.days[:] = ["short", "broken"]
    with local_copy(flaky, tmp_path / "scratch", QUICK) as copy:
        assert Path(copy).read_bytes() == CONTENT
    for day, reason in {"short": "received 7 of 50,000 bytes", "broken": "Connection reset by peer"}.items():
        Flaky.days[:] = [day] * 9
        with (
            pytest.raises(SourceError, match=re.escape(f"{flaky}: {reason}; given up after 3 tries")),
            local_copy(flaky, tmp_path / "scratch", QUICK),
        ):
            pass
        assert len(Flaky.days) == 6
        assert files_in(tmp_path / "scratch") == []


@pytest.mark.parametrize(("day", "kind"), [("refusing", SourceError), ("full", OutputError)])
def test_a_store_that_refuses_and_a_full_disk_are_not_tried_again(flaky: str, tmp_path: Path, day: str, kind: type[Exception]) -> None:
    Flaky.days[:] = [day, day]
    with pytest.raises(kind), local_copy(flaky, tmp_path / "scratch", QUICK):
        pass
    assert Flaky.days == [day]
    assert files_in(tmp_path / "scratch") == []
