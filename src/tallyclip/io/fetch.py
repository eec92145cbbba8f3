"""One file from a web server or an fsspec URL to this machine, politely.

A transfer that breaks goes on where it was, also after the process was killed. Beside what there is of a file lies a note with its ETag and
size, and a server is asked for the rest of that very version (If-Range); whatever else it answers, the file is begun again. So a file is
one version from end to end, and where a server does not name versions, nothing is ever resumed. A server that is too slow, or sends
more than it said or than is wanted, is broken off (``web.py``).

The module is longer than others: all that a server may do wrong is in one place.
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

if TYPE_CHECKING:
    import requests

Result = TypeVar("Result")

WEB = ("http://", "https://")
GZIP = b"\x1f\x8b"
BITE = 1 << 18  # bytes asked of the network at once
LONGEST_NAME = 80
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Common Crawl answers 403 as well as 503 to those who ask too much.
BUSY = (403, 429, 503)
LATER = "try again later: what was fetched is kept, and the same command goes on from there"
LARGER = "--max-download SIZE, such as 100G, allows larger files"
SLOWER = "the server may want fewer requests: try again later, or with fewer --workers"


class MissingFileError(SourceError):
    """There is no such file."""


class TooLargeError(SourceError):
    """The file is larger than the policy allows."""


class TryAgainError(Exception):
    """An attempt that failed, and how far into the file it came."""

    def __init__(self, reason: str, reached: int = 0, wait: float = 0.0, hint: str = LATER) -> None:
        super().__init__(reason)
        self.reached = reached
        self.wait = wait
        self.hint = hint


class _Version(msgspec.Struct, frozen=True):
    """What tells one version of a file from all others."""

    url: str
    etag: str
    size: int


def fetch(url: str, target: Path, policy: FetchPolicy = POLITE, tick: Callable[[int], None] | None = None) -> None:
    """Fetch a file from a web server; it takes its name once it is whole.

    Args:
        url: of the file.
        target: where to write it.
        policy: how patient to be with the server.
        tick: called with the number of new bytes as they arrive: those of an earlier transfer too, and none twice.

    Raises:
        SourceError: there is no such file (``MissingFileError``), the server does not give it, or it is too large (``TooLargeError``).
        StaleError: another process is fetching to the same place.
        OutputError: the disk is full, or the folder cannot be written.
        MissingExtraError: requests is not installed.
    """
    with _hold(url, target, tick) as part:
        _download(part, policy, "metadata")
        part.finish()


@contextmanager
def local_copy(path: str, scratch: Path, policy: FetchPolicy = POLITE) -> Generator[str]:
    """A file on this machine: a local one as it is, that of a URL as a copy in a folder, deleted at the end of the block.

    Interrupted or killed, it leaves what it has in the folder, and the next copy of the same URL there goes on with that.

    Raises:
        SourceError, StaleError, OutputError, MissingExtraError: as ``fetch``.
        OptionError: nobody knows this kind of URL.
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


# what there is of a file


