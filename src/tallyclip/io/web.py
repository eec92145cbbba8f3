"""Requests to web servers that are not trusted: however slow or endless a response is, reading it ends.

A socket's timeout starts again with every byte. So bytes are counted where they arrive, below the layers that parse headers, chunks and
trailers: whatever a server sends slowly or without end is in that count. Redirects are followed here without reading their bodies, which
requests would read into memory.
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
from tallyclip.wording import plural

MOST_REDIRECTS = 30
OVERHEAD = 1 << 20  # bytes that may come beside a body, such as headers and the sizes of chunks


class FetchPolicy(msgspec.Struct, frozen=True):
    """How patient to be with a server; all times in seconds.

    Args:
        tries: attempts in a row without enough progress before a file is given up.
        connect_timeout: to make a connection.
        read_timeout: to receive the next bytes.
        first_wait: the longest wait after a first failure; it doubles with each.
        longest_wait: the limit of all waits, also if a server asks for more.
        lowest_rate: bytes a second; slower responses are aborted.
        rate_window: the time over which the rate is measured.
        largest: the size limit of a file, in bytes.
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
    """A session with web servers, for use in a ``with`` block.

    Raises:
        MissingExtraError: requests is not installed; ``extra`` names what installs it.
    """

    def __init__(self, policy: FetchPolicy, extra: str = "crawl") -> None:
        requests = load("requests", "requests", extra)
        self._policy = policy
        self._no_host: Any = load("urllib3.exceptions", "requests", extra).LocationValueError  # a bad host; requests lets it pass
        self._session: Any = requests.Session()
        # Even for a redirect that it must not follow, requests prepares the next request, and for that reads the body of this response.
        self._session.get_redirect_target = lambda _: None
        for start in ("http://", "https://"):
            self._session.mount(start, _adapter(policy))
        # The files are compressed already, and if a server compresses on the way, their size is unknown.
        self._session.headers.update({"User-Agent": f"tallyclip/{tallyclip.__version__}", "Accept-Encoding": "identity"})

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def request(self, url: str, method: str = "GET", headers: dict[str, str] | None = None) -> Any:
        """The response after all redirects: a ``requests.Response`` whose body is not read yet.

        Raises:
            SourceError: too many redirects, or this or a redirect's URL is not valid.
            requests.RequestException: there is no response.
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
            location = response.headers["Location"]
            try:
                following = urljoin(place, location.encode("latin-1").decode("utf-8"))  # http.client takes headers for Latin-1
                stays = not self._session.should_strip_auth(place, following)
            except ValueError:
                raise SourceError(f"{url}: the server redirects to an invalid URL: {location!r:.200}", "check the URL") from None
            # The user and password of a URL are sent to redirects on the same host only.
            authorization = response.request.headers.get("Authorization")
            headers = {**asked, "Authorization": authorization} if stays and authorization else asked
            place = following
        raise SourceError(f"{url}: more than {MOST_REDIRECTS} redirects", "check the URL: the server sends each request on to another URL")


class _Wire(io.RawIOBase):
    """The bytes from a socket, counted.

    Reading raises OSError if there are too many, or if they come too slowly.
    """

    def __init__(self, raw: io.RawIOBase, policy: FetchPolicy) -> None:
        super().__init__()
        self._raw, self._policy = raw, policy
        self._all = self._fresh = 0
        self._since: float | None = None  # from the first byte on: until then the server may take its time

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
            raise OSError(f"the server sent {plural(self._all, 'byte')} and kept sending: more than the limit allows")
        seconds = now - self._since
        if count and seconds >= policy.rate_window:
            if self._fresh < policy.lowest_rate * seconds:
                received = f"{plural(self._fresh, 'byte')} came in {seconds:.3g} seconds"
                raise OSError(f"{received}, which is slower than {policy.lowest_rate:,.0f} bytes a second")
            self._since, self._fresh = now, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _adapter(policy: FetchPolicy) -> Any:
    """An adapter for requests that counts the bytes of responses."""
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
