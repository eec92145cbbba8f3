"""How many captions match each entry, and where the tail ends and the head begins.

Section 3.3 of arXiv 2309.16671 for the counts; section 3.3 and Algorithm 1 of arXiv 2507.22062 for tail shares.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, UInt32

from tallyclip.core.arguments import as_number, checked_array, checked_whole
from tallyclip.core.compiled import as_compiled_takes, compiled
from tallyclip.core.data import Matches, check_ids, checked_matches
from tallyclip.errors import OptionError
from tallyclip.wording import plural


def count_entries(matches: Matches, size: int) -> Int64[np.ndarray, " V"]:
    """How many of N captions match each of ``size`` entries; a caption counts once for an entry. Counts of disjoint captions add up.

    Raises:
        OptionError: an entry id is not below ``size``: the matches belong to another list.
        ArgumentTypeError: ``matches`` are not Matches, or ``size`` is not a whole number.

    >>> count_entries(Matches(np.array([0, 2, 3]), np.array([0, 2, 2], dtype=np.uint32)), 4)
    array([1, 0, 2, 0])
    """
    checked_matches(matches)
    size = checked_whole(size, "size is the number of entries", "count_entries(matches, len(metadata))")
    if size < 0:
        raise OptionError(f"a list cannot have {plural(size, 'entry', 'entries')}", "count_entries(matches, len(metadata))")
    counts = np.zeros(size, np.int64)
    add_to_counts(counts, matches)
    return counts


def add_to_counts(counts: Int64[np.ndarray, " V"], matches: Matches) -> None:
    """Add the matches of some captions to counts, in place."""
    check_ids(matches, len(counts))
    added = as_compiled_takes(counts, np.int64)
    _add(matches.entry_ids, added)
    if added is not counts:
        counts[...] = added


def tail_share(counts: Int64[np.ndarray, " V"], t: float) -> float:
    """The share of all matches that fall on tail entries, those with a count below ``t``; 0 if there are no matches.

    ``t_to_p`` of Algorithm 1 in arXiv 2507.22062.

    Raises:
        OptionError: ``t`` is not above 0, or ``counts`` are not counts (``checked_counts``).

    >>> tail_share(np.array([1, 2, 7]), t=7)
    0.3
    """
    counts, t = checked_counts(counts), checked_threshold(t)
    total = int(counts.sum())
    return int(counts[counts < t].sum()) / total if total else 0.0


def threshold_for_tail(counts: Int64[np.ndarray, " V"], share: float) -> float:
    """The count above 0 whose tail share is nearest to ``share``; of two equally near counts the smaller; 1 if all counts are 0.

    The smallest count has a tail share of 0: at that t every entry is head, and entries lose all their pairs. So it is the answer only if 0
    is wanted or there is no other count. In a small pool the next count may have a share far above the wanted one.

    ``p_to_t`` of Algorithm 1 in arXiv 2507.22062, but with the shares of ``tail_share``, and without entries that have a count of 0: with
    them it can return 0, which would drop every matched pair.

    Raises:
        OptionError: ``share`` is not between 0 and 1, or ``counts`` are not counts (``checked_counts``).

    >>> threshold_for_tail(np.array([1, 2, 7, 10]), share=0.12)
    7.0
    >>> threshold_for_tail(np.array([1, 2, 7, 10]), share=0.01)
    2.0
    """
    counts, share = checked_counts(counts), checked_share(share)
    values, entries = np.unique(counts[counts > 0], return_counts=True)
    if len(values) == 0:
        return 1.0
    matches = values * entries
    shares = (np.cumsum(matches) - matches) / int(matches.sum())
    first = int(share > 0 and len(values) > 1)
    return float(values[first + np.argmin(np.abs(shares[first:] - share))])


def checked_threshold(t: float) -> float:
    """``t`` as a float above 0, which may be infinite.

    Raises:
        OptionError: it is anything else.
    """
    value = as_number(t)
    if not value > 0:
        raise OptionError(f"t must be a number above 0, not {t!r}", "the paper's t is 20000; inf keeps every matched pair")
    return value


def checked_share(share: float) -> float:
    """``share`` as a float between 0 and 1.

    Raises:
        OptionError: it is anything else.
    """
    value = as_number(share)
    if not 0 <= value <= 1:
        raise OptionError(f"a tail share of {share!r} is not possible", "give a share between 0 and 1; the paper's is 0.06")
    return value


def checked_counts(counts: object) -> Int64[np.ndarray, " V"]:
    """Entry counts from outside, as int64.

    Raises:
        ArgumentTypeError: they are not an array of whole numbers.
        OptionError: a count is negative.
    """
    found = checked_array(counts, "counts are int64[V]", "iu", "count_entries makes them; np.array(counts) makes an array of a list")
    if found.min(initial=0) < 0:
        entry = int(np.argmax(found < 0))
        raise OptionError(f"counts cannot be negative: entry {entry:,} has {found[entry]:,}", "count_entries makes them")
    return as_compiled_takes(found, np.int64)


@compiled
def _add(entry_ids: UInt32[np.ndarray, " M"], counts: Int64[np.ndarray, " V"]) -> None:
    for entry in entry_ids:
        counts[entry] += 1


COMPILED = (_add,)  # what callers of this module wait for where it was never compiled
