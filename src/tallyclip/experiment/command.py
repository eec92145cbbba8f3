"""An experiment as a function: ``tallyclip experiment run`` calls it. It imports no heavy libraries before it is called."""

from __future__ import annotations

import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from tallyclip.api import check_types, command_of, progress_if
from tallyclip.flows.names import run_folder

if TYPE_CHECKING:
    from tallyclip.experiment.results import Results


@dataclass(frozen=True)
class Experimented:
    """An experiment that is done.

    Attributes:
        results: ``results.json``, as an object.
        report: the report as HTML.
        path: ``results.json``.
    """

    results: Results
    report: Path
    path: Path


def run(
    recipe: str | PathLike[str],
    *,
    out: str | PathLike[str],
    seeds: int = 3,
    unseen_style: str | PathLike[str] | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Experimented:
    """Run an experiment, as ``tallyclip experiment run``: models that differ in their data alone are trained, evaluated and compared.

    Called again with the same ``out``, it goes on where it was interrupted, with the same numbers. More seeds, and new arms of the recipe,
    are added to what is there.

    Args:
        recipe: the name of a shipped recipe ("ladder", "thresholds", "size", "quick"), or a TOML file.
        out: the folder of the experiment: new, empty, or one to go on with.
        seeds: how many times everything is done, each with another world, draw and first weights.
        unseen_style: an atlas of drawings for the test "unseen", in place of the recipe's.
        workers: arms that are trained side by side, or None for one per processor. It changes no number. On a GPU it is one.
        progress: show on standard error what the command shows.

    Raises:
        OptionError: the recipe, the seeds or the folder do not do; nothing was trained.
        ArtifactError: the recipe or a file that it names cannot be used; likewise.
        IncompleteError: an arm keeps nothing, or no caption names a class; likewise. Or an arm failed.
        OutputError: the folder cannot be written.
        MissingExtraError: torch, torchvision, open_clip, pillow or scipy is not installed.
    """
    given = locals()
    check_types(run, given)
    from tallyclip.extras import load

    for module, package in (("torch", "torch"), ("PIL", "pillow"), ("scipy", "scipy")):
        load(module, package, "train", "an experiment")
    from tallyclip.experiment.flow import run_experiment
    from tallyclip.experiment.recipe import read_recipe, with_unseen

    read = read_recipe(os.fspath(recipe))
    if unseen_style is not None:
        read = with_unseen(read, os.path.abspath(unseen_style))
    path = run_folder(os.fspath(out))
    command = ["tallyclip", *command_of("experiment run", run, given)]
    with progress_if(progress) as bar:
        results = run_experiment(read, seeds, path, workers, command, bar)
    return Experimented(results, path / "report.html", path / "results.json")


def write_world(
    recipe: str | PathLike[str] = "ladder",
    *,
    out: str | PathLike[str],
    seed: int = 0,
    pairs: int | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Path:
    """Write the world of a recipe, as ``tallyclip experiment world``: ``OUT/world/pool/*.tar``, and its test sets beside the pool.

    Args:
        recipe: that has it.
        out: the folder; what is missing in it is written.
        seed: of the world.
        pairs: images in the pool, in place of what the recipe says.
        workers: the number of worker processes, or None for one per processor.
        progress: show on standard error what the command shows.

    Returns:
        The folder ``OUT/world``.

    Raises:
        OptionError: the recipe has no world, or the folder has another.
        ArtifactError, OutputError, MissingExtraError: see ``run``.
    """
    check_types(write_world, locals())
    from tallyclip.extras import load

    load("PIL", "pillow", "train", "an experiment")
    from tallyclip.experiment.recipe import read_recipe
    from tallyclip.experiment.worlds import write_alone

    with progress_if(progress) as bar:
        return write_alone(read_recipe(os.fspath(recipe)), run_folder(os.fspath(out)), seed, pairs, workers, bar)
