"""Checks of file names, folder names and sizes on the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from tallyclip.errors import OptionError
from tallyclip.places import SCHEMES, place_of


def check_unicode(arguments: Iterable[str]) -> None:
    """Refuse arguments that are not UTF-8: the files of a run could not record them.

    Raises:
        OptionError: an argument is not UTF-8.
    """
    for argument in arguments:
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError:
            raise OptionError(f"not UTF-8: {argument!a}", "rename the file or folder") from None


def run_place(name: str | Path) -> Path:
    """A run folder, as given; of one on an object store the place of its local copy.

    Raises:
        OptionError: it is empty, not UTF-8, or no URL that a run can be at.
    """
    if "://" not in str(name):
        return run_folder(name)
    check_unicode([str(name)])
    _check_url(str(name))
    return place_of(str(name))


def _check_url(url: str) -> None:
    """Refuse what is no folder on an object store, or has secrets in it: what is asked for is written down in the folder.

    Raises:
        OptionError: it is.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise OptionError(f"{url}: a run folder cannot be there", "give a folder on this machine, or a URL such as s3://bucket/folder")
    strange = re.search(r"[*?\[\]#]|//|(?<=/)\.\.?(?=/|$)", url.partition("://")[2].rstrip("/"))
    if strange is not None and not parts.query:
        what = f"{url}: the URL of a run folder has no {strange[0]!r} in it, which means something else to tools of stores"
        raise OptionError(what, "give another --out")
    if parts.username is not None or parts.query or "::" in url:
        what = f"{parts.scheme}://{parts.hostname}{parts.path}: the URL of a run folder has no user, key or signature in it"
        raise OptionError(what, "give credentials as the tools of the store take them, such as AWS_ACCESS_KEY_ID or AWS_PROFILE")


def run_folder(name: str | Path) -> Path:
    """A folder on this machine, as given.

    Raises:
        OptionError: it is a URL, empty, or not UTF-8.
    """
    if "://" in str(name):
        raise OptionError(f"{name}: this folder must be on this machine", "give a local folder, and copy the results from there")
    if str(name) == "":
        raise OptionError("the run folder is an empty string", "write . for the current folder")
    check_unicode([os.path.abspath(name)])
    return Path(name)


def pool_name(name: str) -> str:
    """An input of a pool, as given.

    Raises:
        OptionError: it is empty.
    """
    if name == "":
        raise OptionError("the input is an empty string", "write . for the current folder")
    return name


def bytes_of(size: str, option: str) -> int:
    """A number of bytes, from a size such as "4G" or "1500M" (of 1024).

    Raises:
        OptionError: it is not a size.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?", size.strip(), re.IGNORECASE)
    if found is None:
        raise OptionError(f"{option} {size} is not a size", "write it as 4G or 1500M")
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))
