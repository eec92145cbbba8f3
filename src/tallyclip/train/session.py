"""A training from its folder to its weights: what is there is taken up, what is asked for is checked, then ``loop.py`` does the work.

OUT/
├── training.json                  what is trained, how, and on what: a training goes on only as it began
├── index/                         of the shards, if there is neither a run, which has it then, nor another index
├── checkpoints/step-*.pt          the last ones
├── log.jsonl, tensorboard/        the numbers of steps
└── model.pt                       the weights, when all steps are done
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.exports import export_index
from tallyclip.io.files import PART, write_json
from tallyclip.io.locks import LOCK, held
from tallyclip.io.structs import read_struct
from tallyclip.run.progress import Progress
from tallyclip.train.checkpoints import checkpoint_path, checkpoints_in, keep_last, load_checkpoint, save_checkpoint, why_not_loaded
from tallyclip.train.epoch import Select
from tallyclip.train.gradients import check_chunks
from tallyclip.train.loading import BatchLoader, batches
from tallyclip.train.logs import Tracker, TrainStep, open_logs, peak_of
from tallyclip.train.loop import Trainer
from tallyclip.train.models import CreatedModel, create_model, operations_of_pair
from tallyclip.train.online import OnlineBalanced
from tallyclip.train.presets import Settings, load_preset
from tallyclip.train.ranks import Device, Ranks, joined
from tallyclip.train.weights import architecture_of
from tallyclip.wording import plural

RECORD, CHECKPOINTS = "training.json", "checkpoints"


@dataclass(frozen=True)
class Data:
    """Which pairs to train on.

    Attributes:
        shards: tars of images.
        run: that says which pairs are wanted, and how often; None for all.
        online: draw anew in each epoch by the run's probabilities, in place of its curated set.
        index: of the shards, if there is one already.
    """

    shards: Sequence[str]
    run: str | None
    online: bool
    index: str | None


@dataclass(frozen=True)
class Asked:
    """What is asked for besides data, settings and model: none of it changes what is learnt, but for ``seed`` and ``pretrained``."""

    out: Path
    pretrained: str | None
    batch_size: int | None
    seed: int
    workers: int
    device: Device
    compiled: bool
    checkpoint_activations: bool | None
    log_every: int
    save_every: int
    keep: int
    trackers: Sequence[Tracker]


class Training(msgspec.Struct, frozen=True):
    """The content of training.json: what must stay the same."""

    model: str
    config: dict[str, Any]
    settings: Settings
    seed: int
    pretrained: str | None
    select: str


class Ended(NamedTuple):
    """What came of a training.

    Attributes:
        step: the last.
        loss: of that; None if it was done before.
        weights: the file.
    """

    step: int
    loss: float | None
    weights: Path


def train_model(model: str, preset: str, instead: dict[str, Any], data: Data, asked: Asked, progress: Progress) -> Ended:
    """Train a model, or go on with it. Of several processes of torchrun, all call this; only the first shows progress and writes.

    Args:
        model: a name of open_clip's, or a file of its form.
        preset: see ``load_preset``.
        instead: of the preset's settings; None for those that stay.
        data: to train on.
        asked: what else is asked for.
        progress: that is told of steps.

    Raises:
        OptionError: what is asked for does not go together, or is not what the folder was begun with.
        ArtifactError: a checkpoint or an index is broken.
        DivergedError: the loss is no finite number.
        OutputError: a checkpoint or a log cannot be written.
    """
    with joined(asked.device) as ranks:
        name = architecture_of(model)
        found = load_preset(preset, name, **instead)
        settings = _on_device(found.settings, ranks, chosen=instead["precision"] is not None)
        per_rank, chunks = ranks.share_of(settings.global_batch, asked.batch_size)
        with _held(asked.out, ranks):
            created = create_model(name, settings, seed=asked.seed, pretrained=asked.pretrained)
            check_chunks(created.model, chunks)
            select: Select = "online" if data.online else "curated"
            _begin(asked.out, ranks, Training(name, created.config, settings, asked.seed, asked.pretrained, select))
            loader = _loader(data, select, asked, ranks, created, per_rank, progress)
            saves = found.checkpoint_activations if asked.checkpoint_activations is None else asked.checkpoint_activations
            trainer = _trainer(created, loader, settings, ranks, chunks, saves_memory=saves, compiled=asked.compiled)
            _resume(trainer, asked.out, progress)
            last = _run(trainer, asked, progress)
            weights = asked.out / "model.pt"
            if ranks.is_first and not (last is None and weights.exists()):
                content = {"state_dict": trainer.weights.state_dict(), "model": name, "step": trainer.step, "seen": trainer.seen}
                save_checkpoint(weights, content)
            return Ended(trainer.step, None if last is None else last.loss, weights)


def _on_device(settings: Settings, ranks: Ranks, *, chosen: bool) -> Settings:
    """The settings in a precision that the device has: a preset's half precision is for GPUs."""
    if ranks.device.type == "cuda":
        if settings.precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise OptionError(f"{torch.cuda.get_device_name()} has no bf16", "give --precision fp16")
        return settings
    if chosen and settings.precision == "fp16":
        raise OptionError("fp16 needs a GPU", "give --precision fp32 or bf16")
    return settings if chosen else msgspec.structs.replace(settings, precision="fp32")


@contextmanager
def _held(out: Path, ranks: Ranks) -> Generator[None]:
    """Keep other commands from training in the same folder, which is made if it is missing."""
    if not ranks.is_first:
        yield
        return
    with held(out, "training"):
        yield


