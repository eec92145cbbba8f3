"""Converts options to what the stages take.

Heavy libraries are imported inside functions, so that ``--help`` is fast.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console


def load_metadata(name: str, *, clean: bool) -> Any:
    """The entry list of --metadata: the bundled one, a file, or the folder of a build."""
    from tallyclip.core.data import Metadata
    from tallyclip.readers.run_folders import LIST

    built = Path(name) / LIST
    return Metadata.wordnet() if name == "wordnet" else Metadata.load(str(built) if built.is_file() else name, clean=clean)


def aim_of(t: float | None, size: str | None, tail_share: float | None) -> Any:
    """The aim of --t, --size and --tail-share.

    Raises:
        OptionError: more than one is given, or one is out of range.
    """
    from tallyclip.errors import OptionError
    from tallyclip.stages.plan import Aim

    try:
        pairs = None if size is None else float(size)
    except ValueError:
        raise OptionError(f"--size {size} is not a number of pairs", "write it as 1000000 or 1_000_000") from None
    aim = Aim(t, pairs, tail_share)
    aim.check()
    return aim


def choice_of(
    caption: str | None,
    url: str | None,
    uid: str | None,
    file_format: str | None,
    header: bool | None,
    delimiter: str | None,
    quote: str | None,
    escape: str | None,
) -> Any:
    """The columns, the format and the CSV dialect that options choose. Eight arguments: one for each option.

    Raises:
        OptionError: a character is not a single one, or two are the same.
    """
    from tallyclip.readers.columns import ColumnChoice
    from tallyclip.readers.dialects import CHARACTERS

    delimiter = None if delimiter is None else CHARACTERS.get(delimiter, delimiter)
    quote, escape = ("" if character == "none" else character for character in (quote, escape))
    return ColumnChoice(caption, url, uid, header, delimiter, quote, escape, file_format)


def count_of(workers: int | None) -> int:
    """The number of worker processes: as given, or one per processor."""
    if workers is not None:
        return workers
    if sys.platform == "linux":  # the process may be restricted to some of the processors
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OpenRun:
    """A context manager: an open run folder with its workers and its progress on screen.

    Commands import what else they need inside the block, while the workers start.
    """

    def __init__(self, folder: Path, workers: int | None, console: Console) -> None:
        from tallyclip.run.runners.local import Workers
        from tallyclip.stages import PRELOAD

        self._folder = folder
        self._console = console
        self._workers = Workers(count_of(workers), [*PRELOAD, "tallyclip.cli"])  # a worker imports what the command has imported

    def __enter__(self) -> Any:
        self._workers.__enter__()
        from tallyclip.cli.progress import Shown
        from tallyclip.run.workspace import Workspace
        from tallyclip.stages.runs import RUN

        self._progress = Shown(self._console)
        self._run = Workspace(RUN, self._folder, self._workers, self._progress, sys.argv[1:])
        return self._run.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._progress.stop()
        self._workers.__exit__(*error)
        self._run.__exit__(*error)  # last: it unlocks the folder for the next command
