"""Which samples an epoch has, how they are shared out, and in which order they come: arrays in, arrays out.

All of it follows from the seed and the number of the epoch through hashes, so every process knows all of it before anything is read, and
it does not depend on versions of NumPy.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from tallyclip.core.balance import checked_seed, draw, pick_one
from tallyclip.core.compiled import u64
from tallyclip.core.hashing import mix_in
from tallyclip.errors import OptionError
from tallyclip.wording import plural

Select = Literal["online", "curated"]  # drawn anew in each epoch by the keep probabilities, or the run's curated pairs in every epoch
# What numbers of an epoch are for: each purpose has others.
DRAW, PICK, SHARDS, SHUFFLE, TRANSFORM, MODEL = range(6)


class Split(NamedTuple):
    """An epoch's list of samples, cut into contiguous ranges whose lengths differ by at most one.

    Attributes:
        drawn: length of the list.
        ranges: one for each worker of each rank.
        samples: that each range gives. One that is shorter begins again with its own first samples.
    """

    drawn: int
    ranges: int
    samples: int

    def start(self, number: int) -> int:
        """Where in the list a range begins; the last but one plus one is the list's end."""
        return number * self.drawn // self.ranges

    def places(self, number: int) -> Int64[np.ndarray, " N"]:
        """For each of a range's N = ``samples`` positions, its place in the list: rising, but where it begins again."""
        start, end = self.start(number), self.start(number + 1)
        return start + np.arange(self.samples) % (end - start)

    @property
    def repeats(self) -> int:
        """Samples that come a second time, of all ranges."""
        return self.ranges * self.samples - self.drawn


def split_epoch(drawn: int, ranges: int, batch_size: int) -> Split:
    """Share out an epoch: every range gives the same number of full batches, no more than the longest range needs.

    Raises:
        OptionError: there are fewer samples than ranges.

    >>> split_epoch(10, 4, 2)
    Split(drawn=10, ranges=4, samples=4)
    """
    if drawn < ranges:
        raise OptionError(
            f"this epoch has {plural(drawn, 'sample')} for {plural(ranges, 'worker')} of all ranks",
            "use fewer workers or ranks, or a larger t or size",
        )
    longest = -(-drawn // ranges)
    return Split(drawn, ranges, -(-longest // batch_size) * batch_size)


def epoch_number(seed: int, epoch: int, purpose: int, part: int = 0) -> int:
    """A number of 64 bits hashed from a seed, the number of an epoch, a purpose and the number of a part."""
    hashed = np.zeros(1, np.uint64)
    for number in (checked_seed(seed), epoch, purpose, part):
        mix_in(hashed, np.array([number], np.uint64))
    return int(hashed[0])


def drawn_rows(
    images: Int64[np.ndarray, " N"],
    uids: UInt64[np.ndarray, "N 2"],
    keep: Float64[np.ndarray, " N"],
    curated: Bool[np.ndarray, " N"],
    *,
    seed: int,
    epoch: int,
    select: Select,
) -> Int64[np.ndarray, " K"]:
    """The rows of a shard that an epoch has, at most one an image, rising.

    Of an image's texts one is picked, each as likely as the others. Online, this pair is in the epoch with its keep probability, by the
    draw that all of tallyclip uses. Otherwise only curated pairs take part, and the picked one is in the epoch.

    Args:
        images: the number of each row's image; rows of the same image must be adjacent.
        uids: of the pairs.
        keep: their keep probabilities.
        curated: which are in the run's curated set.
        seed: 0 to 2^64 - 1.
        epoch: from 0.
        select: "online" or "curated".
    """
    rows = np.arange(len(uids)) if select == "online" else np.flatnonzero(curated)
    picked = pick_one(images[rows], uids[rows], salt=epoch_number(seed, epoch, PICK))
    if select == "online":
        picked &= draw(keep, uids, epoch_number(seed, epoch, DRAW))
    return rows[picked]


def expected_rows(
    images: Int64[np.ndarray, " N"], keep: Float64[np.ndarray, " N"], curated: Bool[np.ndarray, " N"], select: Select
) -> float:
    """How many rows ``drawn_rows`` gives on average: the sum over images of the mean of their texts' keep probabilities."""
    if select == "curated":
        return float(len(np.unique(images[curated])))
    if not len(images):
        return 0.0
    first = np.flatnonzero(np.diff(images, prepend=images[0] - 1))
    return float(np.sum(np.add.reduceat(keep, first) / np.diff(first, append=len(images))))


def shuffled_shards(shards: int, seed: int, epoch: int) -> Int64[np.ndarray, " S"]:
    """The order of the shards in an epoch."""
    return np.argsort(_hashes(shards, epoch_number(seed, epoch, SHARDS)), kind="stable")


def shuffled(samples: int, buffer: int, seed: int, epoch: int, number: int) -> Int64[np.ndarray, " N"]:
    """The order in which a range's positions come out of a shuffle buffer of ``buffer`` samples that is filled in their own order.

    Position i is given a random place from i to i + buffer, and positions come in the order of these. So what has been read when a position
    comes out, and is still to come, is never more than ``buffer`` samples, and half of that on average.
    """
    places = _hashes(samples, epoch_number(seed, epoch, SHUFFLE, number)) >> u64(11)
    return np.argsort(np.arange(samples) + buffer * (places * 2.0**-53), kind="stable")


def _hashes(count: int, seed: int) -> UInt64[np.ndarray, " N"]:
    hashed = np.full(count, seed, np.uint64)
    mix_in(hashed, np.arange(count, dtype=np.uint64))
    return hashed
