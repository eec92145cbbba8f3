"""Samples for training from image shards: balanced anew in each epoch, or a run's curated set, without rewriting anything.

The draws of an epoch depend only on uids, so every process knows which samples it has before it reads one (``epoch.py``), and reads and
decodes no others.

Longer than others: what an epoch has, gives and resumes is read as one.
"""

from __future__ import annotations

import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from functools import cached_property
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Int64
from torch import distributed
from torch.utils.data import IterableDataset, get_worker_info

from tallyclip.core.arguments import checked_whole
from tallyclip.core.balance import checked_seed
from tallyclip.core.uids import uid_strings
from tallyclip.errors import OptionError, SourceError, StaleError
from tallyclip.io.structs import fingerprint_of
from tallyclip.train.epoch import TRANSFORM, Select, Split, drawn_rows, epoch_number, expected_rows, shuffled, shuffled_shards, split_epoch
from tallyclip.train.index import COMMAND, ShardIndex, ShardRows, Shards, find_index, fingerprint_of_run
from tallyclip.train.pictures import MOST_PIXELS, PictureError, decode
from tallyclip.train.state import check_state, checked_number
from tallyclip.train.tars import read_images

logger = logging.getLogger("tallyclip.train")


class DrawnShards(NamedTuple):
    """How many samples an epoch has in each of S shards, and the order in which they come.

    Attributes:
        epoch: its number.
        order: positions of the shards in the index.
        counts: of samples, in this order.
        fingerprint: of all that; another where the shards have other pairs.
    """

    epoch: int
    order: Int64[np.ndarray, " S"]
    counts: Int64[np.ndarray, " S"]
    fingerprint: str


class PackedSample(NamedTuple):
    """A sample as it lies in its tar."""

    content: bytes
    text: str
    uid: str


