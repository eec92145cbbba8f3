"""Names of files and folders on the command line, and sizes: which of them cannot be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tallyclip.errors import OptionError


def check_unicode(arguments: Iterable[str]) -> None:
    """Refuse what no file of a run could hold: a name of a file whose bytes are no text.

    Raises:
        OptionError: an argument is not UTF-8.
    """
    for argument in arguments:
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError:
            raise OptionError(f"not UTF-8: {argument!a}", "rename the file or folder") from None


def run_folder(name: str | Path) -> Path:
    """A run folder, as it was named.

    Raises:
        OptionError: it is not on this machine, or has no name that can be written down.
    """
    if "://" in str(name):
        raise OptionError(f"{name}: a run folder must be on this machine", "give a local --out and copy the results from there")
    if str(name) == "":
        raise OptionError("a run folder needs a name, and this one is empty", "write . for the current folder")
    check_unicode([os.path.abspath(name)])
    return Path(name)


def pool_name(name: str) -> str:
    """What a pool is read from, as it was named.

    Raises:
        OptionError: it has no name.
    """
    if name == "":
        raise OptionError("what to read needs a name, and this one is empty", "write . for the current folder")
    return name


def bytes_of(size: str, option: str) -> int:
    """A number of bytes as people write it.

    Raises:
        OptionError: it is none.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?", size.strip(), re.IGNORECASE)
    if found is None:
        raise OptionError(f"{option} {size} is no size", "such as 4G or 1500M")
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))