class _Part:
    """What there is of a file so far, and a note that says of which version.

    The part is deleted before its note is changed, so that a part is of the version in the note whenever the process is killed.
    """

    def __init__(self, url: str, target: Path, note: int, tick: Callable[[int], None] | None) -> None:
        self.url = url
        self.target = target
        self.path = _part_path(target)
        self.noted = [self.path]  # as long as one of these is there, the note stays
        self._note = note
        self._tick = tick
        self._ticked = 0

    def version(self) -> _Version | None:
        """The version that the part is of, if that is known."""
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
        """Report bytes beyond those reported so far: what is fetched again counts once."""
        if self._tick is not None and size > self._ticked:
            self._tick(size - self._ticked)
            self._ticked = size

    def finish(self) -> None:
        with writing(self.path, self.target):
            self.path.replace(self.target)

    def take_back(self) -> None:
        """Make a copy that was left behind a part again: the server is asked whether it is still that."""
        if self.target.exists():
            with writing(self.target):
                self.target.replace(self.path)

    @contextmanager
    def open(self, start: int, version: _Version | None) -> Generator[BinaryIO]:
        """The part, to write on from a place in it; at the start, of another version."""
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
    """The part of a file, for this process alone; without a part, the note goes too when it is let go."""
    path = Path(f"{_part_path(target)}.etag")
    with writing(path, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        note = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(note).st_nlink == 0:
                raise BlockingIOError  # whoever held it has just deleted it, and there may be a new one
        except BlockingIOError:
            raise StaleError(f"{target}: another process is fetching it", "wait for it, or stop it") from None
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
    """A name that is safe on every disk, of one URL alone, and with its suffix."""
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
            # Where an attempt before it has been is nothing new: a server that always breaks off at one place is given up. So is one that
            # gives a few bytes each time, for it could be asked for ever.
            fresh, seconds = error.reached - farthest, min(time.monotonic() - began, policy.rate_window)
            failed = 0 if fresh > policy.lowest_rate * seconds else failed + 1
            farthest = max(farthest, error.reached)
            if failed >= policy.tries:
                raise SourceError(f"{url}: {error}; given up after {tried} tries", error.hint) from error
            asked = error.wait
        # By chance, so that many who were turned away together do not come back together.
        backoff = random.uniform(0, policy.first_wait * 2 ** max(failed - 1, 0))
        time.sleep(min(asked + backoff, policy.longest_wait))
        began = time.monotonic()  # a wait that we keep is not the server's slowness


def _download(part: _Part, policy: FetchPolicy, extra: str) -> None:
    """Fill a part from a web server."""
    with Web(policy, extra) as web:
        persist(part.url, lambda: _ask(web, part, policy), policy)


def _ask(web: Web, part: _Part, policy: FetchPolicy) -> None:
    version, start, asked = part.version(), 0, {}
    if version is not None:
        # Of a part that is whole the last byte is asked for again, so that the server says whether it is still that version.
        start = max(0, min(part.size(), version.size - 1))
    if version is not None and start > 0:
        asked = {"Range": f"bytes={start}-", "If-Range": version.etag}
    with web_errors(part.url):
        response = web.request(part.url, headers=asked)
    with response:
        check_status(part.url, response)
        if response.status_code == 200:
            start = 0
        elif version is None or start == 0 or not _goes_on(response, start, version):
            part.forget()
            raise TryAgainError("the file has changed on the server")
        _receive(response, part, start, policy)


@contextmanager
def web_errors(url: str, hint: str = LATER) -> Generator[None]:
    """Turn what requests raises into errors of ours.

    Raises:
        SourceError: the URL is not valid.
        TryAgainError: the server cannot be reached, or its answer breaks off.
    """
    import requests

    try:
        yield
    except requests.RequestException as error:
        if isinstance(error, ValueError) and not isinstance(error, requests.exceptions.InvalidHeader):
            raise SourceError(f"{url}: {_reason(error)}", "check the URL") from error
        raise TryAgainError(_reason(error), hint=hint) from error


def check_status(url: str, response: requests.Response) -> None:
    """Return if there is something to read.

    Raises:
        SourceError: there never will be.
        TryAgainError: there may be another time.
    """
    status = response.status_code
    if status in (200, 206, 416):  # the last is asked for more than there is: of another version
        return
    said = f"the server answers {status} {response.reason or ''}".rstrip()
    if status in BUSY or status >= 500:
        raise TryAgainError(said, wait=_wait_asked(response), hint=SLOWER)
    if status in (404, 410):
        raise MissingFileError(f"{url}: {said}", "there is no such file: check the address")
    raise SourceError(f"{url}: {said}", "check the address and your access to it")


def _goes_on(response: requests.Response, start: int, version: _Version) -> bool:
    """Is this what comes after a part?"""
    place = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if place is None or response.headers.get("ETag") != version.etag:
        return False
    return (int(place[1]), int(place[2])) == (start, version.size)


def _receive(response: requests.Response, part: _Part, start: int, policy: FetchPolicy) -> None:
    """Write an answer to the part, from a place on.

    Raises:
        SourceError: it is too large.
        TryAgainError: it is not whole.
    """
    version = part.version() if start else _version_of(part.url, response)
    size = version.size if version else size_of(response)
    if size is not None and size > policy.largest:
        raise TooLargeError(f"{part.url}: the file has {size:,} bytes, over the limit of {policy.largest:,}", LARGER)
    bite = _read(response)
    if start == 0 and compression_of(part.url) == "gzip":
        while len(bite) < len(GZIP) and (more := _read(response)):
            bite += more
        if not bite.startswith(GZIP):  # and what there is stays: servers under load send web pages that say so
            raise TryAgainError("what comes is no gzip file", hint=SLOWER)
    reached, most = start, policy.largest if size is None else size
    with part.open(start, version) as file:
        try:
            while bite and reached <= most:
                file.write(bite)
                reached += len(bite)
                part.reached(reached)
                bite = _read(response)
        except TryAgainError as error:
            raise TryAgainError(str(error), reached) from error
    if reached > most:
        part.forget()
        if size is None:
            raise TooLargeError(f"{part.url}: more than {most:,} bytes came, and the server does not say how many there are", LARGER)
    if size is not None and reached != size:
        raise TryAgainError(f"{reached:,} bytes came of {size:,}", reached)


def _read(response: requests.Response) -> bytes:
    """The next bytes as soon as there are some, as they were sent; none at the end."""
    from urllib3.exceptions import HTTPError

    try:
        return response.raw.read1(BITE, decode_content=False)
    except (HTTPError, OSError) as error:
        raise TryAgainError(_reason(error)) from error


def size_of(response: requests.Response) -> int | None:
    """The size of an answer, if its headers give it."""
    said = response.headers.get("Content-Length", "")
    return int(said) if re.fullmatch("[0-9]{1,18}", said) else None


def _version_of(url: str, response: requests.Response) -> _Version | None:
    """The version that a whole answer is of; a weak ETag (W/) may stand for several."""
    etag, size = response.headers.get("ETag", ""), size_of(response)
    return _Version(url, etag, size) if re.fullmatch('".*"', etag) and size is not None else None


def _wait_asked(response: requests.Response) -> float:
    """How long a server asks to wait: it may say seconds, or a date."""
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
    """Fill a part from what fsspec opens, as a whole."""
    fs, inner = filesystem(part.url)

    def attempt() -> None:
        try:
            fs.invalidate_cache()
            info: dict[str, Any] = fs.info(inner)
            if info["type"] == "directory":
                raise SourceError(f"{part.url}: a folder, no file", "check the address")
            size = info.get("size")
            if size is not None and size > policy.largest:
                raise TooLargeError(f"{part.url}: the file has {size:,} bytes, over the limit of {policy.largest:,}", LARGER)
            fs.get_file(inner, str(part.path))
        except SourceError:
            raise
        except FileNotFoundError:
            raise MissingFileError(f"{part.url}: there is no such file", "check the address and your access to it") from None
        except Exception as error:  # whatever the package for these URLs raises
            if isinstance(error, OSError) and (error.errno in FULL or error.filename == str(part.path)):
                raise OutputError.of(part.target, error) from error
            if isinstance(error, PermissionError):
                raise SourceError(f"{part.url}: {_reason(error)}", "check the address and your access to it") from error
            raise TryAgainError(_reason(error)) from error
        if size is not None and part.size() != size:
            raise TryAgainError(f"{part.size():,} bytes came of {size:,}")

    try:
        persist(part.url, attempt, policy)
    except BaseException:
        part.forget()  # there is no going on with it
        raise
