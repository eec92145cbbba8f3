"""Doing tasks side by side in worker processes, with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tallyclip.errors import IncompleteError
from tallyclip.run.progress import Progress
from tallyclip.run.runners.base import Task, Tick, collect
from tallyclip.run.runners.local import Workers, count_of
from tallyclip.stages import PRELOAD as OF_RUNS

PRELOAD = (*OF_RUNS, "tallyclip.experiment.warm") if OF_RUNS else ()  # of all that an experiment does: the first workers decide


def do_all(
    name: str,
    function: Callable[[Any, Tick], None],
    tasks: Sequence[Task[Any]],
    workers: int | None,
    progress: Progress,
    *,
    done: int = 0,
    images: int | None = None,
) -> None:
    """Do tasks that leave what they make in files.

    Args:
        name: that the progress shows.
        function: what a task does.
        tasks: those to do.
        workers: how many at a time; None for one per processor.
        progress: is told of them.
        done: how many were done before.
        images: that they go through, if known.

    Raises:
        IncompleteError: some failed; all others were done.
    """
    if not tasks:
        return
    progress.start(name, len(tasks) + done, done, images, "images")
    with Workers(count_of(workers), PRELOAD) as runner:
        _, failed = collect(runner, progress, function, tasks)
    if failed:
        what = f"{name}: {len(failed):,} of {len(tasks):,} failed"
        raise IncompleteError(what, failed[0].hint or "run the same command again", [f"{each.key}: {each.what}" for each in failed])
    progress.finish(f"{len(tasks):,} done")
