"""The t at which a draw keeps exactly N pairs.

The draw is the usual one. A pair has one random number, and its keep probability rises with t, also as float64 computes it: so there is a
smallest t at which the pair is kept, and the set for a size is made of the pairs with the smallest of these. Sets for several sizes and
thresholds are nested.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int64, UInt32, UInt64

from tallyclip.core.balance import checked_seed, number_of
from tallyclip.core.compiled import ONE, as_compiled_takes, compiled, u64
from tallyclip.core.counts import checked_counts
from tallyclip.core.data import Matches, check_ids, checked_matches
from tallyclip.core.duplicates import first_of_each
from tallyclip.core.plan import checked_size
from tallyclip.core.sorting import sort_rows
from tallyclip.core.uids import as_columns
from tallyclip.errors import OptionError
from tallyclip.wording import plural

DIGIT = 16  # bits of a threshold that one pass looks at
AT_ONCE = 1 << 22  # thresholds in memory


def threshold_for_exactly(matches: Matches, counts: Int64[np.ndarray, " V"], uids: np.ndarray, size: int, seed: int = 0) -> float:
    """The smallest t at which ``draw`` keeps exactly ``size`` distinct uids.

    Args:
        matches: of N pairs.
        counts: int64[V], of the same pairs.
        uids: theirs, as ``make_uids`` gives; pairs with equal uids count once.
        size: a whole number from 1 to the number of distinct uids among the pairs that match an entry.
        seed: of the draw.

    Raises:
        OptionError: ``size`` is out of range, and the message gives the most; or no t keeps exactly so many; or an argument is invalid.

    >>> matches = Matches(np.array([0, 1, 2]), np.array([0, 0], dtype=np.uint32))
    >>> uids = np.array([[1, 2], [3, 4]], dtype=np.uint64)
    >>> t = threshold_for_exactly(matches, np.array([2]), uids, size=1)
    >>> from tallyclip.core.balance import draw, entry_probability, keep_probability
    >>> int(draw(keep_probability(matches, entry_probability(np.array([2]), t)), uids).sum())
    1
    """
    rows = sort_rows(threshold_rows(checked_matches(matches), checked_counts(counts), as_columns(uids), seed))
    return exact_threshold(rows[first_of_each(rows)][:, 2], checked_whole_size(size))


def checked_whole_size(size: float) -> int:
    """A number of pairs that can be kept exactly.

    Raises:
        OptionError: it is not a whole number above 0.
    """
    value = checked_size(size)
    if not value.is_integer():
        raise OptionError(f"a size of exactly {size!r} is not a whole number of pairs", "give a whole number, or leave out --exactly")
    return int(value)


def threshold_rows(
    matches: Matches, counts: Int64[np.ndarray, " V"], uids: UInt64[np.ndarray, "N 2"], seed: int
) -> UInt64[np.ndarray, "n 3"]:
    """The uids of the pairs that match an entry, and the smallest t at which each is kept, as the bits of the float64.

    Bits of floats above 0 are in the order of the floats. So of sorted rows with one uid the first has its smallest t.
    """
    counts = as_compiled_takes(counts, np.int64)
    check_ids(matches, len(counts))
    thresholds = np.empty(len(matches), np.float64)
    _find(matches.offsets, matches.entry_ids, counts, uids, checked_seed(seed), thresholds)
    matched = matches.lengths > 0
    return np.column_stack([uids[matched], thresholds[matched].view(np.uint64)])


def exact_threshold(thresholds: UInt64[np.ndarray, " N"], size: int) -> float:
    """The ``size``-th smallest of thresholds, each of another uid; they may be in a mapped file, and are read four times.

    Raises:
        OptionError: there are fewer; or the next one is the same, so that no t keeps exactly so many.
    """
    if size > len(thresholds):
        what = f"a size of exactly {size:,} is more than the {len(thresholds):,} distinct pairs that match an entry"
        raise OptionError(what, "give at most that number")
    found, rank, equal = 0, size, 0
    for shift in range(64 - DIGIT, -1, -DIGIT):
        digits = np.zeros(1 << DIGIT, np.int64)
        for part in _in_parts(thresholds):
            high = part >> np.uint64(shift)
            alike = high[high >> np.uint64(DIGIT) == np.uint64(found)] & np.uint64((1 << DIGIT) - 1)
            digits += np.bincount(alike.astype(np.int64), minlength=len(digits))
        up_to = np.cumsum(digits)
        digit = int(np.searchsorted(up_to, rank))
        rank, equal = rank - int(up_to[digit] - digits[digit]), int(digits[digit])
        found = found << DIGIT | digit
    if rank < equal:
        less, more = size - rank, size - rank + equal
        raise OptionError(f"no t keeps exactly {plural(size, 'pair')}: {equal:,} of them come at the same t", f"give {less:,} or {more:,}")
    return float(np.array([found], np.uint64).view(np.float64)[0])


def _in_parts(thresholds: UInt64[np.ndarray, " N"]) -> Iterator[UInt64[np.ndarray, " n"]]:
    return (np.array(thresholds[start : start + AT_ONCE]) for start in range(0, len(thresholds), AT_ONCE))


@compiled
def _find(
    offsets: Int64[np.ndarray, " N1"],
    entry_ids: UInt32[np.ndarray, " M"],
    counts: Int64[np.ndarray, " V"],
    uids: UInt64[np.ndarray, "N 2"],
    seed: np.uint64,
    thresholds: Float64[np.ndarray, " N"],
) -> None:
    """Bisect for each pair until no float is left between a t that keeps it and one that does not."""
    for pair in range(u64(len(thresholds))):
        start, end = u64(offsets[pair]), u64(offsets[pair + ONE])
        thresholds[pair] = np.inf
        if start == end:
            continue
        number = number_of(seed, uids[pair, u64(0)], uids[pair, ONE])
        fewest = counts[entry_ids[start]]
        for i in range(start + ONE, end):
            fewest = min(fewest, counts[entry_ids[i]])
        low, high = 0.0, np.float64(fewest)  # at 0 nothing is kept, and at the smallest count the pair is certain
        while True:
            middle = low + (high - low) * 0.5
            if middle <= low or middle >= high:
                break
            miss = 1.0  # as ``entry_probability`` and ``keep_probability`` compute it
            for i in range(start, end):
                miss *= 1.0 - min(1.0, middle / np.float64(counts[entry_ids[i]]))
            if number < 1.0 - miss:
                high = middle
            else:
                low = middle
        thresholds[pair] = high


COMPILED = (_find,)  # what callers of this module wait for where it was never compiled
