"""Writing the worlds of an experiment, in parts that can be written anywhere: tars of pools, and test sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from tallyclip.errors import OptionError
from tallyclip.experiment.folder import WORLD, SeedFolder, begin
from tallyclip.experiment.recipe import ReadRecipe
from tallyclip.experiment.side_by_side import do_all
from tallyclip.experiment.world.pool import shards_of, write_shard
from tallyclip.experiment.world.sets import write_tests
from tallyclip.experiment.world.settings import WorldSettings
from tallyclip.io.locks import held
from tallyclip.run.progress import Progress
from tallyclip.run.runners.base import Task

TESTS_WRITTEN = ".tests-written"


class WorldPart(msgspec.Struct, frozen=True):
    """A part of a world: a tar of its pool, or its test sets if there is no ``number``."""

    settings: WorldSettings
    seed: int
    number: int | None
    path: str


def missing_parts(settings: WorldSettings, places: Mapping[int, SeedFolder]) -> list[Task[WorldPart]]:
    """The parts that are not written yet of the worlds of some seeds."""
    parts: list[WorldPart] = []
    for seed, place in places.items():
        tars = [(number, place.pool / f"{number:05d}.tar") for number in range(shards_of(settings))]
        parts += [WorldPart(settings, seed, number, str(path)) for number, path in tars if not path.exists()]
        if not (place.world / TESTS_WRITTEN).exists():
            parts.append(WorldPart(settings, seed, None, str(place.world)))
    return [Task(f"seed {part.seed}, {'tests' if part.number is None else f'tar {part.number}'}", part) for part in parts]


def write_alone(read: ReadRecipe, out: Path, seed: int, pairs: int | None, workers: int | None, progress: Progress) -> Path:
    """Write the world of a recipe into a folder of its own, or what is missing of it there. Returns the world's folder.

    Raises:
        OptionError: the recipe has no world; or the folder has another, or other files.
    """
    settings = read.recipe.world
    if settings is None:
        raise OptionError(f"{read.name} has no [world]", "give a recipe that has one, such as ladder")
    if pairs is not None:
        settings = msgspec.structs.replace(settings, pairs=pairs)
    place = SeedFolder(out)
    with held(out, "world"):
        begin(out, WORLD, {"seed": seed, "world": msgspec.to_builtins(settings)})
        do_all("world", write_part, missing_parts(settings, {seed: place}), workers, progress)
    return place.world


def write_part(part: WorldPart, _: Callable[[int], None]) -> None:
    """Write a part of a world; of the test sets last the mark that they are whole."""
    if part.number is not None:
        write_shard(part.settings, part.seed, part.number, Path(part.path))
    else:
        write_tests(part.settings, part.seed, Path(part.path))
        (Path(part.path) / TESTS_WRITTEN).touch()
