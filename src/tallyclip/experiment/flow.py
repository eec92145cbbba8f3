"""An experiment from its recipe to its report: worlds, data of all arms, arms, results. What is there of it is taken up."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from tallyclip.errors import OptionError
from tallyclip.experiment.arms import ArmTask, measure_arm
from tallyclip.experiment.data import ArmData, count_classes, make_data, tests_of
from tallyclip.experiment.folder import ExperimentFolder, begin_experiment
from tallyclip.experiment.measured import Experiment, Measured
from tallyclip.experiment.recipe import ExperimentRecipe, ReadRecipe
from tallyclip.experiment.report import write_report
from tallyclip.experiment.results import Results, results_of
from tallyclip.experiment.side_by_side import PRELOAD, do_all
from tallyclip.experiment.world.atlas import BUNDLED, check_atlas
from tallyclip.experiment.world.things import classes_of
from tallyclip.experiment.worlds import missing_parts, write_part
from tallyclip.flows.asked import load_metadata
from tallyclip.io.files import replacing, write_json
from tallyclip.io.locks import held
from tallyclip.io.structs import fingerprint_of, read_struct
from tallyclip.io.toml import as_toml
from tallyclip.run.progress import Progress
from tallyclip.run.runners.base import Task
from tallyclip.run.runners.local import Workers, count_of
from tallyclip.run.versions import versions
from tallyclip.train.models import create_model
from tallyclip.train.presets import load_preset
from tallyclip.train.weights import architecture_of

FEWEST_SEEDS = 2
OF_A_WORLD = (
    "Each seed is also another world: other things are classes, or frequent. Model and world are small, and pictures are drawings. "
    "Accuracies say nothing about photographs or about models of the paper's size; compare which data are better, and where."
)
OF_OWN = "All seeds have the same pool and the same test sets: intervals do not say how far the means would move with others."
LOADERS = 4  # processes that load images, where a GPU trains


def run_experiment(read: ReadRecipe, seeds: int, out: Path, workers: int | None, command: Sequence[str], progress: Progress) -> Results:
    """Run an experiment, or go on with it.

    Args:
        read: the recipe.
        seeds: how many.
        out: the folder.
        workers: arms that are trained side by side, where there is no GPU; None for one per processor.
        command: that asks for it.
        progress: is told of what is done.

    Raises:
        OptionError: the recipe, the seeds or the folder do not do; nothing was trained.
        ArtifactError: a file that the recipe names does not do; likewise.
        IncompleteError: an arm has no data, a class is never named; likewise. Or an arm failed.
        OutputError: the folder cannot be written.
    """
    if seeds < FEWEST_SEEDS:
        raise OptionError(f"--seeds {seeds}: an interval over seeds needs {FEWEST_SEEDS}", "give 3 or more")
    recipe = read.recipe
    if recipe.world is not None:
        for style in {*recipe.world.styles, recipe.world.unseen} - {*BUNDLED}:
            check_atlas(style)
        classes_of(recipe.world, recipe.first_seed)  # are there as many?
    with held(out, "experiment"):
        folder = ExperimentFolder(out)
        begin_experiment(folder.path, recipe)
        model, preset = _prepare_model(folder, recipe)
        numbers = range(recipe.first_seed, recipe.first_seed + seeds)
        if recipe.world is not None:
            places = {seed: folder.seed(seed) for seed in numbers}
            do_all("world", write_part, missing_parts(recipe.world, places), workers, progress)
        counts, data = _make_data(folder, recipe, numbers, workers, progress)
        _measure_arms(folder, recipe, model, preset, data, workers, progress)
        measured = [_read_measured(folder, each) for each in data]
        pool = {seed: _pool_of([each for each in data if each.seed == seed]) for seed in numbers}
        experiment = Experiment(
            name=read.name,
            recipe=read.text,
            claims=recipe.comparisons,
            seeds=list(numbers),
            command=" ".join(command),
            versions=versions() | {"torch": str(torch.__version__)},
            machine=_machine(),
            counts=counts,
            pool=pool,
            notes=[OF_OWN if recipe.world is None else OF_A_WORLD],
        )
        results = results_of(experiment, measured)
        write_report(results, folder.report)
        results.write(folder.results)
        return results


def _prepare_model(folder: ExperimentFolder, recipe: ExperimentRecipe) -> tuple[str, str]:
    """The model, as ``train`` takes it, and a preset with the recipe's settings; both are tried."""
    model = recipe.model
    if not isinstance(model, str):
        path = folder.path / f"model-{fingerprint_of(model=model)[:8]}.json"
        write_json(path, model)
        model = str(path)
    settings = msgspec.to_builtins(recipe.train)
    with replacing(folder.preset) as part:
        part.write_text("".join(f"{key} = {as_toml(value)}\n" for key, value in settings.items() if value is not None), encoding="utf-8")
    name = architecture_of(model)
    create_model(name, load_preset(str(folder.preset), name).settings)
    return model, str(folder.preset)


