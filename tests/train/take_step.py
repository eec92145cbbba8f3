"""What one of several ranks does, or one alone: takes steps with SGD, for several numbers of chunks, and writes what is left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from tallyclip.train.loading import batches
from tallyclip.train.loop import Trainer
from tallyclip.train.models import create_model
from tallyclip.train.online import OnlineBalanced
from tallyclip.train.ranks import Ranks, joined
from tallyclip.train.weights import architecture_of
from tests.train.training_tools import SETTINGS


class Given(NamedTuple):
    """A model, the shards that it is trained on and their index, and how many steps."""

    model: str
    shards: str
    index: Path
    steps: int


def take(given: Given, ranks: Ranks, chunks: int, clip_norm: float | None) -> dict[str, Any]:
    """The losses of all steps, and what is left."""
    settings = msgspec.structs.replace(SETTINGS, clip_norm=clip_norm)
    created = create_model(architecture_of(given.model), settings, seed=1)
    data = OnlineBalanced(
        given.shards,
        "run",
        index=given.index,
        batch_size=settings.global_batch // ranks.size // chunks,
        shuffle=0,
        transform=created.transform,
        tokenizer=created.tokenizer,
        rank=ranks.rank,
        world_size=ranks.size,
    )
    trainer = Trainer(created.model, batches(data), settings, ranks, chunks=chunks)
    trainer.optimizer = torch.optim.SGD(created.model.parameters(), lr=1.0)
    running = trainer.run((1,))
    losses = [next(running).loss for _ in range(given.steps)]
    weights = dict(created.model.named_parameters())
    return {
        "losses": losses,
        "weights": {name: weight.detach() for name, weight in weights.items()},
        "gradients": {name: weight.grad for name, weight in weights.items()},
    }


def take_steps(given: Given, out: Path, clip_norms: Sequence[float | None], chunks: Sequence[int]) -> None:
    with joined("cpu") as ranks:
        for number in chunks:
            for clip_norm in clip_norms:
                torch.save(take(given, ranks, number, clip_norm), out / f"{ranks.size}-{number}-{clip_norm}-{ranks.rank}.pt")
