"""Folders on an object store, behind an fsspec URL such as ``s3://bucket/folder``: whole objects are written, read and deleted by name.

An object store has no folders and renames nothing. What it promises is enough: an object is there as a whole or not at all, and one may be
written on the condition that there is none of its name. Everything here may be repeated, and is, when the store refuses or a connection is
cut.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import fsspec

from tallyclip.errors import OutputError, TallyclipError
from tallyclip.io.files import replacing
from tallyclip.io.streams import filesystem
from tallyclip.wording import plural

Value = TypeVar("Value")

TRIES, TRIES_AT_FIRST = 8, 2  # at first, something is wrong with what was given rather than with the store
LARGEST_COPIED = 5 << 30  # bytes, in one request
FIRST_WAIT, LONGEST_WAIT = 0.1, 20.0  # seconds
LARGEST_SKEW = 15  # minutes; S3 allows no more
NOT_AGAIN = (FileNotFoundError, FileExistsError, PermissionError, TallyclipError)


class Stored(NamedTuple):
    """An object: its size in bytes, the tag that its content has, and when it was written, in seconds since 1970 by the store's clock."""

    size: int
    tag: str
    written: float


class Store:
    """A folder on an object store. Names are relative to it, with ``/`` between their parts.

    Args:
        url: of the folder.

    Raises:
        MissingExtraError: the package for it is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        filesystem(self.url)  # says what is missing
        self._fs, inner = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        self._has_answered = False
        self._is_s3 = "s3" in self._fs.protocol
        self._root = str(inner).rstrip("/")

    def list(self, below: str = "") -> dict[str, Stored]:
        """The objects in a folder, by name. It takes a request for each thousand."""

        def found() -> dict[str, Stored]:
            objects = cast(dict[str, Any], self._fs.find(self._path(below), detail=True))
            start = len(self._root) + 1
            return {path[start:]: _stored(about) for path, about in objects.items() if about["type"] == "file"}

        try:
            return self._again(below, "listed", found)
        except FileNotFoundError as error:
            hint = "make it first, or check the name and your credentials"
            raise OutputError(f"{self.url}: there is no such bucket, or it is not yours to see", hint) from error

    def look(self, name: str) -> Stored | None:
        """An object, or None if there is none of this name."""

        with suppress(FileNotFoundError):
            return self._again(name, "read", lambda: self._about(name))
        return None

    def read(self, name: str) -> bytes | None:
        """The content of a small object, or None if there is none of this name."""
        with suppress(FileNotFoundError):
            return self._again(name, "read", lambda: cast(bytes, self._fs.cat_file(self._path(name))))
        return None

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """The bytes of an object from one place to another.

        Raises:
            FileNotFoundError: there is no such object.
        """

        def got() -> bytes:
            found = cast(bytes, self._fs.cat_file(self._path(name), start=start, end=stop)) if start < stop else b""
            if len(found) != stop - start:
                raise ConnectionError(f"{plural(len(found), 'byte')} came of {stop - start:,}")
            return found

        return self._again(name, "read", got)

    def get(self, name: str, to: Path, size: int) -> None:
        """Copy an object of that size to a file, which is whole or absent.

        Raises:
            FileNotFoundError: there is no such object.
        """

        def got() -> None:
            with replacing(to) as part:
                self._fs.get_file(self._path(name), str(part))
                if part.stat().st_size != size:
                    raise ConnectionError(f"{plural(part.stat().st_size, 'byte')} came of {size:,}")

        self._again(name, "read", got)

    def put(self, name: str, path: Path) -> Stored:
        """Write a file as an object, in place of any of its name."""
        size = path.stat().st_size

        def put() -> Stored:
            self._fs.put_file(str(path), self._path(name))
            there = self._about(name)
            if there.size != size:
                raise ConnectionError(f"{plural(there.size, 'byte')} arrived of {size:,}")
            return there

        return self._again(name, "written", put)

    def write(self, name: str, content: bytes) -> None:
        """Write a small object."""
        self._again(name, "written", lambda: self._fs.pipe_file(self._path(name), content))

    def create(self, name: str, content: bytes) -> bool:
        """Write a small object if there is none of its name; returns whether this wrote it.

        Where the answer is lost and the request is sent again, the object that is there then is this one.
        """

        def created() -> bool:
            try:
                self._fs.pipe_file(self._path(name), content, mode="create")
            except OSError as error:  # of some stores, s3fs says it otherwise
                if not isinstance(error, FileExistsError) and "PreconditionFailed" not in f"{error} {error.__cause__}":
                    raise
                return self.read(name) == content
            return True

        return self._again(name, "written", created)

    def copy(self, name: str, to: str, size: int) -> None:
        """Copy an object of that size within the store."""

        def copied() -> None:
            if self._is_s3 and size < LARGEST_COPIED:  # in one request: in general, its size is asked for first
                (bucket, key), (into, name_there) = (self._place(self._path(one)) for one in (name, to))
                self._fs.call_s3("copy_object", Bucket=into, Key=name_there, CopySource={"Bucket": bucket, "Key": key})
            else:
                self._fs.cp_file(self._path(name), self._path(to))

        self._again(to, "written", copied)

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are gone already do not matter. Of many, s3fs does not tell which the store refused: those that a
        list still has are deleted again."""
        if len(names) == 1:
            with suppress(FileNotFoundError):
                self._again(names[0], "deleted", lambda: self._fs.rm_file(self._path(names[0])))
            return
        left = [*names]

        def deleted() -> None:
            with suppress(FileNotFoundError):
                self._fs.rm([self._path(name) for name in left])
            left[:] = [*self.list(below).keys() & left]
            if left:
                self._fs.rm_file(self._path(left[0]))  # of one, it is said why, if it is refused for good
                raise ConnectionError(f"{plural(len(left), 'object')} refused to go")

        if left:
            below = os.path.commonpath([os.path.dirname(name) for name in names])
            self._again(below, "deleted", deleted)

    def _about(self, name: str) -> Stored:
        if self._is_s3:  # in one request: in general, a list is taken, too, if there is no such object
            bucket, key = self._place(self._path(name))
            return _stored(self._fs.call_s3("head_object", Bucket=bucket, Key=key))
        return _stored(self._fs.info(self._path(name)))

    def _place(self, path: str) -> tuple[str, str]:
        """The bucket and the key of a path."""
        bucket, _, key = path.partition("/")
        return bucket, key

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _again(self, name: str, done: str, request: Callable[[], Value]) -> Value:
        """Send a request, again and again while it is refused or cut, but not where the credentials do not allow it.

        Args:
            name: of the object or folder.
            done: what is to be done to it.
            request: sends it.

        Raises:
            OutputError: the store does not take it; raised from a PermissionError where that is not allowed.
            FileNotFoundError: there is no such object.
        """
        where = f"{self.url}/{name}".rstrip("/")
        tries = TRIES if self._has_answered else TRIES_AT_FIRST
        for tried in range(tries):
            try:
                answer = request()
                self._has_answered = True
                return answer
            except PermissionError as error:
                raise OutputError(f"{where}: may not be {done}: the store says '{error}'", _hint(error)) from error
            except NOT_AGAIN:
                raise
            except Exception as error:  # every store's package has its own
                if tried == tries - 1:
                    hint = "check the URL, your credentials and the network; the same command goes on from here"
                    raise OutputError(f"{where}: {type(error).__name__}: {error}", hint) from error
                time.sleep(random.uniform(0.5, 1) * min(FIRST_WAIT * 2**tried, LONGEST_WAIT))
        raise AssertionError(name)


def _hint(error: PermissionError) -> str:
    """What may help where something is not allowed. S3 believes no signature of a clock that is wrong, and to HEAD gives no reason."""
    headers = getattr(error.__cause__, "response", {}).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    with suppress(KeyError, ValueError):
        minutes = round((parsedate_to_datetime(headers["date"]).timestamp() - time.time()) / 60)
        if abs(minutes) >= LARGEST_SKEW:
            how = "ahead of" if minutes > 0 else "behind"
            return f"the store's clock is {plural(abs(minutes), 'minute')} {how} this machine's: set this one right"
    return "check that your credentials may list, read, write and delete there"


def _stored(about: dict[str, Any]) -> Stored:
    tag = next((str(about[name]).strip('"') for name in ("ETag", "etag", "md5Hash") if about.get(name)), "")
    written = next((about[name] for name in ("LastModified", "mtime", "updated") if about.get(name)), None)
    size = about["size"] if "size" in about else about["ContentLength"]
    written = datetime.fromisoformat(written) if isinstance(written, str) else written
    return Stored(int(size), tag, 0.0 if written is None else written.timestamp())
