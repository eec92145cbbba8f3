"""Names that lead nowhere, found before anything that reads files is loaded."""

from __future__ import annotations

import glob
import os
from os import PathLike
from typing import Any

from tallyclip.errors import OptionError
from tallyclip.io.suffixes import COMPRESSIONS, KINDS

KNOWN = ", ".join(KINDS) + f" (and {', '.join(COMPRESSIONS)} of all but Parquet and Arrow)"


def nothing_there(name: str) -> OptionError:
    """The error for a name that leads nowhere."""
    return OptionError(f"{name}: no such file, folder or glob, or an empty one", f"POOL takes files, folders, globs and URLs of {KNOWN}")


def check_there(names: Any) -> None:
    """Refuse names of a pool that lead nowhere on this machine. What is no name, and where URLs lead, is seen when they are listed.

    Raises:
        OptionError: one does.
    """
    many = [names] if isinstance(names, str | PathLike) else names
    for name in many if isinstance(many, list | tuple) else ():
        path = os.fspath(name).removeprefix("file://") if isinstance(name, str | PathLike) else "://"
        local = os.path.abspath(os.path.expanduser(path))
        if "://" not in path and not os.path.lexists(local) and next(glob.iglob(local, recursive=True), None) is None:
            raise nothing_there(os.fspath(name))
