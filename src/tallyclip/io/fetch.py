"""Downloads one file from a web server or an fsspec URL, politely.

A broken transfer resumes where it stopped, even after the process was killed. Beside the partial file is a note with its ETag and size, and
the server is asked for the rest of exactly that version (If-Range); if it answers anything else, the download starts again. So a file is
one version from end to end, and without an ETag nothing is resumed. A response that is too slow, or larger than announced or allowed, is
aborted (``web.py``).

The module is long because everything that a server may do wrong is in one place.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import msgspec

from tallyclip.errors import OutputError, SourceError, StaleError
from tallyclip.io.files import PART, writing
from tallyclip.io.streams import compression_of, file_name, filesystem, is_url
from tallyclip.io.web import POLITE, FetchPolicy, Web
from tallyclip.wording import plural

if TYPE_CHECKING:
    import requests

Result = TypeVar("Result")

WEB = ("http://", "https://")
GZIP = b"\x1f\x8b"
READ_AT_ONCE = 1 << 18  # bytes of a response
LONGEST_NAME = 80
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Common Crawl answers 403 or 503 to clients that send too many requests.
BUSY = (403, 429, 503)
LATER = "try again later: what was downloaded is kept, and the same command resumes from there"
LARGER = "--max-download SIZE, such as 100G, allows larger files"
SLOWER = "the server may want fewer requests: try again later, or with fewer --workers"


class MissingFileError(SourceError):
    """There is no such file."""


class TooLargeError(SourceError):
    """The file is larger than the policy allows."""


class TryAgainError(Exception):
    """An attempt that failed, and how far into the file it got."""

    def __init__(self, reason: str, reached: int = 0, wait: float = 0.0, hint: str = LATER) -> None:
        super().__init__(reason)
        self.reached = reached
        self.wait = wait
        self.hint = hint


class _Version(msgspec.Struct, frozen=True):
    """Identifies one version of a file."""

    url: str
    etag: str
    size: int


def fetch(url: str, target: Path, policy: FetchPolicy = POLITE, tick: Callable[[int], None] | None = None) -> None:
    """Download a file from a web server; it gets its name once it is complete.

    Args:
        url: of the file.
        target: where to write it.
        policy: how patient to be with the server.
        tick: called with the number of new bytes as they arrive, once for each byte, also of an earlier transfer.

    Raises:
        SourceError: there is no such file (``MissingFileError``), the server refuses it, or it is too large (``TooLargeError``).
        StaleError: another process is downloading to the same place.
        OutputError: the disk is full, or the folder cannot be written.
        MissingExtraError: requests is not installed.
    """
    with _hold(url, target, tick) as part:
        _download(part, policy, "metadata")
        part.finish()


@contextmanager
def local_copy(path: str, scratch: Path, policy: FetchPolicy = POLITE) -> Generator[str]:
    """A local path for a file: a local file itself, or a copy of a URL's in a folder, deleted at the end of the block.

    If it is interrupted or killed, it leaves the partial copy in the folder, and the next copy of the same URL resumes it.

    Raises:
        SourceError, StaleError, OutputError, MissingExtraError: as ``fetch``.
        OptionError: fsspec does not know this kind of URL.
    """
    if not is_url(path):
        yield path
        return
    copy = scratch / _copy_name(path)
    with _hold(path, copy) as part:
        part.take_back()
        if path.startswith(WEB):
            _download(part, policy, "crawl")
        else:
            _copy(part, policy)
        part.finish()
        part.noted.append(copy)
        try:
            yield str(copy)
        except Exception:
            copy.unlink(missing_ok=True)
            raise
        copy.unlink(missing_ok=True)


# the partial file


class _Part:
    """A partial file, and a note that says of which version it is.

    The part is deleted before its note is changed, so that the two agree whenever the process is killed.
    """

    def __init__(self, url: str, target: Path, note: int, tick: Callable[[int], None] | None) -> None:
        self.url = url
        self.target = target
        self.path = _part_path(target)
        self.noted = [self.path]  # as long as one of these exists, the note is kept
        self._note = note
        self._tick = tick
        self._ticked = 0

    def version(self) -> _Version | None:
        """The version of the part, if known."""
        try:
            version = msgspec.json.decode(os.pread(self._note, 1 << 16, 0), type=_Version)
        except msgspec.DecodeError:
            return None
        return version if version.url == self.url and self.path.exists() else None

    def size(self) -> int:
        return self.path.stat().st_size

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)

    def reached(self, size: int) -> None:
        """Report bytes beyond those reported so far: those downloaded again count once."""
        if self._tick is not None and size > self._ticked:
            self._tick(size - self._ticked)
            self._ticked = size

    def finish(self) -> None:
        with writing(self.path, self.target):
            self.path.replace(self.target)

    def take_back(self) -> None:
        """Turn a copy that an earlier process left into a part again: the server is asked if it is still current."""
        if self.target.exists():
            with writing(self.target):
                self.target.replace(self.path)

    @contextmanager
    def open(self, start: int, version: _Version | None) -> Generator[BinaryIO]:
        """The part, opened to write from byte ``start``; 0 begins another version."""
        with writing(self.path, self.target):
            if start == 0:
                self.forget()
                os.ftruncate(self._note, 0)
                os.pwrite(self._note, msgspec.json.encode(version) if version else b"", 0)
            with self.path.open("r+b" if start else "wb") as file:
                file.seek(start)
                file.truncate()
                yield file


@contextmanager
def _hold(url: str, target: Path, tick: Callable[[int], None] | None = None) -> Generator[_Part]:
    """The part of a file, locked for this process; without a part, its note is deleted in the end."""
    path = Path(f"{_part_path(target)}.etag")
    with writing(path, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        note = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(note).st_nlink == 0:
                raise BlockingIOError  # the process that held it has just deleted it, and there may be a new one
        except BlockingIOError:
            raise StaleError(f"{target}: another process is downloading it", "wait for it, or stop it") from None
        part = _Part(url, target, note, tick)
        try:
            yield part
        finally:
            if not any(noted.exists() for noted in part.noted):
                path.unlink(missing_ok=True)
    finally:
        os.close(note)


def _part_path(target: Path) -> Path:
    return target.with_name(f".{target.name}{PART}fetch")


def _copy_name(url: str) -> str:
    """A file name that is valid on every disk, unique to the URL, and has its suffix."""
    last = re.sub(r"[^A-Za-z0-9._-]+", "_", file_name(url).rpartition("/")[2])
    return f"{hashlib.blake2b(url.encode('utf-8', 'surrogateescape'), digest_size=8).hexdigest()}-{last[-LONGEST_NAME:]}"


# attempts


def persist(url: str, attempt: Callable[[], Result], policy: FetchPolicy) -> Result:
    """The result of the first attempt that works.

    Raises:
        SourceError: too many attempts in a row raised ``TryAgainError`` and got too little.
    """
    tried = failed = farthest = 0
    began = time.monotonic()
    while True:
        try:
            return attempt()
        except TryAgainError as error:
            tried += 1
            # Only bytes beyond those of earlier attempts are progress: a server that always breaks off at one place is given up. So is one
            # that sends a few bytes each time, or this could go on forever.
            fresh, seconds = error.reached - farthest, min(time.monotonic() - began, policy.rate_window)
            failed = 0 if fresh > policy.lowest_rate * seconds else failed + 1
            farthest = max(farthest, error.reached)
            if failed >= policy.tries:
                raise SourceError(f"{url}: {error}; given up after {tried} tries", error.hint) from error
            asked = error.wait
        # Random, so that clients that were refused together do not return together.
        backoff = random.uniform(0, policy.first_wait * 2 ** max(failed - 1, 0))
        time.sleep(min(asked + backoff, policy.longest_wait))
        began = time.monotonic()  # our own wait does not make the server slow


def _download(part: _Part, policy: FetchPolicy, extra: str) -> None:
    """Fill a part from a web server."""
    with Web(policy, extra) as web:
        persist(part.url, lambda: _ask(web, part, policy), policy)


def _ask(web: Web, part: _Part, policy: FetchPolicy) -> None:
    version, start, asked = part.version(), 0, {}
    if version is not None:
        # Of a complete part the last byte is requested again, so that the server says if it is still that version.
        start = max(0, min(part.size(), version.size - 1))
    if version is not None and start > 0:
        asked = {"Range": f"bytes={start}-", "If-Range": version.etag}
    with web_errors(part.url):
        response = web.request(part.url, headers=asked)
    with response:
        check_status(part.url, response)
        if response.status_code == 200:
            start = 0
        elif version is None or start == 0 or not _continues(response, start, version):
            part.forget()
            raise TryAgainError("the file has changed on the server")
        _receive(response, part, start, policy)


@contextmanager
def web_errors(url: str, hint: str = LATER) -> Generator[None]:
    """Turn the errors of requests into ours.

    Raises:
        SourceError: the URL is not valid.
        TryAgainError: the server cannot be reached, or its response breaks off.
    """
    import requests

    try:
        yield
    except requests.RequestException as error:
        if isinstance(error, ValueError) and not isinstance(error, requests.exceptions.InvalidHeader):
            raise SourceError(f"{url}: {_reason(error)}", "check the URL") from error
        raise TryAgainError(_reason(error), hint=hint) from error


def check_status(url: str, response: requests.Response) -> None:
    """Return if the response has content to read.

    Raises:
        SourceError: another attempt would not help.
        TryAgainError: it may help.
    """
    status = response.status_code
    if status in (200, 206, 416):  # 416: the range is beyond the file's end, so the version is another
        return
    said = f"the server answers {status} {response.reason or ''}".rstrip()
    if status in BUSY or status >= 500:
        raise TryAgainError(said, wait=_wait_asked(response), hint=SLOWER)
    if status in (404, 410):
        raise MissingFileError(f"{url}: {said}", "there is no such file: check the URL")
    raise SourceError(f"{url}: {said}", "check the URL and your access to it")


def _continues(response: requests.Response, start: int, version: _Version) -> bool:
    """Does this response continue the part?"""
    place = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if place is None or response.headers.get("ETag") != version.etag:
        return False
    return (int(place[1]), int(place[2])) == (start, version.size)


def _receive(response: requests.Response, part: _Part, start: int, policy: FetchPolicy) -> None:
    """Write a response to the part, from byte ``start``.

    Raises:
        SourceError: it is too large.
        TryAgainError: it is not complete.
    """
    version = part.version() if start else _version_of(part.url, response)
    size = version.size if version else size_of(response)
    if size is not None and size > policy.largest:
        raise TooLargeError(f"{part.url}: the file has {plural(size, 'byte')}, over the limit of {policy.largest:,}", LARGER)
    piece = _read(response)
    if start == 0 and compression_of(part.url) == "gzip":
        while len(piece) < len(GZIP) and (more := _read(response)):
            piece += more
        if not piece.startswith(GZIP):  # the part is kept: servers under load send web pages that say so
            raise TryAgainError("the response is not a gzip file", hint=SLOWER)
    reached, most = start, policy.largest if size is None else size
    with part.open(start, version) as file:
        try:
            while piece and reached <= most:
                file.write(piece)
                reached += len(piece)
                part.reached(reached)
                piece = _read(response)
        except TryAgainError as error:
            raise TryAgainError(str(error), reached) from error
    if reached > most:
        part.forget()
        if size is None:
            raise TooLargeError(f"{part.url}: more than {plural(most, 'byte')} received; the server does not state the size", LARGER)
    if size is not None and reached != size:
        raise TryAgainError(f"received {reached:,} of {plural(size, 'byte')}", reached)


def _read(response: requests.Response) -> bytes:
    """The next bytes as soon as some arrive, as they were sent; empty at the end."""
    from urllib3.exceptions import HTTPError

    try:
        return response.raw.read1(READ_AT_ONCE, decode_content=False)
    except (HTTPError, OSError) as error:
        raise TryAgainError(_reason(error)) from error


def size_of(response: requests.Response) -> int | None:
    """The size of a response, if its headers give it."""
    said = response.headers.get("Content-Length", "")
    return int(said) if re.fullmatch("[0-9]{1,18}", said) else None


def _version_of(url: str, response: requests.Response) -> _Version | None:
    """The version of a complete response; None for a weak ETag (W/), which several versions may share."""
    etag, size = response.headers.get("ETag", ""), size_of(response)
    return _Version(url, etag, size) if re.fullmatch('".*"', etag) and size is not None else None


def _wait_asked(response: requests.Response) -> float:
    """How long a server asks to wait, in seconds or until a date."""
    said = response.headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", said):
        return float(said)
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time())


def root_cause(error: BaseException) -> BaseException:
    """The innermost error: requests and urllib3 wrap others in three ways."""
    while inner := [e for e in (error.__cause__, getattr(error, "reason", None), *error.args) if isinstance(e, BaseException)]:
        error = inner[0]
    return error


def _reason(error: BaseException) -> str:
    cause = root_cause(error)
    return " ".join(str(cause).split()) or type(cause).__name__


def _copy(part: _Part, policy: FetchPolicy) -> None:
    """Fill a part through fsspec, in one piece."""
    fs, inner = filesystem(part.url)

    def attempt() -> None:
        try:
            fs.invalidate_cache()
            info: dict[str, Any] = fs.info(inner)
            if info["type"] == "directory":
                raise SourceError(f"{part.url}: a folder, not a file", "check the URL")
            size = info.get("size")
            if size is not None and size > policy.largest:
                raise TooLargeError(f"{part.url}: the file has {plural(size, 'byte')}, over the limit of {policy.largest:,}", LARGER)
            fs.get_file(inner, str(part.path))
        except SourceError:
            raise
        except FileNotFoundError:
            raise MissingFileError(f"{part.url}: there is no such file", "check the URL and your access to it") from None
        except Exception as error:  # whatever the package for these URLs raises
            if isinstance(error, OSError) and (error.errno in FULL or error.filename == str(part.path)):
                raise OutputError.of(part.target, error) from error
            if isinstance(error, PermissionError):
                raise SourceError(f"{part.url}: {_reason(error)}", "check the URL and your access to it") from error
            raise TryAgainError(_reason(error)) from error
        if size is not None and part.size() != size:
            raise TryAgainError(f"received {part.size():,} of {plural(size, 'byte')}")

    try:
        persist(part.url, attempt, policy)
    except BaseException:
        part.forget()  # it cannot be resumed
        raise
