"""Servers on this machine that pools are read from."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.run.stores import moto_server, new_bucket, reach

__all__ = ["reach"]


class Site(NamedTuple):
    """A web server, and the folder that it serves."""

    url: str
    folder: Path


class _Plain(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class _WithRanges(_Plain):
    """Python's own server sends only whole files; most others also send ranges."""

    def send_head(self) -> Any:
        asked = self.headers.get("Range", "")
        path = Path(self.translate_path(self.path))
        if not asked.startswith("bytes=") or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = (int(first), min(int(last or size - 1), size - 1)) if first else (max(0, size - int(last)), size - 1)
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(end - start + 1))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        if self.command == "GET":
            with path.open("rb") as file:
                file.seek(start)
                self.wfile.write(file.read(end - start + 1))
        return None

    def end_headers(self) -> None:
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()


def _serve(handler: type[_Plain], folder: Path) -> Iterator[Site]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Site(f"http://127.0.0.1:{server.server_port}", folder)
        server.shutdown()
        thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A web server that sends ranges of files."""
    (tmp_path / "site").mkdir()
    yield from _serve(_WithRanges, tmp_path / "site")


@pytest.fixture
def plain_site(tmp_path: Path) -> Iterator[Site]:
    """A web server that sends only whole files."""
    (tmp_path / "plain").mkdir()
    yield from _serve(_Plain, tmp_path / "plain")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_server: str, reach: Callable[[str], None]) -> str:
    """An empty bucket of an S3 server, as a URL; the file system finds the server by the environment."""
    reach(s3_server)
    return f"s3://{new_bucket(s3_server)}"


@pytest.fixture
def memory() -> Iterator[str]:
    """The file system in this process's memory, empty."""
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    yield "memory://pool"
    MemoryFileSystem.store.clear()
