"""Which runner does the work: the one place where that is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tallyclip.errors import OptionError
from tallyclip.run.runners.local import Workers, count_of

if TYPE_CHECKING:
    from tallyclip.run.runners.ray import RayWorkers

RunnerName = Literal["local", "ray"]


def runner_of(
    workers: int | None, runner: RunnerName, ray_address: str | None, shard_timeout: float | None, *, folder: Path, preload: Sequence[str]
) -> Workers | RayWorkers:
    """A runner as it is asked for; nothing is started before its block begins.

    Args:
        workers: how many tasks run at a time; None for one per processor.
        runner: "local" for processes on this machine, "ray" for a Ray cluster.
        ray_address: with "ray", of a running cluster: see ``RayWorkers``.
        shard_timeout: seconds that a piece of work may take, if they are limited.
        folder: where the results go.
        preload: modules that processes on this machine start with.

    Raises:
        OptionError: these do not go together, or one has no meaning.
        MissingExtraError: Ray is not installed.
    """
    if runner not in ("local", "ray"):
        raise OptionError(f"--runner {runner}: unknown", "give local or ray")
    if ray_address is not None and runner != "ray":
        raise OptionError("--ray-address has no meaning with --runner local", "add --runner ray")
    if shard_timeout is not None and not 0 < shard_timeout < math.inf:
        raise OptionError(f"--shard-timeout {shard_timeout:g}: not a time", "give a number of seconds above 0, or leave it away")
    count = count_of(workers)
    if runner == "local":
        return Workers(count, preload, shard_timeout, certain=_is_new(folder))
    from tallyclip.run.runners.ray import RayWorkers

    return RayWorkers(ray_address, count if ray_address is None else workers, folder, shard_timeout)


def _is_new(folder: Path) -> bool:
    """Whether all work is still to be done: in a folder that holds something, it may be in place."""
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True
    except OSError:  # it will be refused
        return False
