"""Every error tallyclip raises on purpose.

    TallyclipError
    ├── OptionError          an option or argument that cannot work: nothing was started
    ├── ArtifactError        an entry list, a matcher or a run folder that is missing, broken or not what it should be
    │   └── StaleError       inputs that changed after they were read, or a run that another command is working on
    ├── SourceError          a pool file that cannot be read: the shard fails, the others go on
    ├── OutputError          a result that cannot be written: the disk is full, the folder is not ours
    ├── IncompleteError      shards failed, or nothing was kept: what there is is not the whole result
    └── MissingExtraError    a format that needs a package which is not installed

A message says what is wrong and where; ``hint`` says what would work. The command line prints both and exits with ``exit_code``. Messages
name files, columns and values from data. Whatever in them could act on a terminal is written out here, once for all messages.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from tallyclip.escaping import printable

TRACEBACK = "TALLYCLIP_TRACEBACK"  # set to 1 in the environment, it shows what went wrong inside


class TallyclipError(Exception):
    """Base class: ``what`` (with the place), an optional ``hint``, and ``details``, a line each."""

    exit_code = 2

    def __init__(self, what: str, hint: str | None = None, details: Sequence[str] = ()) -> None:
        super().__init__(what, hint, details)
        self.what = printable(what)
        self.hint = hint if hint is None else printable(hint)
        self.details = [printable(detail) for detail in details]

    def __str__(self) -> str:
        lines = "".join(f"\n  {detail}" for detail in self.details)
        return f"{self.what}{lines}" if self.hint is None else f"{self.what}{lines}\n\nHint: {self.hint}"


class OptionError(TallyclipError):
    """An option or argument that cannot work; raised before any work starts."""


class ArtifactError(TallyclipError):
    """An entry list, a matcher or a run folder that is missing, broken or of another kind."""


class StaleError(ArtifactError):
    """Inputs changed after they were read, or two commands want the same run folder."""


class SourceError(TallyclipError):
    """A pool file that cannot be read. Raised inside a shard, it fails that shard alone."""


class OutputError(TallyclipError):
    """A result that cannot be written. What was finished before stays, and the same command goes on from there."""

    exit_code = 1

    @classmethod
    def of(cls, path: Path, error: OSError) -> OutputError:
        """Say what the system said, and where."""
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return cls(
                f"{path}: no room to write: {reason}",
                "free some space and run the same command again: finished work is kept",
            )
        return cls(f"{path}: cannot be written: {reason}", "check the folder's permissions, or give another --out")


class IncompleteError(TallyclipError):
    """Some shards failed, or nothing was kept."""

    exit_code = 1


class MissingExtraError(TallyclipError):
    """A feature whose package is not installed; the hint is the line that installs it."""


def shows_tracebacks() -> bool:
    """Is an error that nobody foresaw to be shown with its traceback?"""
    return os.environ.get(TRACEBACK) == "1"
