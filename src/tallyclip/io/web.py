"""Web servers, without trust: however slow or endless an answer is, reading it ends.

Timeouts of sockets begin again with every byte. So bytes are counted where they come from the network, below the layers that take headers,
chunks and trailers apart: all that a server may draw out, or never end, is in that count. Redirects are followed here and their bodies not
read, which requests would do, into memory.
"""

from __future__ import annotations

import http.client
import io
import time
from typing import Any
from urllib.parse import urljoin

import msgspec

import tallyclip
from tallyclip.errors import SourceError
from tallyclip.extras import load

MOST_REDIRECTS = 30
OVERHEAD = 1 << 20  # bytes: what may come beside a body, such as headers and the sizes of chunks


class FetchPolicy(msgspec.Struct, frozen=True):
    """How patient to be with a server; all times in seconds.

    Args:
        tries: attempts in a row that bring too little before a file is given up.
        connect_timeout: for a connection to be made.
        read_timeout: for the next bytes to come.
        first_wait: the longest wait after a first failure; it doubles with each.
        longest_wait: the longest wait of all, also where a server asks for more.
        lowest_rate: bytes a second; slower answers are broken off.
        rate_window: the rate is that of so many seconds.
        largest: bytes of a file.
    """

    tries: int = 8
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    first_wait: float = 2.0
    longest_wait: float = 120.0
    lowest_rate: float = 1024.0
    rate_window: float = 60.0
    largest: int = 64 << 30


POLITE = FetchPolicy()


class Web:
    """A session with web servers, which can be used as a context.

    Raises:
        MissingExtraError: requests is not installed; ``extra`` names what installs it.
    """

    def __init__(self, policy: FetchPolicy, extra: str = "crawl") -> None:
        requests = load("requests", "requests", extra)
        self._policy = policy
        self._no_host: Any = load("urllib3.exceptions", "requests", extra).LocationValueError  # of a host's name; requests lets it pass
        self._session: Any = requests.Session()
        # Also of a redirect that it is not to follow, requests prepares the next request, and for that reads the body of this one.
        self._session.get_redirect_target = lambda _: None
        for start in ("http://", "https://"):
            self._session.mount(start, _adapter(policy))
        # What is fetched is compressed already, and the size of what a server packs on the way is not known.
        self._session.headers.update({"User-Agent": f"tallyclip/{tallyclip.__version__}", "Accept-Encoding": "identity"})

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def request(self, url: str, method: str = "GET", headers: dict[str, str] | None = None) -> Any:
        """The answer to a request, at the end of all redirects: a ``requests.Response`` whose body is not yet read.

        Raises:
            SourceError: the redirects do not end, or this or one of theirs is no URL.
            requests.RequestException: there is no answer.
        """
        timeout, place, asked = (self._policy.connect_timeout, self._policy.read_timeout), url, headers or {}
        for _ in range(MOST_REDIRECTS + 1):
            try:
                response = self._session.request(method, place, headers=headers, stream=True, timeout=timeout, allow_redirects=False)
            except self._no_host as error:
                raise SourceError(f"{url}: {place!r:.200} is not a valid URL: {error}", "check the URL") from error
            if not response.is_redirect:
                return response
            response.close()
            said = response.headers["Location"]
            try:
                following = urljoin(place, said.encode("latin-1").decode("utf-8"))  # http.client takes headers for Latin-1
                stays = not self._session.should_strip_auth(place, following)
            except ValueError:
                raise SourceError(f"{url}: the server redirects to an invalid URL: {said!r:.200}", "check the URL") from None
            # The user and password of a URL go with it, but to no other host.
            authorization = response.request.headers.get("Authorization")
            headers = {**asked, "Authorization": authorization} if stays and authorization else asked
            place = following
        raise SourceError(f"{url}: more than {MOST_REDIRECTS} redirects", "check the URL: the server sends each request on to another URL")


class _Wire(io.RawIOBase):
    """What comes from a socket, counted.

    Reading raises OSError where too much has come, or too little in the time.
    """

    def __init__(self, raw: io.RawIOBase, policy: FetchPolicy) -> None:
        super().__init__()
        self._raw, self._policy = raw, policy
        self._all = self._fresh = 0
        self._since: float | None = None  # the wait for the first byte is the server's to think

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        now, policy = time.monotonic(), self._policy
        if self._since is None:
            self._since = now
        self._all += count or 0
        self._fresh += count or 0
        if self._all > 2 * policy.largest + OVERHEAD:
            raise OSError(f"the server sent {self._all:,} bytes and kept sending: more than the limit allows")
        seconds = now - self._since
        if count and seconds >= policy.rate_window:
            if self._fresh < policy.lowest_rate * seconds:
                said = f"{self._fresh:,} bytes came in {seconds:.3g} seconds"
                raise OSError(f"{said}, which is slower than {policy.lowest_rate:,.0f} bytes a second")
            self._since, self._fresh = now, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _adapter(policy: FetchPolicy) -> Any:
    """What requests sends requests by, with answers that are counted."""
    adapters: Any = load("requests.adapters", "requests", "crawl")
    pools: Any = load("urllib3.connectionpool", "requests", "crawl")

    class CountedResponse(http.client.HTTPResponse):
        def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            stream: Any = self.fp
            self.fp = io.BufferedReader(_Wire(stream.detach(), policy))

    def counted(pool: Any) -> Any:
        connection = type("Connection", (pool.ConnectionCls,), {"response_class": CountedResponse})
        return type("Pool", (pool,), {"ConnectionCls": connection})

    by_scheme = {"http": counted(pools.HTTPConnectionPool), "https": counted(pools.HTTPSConnectionPool)}

    class Adapter(adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options)
            self.poolmanager.pool_classes_by_scheme = by_scheme

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **options)
            if not proxy.lower().startswith("socks"):  # which need connections of their own
                manager.pool_classes_by_scheme = by_scheme
            return manager

    return Adapter()