def _begin(out: Path, ranks: Ranks, training: Training) -> None:
    """Write down what is trained; or, if it was begun before, check that it is the same.

    Raises:
        OptionError: it is not, or the folder is of something else.
    """
    path = out / RECORD
    before = read_struct(path, Training)
    if before is None:
        strangers = sorted(name for name in os.listdir(out) if name != LOCK and PART not in name) if ranks.is_first else []
        if strangers:
            raise OptionError(f"{out} holds files but no training ({', '.join(strangers[:3])})", "give a new or empty --out")
        if ranks.is_first:
            write_json(path, msgspec.to_builtins(training))
        return
    old, new = _flat(before), _flat(training)
    changed = [f"{key} {old.get(key)!r}, not {new.get(key)!r}" for key in old | new if old.get(key) != new.get(key)]
    if changed:
        raise OptionError(f"{out} was begun with {'; '.join(changed)}", "give the same options to go on, or a new --out")


def _flat(training: Training) -> dict[str, Any]:
    """All that it says, by names."""
    built: dict[str, Any] = msgspec.to_builtins(training)
    return built.pop("settings") | built


def _loader(
    data: Data, select: Select, asked: Asked, ranks: Ranks, created: CreatedModel, batch_size: int, progress: Progress
) -> BatchLoader:
    """The batches of this rank, of shards whose index is made if there is none."""
    folder = data.index
    if folder is None and data.run is None:
        folder = asked.out / "index"
        if ranks.is_first:
            progress.note(f"index of the shards: {folder}")
            export_index(None, list(data.shards), out=folder)
        ranks.wait()
    drawn = OnlineBalanced(
        data.shards,
        data.run,
        index=folder,
        select=select,
        seed=asked.seed,
        batch_size=batch_size,
        transform=created.transform,
        tokenizer=created.tokenizer,
        rank=ranks.rank,
        world_size=ranks.size,
    )
    return batches(drawn, asked.workers, pin_memory=ranks.device.type == "cuda", persistent_workers=asked.workers > 0)


def _trainer(
    created: CreatedModel, loader: BatchLoader, settings: Settings, ranks: Ranks, chunks: int, *, saves_memory: bool, compiled: bool
) -> Trainer:
    drawn = loader.data.split(max(1, loader.num_workers)).drawn
    if drawn < settings.global_batch:
        raise OptionError(f"an epoch has {plural(drawn, 'pair')}, and a batch {settings.global_batch:,}", "give a smaller --global-batch")
    model: Any = created.model.to(ranks.device)
    peak = peak_of(torch.cuda.get_device_name(ranks.device)) if ranks.device.type == "cuda" and settings.precision != "fp32" else None
    seconds = None if peak is None else operations_of_pair(model, ranks.device) / (peak * ranks.size)
    if saves_memory:
        model.set_grad_checkpointing()
    if compiled:
        model.compile()
    return Trainer(model, loader, settings, ranks, chunks=chunks, seconds_of_pair=seconds)


def _resume(trainer: Trainer, out: Path, progress: Progress) -> None:
    """Go on after the last checkpoint, if there is one."""
    found = checkpoints_in(out / CHECKPOINTS)
    if not found:
        return
    content = load_checkpoint(found[-1])
    try:
        trainer.load_state_dict(content)
    except (RuntimeError, ValueError, KeyError) as error:  # torch: names or shapes of other weights
        if isinstance(error, OptionError):
            raise
        raise ArtifactError(f"{found[-1]}: not of this model: {why_not_loaded(error)}", "give a new --out") from error
    progress.note(f"going on after step {trainer.step:,} of {trainer.settings.steps:,}: {found[-1]}")


def _run(trainer: Trainer, asked: Asked, progress: Progress) -> TrainStep | None:
    """Do the steps that are left, and write down what comes of them. Returns the last, or None if all were done before."""
    settings, is_first, done = trainer.settings, trainer.ranks.is_first, None
    if trainer.step == settings.steps:
        return None
    folder = asked.out / CHECKPOINTS
    logs = open_logs(asked.out, trainer.step, asked.trackers, msgspec.to_builtins(settings)) if is_first else []
    progress.start("train", 0, 0, (settings.steps - trainer.step) * settings.global_batch, "images")
    seen = trainer.seen
    try:
        for done in trainer.run((asked.log_every, asked.save_every)):
            progress.say(_figures(done))
            progress.advance(done.seen - seen)
            seen = done.seen
            if is_first and (done.step % asked.log_every == 0 or done.step == settings.steps):
                for log in logs:
                    log.write(done)
            if is_first and (done.step % asked.save_every == 0 or done.step == settings.steps):
                save_checkpoint(checkpoint_path(folder, done.step), {**trainer.state_dict(), "torch": str(torch.__version__)})
                keep_last(folder, asked.keep)
    finally:
        for log in logs:
            log.close()
    assert done is not None, "there was a step to do"
    progress.finish(f"{plural(done.step, 'step')}, loss {done.loss:.4g}")
    if errors := trainer.loader.errors:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in errors.most_common())
        progress.note(f"images that could not be decoded, in whose place others came: {reasons}")
    return done


def _figures(step: TrainStep) -> str:
    mfu = "" if step.mfu is None else f", MFU {step.mfu:.0%}"
    return f"loss {step.loss:.3f}{mfu}"
