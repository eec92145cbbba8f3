"""What the arms of a seed are trained on: the pool's tars, a run for each threshold, the index of its images, and counts of classes.

All of it is made by the functions of the commands, before any model is trained: what cannot work is said before the hours are spent.
"""

from __future__ import annotations

import math
import time

import msgspec

from tallyclip.core.data import Metadata
from tallyclip.errors import IncompleteError
from tallyclip.evaluation.sets import open_set
from tallyclip.evaluation.tasks import task_of
from tallyclip.experiment.folder import SeedFolder
from tallyclip.experiment.recipe import Arm, ExperimentRecipe
from tallyclip.flows import curate, images
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.sources import find_tars
from tallyclip.run.engine import make
from tallyclip.run.runners.base import Runner
from tallyclip.run.workspace import Workspace
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.counts import COUNTS, load_counts
from tallyclip.stages.exports import INDEXED, INDEXED_WHOLE
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN
from tallyclip.train.online import OnlineBalanced
from tallyclip.train.weights import import_open_clip
from tallyclip.wording import plural

LISTED = 5
ALLOW = "add images of them to the pool, take them from the test, or accept it: unnamed = true in [data]"


class ArmData(msgspec.Struct, frozen=True):
    """What an arm is trained on.

    Attributes:
        arm: its name.
        seed: of the draw and of the training.
        shards: the pool's tars.
        run: that says which pairs are wanted; None for all.
        index: of the shards.
        online: draw anew in each epoch.
        t: the threshold; None without a run.
        pairs: pairs with an image that an epoch is drawn from.
        drawn: pairs of an epoch; of an online arm those expected.
        matched: pairs of the pool that match; None without a run.
        seconds: that making it took; nothing if it was there.
    """

    arm: str
    seed: int
    shards: list[str]
    run: str | None
    index: str
    online: bool
    t: float | None
    pairs: int
    drawn: float
    matched: int | None
    seconds: float


def tests_of(recipe: ExperimentRecipe, folder: SeedFolder) -> dict[str, str]:
    """Where the test sets are, by their names."""
    return {name: str(folder.world / name) for name in recipe.tests} if recipe.data is None else recipe.data.tests


def shards_of_pool(recipe: ExperimentRecipe, folder: SeedFolder) -> list[str]:
    """The tars of the pool, in order."""
    names = [str(folder.pool)] if recipe.data is None else recipe.data.images
    return [file.path for file in find_tars(names)[0]]


def make_data(name: str, arm: Arm, recipe: ExperimentRecipe, metadata: Metadata, folder: SeedFolder, seed: int, runner: Runner) -> ArmData:
    """Curate the pool as an arm asks for, and make the index of the images, as ``tallyclip curate`` and ``tallyclip export index`` do.

    Raises:
        IncompleteError: the arm keeps nothing, or less than a batch.
        OptionError, ArtifactError, OutputError: see ``flows.curate`` and ``flows.images``.
    """
    started = time.perf_counter()
    shards = shards_of_pool(recipe, folder)
    shards = shards[: math.ceil(arm.share * len(shards))]
    run = None if arm.t is None else folder.run(arm)
    index = folder.index(arm)
    matched = None
    try:
        if run is not None:
            with Workspace(RUN, run, runner) as opened:
                curate.curate(opened, shards, ColumnChoice(), metadata, Aim(t=arm.t), seed=seed)
                matched = opened.required(BALANCE).result["candidates"]
        with Workspace(INDEXED_WHOLE if run is None else INDEXED, index, runner) as opened:
            images.index_of_all(opened, shards) if run is None else images.index(opened, run, shards)
    except IncompleteError as error:
        hint = "give it a larger t, or the experiment an entry list with what is in the pool"
        raise IncompleteError(f"the arm {name!r} keeps nothing: {error.what}", hint) from error
    loader = OnlineBalanced(shards, run, index=index, select="online" if arm.online else "curated", seed=seed)
    drawn = loader.expected_length
    rows = map(loader.index.rows, loader.index.shards)
    pairs = sum(len(shard.uids) if arm.online else int(shard.curated.sum()) for shard in rows)
    if drawn < recipe.train.global_batch:
        what = f"the arm {name!r} keeps {plural(round(drawn), 'image')}, fewer than a batch of {recipe.train.global_batch:,}"
        raise IncompleteError(what, "give it a larger t, or the experiment a larger pool or a smaller global_batch")
    return ArmData(
        arm=name,
        seed=seed,
        shards=shards,
        run=None if run is None else str(run),
        index=str(index),
        online=arm.online,
        t=arm.t,
        pairs=pairs,
        drawn=drawn,
        matched=matched,
        seconds=time.perf_counter() - started,
    )


def count_classes(recipe: ExperimentRecipe, folder: SeedFolder, runner: Runner) -> dict[str, int]:
    """How many of the pool's captions name each class of the tests: what its entry count is where it is an entry.

    Raises:
        IncompleteError: none names one of the classes, and that was not accepted.
        OptionError, ArtifactError: a test set is none, or not whole.
    """
    package = import_open_clip()
    classes: dict[str, list[str]] = {}  # by test
    for name, data in tests_of(recipe, folder).items():
        classes[name] = list(task_of(data, open_set(data), None, package).classes)
    names = dict.fromkeys(each for of_test in classes.values() for each in of_test)
    if not names:
        return {}
    pool = shards_of_pool(recipe, folder)
    with Workspace(RUN, folder.classes, runner) as opened:
        curate.match(opened, pool, ColumnChoice(), Metadata(list(names)))
        make(opened, COUNTS)
        counts = dict(zip(names, map(int, load_counts(opened)), strict=True))
    unnamed = [name for name in names if not counts[name]]
    if unnamed and not (recipe.data is not None and recipe.data.unnamed):
        listed = ", ".join(unnamed[:LISTED]) + (", ..." if len(unnamed) > LISTED else "")
        tests = ", ".join(test for test, of_test in classes.items() if set(unnamed) & set(of_test))
        raise IncompleteError(
            f"no caption of the pool names {len(unnamed):,} of {plural(len(names), 'class', 'classes')} of {tests}: {listed}", ALLOW
        )
    return counts
