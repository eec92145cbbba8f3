"""A process between a client and an S3 server on this machine, which counts requests, and does to some what networks and stores do.

It says its port. A line of its input has rules, or is empty; each is answered with a line that has all requests since the last. It ends
when nobody holds the other end of its input any more. Signatures stay as they are, and so does the host that they sign.
"""

from __future__ import annotations

import html
import json
import random
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime, parsedate_to_datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, unquote_plus, urlsplit

CHANGES = ("PUT", "COPY", "POST", "DELETE")
OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}
TIMES = {"date", "last-modified"}
CONDITIONS = {"if-match", "if-none-match"}
SLOW_DOWN = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
DENIED = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
SKEWED = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>RequestTimeTooSkewed</Code>'
    b"<Message>The difference between the request time and the current time is too large.</Message></Error>"
)
LARGEST_SKEW = 900  # seconds


class Faults(NamedTuple):
    """What goes wrong, as shares of requests. Whether it does depends on the seed, the request, and how often that was made before.

    So a repeated request has another fate, which threads do not change.
    """

    refuse: float = 0  # of all: answered 503 SlowDown
    slow: float = 0  # of all: served later, by ``slow_seconds``
    cut_get: float = 0  # of GETs of a key: the connection ends after half of the content
    cut_put: float = 0  # of PUTs: it ends after half of the content, and nothing is stored
    lose_answer: float = 0  # of PUTs, COPYs, POSTs and DELETEs: done, but the connection ends without an answer
    late_list_seconds: float = 0  # a LIST has no keys that were new at this proxy so lately; others that are overwritten stay in it
    repeat_list: bool = False  # a LIST has each key, and each common prefix, twice
    ignore_conditions: bool = False  # If-Match and If-None-Match are not passed on: some stores know none, and moto looks at no signature
    slow_seconds: float = 0.2
    clock: float = 0  # seconds that the store's clock is ahead, in all times that it says
    is_strict: bool = False  # requests that are signed over a quarter of an hour away from that are answered 403 RequestTimeTooSkewed
    denied: tuple[str, ...] = ()  # of all, those that take one of these rights, "list", "read", "write" or "delete": 403 AccessDenied
    keys: str = ""  # what is denied, and the shares, are of requests whose bucket, key and query have this pattern in them
    times: int | None = None  # of each of the shares, at most so many requests
    seed: int = 0


class Asked(NamedTuple):
    """A request."""

    kind: str
    target: str

    @property
    def bucket(self) -> str:
        return unquote(urlsplit(self.target).path).strip("/").partition("/")[0]

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.target).path).removeprefix("/").partition("/")[2]

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def right(self) -> str:
        """What the credentials of who asks this must allow."""
        if self.kind in ("LIST", "DELETE"):
            return self.kind.lower()
        if self.kind == "POST" and "delete" in self.query:
            return "delete"
        return "read" if self.kind in ("GET", "HEAD") else "write"

    @classmethod
    def of(cls, method: str, target: str, headers: Message) -> Asked:
        if method == "PUT" and "x-amz-copy-source" in headers:
            return cls("COPY", target)
        return cls("LIST" if method == "GET" and not cls(method, target).key else method, target)


