"""An arm with one seed: a model is trained on its data, and evaluated on every test, by the code of the commands ``train`` and ``eval``."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch

from tallyclip.evaluation.flow import evaluate
from tallyclip.evaluation.results import Evaluation
from tallyclip.experiment.data import ArmData
from tallyclip.experiment.folder import ArmFolder
from tallyclip.experiment.measured import Measured, TestMeasured
from tallyclip.io.files import with_infinity, write_json
from tallyclip.run.progress import Silent
from tallyclip.train.session import Asked, Data, train_model

CHECKPOINTS_OF_A_TRAINING = 8
RECALL_AT = 5


class ArmTask(msgspec.Struct, frozen=True):
    """What there is to do for an arm.

    Attributes:
        folder: of the arm.
        data: to train on.
        model: a name of open_clip's, or a JSON file.
        preset: a file of settings.
        seen_pairs, global_batch: of these.
        tests: where the test sets are, by name.
        loaders: processes that load images, for a GPU.
    """

    folder: str
    data: ArmData
    model: str
    preset: str
    seen_pairs: int
    global_batch: int
    tests: dict[str, str]
    loaders: int


class _Ticks(Silent):
    """Reports the images that a training has seen, also those before an interruption."""

    def __init__(self, tick: Callable[[int], None], images: int) -> None:
        self._tick, self._images = tick, images

    def start(self, stage: str, shards: int, shards_done: int, rows: int | None, unit: str = "rows") -> None:  # noqa: ARG002
        self._tick(self._images - (rows or 0))

    def advance(self, rows: int) -> None:
        self._tick(rows)


def measure_arm(task: ArmTask, tick: Callable[[int], None]) -> None:
    """Train and evaluate an arm, or go on where that was interrupted. ``measured.json`` in its folder is written last.

    On a CPU it computes in one thread: so the numbers do not depend on how many arms are trained side by side.
    """
    folder, data = ArmFolder(Path(task.folder)), task.data
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    started = time.perf_counter()
    steps = task.seen_pairs // task.global_batch
    asked = Asked(
        out=folder.training,
        pretrained=None,
        batch_size=None,
        seed=data.seed,
        workers=task.loaders,
        device="auto",
        compiled=False,
        checkpoint_activations=None,
        log_every=1,
        save_every=max(1, steps // CHECKPOINTS_OF_A_TRAINING),
        keep=1,
        trackers=(),
    )
    of = Data(data.shards, data.run, data.online, data.index)
    train_model(task.model, task.preset, {"precision": None}, of, asked, _Ticks(tick, steps * task.global_batch))
    trained = time.perf_counter()
    tests = {name: _measured(_evaluated(task, folder, name, where)) for name, where in task.tests.items()}
    seconds = {"curate": data.seconds, "train": trained - started, "evaluate": time.perf_counter() - trained}
    measured = Measured(
        arm=data.arm,
        seed=data.seed,
        t=data.t,
        online=data.online,
        pairs=data.pairs,
        drawn=data.drawn,
        seen_pairs=steps * task.global_batch,
        loss=_last_loss(folder.training / "log.jsonl"),
        seconds={part: round(value, 1) for part, value in seconds.items()},
        tests=tests,
    )
    write_json(folder.measured, with_infinity(msgspec.to_builtins(measured)))
    shutil.rmtree(folder.training / "checkpoints", ignore_errors=True)  # of use only to a training that goes on


def _last_loss(log: Path) -> float:
    """The loss of the last step, also of a training that was done before."""
    return json.loads(log.read_text(encoding="utf-8").splitlines()[-1])["loss"]


def _evaluated(task: ArmTask, folder: ArmFolder, name: str, where: str) -> Evaluation:
    return evaluate(
        where,
        model=task.model,
        pretrained=str(folder.training / "model.pt"),
        task=None,
        out=folder.test(name),
        batch_size=256,
        device=None,
        precision="fp32",
        workers=1,
        progress=Silent(),
    )


def _measured(found: Evaluation) -> TestMeasured:
    """Of a classification the mean of the classes' accuracies; of a retrieval the mean of both directions' recall."""
    assert found.tallyclip is not None
    per_class: list[dict[str, Any]] | None = found.tallyclip.per_class
    if per_class is None:
        recalls = [found.metrics[f"{side}_retrieval_recall@{RECALL_AT}"] or 0.0 for side in ("image", "text")]
        return TestMeasured(f"recall@{RECALL_AT}", sum(recalls) / len(recalls), {})
    by_class = {each["class"]: each["acc1"] for each in per_class if each["acc1"] is not None}
    return TestMeasured("acc1", sum(by_class.values()) / len(by_class), by_class)
