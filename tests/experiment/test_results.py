from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tallyclip.errors import IncompleteError
from tallyclip.experiment.measured import Experiment, Measured, TestMeasured
from tallyclip.experiment.results import Results, results_of
from tallyclip.experiment.statistics import interval
from tallyclip.io.structs import read_struct

from .measurements import ARMS, CLAIMS, measurements


@pytest.fixture(scope="module")
def results() -> Results:
    return results_of(*measurements())


def changed(measured: list[Measured], arm: str, test: str, by: list[float]) -> list[Measured]:
    """The same measurements with the values of an arm on a test moved, seed by seed."""
    moved: list[Measured] = []
    for one in measured:
        if one.arm == arm:
            of_test = msgspec.structs.replace(one.tests[test], value=one.tests[test].value + by[one.seed])
            one = msgspec.structs.replace(one, tests={**one.tests, test: of_test})
        moved.append(one)
    return moved


def test_groups_are_means_over_the_classes_of_each_seeds_own_counts() -> None:
    experiment, measured = measurements(names=[f"c{place}" for place in range(6)])
    order = {0: ["c5", "c4", "c3", "c2", "c1", "c0"], 1: ["c0", "c1", "c2", "c3", "c4", "c5"], 2: ["c2", "c0", "c4", "c1", "c5", "c3"]}
    counts = {seed: {name: 100 - place for place, name in enumerate(names)} for seed, names in order.items()}
    results = results_of(msgspec.structs.replace(experiment, counts=counts), measured)
    for one in measured:
        accuracies, found = one.tests["seen"].per_class, results.arms[one.arm].tests["seen"]
        for place, group in enumerate(("head", "middle", "tail")):
            names = order[one.seed][2 * place : 2 * place + 2]
            assert found[group].seeds[one.seed] == pytest.approx(np.mean([accuracies[name] for name in names]))
        assert found["all"].seeds[one.seed] == one.tests["seen"].value


def test_means_and_intervals_are_over_seeds(results: Results) -> None:
    for arm in results.arms.values():
        for groups in arm.tests.values():
            for found in groups.values():
                assert (found.mean, found.low, found.high) == interval(found.seeds)


def test_retrieval_has_the_group_of_all_alone(results: Results) -> None:
    assert {test: list(groups) for test, groups in results.differences.items()} == {
        "seen": ["all", "head", "middle", "tail"],
        "unseen": ["all", "head", "middle", "tail"],
        "retrieval": ["all"],
    }
    assert list(results.classes) == ["seen", "unseen"]


def test_differences_are_those_of_the_claims_seed_by_seed(results: Results) -> None:
    for test, groups in results.differences.items():
        for group, found in groups.items():
            assert [(one.lower, one.higher) for one in found] == list(CLAIMS)
            for one in found:
                lower, higher = (results.arms[arm].tests[test][group].seeds for arm in (one.lower, one.higher))
                assert one.seeds == [b - a for a, b in zip(lower, higher, strict=True)]
                assert (one.mean, one.low, one.high) == interval(one.seeds)


def test_a_claim_flips_when_its_interval_includes_zero() -> None:
    experiment, measured = measurements()
    levelled = changed(measured, "balanced", "retrieval", [0.0, 0.0, 0.0])
    for seed in range(3):  # exactly one point above, in all seeds
        matched = next(one for one in measured if (one.arm, one.seed) == ("matched", seed)).tests["retrieval"].value
        balanced = next(one for one in levelled if (one.arm, one.seed) == ("balanced", seed)).tests["retrieval"].value
        levelled = changed(levelled, "balanced", "retrieval", [matched - balanced + 0.01 if s == seed else 0.0 for s in range(3)])

    def said(by: list[float]) -> str:
        return results_of(experiment, changed(levelled, "balanced", "retrieval", by)).differences["retrieval"]["all"][1].said

    # Differences of 0.01 - d, 0.01, 0.01 + d have an interval of 0.01 ± 4.303 d / √3, which reaches 0 at d = 0.004026.
    assert said([-0.0040, 0.0, 0.0040]) == "higher"
    assert said([-0.0041, 0.0, 0.0041]) == "not shown"
    assert said([-0.0240, -0.02, -0.0160]) == "lower"


