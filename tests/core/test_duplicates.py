from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.duplicates import bucket_bits, first_of_each, frequent, resolve, shard_places, sorted_records, without
from tallyclip.core.sorting import bucket_slice

SMALL = st.sampled_from([0, 1, 2, 5, 1 << 63, (1 << 64) - 1])  # so that halves of keys, whole keys and preferences meet often
ROWS = st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=40)
Row = tuple[int, int, int]


def records_of(rows: list[Row], shard: int = 0) -> np.ndarray:
    numbers = np.array(rows, np.uint64).reshape(-1, 3)
    places = shard_places(shard, np.arange(len(rows), dtype=np.uint64))
    return sorted_records(numbers[:, :2].copy(), numbers[:, 2].copy(), places)


def survivors(shards: list[list[Row]], known: set[tuple[int, int]]) -> dict[tuple[int, int], tuple[int, int]]:
    """What a dictionary says: for each key that is not known, the preference and the place of the row that is kept."""
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for shard, rows in enumerate(shards):
        for row, (high, low, preference) in enumerate(rows):
            candidate = (max(preference, 1), shard << 40 | row)
            if (high, low) not in known:
                best[high, low] = min(best.get((high, low), candidate), candidate)
    return best


@given(st.lists(ROWS, max_size=5), st.lists(st.tuples(SMALL, SMALL), max_size=6), st.integers(0, 3))
def test_of_each_key_the_row_is_kept_that_a_dictionary_would_keep(shards: list[list[Row]], known: list[tuple[int, int]], bits: int) -> None:
    runs = []
    for shard, rows in enumerate(shards):
        records = records_of(rows, shard)
        runs.append(records[first_of_each(records)])
    gone_early = sum(len(rows) for rows in shards) - sum(map(len, runs))
    earlier = np.unique(np.array(known, np.uint64).reshape(-1, 2), axis=0)
    removed: list[int] = []
    for bucket in range(1 << bits):
        slices = [run[bucket_slice(run[:, 0], bucket, bits)] for run in runs]
        for gone in resolve(slices, [earlier[bucket_slice(earlier[:, 0], bucket, bits)]]):
            removed += gone.tolist()
    expected = survivors(shards, set(known))
    places = {int(place) for run in runs for place in run[:, 3]}
    assert places - set(removed) == {place for _, place in expected.values()}
    assert len(removed) + gone_early + len(expected) == sum(map(len, shards))


@given(st.lists(ROWS, min_size=1, max_size=4), st.randoms())
def test_the_kept_rows_do_not_depend_on_the_order_of_shards(shards: list[list[Row]], random: object) -> None:
    def content(shards: list[list[Row]]) -> set[Row]:
        runs = [records_of(rows, shard) for shard, rows in enumerate(shards)]
        removed = set(resolve(runs)[0].tolist())
        return {(int(r[0]), int(r[1]), int(r[2])) for run in runs for r in run if int(r[3]) not in removed}

    mixed = list(shards)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert content(shards) == content(mixed)


@given(st.integers(0, 10**10), st.integers(1, 10**7))
def test_there_are_enough_buckets_and_not_twice_as_many(rows: int, per_bucket: int) -> None:
    buckets = 1 << bucket_bits(rows, per_bucket)
    assert buckets * per_bucket >= rows
    assert buckets == 1 or (buckets // 2) * per_bucket < rows


def test_all_rows_with_a_key_of_an_existing_pool_are_removed() -> None:
    repeated, known = resolve([records_of([(7, 7, 0), (7, 7, 1), (8, 8, 0), (8, 8, 1)])], [np.array([[7, 7]], np.uint64)])
    assert (repeated.tolist(), known.tolist()) == ([3], [0, 1])


@given(ROWS, st.sets(st.integers(0, 40)))
def test_records_without_some_places_are_the_others(rows: list[Row], places: set[int]) -> None:
    records = records_of(rows)
    left = without(records, np.array(sorted(places), np.uint64))
    assert left.tolist() == [record for record in records.tolist() if record[3] not in places]


@given(st.lists(ROWS, max_size=4), st.integers(1, 4))
def test_all_rows_of_keys_with_too_many_different_preferences_are_removed(shards: list[list[Row]], limit: int) -> None:
    runs = [records_of(rows, shard) for shard, rows in enumerate(shards)]
    companions: dict[tuple[int, int], set[int]] = {}
    for rows in shards:
        for high, low, third in rows:
            companions.setdefault((high, low), set()).add(max(third, 1))
    expected = [
        shard << 40 | row
        for shard, rows in enumerate(shards)
        for row, (high, low, _) in enumerate(rows)
        if len(companions[high, low]) > limit
    ]
    assert frequent(runs, limit).tolist() == expected
