from __future__ import annotations

import doctest
import statistics as of_python

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.experiment import statistics
from tallyclip.experiment.statistics import Interval, differences, interval, least_squares, pearson, spearman, thirds, verdict

FRACTIONS = st.floats(0, 1, allow_subnormal=False)


def test_the_examples_hold() -> None:
    assert doctest.testmod(statistics, optionflags=doctest.ELLIPSIS).failed == 0


# Half widths by hand: t(0.975, n - 1) from a table, times the standard deviation, by the root of n.
@pytest.mark.parametrize(
    ("values", "mean", "half"),
    [
        ([1.0, 3.0], 2.0, 12.706 * 2**0.5 / 2**0.5),
        ([1.0, 2.0, 3.0], 2.0, 4.303 * 1 / 3**0.5),
        ([2.0, 4.0, 4.0, 6.0], 4.0, 3.182 * (8 / 3) ** 0.5 / 2),
        ([5.0, 5.0, 5.0], 5.0, 0.0),
    ],
)
def test_an_interval_is_that_of_the_tables(values: list[float], mean: float, half: float) -> None:
    found = interval(values)
    assert found == pytest.approx((mean, mean - half, mean + half), rel=1e-3)


def test_an_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).normal(3, 2, 7)
    low, high = scipy.stats.t.interval(0.95, 6, values.mean(), scipy.stats.sem(values))
    assert interval(values.tolist()) == pytest.approx((values.mean(), low, high))


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_of_a_hundred_intervals_95_hold_the_true_mean(seeds: int) -> None:
    draws = np.random.default_rng(seeds).normal(0.6, 0.05, (4000, seeds))
    found = [interval(row) for row in draws.tolist()]
    held = sum(low <= 0.6 <= high for _, low, high in found if low is not None and high is not None)
    deviation = (4000 * 0.95 * 0.05) ** 0.5
    assert abs(held - 4000 * 0.95) < 4 * deviation


def test_one_value_has_no_interval_and_none_are_an_error() -> None:
    assert interval([0.5]) == (0.5, None, None)
    with pytest.raises(ValueError, match="no values"):
        interval([])


def test_what_a_seed_does_to_both_arms_cancels() -> None:
    rng = np.random.default_rng(1)
    of_seed, noise = rng.normal(0, 0.1, 5), rng.normal(0, 0.001, (2, 5))
    lower, higher = 0.5 + of_seed + noise[0], 0.52 + of_seed + noise[1]
    assert verdict(interval(differences(lower.tolist(), higher.tolist()))) == "higher"
    paired, alone = interval(differences(lower.tolist(), higher.tolist())), interval(lower.tolist())
    assert paired.high is not None
    assert alone.high is not None
    assert paired.high - paired.mean < (alone.high - alone.mean) / 10


@given(st.lists(st.tuples(FRACTIONS, FRACTIONS), min_size=1, max_size=6))
def test_differences_the_other_way_round_have_the_other_sign(pairs: list[tuple[float, float]]) -> None:
    lower, higher = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    opposite = {"higher": "lower", "lower": "higher", "not shown": "not shown"}
    one, other = interval(differences(lower, higher)), interval(differences(higher, lower))
    assert one.mean == -other.mean
    assert opposite[verdict(one)] == verdict(other)


def test_differences_need_the_same_seeds() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        differences([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Interval(0.02, 0.001, 0.039), "higher"),
        (Interval(0.02, 0.0, 0.04), "not shown"),
        (Interval(0.02, -0.001, 0.041), "not shown"),
        (Interval(-0.02, -0.04, 0.0), "not shown"),
        (Interval(-0.02, -0.039, -0.001), "lower"),
        (Interval(0.5, None, None), "not shown"),
    ],
)
def test_an_order_is_shown_only_where_the_interval_excludes_zero(found: Interval, said: str) -> None:
    assert verdict(found) == said


def test_ties_are_in_the_order_of_names() -> None:
    assert thirds({"b": 5, "a": 5, "d": 5, "c": 5, "f": 9, "e": 1}) == {"head": ["f", "a"], "middle": ["b", "c"], "tail": ["d", "e"]}


@pytest.mark.parametrize(("size", "sizes"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (5, [2, 2, 1]), (240, [80, 80, 80])])
def test_thirds_are_as_equal_as_can_be(size: int, sizes: list[int]) -> None:
    assert [len(group) for group in thirds({f"{place:03d}": place for place in range(size)}).values()] == sizes


def test_two_classes_are_no_thirds() -> None:
    assert thirds({"a": 1, "b": 2}) == {}
    assert thirds({}) == {}


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 5), min_size=3, max_size=20))
def test_each_class_is_in_one_third_and_none_of_the_tail_is_more_frequent_than_one_of_the_head(counts: dict[str, int]) -> None:
    found = thirds(counts)
    assert sorted(name for group in found.values() for name in group) == sorted(counts)
    least = {group: min(counts[name] for name in names) for group, names in found.items()}
    most = {group: max(counts[name] for name in names) for group, names in found.items()}
    assert least["head"] >= most["middle"]
    assert least["middle"] >= most["tail"]
    assert found == thirds(dict(reversed(counts.items())))


def test_correlations_and_fits_are_those_of_numpy_and_scipy() -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(0, 12, 80).astype(float)  # with ties
    y = 0.3 * x + rng.normal(0, 1, 80).round(1)
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert least_squares(x, y) == pytest.approx(tuple(np.polyfit(x, y, 1)))
    assert pearson(x, y) == pytest.approx(of_python.correlation(x.tolist(), y.tolist()))


def test_a_line_is_found_as_it_is() -> None:
    x = np.array([1.0, 2.0, 4.0])
    assert least_squares(x, 0.2 * x - 0.1) == pytest.approx((0.2, -0.1))
    assert pearson(x, -x) == -1
    assert spearman(x, np.exp(x)) == 1


@pytest.mark.parametrize("size", [0, 1, 5])
def test_what_does_not_vary_correlates_with_nothing(size: int) -> None:
    same, other = np.full(size, 0.1), np.arange(size, dtype=float)
    assert pearson(same, other) is None
    assert pearson(other, same) is None
    assert spearman(other, same) is None
    assert least_squares(same, other) is None
