"""Every error tallyclip raises on purpose.

    TallyclipError
    ├── OptionError          an invalid option or argument: nothing was started; a ValueError too
    │   └── ArgumentTypeError  an argument of the wrong type, or an array of the wrong dtype or shape; a TypeError too
    ├── ArtifactError        an entry list, a matcher or a run folder that is missing, damaged or of another kind
    │   └── StaleError       inputs that changed after they were read, or a run that another command is working on
    ├── SourceError          a pool file that cannot be read: the shard fails, the others continue
    ├── OutputError          a result that cannot be written: the disk is full, the folder is not ours
    ├── StepError            a step of the user's own that does not work: everything stops
    ├── DivergedError        a training whose loss is no finite number any more
    ├── IncompleteError      shards failed, or nothing was kept: the result is not complete
    └── MissingExtraError    a format that needs a package which is not installed

A message says what is wrong and where; ``hint`` says what would work. The command line prints both and exits with ``exit_code``. Messages
name files, columns and values from data. Characters that could control a terminal are escaped here, once for all messages.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from tallyclip.escaping import printable
from tallyclip.places import shown

TRACEBACK = "TALLYCLIP_TRACEBACK"  # an environment variable: with 1, unexpected errors are shown with their traceback


class TallyclipError(Exception):
    """Base class: ``what`` (with the place), an optional ``hint``, and ``details``, a line each."""

    exit_code = 2

    def __init__(self, what: str, hint: str | None = None, details: Sequence[str] = ()) -> None:
        super().__init__(what, hint, details)
        self.what = printable(shown(what))
        self.hint = hint if hint is None else printable(shown(hint))
        self.details = [printable(shown(detail)) for detail in details]

    def __str__(self) -> str:
        lines = "".join(f"\n  {detail}" for detail in self.details)
        return f"{self.what}{lines}" if self.hint is None else f"{self.what}{lines}\n\nHint: {self.hint}"


class OptionError(TallyclipError, ValueError):
    """An invalid option or argument; raised before any work starts."""


class ArgumentTypeError(OptionError, TypeError):
    """An argument of the wrong type, or an array of the wrong dtype or shape."""


class ArtifactError(TallyclipError):
    """An entry list, a matcher or a run folder that is missing, damaged or of another kind."""


class StaleError(ArtifactError):
    """Inputs changed after they were read, or two commands want the same run folder."""


class InUseError(StaleError):
    """Another process is working in a folder."""


class SourceError(TallyclipError):
    """A pool file that cannot be read. Raised inside a shard, it fails that shard alone."""


class OutputError(TallyclipError):
    """A result that cannot be written. Finished work is kept, and the same command continues from there."""

    exit_code = 1

    @classmethod
    def of(cls, path: Path, error: OSError) -> OutputError:
        """The error with the path and the system's message."""
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return NoRoomError(path, reason)
        return cls(f"{path}: cannot be written: {reason}", "check the folder's permissions, or give another --out")


class NoRoomError(OutputError):
    """A disk is full, or a quota used up.

    Attributes:
        path: what was to be written.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: no room to write: {reason}", "free some space and run the same command again: finished work is kept")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[NoRoomError], tuple[Path, str]]:
        return NoRoomError, (self.path, self.reason)


class StepError(TallyclipError):
    """A function of the user's that judges pairs raised, or returned something else than it should: no shard could go on."""

    exit_code = 1


class DivergedError(TallyclipError):
    """The loss of a training is no finite number. Its last checkpoint is from before."""

    exit_code = 1


class IncompleteError(TallyclipError):
    """Some shards failed, or nothing was kept."""

    exit_code = 1


class MissingExtraError(TallyclipError):
    """A feature whose package is not installed; the hint is the line that installs it."""


def shows_tracebacks() -> bool:
    """Should unexpected errors be shown with their traceback?"""
    return os.environ.get(TRACEBACK) == "1"
