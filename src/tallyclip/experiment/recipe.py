"""A recipe of an experiment: a TOML file that says on which data, which arms, which model, and for how long.

It has ``[world]``, and makes its own pictures, or ``[data]``, and takes yours. ``[arms]`` has a table for each arm, in the order in which
they are compared. File names are relative to the recipe's folder.
"""

from __future__ import annotations

import itertools
import math
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.experiment.world.settings import WorldSettings
from tallyclip.io.streams import is_url
from tallyclip.io.toml import meant, parsed, read_toml, struct_of

SHIPPED = ("ladder", "thresholds", "size", "quick")
TESTS_OF_A_WORLD = ("seen", "unseen", "retrieval")
EXAMPLE = "raw = {}, matched = { t = inf }, balanced = { t = 20_000 }"


class ExperimentTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a recipe."""


class Arm(ExperimentTable, frozen=True):
    """What a model is trained on. Without ``t`` these are all images, matched or not.

    Attributes:
        t: the threshold; inf keeps all matched pairs.
        online: draw anew in each epoch, in place of one curated set.
        share: of the tars, the first that are the pool.
    """

    t: float | None = None
    online: bool = False
    share: float = 1.0


class Images(ExperimentTable, frozen=True):
    """Images of the user's own.

    Attributes:
        images: tars, or folders of them, with captions: those of img2dataset, or of ``tallyclip export webdataset``.
        tests: by a name of your choice, the sets that ``tallyclip eval`` takes as ``--data``.
        unnamed: accept classes that no caption of the pool names.
    """

    images: list[str]
    tests: dict[str, str]
    unnamed: bool = False


class TrainingTable(ExperimentTable, frozen=True, kw_only=True):
    """How all arms are trained; the keys of a preset, of which most have the paper's values.

    Attributes:
        seen_pairs, global_batch, learning_rate, warmup_steps: see ``train.presets.Settings``.
        beta1, beta2, eps, weight_decay, max_logit_scale, crop_scale, clip_norm: likewise.
        precision: on a GPU.
    """

    seen_pairs: int
    global_batch: int
    learning_rate: float
    warmup_steps: int
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-6
    weight_decay: float = 0.2
    max_logit_scale: float = 100.0
    crop_scale: list[float] = msgspec.field(default_factory=lambda: [0.9, 1.0])
    precision: str = "fp32"
    clip_norm: float | None = None


class ExperimentRecipe(ExperimentTable, frozen=True, kw_only=True):
    """An experiment.

    Attributes:
        arms: by their names, in order.
        train: how all are trained.
        model: a name of open_clip's, a JSON file as it has them, or a table with the content of one.
        world: makes pictures; either this or ``data``.
        data: takes the user's.
        metadata: the entry list: "wordnet", or a file.
        compare: pairs of arms, the one that is expected to be worse first; by default each arm with the one before.
        first_seed: of as many seeds as are asked for.
    """

    arms: dict[str, Arm]
    train: TrainingTable
    model: str | dict[str, Any]
    world: WorldSettings | None = None
    data: Images | None = None
    metadata: str = "wordnet"
    compare: list[tuple[str, str]] = []
    first_seed: int = 0

    @property
    def comparisons(self) -> list[tuple[str, str]]:
        """The pairs of arms that are compared."""
        names = list(self.arms)
        return self.compare or list(itertools.pairwise(names))

    @property
    def tests(self) -> list[str]:
        """The names of its tests."""
        return list(TESTS_OF_A_WORLD) if self.data is None else list(self.data.tests)


class ReadRecipe(NamedTuple):
    """A recipe that was read.

    Attributes:
        name: a shipped one's, or that of its file.
        text: as it is written.
        recipe: what it says, with names of files made absolute.
    """

    name: str
    text: str
    recipe: ExperimentRecipe


def read_recipe(name: str) -> ReadRecipe:
    """A shipped recipe, by its name, or one from a file.

    Raises:
        ArtifactError: the file is missing, not TOML, or no recipe that makes sense.
    """
    if name in SHIPPED:
        text, folder = shipped_recipe(name), Path()
        value = parsed(name, text.encode(), "a recipe")
    else:
        hint = f"{meant(name, SHIPPED)}give a TOML file, or the name of a shipped recipe: {', '.join(SHIPPED)}"
        value, folder = read_toml(Path(name), "a recipe", hint), Path(name).resolve().parent
        text = Path(name).read_text(encoding="utf-8-sig")
    recipe = struct_of(name, "a recipe", value, ExperimentRecipe)
    mistake = next(_mistakes(recipe), None)
    if mistake is not None:
        raise ArtifactError(f"{name}: {mistake[0]}", mistake[1])
    return ReadRecipe(name if name in SHIPPED else Path(name).stem, text, _absolute(recipe, folder))


def with_unseen(read: ReadRecipe, atlas: str) -> ReadRecipe:
    """A recipe whose test "unseen" is drawn with another atlas.

    Raises:
        OptionError: it has no world.
    """
    if read.recipe.world is None:
        raise OptionError(f"--unseen-style is of a world, and {read.name} has [data]", "remove it")
    world = msgspec.structs.replace(read.recipe.world, unseen=atlas)
    return read._replace(recipe=msgspec.structs.replace(read.recipe, world=world))


def shipped_recipe(name: str) -> str:
    """The text of a shipped recipe, as a start for one's own.

    Raises:
        OptionError: the name is unknown.
    """
    if name not in SHIPPED:
        raise OptionError(f"{name}: not a shipped recipe", f"{meant(name, SHIPPED)}the shipped recipes are {', '.join(SHIPPED)}")
    return (resources.files("tallyclip") / "experiment" / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def _mistakes(recipe: ExperimentRecipe) -> Any:
    """What makes no sense in a recipe whose keys are right, each with a hint."""
    if (recipe.world is None) == (recipe.data is None):
        yield "it needs [world] or [data], and not both", "[world] makes pictures; [data] names tars of images, and test sets"
    if len(recipe.arms) < 2:
        yield f"[arms] has {len(recipe.arms)}, so there is nothing to compare", f"give two or more: {EXAMPLE}"
    for name, arm in recipe.arms.items():
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            yield f"an arm is called {name!r}, and its folder has its name", "use letters, digits, - and _"
        if arm.t is not None and not arm.t > 0:
            yield f"arms.{name}: t = {arm.t} keeps no pair", "give a number above 0, or inf for all matched pairs"
        if arm.online and (arm.t is None or math.isinf(arm.t)):
            yield f"arms.{name}: an online arm draws by a threshold", "give its t"
        if not 0 < arm.share <= 1:
            yield f"arms.{name}: share = {arm.share} is not a share of the tars", "give a number above 0 and up to 1"
    for pair in recipe.compare:
        unknown = [name for name in pair if name not in recipe.arms]
        if unknown:
            known = list(recipe.arms)
            yield f"compare has {unknown[0]!r}, which is not an arm", f"{meant(unknown[0], known)}the arms are {', '.join(known)}"
    if recipe.data is not None and not (recipe.data.tests and recipe.data.images):
        yield "[data] needs images and tests", 'images = ["shards"], tests = { flowers = "wds_vtab-flowers" }'
    for test in recipe.data.tests if recipe.data else ():
        if not test.replace("-", "").replace("_", "").isalnum() or not test.isascii():
            yield f"a test is called {test!r}, and its file has its name", "use letters, digits, - and _"


def _absolute(recipe: ExperimentRecipe, folder: Path) -> ExperimentRecipe:
    """The same with names of files as they are seen from anywhere; names that are no files stay."""

    def placed(name: str, *, file: bool = True) -> str:
        path = folder / Path(name).expanduser()
        return name if is_url(name) or not (file or path.exists()) else str(path.absolute())

    metadata = placed(recipe.metadata, file=recipe.metadata != "wordnet")
    model = placed(recipe.model, file=recipe.model.endswith(".json")) if isinstance(recipe.model, str) else recipe.model
    data = recipe.data
    if data is not None:
        tests = {test: placed(name) for test, name in data.tests.items()}
        data = msgspec.structs.replace(data, images=[placed(name) for name in data.images], tests=tests)
    return msgspec.structs.replace(recipe, metadata=metadata, model=model, data=data)
