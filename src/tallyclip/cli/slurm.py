"""The command that writes job scripts for Slurm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tallyclip.api import PART
from tallyclip.cli import options
from tallyclip.cli.console import reports_errors, show_result, show_text
from tallyclip.errors import OptionError

WITH_RANKS = ("curate", "match", "pool")
USAGE_ERROR: Any = typer.BadParameter.__bases__[0]  # click's, wherever typer has it from

Scripts = Annotated[
    Path, typer.Argument(metavar="SCRIPTS", help="A folder for the scripts, and for what the jobs print.", show_default=False)
]
Command = Annotated[
    list[str], typer.Argument(metavar="COMMAND...", help="After --: curate, match or pool, with its options.", show_default=False)
]
Ranks = Annotated[int, typer.Option("--ranks", metavar="N", min=1, help="How many ranks share a stage.", show_default=False)]
Cpus = Annotated[int, typer.Option("--cpus", metavar="N", min=1, help="Processors of a rank, a worker process each.")]
Time = Annotated[str | None, typer.Option("--time", metavar="LIMIT", help="Time limit of a job, such as 4:00:00.", show_default=False)]
MaxArray = Annotated[
    int,
    typer.Option("--max-array", metavar="N", min=1, help="The largest array that the scheduler takes; beyond, a job does several ranks."),
]
Sbatch = Annotated[
    list[str] | None,
    typer.Option("--sbatch", metavar="OPTION", help="Another option of sbatch, such as --sbatch=--partition=cpu.", show_default=False),
]


@reports_errors
def slurm(
    scripts: Scripts,
    command: Command,
    ranks: Ranks,
    cpus: Cpus = 1,
    time: Time = None,
    max_array: MaxArray = 1000,
    sbatch: Sbatch = None,
    as_json: options.AsJson = False,
    context: typer.Context = None,  # type: ignore[assignment] - typer's own
) -> None:
    """Write scripts that run a command as ranks in jobs of Slurm, with what they wait for as jobs between them.

    The scripts are plain, and yours to change. Run `SCRIPTS/submit.sh` where sbatch is; all jobs must see the current folder and RUN.

    Example:
        tallyclip slurm jobs --ranks 200 --cpus 4 --time 4:00:00 --sbatch=--partition=cpu -- curate pool/*.parquet --out run
    """
    from tallyclip.flows.slurm import Slurm, write_jobs

    given = parsed(context.find_root().command, command)
    written = write_jobs(scripts, command, given, Slurm(ranks, cpus, time, max_array, sbatch or ()))
    lines = [*(f"job      {path}" for path in written[:-1]), f"submit   {written[-1]}"]
    show_result(as_json, {"jobs": written[:-1], "submit": written[-1]}, lambda: show_text("\n".join(lines)))


def add_slurm(app: typer.Typer) -> None:
    """Add the command to those of the program."""
    app.command(rich_help_panel="Single stages")(slurm)


def parsed(root: Any, words: list[str]) -> dict[str, Any]:
    """The options of a command, by their keywords, as the program, ``root``, would read them.

    Raises:
        OptionError: it has no ranks, or no folder is given.
    """
    if words[0] not in WITH_RANKS:
        raise OptionError(f"'tallyclip {words[0]}' has no ranks", f"give one of {', '.join(WITH_RANKS)}, after --")
    try:
        context = root.commands[words[0]].make_context(words[0], words[1:])
    except USAGE_ERROR as error:
        raise OptionError(f"tallyclip {words[0]}: {error.format_message()}", f"see 'tallyclip {words[0]} --help'") from None
    given = {name: getattr(value, "value", value) for name, value in context.params.items()}
    if given["out"] is None:
        raise OptionError("the command has no folder for its run", "give its --out RUN")
    if any(given[name] is not None for name in PART):
        raise OptionError("the scripts say which rank of how many a job is", "leave out --rank, --ranks, --until, --wait and --finish")
    return given
