"""For open_clip's own training script: the function that gives it its data."""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tallyclip.extras import load
from tallyclip.train.index import Shards
from tallyclip.train.loading import BatchLoader, batches, collate
from tallyclip.train.online import OnlineBalanced

GetData = Callable[..., dict[str, Any]]


def data_for_open_clip(shards: Shards, run: str | os.PathLike[str], **options: Any) -> GetData:
    """A function to set in place of ``open_clip_train.main.get_data``, which trains on these shards as ``OnlineBalanced`` gives them.

    ``--train-data`` only has to be given for open_clip to train at all. Batch size, workers, seed and rank are those of its flags;
    validation data is read as ever.

    Args:
        shards: as of ``OnlineBalanced``.
        run: as of ``OnlineBalanced``.
        options: others of ``OnlineBalanced``: ``index``, ``select``, ``shuffle``, ``max_pixels``.
    """

    def get_data(args: argparse.Namespace, preprocess_fns: tuple[Any, Any], epoch: int = 0, tokenizer: Any = None) -> dict[str, Any]:
        theirs = load("open_clip_train.data", "open_clip_torch", "train", "training with open_clip")
        without_training = copy.copy(args)
        without_training.train_data = None
        found: dict[str, Any] = theirs.get_data(without_training, preprocess_fns, epoch=epoch, tokenizer=tokenizer)
        data = OnlineBalanced(
            shards,
            run,
            seed=args.seed,
            epoch=epoch,
            batch_size=args.batch_size,
            transform=preprocess_fns[0],
            tokenizer=FirstRow(tokenizer),
            rank=args.rank,
            world_size=args.world_size,
            **options,
        )
        loader = batches(data, args.workers, collate_fn=images_and_texts, pin_memory=torch.cuda.is_available())
        return {**found, "train": theirs.DataInfo(loader, shared_epoch=EpochSetter(loader, epoch))}

    return get_data


class FirstRow:
    """A tokenizer of one text, made of open_clip's, which gives a row for each of several texts."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> torch.Tensor:
        return self._tokenizer([text])[0]


class EpochSetter:
    """What open_clip tells the number of each epoch. It reads the loader's sizes after that, which differ a little between epochs."""

    def __init__(self, loader: BatchLoader, epoch: int) -> None:
        self._loader = loader
        self.set_value(epoch)

    def set_value(self, epoch: int) -> None:
        data = self._loader.data
        data.set_epoch(epoch)
        loader: Any = self._loader
        loader.num_batches = len(self._loader)
        loader.num_samples = len(self._loader) * data.batch_size * data.world_size


def images_and_texts(samples: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The batch that open_clip trains on, which has no uids."""
    return collate(samples)[:2]
