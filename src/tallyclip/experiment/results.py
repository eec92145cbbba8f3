"""What is made of an experiment's measurements: means over seeds with intervals, paired differences, correlations, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Float64

from tallyclip.errors import IncompleteError
from tallyclip.experiment import statistics
from tallyclip.experiment.measured import Experiment, Measured
from tallyclip.io.files import with_infinity, write_json

ALL = "all"  # the group of all classes, and of a test that has none


class Spread(msgspec.Struct, frozen=True):
    """A number measured with several seeds.

    Attributes:
        mean: over seeds.
        low, high: the ends of its 95 % interval (Student's t); None with one seed.
        seeds: the values, in the order of the experiment's seeds.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: list[float]


class ArmDifference(msgspec.Struct, frozen=True):
    """How much one arm is above another, seed by seed.

    Attributes:
        lower, higher: the arms, as the recipe asks about them.
        mean, low, high: of higher minus lower, with the 95 % interval.
        seeds: the differences, in the order of the experiment's seeds.
        said: "higher" or "lower", what the second arm is if the interval excludes 0, else "not shown".
    """

    lower: str
    higher: str
    mean: float
    low: float | None
    high: float | None
    seeds: list[float]
    said: str


class Correlation(msgspec.Struct, frozen=True):
    """Accuracy by class against the decimal logarithm of the class's entry count.

    Attributes:
        points: classes of all seeds together; classes that no caption names are left out.
        pearson, spearman: over these points; None if accuracy or count does not vary.
        slope, intercept: of the least-squares fit; the slope is accuracy per factor of ten in the count.
        pearson_by_seed, spearman_by_seed: each seed's own correlation; None if one of them has none.
    """

    points: int
    pearson: float | None
    spearman: float | None
    slope: float | None
    intercept: float | None
    pearson_by_seed: Spread | None
    spearman_by_seed: Spread | None


class ArmResults(msgspec.Struct, frozen=True):
    """One arm, over its seeds.

    Attributes:
        t, online: as measured; of several values of t, the mean.
        pairs, drawn, seen_pairs, loss: means over seeds.
        seconds: by part, of all seeds together.
        tests: by test and group of classes ("all", "head", "middle", "tail"; in retrieval "all" alone), from 0 to 1.
    """

    t: float | None
    online: bool
    pairs: float
    drawn: float
    seen_pairs: float
    loss: float | None
    seconds: dict[str, float]
    tests: dict[str, dict[str, Spread]]


class Spent(msgspec.Struct, frozen=True):
    """Seconds of all arms and seeds together: by part, and their sum."""

    seconds: dict[str, float]
    total: float


class Results(Experiment, frozen=True, kw_only=True):
    """An experiment with what was made of it, as ``results.json`` has it.

    Attributes:
        arms: by name.
        differences: by test and group, in the order of the claims.
        classes: by test and arm, for tests that have classes.
        cost: of all of it.
        measured: what all else was made of.
    """

    arms: dict[str, ArmResults]
    differences: dict[str, dict[str, list[ArmDifference]]]
    classes: dict[str, dict[str, Correlation]]
    cost: Spent
    measured: list[Measured]

    def write(self, path: Path) -> None:
        """Write it as JSON, with infinity as the text ``"inf"``.

        Raises:
            OutputError: the file cannot be written.
        """
        write_json(path, with_infinity(msgspec.to_builtins(self, str_keys=True)))


def results_of(experiment: Experiment, measured: Sequence[Measured]) -> Results:
    """What an experiment shows.

    Args:
        experiment: what was run.
        measured: every arm with every seed; the order of arms and tests in the report is that of the first of them.

    Raises:
        IncompleteError: an arm lacks a seed, a test or an arm that a claim names, or there is nothing.
        MissingExtraError: scipy is not installed.
    """
    arms = _by_arm(experiment, measured)
    tests = {arm: _tests_of(experiment, of_seeds) for arm, of_seeds in arms.items()}
    first = tests[measured[0].arm]
    return Results(
        **{name: getattr(experiment, name) for name in Experiment.__struct_fields__},
        arms={arm: _arm_results(of_seeds, tests[arm]) for arm, of_seeds in arms.items()},
        differences={
            test: {
                group: [
                    _difference(lower, higher, tests[lower][test][group].seeds, tests[higher][test][group].seeds)
                    for lower, higher in experiment.claims
                ]
                for group in groups
            }
            for test, groups in first.items()
        },
        classes={
            test: {arm: _correlation(experiment, of_seeds, test) for arm, of_seeds in arms.items()}
            for test, found in measured[0].tests.items()
            if found.per_class
        },
        cost=_cost(measured),
        measured=list(measured),
    )


def points_of(experiment: Experiment, measured: Measured, test: str) -> tuple[Float64[np.ndarray, " C"], Float64[np.ndarray, " C"]]:
    """Classes of a test as points, in the order of names: the decimal logarithm of the entry count, and the accuracy.

    Classes that no caption of the pool names are left out.
    """
    counts, accuracies = experiment.counts[measured.seed], measured.tests[test].per_class
    named = [name for name in sorted(accuracies) if counts.get(name, 0) > 0]
    return np.log10([float(counts[name]) for name in named]), np.array([accuracies[name] for name in named], np.float64)


def tests_with_groups(results: Results) -> list[str]:
    """Tests that have head, middle and tail classes."""
    return [test for test, groups in results.differences.items() if len(groups) > 1]


def _by_arm(experiment: Experiment, measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    """The measurements of each arm, in the order of seeds."""
    found = {(one.arm, one.seed): one for one in measured}
    arms = list(dict.fromkeys(one.arm for one in measured))
    missing = [f"arm {arm}, seed {seed}" for arm in arms for seed in experiment.seeds if (arm, seed) not in found]
    missing += [
        f"arm {arm}, which a claim names" for arm in dict.fromkeys(arm for claim in experiment.claims for arm in claim) if arm not in arms
    ]
    if not missing:
        by_arm = {arm: [found[arm, seed] for seed in experiment.seeds] for arm in arms}
        missing = [
            f"arm {one.arm}, seed {one.seed}, test {test}"
            for of_seeds in by_arm.values()
            for one in of_seeds
            for test in measured[0].tests
            if test not in one.tests or one.tests[test].per_class.keys() != measured[0].tests[test].per_class.keys()
        ]
        if by_arm and experiment.seeds and not missing:
            return by_arm
    hint = "run the experiment again: it continues with what is missing"
    raise IncompleteError(f"{experiment.name}: not everything was measured", hint, missing)


def _tests_of(experiment: Experiment, of_seeds: Sequence[Measured]) -> dict[str, dict[str, Spread]]:
    spreads: dict[str, dict[str, Spread]] = {}
    for test in of_seeds[0].tests:
        values: dict[str, list[float]] = {ALL: [one.tests[test].value for one in of_seeds]}
        for one in of_seeds:
            accuracies, counts = one.tests[test].per_class, experiment.counts[one.seed]
            for group, names in statistics.thirds({name: counts.get(name, 0) for name in accuracies}).items():
                values.setdefault(group, []).append(float(np.mean([accuracies[name] for name in names])))
        spreads[test] = {group: _spread(found) for group, found in values.items()}
    return spreads


def _spread(values: Sequence[float]) -> Spread:
    return Spread(*statistics.interval(values), list(values))


def _difference(lower: str, higher: str, below: Sequence[float], above: Sequence[float]) -> ArmDifference:
    values = statistics.differences(below, above)
    found = statistics.interval(values)
    return ArmDifference(lower, higher, *found, values, statistics.verdict(found))


def _correlation(experiment: Experiment, of_seeds: Sequence[Measured], test: str) -> Correlation:
    points = [points_of(experiment, one, test) for one in of_seeds]
    x, y = (np.concatenate(parts) for parts in zip(*points, strict=True))
    fit = statistics.least_squares(x, y)

    def by_seed(correlate: Callable[[Float64[np.ndarray, " C"], Float64[np.ndarray, " C"]], float | None]) -> Spread | None:
        found = [correlate(*of_seed) for of_seed in points]
        values = [value for value in found if value is not None]
        return _spread(values) if len(values) == len(found) else None

    return Correlation(
        points=len(x),
        pearson=statistics.pearson(x, y),
        spearman=statistics.spearman(x, y),
        slope=fit and fit.slope,
        intercept=fit and fit.intercept,
        pearson_by_seed=by_seed(statistics.pearson),
        spearman_by_seed=by_seed(statistics.spearman),
    )


def _arm_results(of_seeds: Sequence[Measured], tests: dict[str, dict[str, Spread]]) -> ArmResults:
    return ArmResults(
        t=_mean([one.t for one in of_seeds]),
        online=of_seeds[0].online,
        pairs=float(np.mean([one.pairs for one in of_seeds])),
        drawn=float(np.mean([one.drawn for one in of_seeds])),
        seen_pairs=float(np.mean([one.seen_pairs for one in of_seeds])),
        loss=_mean([one.loss for one in of_seeds]),
        seconds=_sums([one.seconds for one in of_seeds]),
        tests=tests,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _cost(measured: Sequence[Measured]) -> Spent:
    seconds = _sums([one.seconds for one in measured])
    return Spent(seconds, sum(seconds.values()))


def _sums(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}
