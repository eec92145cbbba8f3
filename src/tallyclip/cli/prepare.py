"""From options to what the pipeline takes.

Like the commands, it imports the heavy libraries where they are needed, so that ``--help`` does not wait for them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console


def load_metadata(name: str, *, clean: bool) -> Any:
    """The entry list that --metadata names: a file, or the folder of a build, which has one."""
    from tallyclip.core.data import Metadata
    from tallyclip.readers.run_folders import LIST

    built = Path(name) / LIST
    return Metadata.wordnet() if name == "wordnet" else Metadata.load(str(built) if built.is_file() else name, clean=clean)


def aim_of(t: float | None, size: str | None, tail_share: float | None) -> Any:
    """What --t, --size and --tail-share ask for.

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
    header: bool | None,
    delimiter: str | None,
    quote: str | None,
    escape: str | None,
) -> Any:
    """What the options of columns say.

    Raises:
        OptionError: a character is not a single one, or two are the same.
    """
    from tallyclip.readers.columns import ColumnChoice
    from tallyclip.readers.dialects import CHARACTERS

    delimiter = None if delimiter is None else CHARACTERS.get(delimiter, delimiter)
    return ColumnChoice(caption, url, uid, header, delimiter, "" if quote == "none" else quote, "" if escape == "none" else escape)


def count_of(workers: int | None) -> int:
    """How many processes to use."""
    if workers is not None:
        return workers
    if sys.platform == "linux":  # which may have been told to use some of its processors only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OpenRun:
    """A run with its workers and its progress shown, for the length of a block.

    What a command needs besides is imported in the block, while the workers get ready beside it.
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
        self._run.__exit__(*error)  # the last: it lets the next command in
