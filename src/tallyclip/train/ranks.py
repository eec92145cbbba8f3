"""The processes of a training, each a rank: started by torchrun, or one alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal, NamedTuple

import torch
from torch import distributed

from tallyclip.errors import OptionError
from tallyclip.wording import plural

Device = Literal["auto", "cpu", "cuda"]
LONGEST_WAIT = timedelta(hours=12)  # of ranks for the first one, which makes an index of all shards


class Ranks(NamedTuple):
    """This process among all.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        device: that it computes on.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Does it write what all share?"""
        return self.rank == 0

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.size > 1:
            distributed.barrier()

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean of a number of each rank."""
        if self.size > 1:
            value = value.clone()
            distributed.all_reduce(value)
        return value / self.size

    def share_of(self, global_batch: int, batch_size: int | None) -> tuple[int, int]:
        """How many pairs of a batch each rank computes at a time, and how often in a step.

        Args:
            global_batch: pairs of all ranks in a step.
            batch_size: pairs at a time, or None for all of a rank's at once.

        Raises:
            OptionError: the batch cannot be cut into these.
        """
        of_rank, rest = divmod(global_batch, self.size)
        at_a_time = of_rank if batch_size is None else batch_size
        if rest or at_a_time < 1 or of_rank % at_a_time:
            raise OptionError(
                f"a batch of {plural(global_batch, 'pair')} cannot be cut into {at_a_time:,} at a time on each of {self.size:,} processes",
                "give a --batch-size that divides it, or another --global-batch",
            )
        return at_a_time, of_rank // at_a_time


@contextmanager
def joined(device: Device) -> Generator[Ranks]:
    """This process as one of those that torchrun started, or as the only one.

    Args:
        device: "cpu", "cuda", or "auto" for a GPU if there is one.

    Raises:
        OptionError: there is no GPU, or none for each process of this machine.
    """
    rank, size, local = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    on_gpu = device == "cuda" or (device == "auto" and gpus > 0)
    if on_gpu and local >= gpus:
        there = f"{gpus:,} GPUs for {local + 1:,} or more processes" if gpus else "no GPU that torch can use"
        raise OptionError(f"this machine has {there}", "start one process for each GPU, or give --device cpu")
    if on_gpu:
        torch.cuda.set_device(local)
    ranks = Ranks(rank, size, torch.device("cuda", local) if on_gpu else torch.device("cpu"))
    if size > 1:
        # open_clip's loss gathers features by a function that torch will replace
        warnings.filterwarnings("ignore", r"torch\.distributed\.nn\.functional\.all_gather is deprecated", FutureWarning)
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=LONGEST_WAIT)
    try:
        yield ranks
    finally:
        if size > 1:
            distributed.destroy_process_group()
