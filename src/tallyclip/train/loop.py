"""The training of a CLIP model: one step after another.

What a step does, in this order, is what open_clip's and the paper's code do: it sets the learning rate, computes the gradients of the loss
of ``global_batch`` pairs, lets AdamW take a step, and clamps the logit scale. How gradients of a batch come about that is larger than
memory, or is on several GPUs, is told in ``gradients.py``; which pairs there are, and in which order, in ``online.py``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from tallyclip.errors import DivergedError
from tallyclip.train.epoch import MODEL, epoch_number
from tallyclip.train.gradients import Chunk, add_gradients
from tallyclip.train.loading import BatchLoader
from tallyclip.train.logs import TrainStep
from tallyclip.train.models import adamw
from tallyclip.train.presets import Settings
from tallyclip.train.ranks import Ranks
from tallyclip.train.weights import import_open_clip

DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """A model in training.

    Args:
        model: as ``add_gradients`` takes it, on the device of ``ranks``.
        loader: of the chunks of this rank; ``chunks`` of them are a batch.
        settings: to train by.
        ranks: all processes.
        chunks: in which a batch of this rank is computed.
        seconds_of_pair: that a pair would take at the highest speed of all devices together; None if that is not known.

    Attributes:
        step: how many steps are done.
        seen: pairs in these.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        loader: BatchLoader,
        settings: Settings,
        ranks: Ranks,
        *,
        chunks: int,
        seconds_of_pair: float | None = None,
    ) -> None:
        self.settings, self.ranks, self.loader, self.chunks, self.seconds_of_pair = settings, ranks, loader, chunks, seconds_of_pair
        self.weights = model
        self.model = DistributedDataParallel(model) if ranks.size > 1 else model
        self.loss = import_open_clip().ClipLoss(local_loss=True, gather_with_grad=True, rank=ranks.rank, world_size=ranks.size)
        self.optimizer: torch.optim.Optimizer = adamw(model, settings)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=settings.precision == "fp16")
        self.step = self.seen = 0

    def run(self, every: Sequence[int]) -> Iterator[TrainStep]:
        """Train to the end. Stops to give those steps that are multiples of one of ``every``, and the last, when they are done.

        Raises:
            DivergedError: the loss of a step is no finite number; the step was not taken.
        """
        settings, weights = self.settings, self.weights
        weights.train()
        batches = self._batches()
        started = logged = time.monotonic()
        seen_before = self.seen
        while self.step < settings.steps:
            lr = learning_rate(settings, self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = lr

            self.optimizer.zero_grad()
            chunks = [next(batches) for _ in range(self.chunks)]
            seed = epoch_number(self.loader.data.seed, self.step, MODEL, self.ranks.rank) >> 16  # leaves room for a number of a chunk
            loss, logit_scale = add_gradients(self.model, self.loss, chunks, seed=seed, autocast=self._autocast, scale=self.scaler.scale)
            mean_loss = self.ranks.mean(loss).item()
            if not math.isfinite(mean_loss):
                raise DivergedError(
                    f"the loss of step {self.step + 1:,} is {mean_loss}: training has diverged",
                    "the last checkpoint is from before; try a lower --learning-rate, --clip-norm 1, or --precision bf16",
                )

            norm = None
            if settings.clip_norm is not None:
                self.scaler.unscale_(self.optimizer)
                norm = torch.nn.utils.clip_grad_norm_(weights.parameters(), settings.clip_norm).item()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            with torch.no_grad():
                weights.get_parameter("logit_scale").clamp_(0, math.log(settings.max_logit_scale))

            self.step += 1
            self.seen += settings.global_batch
            if self.step == settings.steps or any(self.step % steps == 0 for steps in every):
                now = time.monotonic()
                speed = (self.seen - seen_before) / (now - logged)
                yield TrainStep(
                    step=self.step,
                    epoch=self.loader.data.epoch,
                    seen=self.seen,
                    loss=mean_loss,
                    learning_rate=lr,
                    logit_scale=logit_scale.item(),
                    gradient_norm=norm,
                    images_per_second=speed,
                    mfu=None if self.seconds_of_pair is None else speed * self.seconds_of_pair,
                    seconds=now - started,
                )
                logged, seen_before = time.monotonic(), self.seen

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on after this step."""
        return {
            "state_dict": self.weights.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "loader": self.loader.state_dict(),
            "step": self.step,
            "seen": self.seen,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the step at which ``state_dict`` gave this state."""
        self.weights.load_state_dict(state["state_dict"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.loader.load_state_dict(state["loader"])
        self.step, self.seen = state["step"], state["seen"]

    def _batches(self) -> Iterator[Chunk]:
        """Epoch after epoch, on the device."""
        while True:
            for images, texts, _uids in self.loader:
                yield images.to(self.ranks.device, non_blocking=True), texts.to(self.ranks.device, non_blocking=True)
            self.loader.data.set_epoch(self.loader.data.epoch + 1)

    def _autocast(self) -> AbstractContextManager[Any]:
        dtype = DTYPES[self.settings.precision]
        return nullcontext() if dtype is None else torch.autocast(self.ranks.device.type, dtype)


def learning_rate(settings: Settings, step: int) -> float:
    """Of the step after ``step`` steps: it rises in equal steps to the highest, and falls to 0 as half a cosine does."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / (settings.steps - settings.warmup_steps)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
