"""A program, one of several ranks or alone: takes steps with SGD, for several numbers of chunks, and writes what the last one leaves."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
import torch

from tallyclip.train.loading import batches
from tallyclip.train.loop import Trainer
from tallyclip.train.models import create_model
from tallyclip.train.online import OnlineBalanced
from tallyclip.train.ranks import Ranks, joined
from tallyclip.train.weights import architecture_of
from tests.train.training_tools import SETTINGS


def take(given: argparse.Namespace, ranks: Ranks, chunks: int, clip_norm: float | None) -> dict[str, Any]:
    """The losses of all steps, and what the last one leaves."""
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


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    for name in ("--model", "--shards", "--index", "--out"):
        parser.add_argument(name)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--clip-norm", type=float)
    parser.add_argument("--chunks", type=int, nargs="+")
    given = parser.parse_args()
    with joined("cpu") as ranks:
        for chunks in given.chunks:
            for clip_norm in (None, given.clip_norm):
                torch.save(take(given, ranks, chunks, clip_norm), Path(given.out) / f"{ranks.size}-{chunks}-{clip_norm}-{ranks.rank}.pt")


if __name__ == "__main__":
    main()