def test_the_correlation_is_that_of_numpy_over_the_classes_of_all_seeds() -> None:
    experiment, measured = measurements()
    experiment.counts[1].pop("class 007")  # no caption names it
    experiment.counts[2]["class 009"] = 0
    results = results_of(experiment, measured)
    points: list[tuple[float, float]] = []
    by_seed: list[float] = []
    for one in (one for one in measured if one.arm == "raw"):
        counts, accuracies = experiment.counts[one.seed], one.tests["unseen"].per_class
        own = [(math.log10(counts[name]), accuracies[name]) for name in accuracies if counts.get(name)]
        by_seed.append(np.corrcoef(*zip(*own, strict=True))[0, 1])
        points += own
    found = results.classes["unseen"]["raw"]
    x, y = (np.array(values) for values in zip(*points, strict=True))
    assert found.points == len(x) == 3 * 240 - 2
    assert found.pearson == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert (found.slope, found.intercept) == pytest.approx(tuple(np.polyfit(x, y, 1)))
    assert found.pearson_by_seed is not None
    assert found.pearson_by_seed.seeds == pytest.approx(by_seed)
    assert found.pearson_by_seed.mean == pytest.approx(np.mean(by_seed))


def test_classes_that_no_caption_names_have_no_correlation() -> None:
    experiment, measured = measurements()
    results = results_of(msgspec.structs.replace(experiment, counts={seed: {} for seed in experiment.seeds}), measured)
    assert (results.classes["seen"]["raw"].points, results.classes["seen"]["raw"].pearson) == (0, None)
    assert results.classes["seen"]["raw"].pearson_by_seed is None
    assert results.arms["raw"].tests["seen"]["head"].mean > 0, "thirds are then in the order of names"


def test_balancing_makes_accuracy_depend_less_on_counts(results: Results) -> None:
    """As the measurements were made."""
    slopes = {arm: found.slope for arm, found in results.classes["seen"].items()}
    assert slopes["raw"] == pytest.approx(0.16, abs=0.02)
    assert slopes["balanced"] == pytest.approx(0.09, abs=0.02)


def test_the_cost_is_the_sum_of_all_parts(results: Results) -> None:
    assert results.cost.total == pytest.approx(sum(sum(one.seconds.values()) for one in results.measured))
    assert results.cost.seconds["curate"] == pytest.approx(3.25 * len(results.measured))
    assert sum(arm.seconds["train"] for arm in results.arms.values()) == pytest.approx(results.cost.seconds["train"])


def test_the_file_is_read_as_it_was_written_and_has_the_same_bytes_again(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "results.json")
    assert read_struct(tmp_path / "results.json", Results) == results
    results_of(*measurements()).write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "results.json").read_bytes()
    value = json.loads((tmp_path / "results.json").read_text())
    assert value["arms"]["matched"]["t"] == "inf"
    assert value["arms"]["raw"]["t"] is None
    assert value["claims"] == [list(claim) for claim in CLAIMS]
    assert list(value["arms"]["raw"]["tests"]["seen"]["tail"]) == ["mean", "low", "high", "seeds"]


def test_the_order_of_seeds_is_the_experiments() -> None:
    experiment, measured = measurements()
    assert results_of(experiment, sorted(measured, key=lambda one: -one.seed)).arms == results_of(experiment, measured).arms


def without_class(measured: Measured) -> Measured:
    found = measured.tests["seen"]
    fewer = TestMeasured(found.metric, found.value, dict(list(found.per_class.items())[1:]))
    return msgspec.structs.replace(measured, tests={**measured.tests, "seen": fewer})


def test_what_was_not_measured_is_named() -> None:
    experiment, measured = measurements()

    def missing(experiment: Experiment, measured: list[Measured]) -> list[str]:
        with pytest.raises(IncompleteError, match="not everything was measured") as error:
            results_of(experiment, measured)
        return error.value.details

    assert missing(experiment, measured[:-1]) == ["arm online, seed 2"]
    fewer = msgspec.structs.replace(measured[-1], tests={"seen": measured[-1].tests["seen"]})
    assert missing(experiment, [*measured[:-1], fewer]) == [f"arm online, seed 2, test {test}" for test in ("unseen", "retrieval")]
    assert missing(experiment, [*measured[:-1], without_class(measured[-1])]) == ["arm online, seed 2, test seen"]
    no_raw = [one for one in measured if one.arm != "raw"]
    assert missing(experiment, no_raw) == ["arm raw, which a claim names"]
    assert missing(msgspec.structs.replace(experiment, claims=[]), []) == []


def test_one_seed_has_no_intervals_and_shows_no_order() -> None:
    results = results_of(*measurements(seeds=[0]))
    assert {one.said for groups in results.differences.values() for found in groups.values() for one in found} == {"not shown"}
    assert results.arms["raw"].tests["seen"]["all"].low is None
    assert list(results.arms) == list(ARMS)
