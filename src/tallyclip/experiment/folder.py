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
from tallyclip.experiment.recipe import Arm, Recipe
from tallyclip.io.files import PART, with_infinity, write_json
from tallyclip.io.locks import LOCK
from tallyclip.io.structs import read_struct

RECORD = "experiment.json"


class Begun(msgspec.Struct, frozen=True):
    """The content of experiment.json: what may not change, but for new arms."""

    arms: dict[str, Any]
    settings: dict[str, Any]


class ExperimentFolder:
    """The paths of an experiment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results = path / "results.json"
        self.report = path / "report.html"
        self.preset = path / "preset.toml"
        self.model = path / "model.json"

    def seed(self, seed: int) -> SeedFolder:
        return SeedFolder(self.path / f"seed-{seed}")

    def begin(self, recipe: Recipe) -> None:
        """Write down what is asked for; or, if the folder was begun before, check that it is the same. Arms and seeds may be added.

        Raises:
            OptionError: it is not the same, or the folder has files of something else.
        """
        built: dict[str, Any] = with_infinity(msgspec.to_builtins(recipe))
        arms = built.pop("arms")
        for may_change in ("compare", "first_seed"):
            built.pop(may_change)
        before = read_struct(self.path / RECORD, Begun)
        if before is None:
            strangers = sorted(each.name for each in self.path.iterdir() if each.name != LOCK and PART not in each.name)
            if strangers:
                raise OptionError(f"{self.path} holds files but no experiment ({', '.join(strangers[:3])})", "give a new or empty --out")
        else:
            changed = [f"[{key}]" for key in built if built[key] != before.settings.get(key)]
            changed += [f"arms.{name}" for name in arms if name in before.arms and arms[name] != before.arms[name]]
            if changed:
                what = f"{self.path} was begun with another {', '.join(changed)}"
                raise OptionError(what, "give the same recipe to go on, which may have new arms; or a new --out")
            arms = before.arms | arms
        write_json(self.path / RECORD, msgspec.to_builtins(Begun(arms, built)))


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
        return self.path / "indexes" / ("all" if arm.t is None else f"t-{arm.t:.10g}") / f"share{_of_share(arm)}"

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
