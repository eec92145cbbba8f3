"""The commands of the controlled experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallyclip.cli import options
from tallyclip.cli.console import choose_progress, err, out, reports_errors, show_result, show_text
from tallyclip.cli.help import Commands
from tallyclip.experiment import command
from tallyclip.flows.names import run_folder

RECIPES = "ladder|thresholds|size|quick"

RecipeName = Annotated[
    str, typer.Argument(metavar=f"{RECIPES}|FILE", help="The recipe: a shipped one by name, or a TOML file.", show_default=False)
]
ShippedName = Annotated[str, typer.Argument(metavar=RECIPES, help="Name of the recipe.", show_default=False)]
OfWorld = Annotated[str, typer.Option("--recipe", metavar=f"{RECIPES}|FILE", help="The recipe whose [world] it is.")]
ExperimentOut = Annotated[
    Path,
    typer.Option(
        "--out",
        parser=options.checked(run_folder),
        metavar="DIR",
        help="Folder of the experiment: new, empty, or one to go on with.",
        show_default=False,
    ),
]
WorldOut = Annotated[
    Path, typer.Option("--out", parser=options.checked(run_folder), metavar="DIR", help="Folder for the world.", show_default=False)
]
Seeds = Annotated[int, typer.Option("--seeds", metavar="N", help="How many times all of it is done; at least 2.")]
UnseenStyle = Annotated[
    Path | None,
    typer.Option(
        "--unseen-style",
        metavar="ATLAS",
        help="Drawings for the test 'unseen', as a picture with the cells of the bundled atlases. Default: the recipe's style.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of the world.")]
Pairs = Annotated[
    int | None, typer.Option("--pairs", metavar="N", help="Images in the pool. Default: as the recipe says.", show_default=False)
]

experiment_app = Commands(help="See whether curation helps: train models that differ in their data alone, and compare them.")


@experiment_app.command()
@reports_errors
def run(
    recipe: RecipeName,
    *,
    out_folder: ExperimentOut,
    seeds: Seeds = 3,
    unseen_style: UnseenStyle = None,
    workers: options.WorkersCount = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Run an experiment: the raw pool, matched, balanced and online-balanced data, with one model, budget and seeds.

    Everything is made by the commands' own code: curate, train, eval. Writes `DIR/results.json` and `DIR/report.html`. After an
    interruption, run the same command again: it goes on, with the same numbers. With more `--seeds`, or new arms in the recipe, only
    these are done.

    Needs: train

    Examples:
        tallyclip experiment run ladder --out ladder
        tallyclip experiment run mine.toml --seeds 5 --out mine
    """
    choose_progress(quiet=quiet)
    try:
        done = command.run(recipe, out=out_folder, seeds=seeds, unseen_style=unseen_style, workers=workers, progress=True)
    except KeyboardInterrupt:
        err.print(f"\nInterrupted. The same command goes on in {out_folder}.")
        raise typer.Exit(130) from None
    show_result(as_json, done.results, lambda: _show_results(done))


@experiment_app.command()
@reports_errors
def recipe(name: ShippedName) -> None:
    """Print a shipped recipe, as a start for your own.

    Example:
        tallyclip experiment recipe ladder > mine.toml
    """
    from tallyclip.experiment.recipe import shipped_recipe

    print(shipped_recipe(name), end="")


@experiment_app.command()
@reports_errors
def world(
    *,
    out_folder: WorldOut,
    of: OfWorld = "ladder",
    seed: Seed = 0,
    pairs: Pairs = None,
    workers: options.WorkersCount = None,
    quiet: options.Quiet = False,
) -> None:
    """Write the world of a recipe, to look at it or to try other commands: a pool of tars as img2dataset writes them, and its test sets.

    Writes `DIR/world/pool/*.tar`, and `seen`, `unseen` and `retrieval` beside it, which `tallyclip eval --data` takes.

    Needs: train

    Example:
        tallyclip experiment world --pairs 10_000 --out small
    """
    choose_progress(quiet=quiet)
    made = command.write_world(of, out=out_folder, seed=seed, pairs=pairs, workers=workers, progress=True)
    show_text(f"pool        {made / 'pool'}/*.tar\ntests       {made}/seen, unseen, retrieval")


def _show_results(done: command.Experimented) -> None:
    """The table of arms, what it shows, and where the rest is."""
    from rich.text import Text

    from tallyclip.cli.show import in_lines
    from tallyclip.cli.tables import ScreenTable
    from tallyclip.escaping import printable
    from tallyclip.experiment.report import findings_of, table_of

    head, *rows = table_of(done.results)
    table = ScreenTable()
    table.add_texts(head[0])
    table.add_numbers(*head[1:])
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    out.print(table)
    show_text("\n" + in_lines(findings_of(done.results)))
    show_text(f"\nresults     {done.path}\nreport      {done.report}")