class OnlineBalanced(IterableDataset[tuple[Any, Any, str]]):
    """The samples of image shards that are pairs of a run, for training: (image, text, uid), at most one an image in each epoch.

    Online balancing (section 4.2 of arXiv 2309.16671): one text of each image, kept with its keep probability by a draw from seed, epoch
    and uid. So each epoch has the whole tail, and another sample of the head. With ``select="curated"``, each has the run's curated pairs.

    An epoch is a list of samples, the shards in another order each time. It is cut into equal ranges, one for each worker of each rank,
    however many shards there are. All give the same number of full batches: ranges that are shorter begin again with their first samples.
    What ``transform`` draws from ``random`` and from torch follows from seed, epoch and uid too.
    An image that cannot be decoded is counted in ``errors`` by its reason, and another of the same range comes in its place.

    Iterated directly, in this process, it gives the samples of this rank; in a ``torch.utils.data.DataLoader``, each worker gives its part.
    ``tallyclip.train.batches`` makes a loader of batches that can be resumed with any number of workers.

    Longer signature than others: each argument is one that trainers have a flag for.

    Args:
        shards: tars of images: paths, URLs, globs, or folders of tars.
        run: the run that says what is kept; None for what an index says that is given.
        seed: 0 to 2^64 - 1.
        epoch: from 0; ``set_epoch`` sets another.
        select: "online" or "curated".
        batch_size: every worker of every rank gives a multiple of this many samples.
        shuffle: how many samples, not decoded, the shuffle buffer of a worker holds at most; 0 for the order of the tars.
        transform: from the image (a ``PIL.Image.Image`` in RGB) to what is given in its place.
        tokenizer: from the text to what is given in its place.
        max_pixels: images with more are not decoded.
        rank: of this process, from 0; by default that of ``torch.distributed``, of the variables RANK and WORLD_SIZE, or 0 of 1.
        world_size: the number of ranks.
        index: the folder of the shards' index, made by ``tallyclip export index``, with which the run need not be there. By default it is
            in the run, and made if it is missing.

    Attributes:
        errors: how many images could not be decoded, by reason, as far as this process has read them.

    Raises:
        OptionError: an option is out of range, or shards are not in the index.
        ArtifactError: there is no index.
    """

    def __init__(
        self,
        shards: Shards,
        run: str | os.PathLike[str] | None,
        *,
        seed: int = 0,
        epoch: int = 0,
        select: Select = "online",
        batch_size: int = 1,
        shuffle: int = 1000,
        transform: Callable[[Any], Any] | None = None,
        tokenizer: Callable[[str], Any] | None = None,
        max_pixels: int = MOST_PIXELS,
        rank: int | None = None,
        world_size: int | None = None,
        index: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        if select not in get_args(Select):
            raise OptionError(f"select is {' or '.join(map(repr, get_args(Select)))}, not {select!r}")
        self.seed = int(checked_seed(seed))
        self.select: Select = select
        self.batch_size = _at_least("batch_size", batch_size, 1)
        self.shuffle = _at_least("shuffle", shuffle, 0)
        self.max_pixels = _at_least("max_pixels", max_pixels, 1)
        self.rank, self.world_size = _place_in_world(rank, world_size)
        self.transform = transform
        self.tokenizer = tokenizer
        self.index = _index_of(shards, run, index)
        self.errors: Counter[str] = Counter()
        # In memory that worker processes share: the epoch, so that those that live on learn of the next, and how many workers there are
        self._shared = torch.zeros(2, dtype=torch.int64).share_memory_()
        self._drawn_shards: DrawnShards | None = None  # of the last epoch that was asked for
        self._given = 0  # samples, in this process
        self._resumed: dict[str, Any] | None = None
        self.set_epoch(epoch)

    @property
    def epoch(self) -> int:
        """The number of the epoch that comes next, or is under way."""
        return int(self._shared[0])

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is iterated next. If a state of the same epoch was loaded, it is resumed there."""
        if checked_number("epoch", epoch, "give the number of an epoch, from 0") != self.epoch:
            self._given, self._resumed = 0, None
        self._shared[0] = epoch

    @cached_property
    def expected_length(self) -> float:
        """How many samples an epoch has on average, of all ranks and without repeats: the sum over images of the mean of their texts' keep
        probabilities; of curated pairs the number of images."""
        rows = map(self.index.rows, self.index.shards)
        return sum(expected_rows(shard.samples, shard.keep, shard.curated, self.select) for shard in rows)

    def split(self, workers: int = 1) -> Split:
        """How this epoch's samples are shared out, with this many workers in each rank.

        Raises:
            OptionError: there are fewer samples than workers of all ranks.
        """
        return split_epoch(int(self._drawn(self.epoch).counts.sum()), self.world_size * workers, self.batch_size)

    @property
    def repeats(self) -> int:
        """How many samples of this epoch, of all ranks, come a second time so that all ranks have as many full batches."""
        return self.split(max(1, int(self._shared[1]))).repeats

    def __iter__(self) -> Iterator[tuple[Any, Any, str]]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        start = 0
        if self._resumed is not None:
            check_state(self._resumed, lambda _: {"workers": workers}, "samples")
            start = self._resumed["samples"]
        self._resumed = None
        if number == 0:
            self.log_split(workers)
        return self.samples(number, workers, start)

    def samples(self, number: int, workers: int, start: int = 0) -> Iterator[tuple[Any, Any, str]]:
        """The samples of one of this rank's ranges, of which the first ``start`` are left out.

        Raises:
            SourceError: no image of the range can be decoded, or a tar cannot be read.
            StaleError: a tar is not the one that the index is of.
        """
        self._given = start
        self._shared[1] = 0 if get_worker_info() is None else workers
        split, part = self.split(workers), self.rank * workers + number
        return self._decoded(split.places(part), shuffled(split.samples, self.shuffle, self.seed, self.epoch, part), start)

    def log_split(self, workers: int) -> None:
        """Say what the epoch has; and what comes twice."""
        split = self.split(workers)
        message = "epoch %d: %d samples, %d for each of %d workers of all ranks; %d of them come a second time to fill up"
        logger.info(message, self.epoch, split.drawn, split.samples, split.ranges, split.repeats)

    def state_dict(self) -> dict[str, Any]:
        """Where this process is: to be loaded by one that reads the same range.

        Raises:
            OptionError: this process reads nothing itself; its workers do.
        """
        worker = get_worker_info()
        if worker is None and self._shared[1]:
            raise OptionError(
                "worker processes read these samples, and this process does not know how far they are",
                "tallyclip.train.batches(data, ...) makes a loader whose state_dict() does",
            )
        workers = 1 if worker is None else worker.num_workers
        given = self._given if self._resumed is None else self._resumed["samples"]
        return {"samples": given, "workers": workers, "epoch": self.epoch, **self.identity(self.epoch)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Iterate next what remained when ``state_dict`` gave this state, of which rank does not matter.

        Raises:
            OptionError: it is of other options, or no such state.
            StaleError: it is of another run or other shards.
        """
        check_state(state, self.identity, "samples")
        self.set_epoch(state["epoch"])
        self._resumed = dict(state)

    def identity(self, epoch: int) -> dict[str, Any]:
        """What must be the same where a state of an epoch is loaded: the samples that remain depend on it."""
        return {
            "run": self.index.run.fingerprint,
            "shards": self._drawn(epoch).fingerprint,
            "seed": self.seed,
            "select": self.select,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "max_pixels": self.max_pixels,
            "world_size": self.world_size,
        }

    def _decoded(self, places: Int64[np.ndarray, " N"], order: Int64[np.ndarray, " N"], start: int) -> Generator[tuple[Any, Any, str]]:
        """The samples at the places of a range in this order, from one on. Those that are read before their turn wait, not decoded."""
        came = np.zeros(len(order), np.bool_)
        came[order[:start]] = True
        left = np.flatnonzero(~came)
        reading = zip(left.tolist(), self._packed(places[left]), strict=True)
        waiting: dict[int, PackedSample] = {}
        for turn in range(start, len(order)):
            while order[turn] not in waiting:
                position, packed = next(reading)
                waiting[position] = packed
            packed = waiting.pop(order[turn])
            try:
                sample = self._made(packed)
            except PictureError as error:
                self._count(error.reason, packed.uid)
                sample = self._other(places, order, turn)
            self._given += 1
            yield sample

    def _made(self, packed: PackedSample) -> tuple[Any, Any, str]:
        image = decode(packed.content, self.max_pixels)
        return (
            image if self.transform is None else self._transformed(image, packed.uid),
            packed.text if self.tokenizer is None else self.tokenizer(packed.text),
            packed.uid,
        )

    def _transformed(self, image: Any, uid: str) -> Any:
        """Where a picture is cropped, or what else is random of it, follows from seed, epoch and uid, so it is the same after resuming."""
        assert self.transform is not None
        before = random.getstate(), torch.get_rng_state()
        number = epoch_number(self.seed, self.epoch, TRANSFORM) ^ int(uid[16:], 16)
        random.seed(number)
        torch.default_generator.manual_seed(number)
        try:
            return self.transform(image)
        finally:
            random.setstate(before[0])
            torch.set_rng_state(before[1])

    def _count(self, reason: str, uid: str) -> None:
        self.errors[reason] += 1
        level = logging.WARNING if self.errors[reason] == 1 else logging.DEBUG
        logger.log(level, "uid %s: the image cannot be decoded: %s; another sample comes in its place", uid, reason)

    def _other(self, places: Int64[np.ndarray, " N"], order: Int64[np.ndarray, " N"], turn: int) -> tuple[Any, Any, str]:
        """What comes in place of a sample that cannot be decoded: the first good one from a fixed distance on, which is in another batch.

        It depends on the place alone, and not on what was bad before, so that it is the same after resuming.
        """
        distance, reasons = max(self.batch_size, self.shuffle), Counter[str]()
        for step in range(len(places)):
            position = order[(turn + distance + step) % len(order)]
            try:
                return self._made(next(self._packed(places[position : position + 1])))
            except PictureError as error:  # counted in ``errors`` when it is its turn
                reasons[error.reason] += 1
        raise SourceError(
            f"none of the {len(np.unique(places)):,} images of a worker's part of this epoch can be decoded",
            "look at the reasons, and at max_pixels",
            [f"{count:,} {reason}" for reason, count in reasons.most_common()],
        )

    def _packed(self, places: Int64[np.ndarray, " N"]) -> Generator[PackedSample]:
        """Read the samples at these places of the epoch's list."""
        drawn = self._drawn(self.epoch)
        ends = np.cumsum(drawn.counts)
        shards = np.searchsorted(ends, places, side="right")
        new = np.flatnonzero((np.diff(shards) != 0) | (np.diff(places) <= 0)) + 1
        for part in np.split(np.arange(len(places)), new):
            turn = shards[part[0]]
            shard = self.index.shards[int(drawn.order[turn])]
            rows = self.index.rows(shard)
            chosen = self._rows_of(rows, drawn.epoch)[places[part] - (ends[turn] - drawn.counts[turn])]
            uids = uid_strings(rows.uids[chosen]).to_pylist()
            contents = read_images(shard.path, rows.image_at[chosen], rows.image_size[chosen])
            for row, uid, content in zip(chosen.tolist(), uids, contents, strict=True):
                yield PackedSample(content, rows.texts[row].as_py(), uid)

    def _rows_of(self, rows: ShardRows, epoch: int) -> Int64[np.ndarray, " K"]:
        return drawn_rows(rows.samples, rows.uids, rows.keep, rows.curated, seed=self.seed, epoch=epoch, select=self.select)

    def _drawn(self, epoch: int) -> DrawnShards:
        if self._drawn_shards is None or self._drawn_shards.epoch != epoch:
            order = shuffled_shards(len(self.index.shards), self.seed, epoch)
            shards = [self.index.shards[shard] for shard in order]
            counts = [len(self._rows_of(self.index.rows(shard), epoch)) for shard in shards]
            fingerprint = fingerprint_of(shards=[shard.key for shard in shards], samples=counts)
            self._drawn_shards = DrawnShards(epoch, order, np.array(counts, np.int64), fingerprint)
        return self._drawn_shards


def _index_of(shards: Shards, run: str | os.PathLike[str] | None, folder: str | os.PathLike[str] | None) -> ShardIndex:
    if folder is None:
        if run is None:
            raise OptionError("neither a run nor an index says what is kept", f"give a run; or an index, which {COMMAND} makes")
        return ShardIndex.open(find_index(shards, run))  # of exactly these, so they are not looked for again
    index = ShardIndex.open(folder)
    if run is not None and os.path.exists(run) and index.run.fingerprint != fingerprint_of_run(run):
        raise StaleError(
            f"the index {os.fspath(folder)} is of another run than {os.fspath(run)}, or this was balanced anew", f"make it again: {COMMAND}"
        )
    return index.of(shards)


def _at_least(name: str, value: int, least: int) -> int:
    number = checked_whole(value, f"{name} is a whole number", f"give one from {least:,} on")
    if number < least:
        raise OptionError(f"{name} is {number:,}", f"give a whole number from {least:,} on")
    return number


def _place_in_world(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """The rank of this process and the number of ranks."""
    if (rank is None) != (world_size is None):
        raise OptionError("rank and world_size belong together", "give both, or none")
    if rank is None or world_size is None:
        if distributed.is_available() and distributed.is_initialized():
            rank, world_size = distributed.get_rank(), distributed.get_world_size()
        else:
            rank, world_size = _of_environment("RANK", "0"), _of_environment("WORLD_SIZE", "1")
    if not 0 <= rank < world_size:
        hint = "ranks are counted from 0; without arguments, they are those of the variables RANK and WORLD_SIZE"
        raise OptionError(f"there is no rank {rank} of {world_size}", hint)
    return rank, world_size


def _of_environment(name: str, default: str) -> int:
    value = os.environ.get(name, default)
    if not value.isdecimal():
        raise OptionError(f"the variable {name} is {value!r}, which is no number", "unset it, or give rank and world_size")
    return int(value)
