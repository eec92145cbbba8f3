"""How merging is cut into ranges."""

from __future__ import annotations

import random
from itertools import pairwise

from tallyclip.stages.ngrams import LAST_KEY, SAMPLED, buckets_of_pairs


def test_ranges_of_pairs_are_of_about_one_size_also_where_one_word_begins_most_of_them() -> None:
    draw = random.Random(1)
    keys = sorted((int(draw.paretovariate(0.3)) % 1000 << 32) | draw.randrange(1 << 32) for _ in range(400_000))
    sample = [key for run in range(40) for key in keys[run::40][run * 101 % SAMPLED :: SAMPLED]]
    ranges = list(buckets_of_pairs(sample, 40_000))
    sizes = [sum(low <= key < high for key in keys) for low, high in ranges]
    assert sum(sizes) == len(keys)
    assert max(sizes) < 90_000
    assert len(ranges) > 6
    assert (ranges[0][0], ranges[-1][1]) == (0, LAST_KEY)
    assert all(one[1] == other[0] for one, other in pairwise(ranges))


def test_without_a_sample_there_is_one_range() -> None:
    assert list(buckets_of_pairs([], 40_000)) == [(0, LAST_KEY)]