class Rules:
    """The faults, what they were done to, and which keys are new."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.born: dict[tuple[str, str], float] = {}
        self.log: list[tuple[str, str, list[str]]] = []
        self.take(Faults())

    def take(self, faults: Faults) -> None:
        with self.lock:
            self.faults, self.made, self.done = faults, Counter[Asked](), Counter[str]()

    def fate(self, asked: Asked) -> list[str]:
        """The names of the faults of a request, which is noted."""
        kinds = {"refuse": asked.kind, "slow": asked.kind, "cut_get": "GET", "cut_put": "PUT"}
        kinds |= {"lose_answer": asked.kind if asked.kind in CHANGES else ""}
        with self.lock:
            faults = self.faults
            self.made[asked] += 1
            is_meant = re.search(faults.keys, asked.target) is not None
            found = ["denied"] if is_meant and asked.right in faults.denied else []
            for name in kinds if is_meant and not found else ():
                drawn = random.Random(f"{faults.seed} {name} {asked} {self.made[asked]}").random()
                is_left = faults.times is None or self.done[name] < faults.times
                if kinds[name] == asked.kind and drawn < getattr(faults, name) and is_left:
                    self.done[name] += 1
                    found.append(name)
                    if name != "slow":
                        break  # what is refused is not cut too
            self.log.append((asked.kind, asked.target, found))
            return found

    def note(self, asked: Asked, body: bytes) -> None:
        """What a request that succeeded changed."""
        place, now = (asked.bucket, asked.key), time.monotonic()
        with self.lock:
            if asked.kind == "DELETE" and not asked.query:
                self.born.pop(place, None)
            elif asked.kind == "POST" and "delete" in asked.query:
                for key in re.findall(rb"<Key>(.*?)</Key>", body, re.DOTALL):
                    self.born.pop((asked.bucket, html.unescape(key.decode())), None)
            elif asked.key and (asked.kind == "POST") == ("uploadId" in asked.query) and "uploads" not in asked.query:
                self.born.setdefault(place, now)  # neither a part of an upload nor its start

    def late(self, bucket: str) -> set[str]:
        """The keys that a LIST leaves out."""
        since = time.monotonic() - self.faults.late_list_seconds
        with self.lock:
            return {key for (place, key), born in self.born.items() if place == bucket and born > since}


class Proxy(ThreadingHTTPServer):
    """In front of a port of this machine."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Between)
        self.rules, self.port = Rules(), port

    def forward(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request(method, target, body or None, headers | {"Content-Length": str(len(body))} if body else headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def listed(self, asked: Asked, headers: dict[str, str], listing: bytes) -> bytes:
        """A listing without what is late, and with everything else as often as it should be."""
        if b"<ListBucketResult" not in listing:
            return listing
        faults, late = self.rules.faults, self.rules.late(asked.bucket)
        is_quoted = "url" in asked.query.get("encoding-type", [])

        def name_in(entry: re.Match[bytes], tag: str) -> str:
            found = re.search(f"<{tag}>(.*?)</{tag}>", entry[0].decode(), re.DOTALL)
            assert found is not None
            return unquote_plus(html.unescape(found[1])) if is_quoted else html.unescape(found[1])

        def is_late(prefix: str) -> bool:
            """All its keys are: among one key more than are late, there is one that is not, if there is one at all."""
            late_ones = [key for key in late if key.startswith(prefix)]
            if not late_ones:
                return False
            target = f"/{asked.bucket}?list-type=2&prefix={quote(prefix, safe='')}&max-keys={len(late_ones) + 1}"
            keys = re.findall(rb"<Key>(.*?)</Key>", self.forward("GET", target, {"Host": headers["Host"]}, b"")[2], re.DOTALL)
            return {html.unescape(key.decode()) for key in keys} <= late

        def kept(entry: re.Match[bytes]) -> bytes:
            is_prefix = entry[1] == b"CommonPrefixes"
            is_left_out = is_late(name_in(entry, "Prefix")) if is_prefix else name_in(entry, "Key") in late
            return b"" if is_left_out else entry[0] * (1 + faults.repeat_list)

        listing = re.sub(rb"<(Contents|CommonPrefixes)>.*?</\1>", kept, listing, flags=re.DOTALL)
        count = len(re.findall(rb"<(?:Contents|CommonPrefixes)>", listing))
        return re.sub(rb"<KeyCount>\d+<", b"<KeyCount>%d<" % count, listing)


class Between(BaseHTTPRequestHandler):
    """One connection of a client."""

    server: Proxy  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the server's name
        pass

    def pieces(self) -> Iterator[int]:
        """The sizes of the pieces that the content comes in."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield int(self.headers.get("Content-Length", 0))
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield size
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes, *, is_cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_cut else body)

    def answer_xml(self, status: int, body: bytes) -> None:
        now = format_datetime(datetime.fromtimestamp(time.time() + self.server.rules.faults.clock, UTC), usegmt=True)
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body))), ("Date", now)]
        self.answer(status, headers, b"" if self.command == "HEAD" else body)

    def serve(self) -> None:
        asked = Asked.of(self.command, self.path, self.headers)
        fate = self.server.rules.fate(asked)
        if "cut_put" in fate:
            self.rfile.read(next(self.pieces()) // 2)
            return self.cut()
        body = b"".join(self.rfile.read(size) for size in self.pieces())
        if "slow" in fate:
            time.sleep(self.server.rules.faults.slow_seconds)
        if "refuse" in fate:
            return self.answer_xml(503, SLOW_DOWN)
        clock = self.server.rules.faults.clock
        if self.server.rules.faults.is_strict and abs(signed_at(self.headers) - time.time() - clock) > LARGEST_SKEW:
            return self.answer_xml(403, SKEWED)
        if "denied" in fate:
            is_of_many = (asked.kind, asked.right) == ("POST", "delete")
            return self.answer_xml(200, denied_each(body)) if is_of_many else self.answer_xml(403, DENIED)
        left_out = OF_ONE_CONNECTION | (CONDITIONS if self.server.rules.faults.ignore_conditions else set())
        headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
        status, more, content = self.server.forward(self.command, self.path, headers, body)
        if status < 300:
            self.server.rules.note(asked, body)
        if "lose_answer" in fate:
            return self.cut()
        if asked.kind == "LIST":
            content = self.server.listed(asked, headers, content)
        if clock:
            more, content = (
                [(name, at_clock(value, clock) if name.lower() in TIMES else value) for name, value in more],
                in_xml(content, clock),
            )
        if self.command != "HEAD" and status not in (204, 304):
            more = [*((name, value) for name, value in more if name.lower() != "content-length"), ("Content-Length", str(len(content)))]
        more = [(name, value) for name, value in more if name.lower() not in OF_ONE_CONNECTION - {"content-length"}]
        self.answer(status, more, content, is_cut="cut_get" in fate)
        return self.cut() if "cut_get" in fate else None

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve  # noqa: N815 - the names that the server calls


def denied_each(body: bytes) -> bytes:
    """The answer to a request to delete many keys of which none may be: that is said of each, in an answer that is no error."""
    keys = re.findall(rb"<Key>.*?</Key>", body, re.DOTALL)
    errors = b"".join(b"<Error>%s<Code>AccessDenied</Code><Message>Access Denied</Message></Error>" % key for key in keys)
    return b'<?xml version="1.0" encoding="UTF-8"?><DeleteResult>%s</DeleteResult>' % errors


def signed_at(headers: Message) -> float:
    return datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%S%z").timestamp()


def at_clock(said: str, ahead: float) -> str:
    """A time of a header by a clock that is so many seconds ahead."""
    return format_datetime(parsedate_to_datetime(said) + timedelta(seconds=ahead), usegmt=True)


def in_xml(content: bytes, ahead: float) -> bytes:
    """Likewise of all times in a listing."""

    def later(found: re.Match[bytes]) -> bytes:
        time = datetime.fromisoformat(found[1].decode()) + timedelta(seconds=ahead)
        return b"<LastModified>%s</LastModified>" % time.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()

    return re.sub(rb"<LastModified>(.*?)</LastModified>", later, content)


def main(port: int) -> None:
    """Serve until the input ends."""
    proxy = Proxy(port)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    print(proxy.server_port, flush=True)  # noqa: T201
    for line in sys.stdin:
        if line.strip():
            proxy.rules.take(Faults(**json.loads(line)))
        with proxy.rules.lock:
            log, proxy.rules.log = proxy.rules.log, []
        print(json.dumps(log), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
