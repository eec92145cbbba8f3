"""The folder of an experiment: every path in it, who may work in it, and what it was begun with.

DIR/
├── experiment.json                        the recipe as it was begun
├── results.json, report.html              what was found
└── seed-N/
    ├── world/                             of a recipe with [world]: pool/*.tar, and the test sets seen, unseen and retrieval
    ├── runs/NAME/                         a run for each threshold and share of the pool, with the index of its images
    ├── classes/                           how many captions name each class
    └── arms/NAME/                         model.pt, log.jsonl, tests/*.json; measured.json is written last
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tallyclip.errors import OptionError
from tallyclip.experiment.recipe import Arm, ExperimentRecipe
from tallyclip.io.files import PART, with_infinity, write_json
from tallyclip.io.locks import LOCK
from tallyclip.io.structs import read_struct

EXPERIMENT, WORLD = "experiment", "world"
MAY_CHANGE = ("compare", "first_seed")  # of a recipe that is gone on with


class ExperimentFolder:
    """The paths of an experiment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results = path / "results.json"
        self.report = path / "report.html"
        self.preset = path / "preset.toml"

    def seed(self, seed: int) -> SeedFolder:
        return SeedFolder(self.path / f"seed-{seed}")


def begin_experiment(path: Path, recipe: ExperimentRecipe) -> None:
    """Write down what is asked for; or check that it is what the folder was begun with. Arms may be new.

    Raises:
        OptionError: it is not, or the folder has files of something else.
    """
    built: dict[str, Any] = with_infinity(msgspec.to_builtins(recipe))
    arms = {f"arms.{name}": arm for name, arm in built.pop("arms").items()}
    begin(path, EXPERIMENT, {key: value for key, value in built.items() if key not in MAY_CHANGE} | arms)


def begin(path: Path, noun: str, settings: dict[str, Any]) -> None:
    """Write down what a folder is made by; or check that it is what it was begun with. What is new is added.

    Raises:
        OptionError: it is not, or the folder has files of something else.
    """
    record = path / f"{noun}.json"
    before = read_struct(record, dict[str, Any])
    if before is None:
        strangers = sorted(each.name for each in path.iterdir() if each.name != LOCK and PART not in each.name)
        if strangers:
            raise OptionError(f"{path} holds files but no {noun} ({', '.join(strangers[:3])})", "give a new or empty --out")
        before = dict[str, Any]()
    changed = [key for key in settings if key in before and settings[key] != before[key]]
    if changed:
        raise OptionError(f"{path} was begun with another {', '.join(changed)}", f"give a new --out, or the same as in {record}")
    write_json(record, before | settings)


class SeedFolder:
    """The paths of one seed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.world = path / "world"
        self.pool = self.world / "pool"
        self.classes = path / "classes"

    def run(self, arm: Arm) -> Path:
        """The run of an arm; arms that draw by the same threshold from the same pool share it."""
        assert arm.t is not None, "an arm of all images has no run"
        return self.path / "runs" / f"t-{arm.t:.10g}{_of_share(arm)}"

    def index(self, arm: Arm) -> Path:
        """The index of an arm's images."""
        return self.path / "indexes" / f"{'all' if arm.t is None else f't-{arm.t:.10g}'}{_of_share(arm)}"

    def arm(self, name: str) -> ArmFolder:
        return ArmFolder(self.path / "arms" / name)


class ArmFolder:
    """The paths of an arm."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.training = path / "training"
        self.measured = path / "measured.json"

    def test(self, name: str) -> Path:
        return self.path / "tests" / f"{name}.json"


def _of_share(arm: Arm) -> str:
    return "" if arm.share == 1 else f"-of-{arm.share:.10g}"
