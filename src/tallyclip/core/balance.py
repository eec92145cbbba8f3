"""Which pairs are kept: from counts to probabilities, and from probabilities to a draw that depends only on the pair and the seed.

Algorithm 1 of arXiv 2309.16671 draws a random number for each entry of a pair, and keeps the pair at the first entry that selects it. The
probability of this is ``keep_probability``; ``draw`` decides once for each pair, with a number hashed from the seed and the pair's uid. So
the result does not depend on order, files, processes or machines, and a larger t keeps all pairs that a smaller t keeps.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt32, UInt64

from tallyclip.core.arguments import checked_array, checked_whole
from tallyclip.core.compiled import ONE, as_compiled_takes, compiled, inlined, u64
from tallyclip.core.counts import checked_counts, checked_threshold
from tallyclip.core.data import Matches, check_ids, checked_matches
from tallyclip.core.hashing import mix
from tallyclip.core.uids import as_columns
from tallyclip.errors import OptionError
from tallyclip.wording import plural

TextsPolicy = Literal["pairs", "one-per-image"]  # several captions of an image: each a pair of its own, or one picked for the image
PICK_SALT = u64(0x7069636B20746578)  # "pick tex": so that picking a caption and drawing it are independent
WEIGHT_SEED = 0x7765696768742073  # "weight s": likewise of rounding a weight


def entry_probability(counts: Int64[np.ndarray, " V"], t: float) -> Float64[np.ndarray, " V"]:
    """The probability that an entry selects a pair that matches it: min(1, t / count), and 1 for a count of 0.

    So a tail entry (count < t) selects every pair, and a head entry about t of them (section 3.4 of arXiv 2309.16671).

    Args:
        counts: int64[V], as ``count_entries`` gives.
        t: a number above 0; infinity selects every pair.

    Raises:
        OptionError: ``t`` is not above 0, or ``counts`` are not counts (``checked_counts``).

    >>> entry_probability(np.array([0, 3, 40]), t=20)
    array([1. , 1. , 0.5])
    """
    counts, t = checked_counts(counts), checked_threshold(t)
    return np.where(counts == 0, 1.0, np.minimum(1.0, t / np.maximum(counts, 1)))


def keep_probability(matches: Matches, p: Float64[np.ndarray, " V"]) -> Float64[np.ndarray, " N"]:
    """The probability that a pair is kept: 1 - prod(1 - p) over the entries it matches; 0 if there are none, exactly 1 with a tail entry.

    A plain float64 product in ascending order of the ids: the same bits on every machine.

    Raises:
        OptionError: an entry id of the matches is not below V.
        ArgumentTypeError: ``matches`` are not Matches, or ``p`` is not an array of numbers.

    >>> keep_probability(Matches(np.array([0, 2, 2]), np.array([0, 1], dtype=np.uint32)), np.array([0.5, 0.25]))
    array([0.625, 0.   ])
    """
    p = as_compiled_takes(checked_array(p, "p are float64[V]", "fiu", "entry_probability(counts, t) makes them"), np.float64)
    checked_matches(matches)
    check_ids(matches, len(p))
    keep = np.empty(len(matches), np.float64)
    _keep(matches.offsets, matches.entry_ids, p, keep)
    return keep


def draw(keep: Float64[np.ndarray, " N"], uids: np.ndarray, seed: int = 0) -> Bool[np.ndarray, " N"]:
    """Keep pair i if its random number, made from ``seed`` and its uid, is below ``keep[i]``; equal uids share one number.

    Args:
        keep: probabilities between 0 (never) and 1 (always).
        uids: as ``make_uids`` gives, or DataComp's ``u8,u8``.
        seed: 0 to 2^64 - 1.

    Raises:
        OptionError: the seed is out of range, ``uids`` does not hold uids, or there are not N of them.
        ArgumentTypeError: an argument is not an array of the right kind, or the seed is not a whole number.

    >>> draw(np.array([0.0, 1.0]), np.array([[1, 2], [3, 4]], dtype=np.uint64)).tolist()
    [False, True]
    """
    keep = checked_array(keep, "keep are probabilities, float64[N]", "fiub", "keep_probability(matches, p) makes them")
    keep, uids = as_compiled_takes(keep, np.float64), as_columns(uids)
    if len(keep) != len(uids):
        raise OptionError(f"{plural(len(keep), 'probability', 'probabilities')} but {plural(len(uids), 'uid')}")
    kept = np.empty(len(keep), np.bool_)
    _draw(keep, uids, checked_seed(seed), kept)
    return kept


def second_probability(keep: Float64[np.ndarray, " N"], before: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """The probability with which pairs that an earlier draw has kept are kept again, so that both draws together keep a pair with the
    smaller of the two probabilities: min(1, keep / before).

    ``draw(keep, uids, seed)`` with the seed of the earlier draw does so: the pair still has its random number, which is below ``before``.

    Args:
        keep: of the pairs, as if there had been no earlier draw.
        before: of the earlier draw; above 0, since it has kept them.

    >>> second_probability(np.array([0.1, 0.9]), np.array([0.4, 0.6])).tolist()
    [0.25, 1.0]
    """
    return np.minimum(1.0, keep / before)


def whole_weights(keep: Float64[np.ndarray, " N"], uids: UInt64[np.ndarray, "N 2"]) -> Int64[np.ndarray, " N"]:
    """For how many pairs of a pool each pair stands that a draw has kept: 1 / keep, rounded up or down by its uid so that the mean is that.

    So sums of weights are whole numbers and unbiased, whatever the order and the split of the pairs.

    Args:
        keep: their keep probabilities, above 0.
        uids: theirs.

    >>> whole_weights(np.array([1.0, 0.5]), np.array([[1, 2], [3, 4]], dtype=np.uint64)).tolist()
    [1, 2]
    """
    exact = 1 / keep
    whole = np.floor(exact)
    return whole.astype(np.int64) + draw(exact - whole, uids, WEIGHT_SEED)


def pick_one(images: Int64[np.ndarray, " N"], uids: np.ndarray, salt: int = int(PICK_SALT)) -> Bool[np.ndarray, " N"]:
    """For the policy "one caption per image": True for the caption of each image whose hash is smallest.

    Args:
        images: the number of each caption's image; captions of the same image must be adjacent.
        uids: of the pairs; of equal uids the first is picked.
        salt: another one picks other captions; 0 to 2^64 - 1.

    Raises:
        OptionError: ``uids`` does not hold uids, there are not N of them, or the salt is out of range.
        ArgumentTypeError: an argument is not an array of the right kind.
    """
    images = checked_array(images, "images are int64[N]", "iu", "give the number of each caption's image")
    uids = as_columns(uids)
    if len(images) != len(uids):
        raise OptionError(f"{plural(len(images), 'image')} but {plural(len(uids), 'uid')}")
    picked = np.zeros(len(uids), np.bool_)
    _pick(as_compiled_takes(images, np.int64), uids, checked_seed(salt), picked)
    return picked


def checked_seed(seed: int) -> np.uint64:
    """The seed as an unsigned 64-bit number.

    Raises:
        OptionError: it is not between 0 and 2^64 - 1.
        ArgumentTypeError: it is not a whole number.
    """
    hint = "give a whole number from 0 to 2^64 - 1"
    number = checked_whole(seed, "a seed is a whole number", hint)
    if not 0 <= number < 1 << 64:
        raise OptionError(f"a seed of {number} is out of range", hint)
    return u64(number)


@inlined
def _hash(seed: np.uint64, high: np.uint64, low: np.uint64) -> np.uint64:
    return mix(low ^ mix(high ^ mix(seed)))


@inlined
def number_of(seed: np.uint64, high: np.uint64, low: np.uint64) -> float:
    """The random number of a pair in [0, 1), from the two halves of its uid."""
    return np.float64(_hash(seed, high, low) >> u64(11)) * 2.0**-53


@compiled
def _keep(
    offsets: Int64[np.ndarray, " N1"],
    entry_ids: UInt32[np.ndarray, " M"],
    p: Float64[np.ndarray, " V"],
    keep: Float64[np.ndarray, " N"],
) -> None:
    for pair in range(u64(len(keep))):
        miss = 1.0
        for i in range(u64(offsets[pair]), u64(offsets[pair + ONE])):
            miss *= 1.0 - p[entry_ids[i]]
        keep[pair] = 1.0 - miss


@compiled
def _draw(keep: Float64[np.ndarray, " N"], uids: UInt64[np.ndarray, "N 2"], seed: np.uint64, kept: Bool[np.ndarray, " N"]) -> None:
    for i in range(u64(len(keep))):
        kept[i] = number_of(seed, uids[i, u64(0)], uids[i, ONE]) < keep[i]


@compiled
def _pick(images: Int64[np.ndarray, " N"], uids: UInt64[np.ndarray, "N 2"], salt: np.uint64, picked: Bool[np.ndarray, " N"]) -> None:
    best = best_hash = u64(0)
    for i in range(u64(len(images))):
        number = _hash(salt, uids[i, u64(0)], uids[i, ONE])
        if i == u64(0) or images[i] != images[i - ONE] or number < best_hash:
            if i > u64(0) and images[i] == images[i - ONE]:
                picked[best] = False
            picked[i] = True
            best, best_hash = i, number


COMPILED = (_keep, _draw)  # what callers of this module wait for where it was never compiled