def _make_data(
    folder: ExperimentFolder, recipe: ExperimentRecipe, seeds: Sequence[int], workers: int | None, progress: Progress
) -> tuple[dict[int, dict[str, int]], list[ArmData]]:
    """The classes' entry counts by seed, and the data of every arm with every seed."""
    counts: dict[int, dict[str, int]] = {}
    data: list[ArmData] = []
    metadata = load_metadata(recipe.metadata, clean=False)
    progress.start("curate", len(seeds) * (1 + len(recipe.arms)), 0, None)
    with Workers(count_of(workers), PRELOAD) as runner:
        for seed in seeds:
            place = folder.seed(seed)
            counts[seed] = count_classes(recipe, place, runner)
            progress.shard_done(f"classes of seed {seed}")
            for name, arm in recipe.arms.items():
                data.append(make_data(name, arm, recipe, metadata, place, seed, runner))
                progress.shard_done(f"{name}, seed {seed}")
    progress.finish(", ".join(f"{each.arm} {each.drawn:,.0f}" for each in data[: len(recipe.arms)]) + " images an epoch")
    return counts, data


def _measure_arms(
    folder: ExperimentFolder,
    recipe: ExperimentRecipe,
    model: str,
    preset: str,
    data: Sequence[ArmData],
    workers: int | None,
    progress: Progress,
) -> None:
    """Train and evaluate the arms that are not measured yet."""
    on_gpu = torch.cuda.is_available()
    tasks: list[Task[ArmTask]] = []
    for each in data:
        place = folder.seed(each.seed)
        if not place.arm(each.arm).measured.exists():
            task = ArmTask(
                folder=str(place.arm(each.arm).path),
                data=each,
                model=model,
                preset=preset,
                seen_pairs=recipe.train.seen_pairs,
                global_batch=recipe.train.global_batch,
                tests=tests_of(recipe, place),
                loaders=LOADERS if on_gpu else 0,
            )
            tasks.append(Task(f"{each.arm}, seed {each.seed}", task))
    images = len(tasks) * recipe.train.seen_pairs
    do_all("train", measure_arm, tasks, 1 if on_gpu else workers, progress, done=len(data) - len(tasks), images=images)


def _read_measured(folder: ExperimentFolder, data: ArmData) -> Measured:
    found = read_struct(folder.seed(data.seed).arm(data.arm).measured, Measured)
    assert found is not None, "it was measured"
    return found


def _pool_of(data: Sequence[ArmData]) -> dict[str, int]:
    """Pairs of the pool, and those that match, as far as arms have all of it."""
    raw = [each.pairs for each in data if each.t is None]
    matched = [each.matched for each in data if each.matched is not None]
    return ({"pairs": max(raw)} if raw else {}) | ({"matched": max(matched)} if matched else {})


def _machine() -> str:
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors{gpu}"
