"""Which command goes on with a run, from what ``status`` says of its stages. As that, it loads no kernels."""

from __future__ import annotations

import shlex
from pathlib import Path

from tallyclip.run.record import command_in
from tallyclip.run.status import RunStatus

WHOLE = ("curate", "survivors", "demo")  # commands that make all stages


def next_command(status: RunStatus) -> str | None:
    """The command that does what is left to do, or None if that is nothing.

    What makes all stages is to be repeated until another command has gone on with the run: from then on the options of that one count.
    """
    done = [number for number, stage in enumerate(status.stages) if stage.state == "done"]
    under_way = [stage for stage in status.stages if stage.state == "under way"]
    after = [stage for stage in status.stages[max(done, default=-1) + 1 :] if stage.state == "to do"]
    left = [*under_way, *after]
    if not left:
        return None
    last = status.stages[done[-1]] if done else None
    again = shlex.join(["tallyclip", *status.command])
    if last is not None and last.stage == "pool" and not under_way:
        return shlex.join(["tallyclip", "curate", *status.command[1:]])
    goes_on = status.command[:1] and status.command[0] in WHOLE and (last is None or last.made_by == status.command)
    if goes_on or "..." in left[0].command or "IMAGES" in left[0].command:
        return again
    return command_in(left[0].command, Path(status.root))
