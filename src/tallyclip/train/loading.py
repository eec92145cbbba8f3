"""Batches for training, from worker processes, with a state that resumes them exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, default_collate, get_worker_info

from tallyclip.errors import OptionError, TallyclipError
from tallyclip.train.online import OnlineBalanced
from tallyclip.train.state import check_state
from tallyclip.wording import plural

OF_THE_DATA = ("dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "drop_last", "in_order")


def batches(data: OnlineBalanced, num_workers: int = 0, **options: Any) -> BatchLoader:
    """A loader of full batches of ``data.batch_size`` samples: (images, texts, uids).

    What is tensors after ``transform`` and ``tokenizer`` is stacked, other things come in lists.

    Args:
        data: whose batches to load.
        num_workers: processes that read and decode; with 0, this one does.
        options: others of ``torch.utils.data.DataLoader``, such as ``pin_memory``, ``persistent_workers`` or ``collate_fn``.

    Raises:
        OptionError: an option says what the data says already.
    """
    refused = [name for name in OF_THE_DATA if name in options]
    if refused:
        raise OptionError(f"{', '.join(refused)}: the data decides on that", "OnlineBalanced(..., batch_size=..., shuffle=...)")
    return BatchLoader(data, num_workers, **options)


def collate(samples: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Samples as columns: tensors are stacked, other things are listed."""
    return [default_collate(column) if isinstance(column[0], torch.Tensor) else column for column in map(list, zip(*samples, strict=True))]


class BatchLoader(DataLoader[Any]):
    """What ``batches`` makes: a DataLoader that counts the batches it hands out, so that it can be resumed in the middle of an epoch.

    A state is the same for all ranks, so one rank can save it for all.

    Attributes:
        data: whose batches it loads.
        errors: how many images could not be decoded, by reason, in the batches handed out.
    """

    def __init__(self, data: OnlineBalanced, num_workers: int, *, collate_fn: Callable[[Any], Any] = collate, **options: Any) -> None:
        self.data = data
        self.errors: Counter[str] = Counter()
        self._handed: tuple[int, int] = (data.epoch, 0)  # an epoch, and how many of its batches
        self._resumed: tuple[int, int] | None = None
        self._parts = BatchParts(data, collate_fn)
        super().__init__(self._parts, batch_size=None, num_workers=num_workers, **options)

    def __len__(self) -> int:
        """How many batches this epoch has for this rank, of which those before a resumption are some."""
        return max(1, self.num_workers) * self.data.split(max(1, self.num_workers)).samples // self.data.batch_size

    def __iter__(self) -> Any:
        epoch = self.data.epoch
        start = self._resumed[1] if self._resumed is not None and self._resumed[0] == epoch else 0
        self._resumed, self._handed = None, (epoch, start)
        self._parts.start.fill_(start)
        self.data.log_split(max(1, self.num_workers))
        return self._counted(super().__iter__())

    def _counted(self, made: Iterator[tuple[Any, dict[str, int]]]) -> Generator[Any]:
        for batch, errors in made:
            if isinstance(batch, TallyclipError):
                raise batch
            self.errors.update(errors)
            self._handed = (self._handed[0], self._handed[1] + 1)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """How many batches of the epoch were handed out, and what must be the same to resume there."""
        epoch, handed = self._resumed or self._handed
        return {"batches": handed if epoch == self.data.epoch else 0, "epoch": self.data.epoch, **self._identity(self.data.epoch)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Iterate next the batches that remained when ``state_dict`` gave this state, of any rank.

        Raises:
            OptionError: it is of other options, another number of ranks or workers, or no such state.
            StaleError: it is of another run or other shards.
        """
        check_state(state, self._identity, "batches")
        self.data.set_epoch(state["epoch"])
        if state["batches"] > len(self):
            raise OptionError(
                f"this state has handed out {state['batches']:,} of {plural(len(self), 'batch', 'batches')}", "begin the epoch anew"
            )
        self._resumed = (state["epoch"], state["batches"])

    def _identity(self, epoch: int) -> dict[str, Any]:
        return {**self.data.identity(epoch), "workers": self.num_workers}


class BatchParts(IterableDataset[Any]):
    """The batches of each worker, and what could not be decoded since its batch before.

    Batches are taken from one worker after the other, and always from worker 0 first. So after k batches, worker w goes on with what worker
    (w + k) modulo the number of workers had begun.
    """

    def __init__(self, data: OnlineBalanced, collate_fn: Callable[[Any], Any]) -> None:
        super().__init__()
        self._data = data
        self._collate = collate_fn
        self.start = torch.zeros(1, dtype=torch.int64).share_memory_()  # batches handed out before, of all workers of this rank

    def __iter__(self) -> Iterator[tuple[Any, dict[str, int]]]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        start = int(self.start)
        part = (number + start) % workers
        begun = -(-(start - part) // workers)
        return self._batches(self._data.samples(part, workers, begun * self._data.batch_size))

    def _batches(self, samples: Iterator[tuple[Any, Any, str]]) -> Generator[tuple[Any, dict[str, int]]]:
        before = self._data.errors.copy()
        try:
            while batch := list(islice(samples, self._data.batch_size)):
                now = self._data.errors.copy()
                yield self._collate(batch), dict(now - before)
                before = now
        except TallyclipError as error:  # which torch would make a traceback of, without its hint
            yield error, {}
