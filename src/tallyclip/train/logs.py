"""What is written down of each step: lines of JSON always, and what other tools of logging take."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import msgspec

from tallyclip.errors import OptionError
from tallyclip.extras import load
from tallyclip.io.files import replacing, writing

Tracker = Literal["tensorboard", "wandb", "trackio"]
# Dense operations of half precision in a second, of NVIDIA's data sheets; a name that begins one of torch's. The longest comes first.
PEAKS = {
    "NVIDIA B200": 2250e12,
    "NVIDIA H200": 989e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100": 989e12,
    "NVIDIA A100": 312e12,
    "NVIDIA A10G": 70e12,
    "NVIDIA A10": 125e12,
    "NVIDIA L40S": 362e12,
    "NVIDIA L4": 121e12,
    "Tesla V100": 125e12,
    "Tesla T4": 65e12,
}


class TrainStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step that is done.

    Attributes:
        step: how many there were with this one.
        epoch: of the last pairs, from 0.
        seen: pairs, with those of this step.
        loss: the mean over all ranks.
        learning_rate: with which it was done.
        logit_scale: before it.
        gradient_norm: before clipping, or None if gradients are not clipped.
        images_per_second: of all ranks, since the last step that is given before this one.
        mfu: the share of the devices' highest speed that is known to have served the model; None where that is not known.
        seconds: since the training was started, or was taken up again.
    """

    step: int
    epoch: int
    seen: int
    loss: float
    learning_rate: float
    logit_scale: float
    gradient_norm: float | None
    images_per_second: float
    mfu: float | None
    seconds: float


def peak_of(device: str) -> float | None:
    """The highest speed of a GPU in operations of half precision a second, by its name, if it is known."""
    return next((peak for name, peak in PEAKS.items() if device.startswith(name)), None)


class Log(Protocol):
    """Takes the numbers of steps."""

    def write(self, step: TrainStep) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """A file with an object a line for each step that is logged.

    Args:
        path: of the file; what it says of later steps than ``after``, which are done again, is left out.
        after: steps that were done before.
    """

    def __init__(self, path: Path, after: int) -> None:
        self._path = path
        kept = [line for line in _lines(path) if line["step"] <= after]
        with replacing(path) as part:
            part.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")

    def write(self, step: TrainStep) -> None:
        with writing(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(msgspec.structs.asdict(step))}\n")

    def close(self) -> None: ...


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    """The lines of a log but for a last one that was not finished."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found = json.loads(line)
        except ValueError:
            return
        yield found


class TensorBoard:
    """TensorBoard's event files."""

    def __init__(self, folder: Path, after: int) -> None:
        module = load("torch.utils.tensorboard", "tensorboard", "train", "logging to TensorBoard")
        self._writer = module.SummaryWriter(str(folder / "tensorboard"), purge_step=after + 1)

    def write(self, step: TrainStep) -> None:
        for name, value in _numbers(step):
            self._writer.add_scalar(f"train/{name}", value, step.step)

    def close(self) -> None:
        self._writer.close()


class Tracked:
    """A run of Weights & Biases, or of trackio, which has the same functions."""

    def __init__(self, name: Tracker, folder: Path, settings: dict[str, Any]) -> None:
        self._module = load(name, name, "train", f"logging to {name}")
        self._module.init(project="tallyclip", name=folder.name, config=settings)

    def write(self, step: TrainStep) -> None:
        self._module.log(dict(_numbers(step)), step=step.step)

    def close(self) -> None:
        self._module.finish()


def _numbers(step: TrainStep) -> Iterable[tuple[str, float]]:
    return ((name, value) for name, value in msgspec.structs.asdict(step).items() if value is not None and name != "step")


def open_logs(folder: Path, after: int, trackers: Iterable[Tracker], settings: dict[str, Any]) -> list[Log]:
    """All logs of a training: ``FOLDER/log.jsonl``, TensorBoard's if it is installed, and those that are asked for.

    Raises:
        OptionError: there is no such tracker.
        MissingExtraError: one is not installed.
    """
    wanted: list[Tracker] = [*trackers]
    if find_spec("tensorboard") and "tensorboard" not in wanted:
        wanted.append("tensorboard")
    unknown = [name for name in wanted if name not in get_args(Tracker)]
    if unknown:
        raise OptionError(f"no tracker {unknown[0]}", f"give {', '.join(get_args(Tracker))}")
    others = [TensorBoard(folder, after) if name == "tensorboard" else Tracked(name, folder, settings) for name in wanted]
    return [JsonLines(folder / "log.jsonl", after), *others]
