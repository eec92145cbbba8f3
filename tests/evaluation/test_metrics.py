"""Metrics are functions of a matrix: each equals its definition, said slowly, on matrices with many equal scores."""

from __future__ import annotations

import numpy as np
import pytest

from tallyclip.evaluation import metrics

Case = tuple[np.ndarray, np.ndarray]


def case(seed: int, classes: int | None = None) -> Case:
    """Scores of a few values only, so that many are equal, and labels; some classes have no image."""
    draw = np.random.default_rng(seed)
    images, classes = int(draw.integers(1, 60)), classes or int(draw.integers(1, 12))
    scores = draw.integers(0, draw.integers(2, 30), (images, classes)).astype(np.float32)
    return scores, draw.integers(0, classes, images)


def order(row: np.ndarray) -> list[int]:
    """Classes by their scores, the first of equal ones first."""
    return sorted(range(len(row)), key=lambda place: (-row[place], place))


CASES = [case(seed) for seed in range(40)]


@pytest.mark.parametrize("found", CASES)
def test_the_right_answer_is_where_sorting_puts_it(found: Case) -> None:
    scores, labels = found
    places = [order(row).index(label) for row, label in zip(scores, labels, strict=True)]
    assert metrics.ranks(scores, labels).tolist() == places
    assert metrics.top_1(scores, labels) == np.mean([place < 1 for place in places])
    assert metrics.top_5(scores, labels) == np.mean([place < 5 for place in places])
    assert metrics.mean_of_top_1_and_5(scores, labels) == pytest.approx((metrics.top_1(scores, labels) + metrics.top_5(scores, labels)) / 2)


@pytest.mark.parametrize("found", CASES)
def test_the_recall_of_a_class_is_that_of_its_images(found: Case) -> None:
    scores, labels = found
    first = np.array([order(row)[0] for row in scores])
    of_classes = [np.mean(first[labels == c] == c) if (labels == c).any() else np.nan for c in range(scores.shape[1])]
    np.testing.assert_allclose(metrics.recall_of_classes(scores, labels), of_classes, rtol=1e-6)
    assert metrics.mean_per_class(scores, labels) == pytest.approx(np.nanmean(of_classes))


@pytest.mark.parametrize("found", CASES)
def test_f1_is_twice_the_right_ones_among_those_there_are_and_those_that_were_named(found: Case) -> None:
    scores, labels = found
    first = np.array([order(row)[0] for row in scores])
    values = []
    for c in sorted(set(labels.tolist())):
        right = np.sum((first == c) & (labels == c))
        precision, recall = right / max(np.sum(first == c), 1), right / np.sum(labels == c)
        values.append(0 if not right else 2 * precision * recall / (precision + recall))
    assert metrics.f1_macro(scores, labels) == pytest.approx(np.mean(values))


@pytest.mark.parametrize("found", [case(seed, classes=2) for seed in range(100, 130)])
def test_auc_is_the_chance_that_the_right_one_of_two_comes_first(found: Case) -> None:
    scores, labels = found
    above = scores[:, 1] - scores[:, 0]
    pairs = [(one > other) + (one == other) / 2 for one in above[labels == 1] for other in above[labels == 0]]
    np.testing.assert_allclose(metrics.roc_auc(scores, labels), np.mean(pairs) if pairs else np.nan)


@pytest.mark.parametrize("found", CASES)
def test_the_worst_group_has_the_lowest_accuracy(found: Case) -> None:
    scores, labels = found
    groups = np.random.default_rng(0).choice([-3, 0, 7, 1 << 40], len(labels))
    for k in (1, 5):
        right = metrics.ranks(scores, labels) < k
        assert metrics.worst_group(scores, labels, groups, k) == pytest.approx(min(right[groups == g].mean() for g in set(groups.tolist())))


@pytest.mark.parametrize("found", CASES)
def test_of_several_right_documents_the_best_counts(found: Case) -> None:
    scores, _ = found
    draw = np.random.default_rng(1)
    right = draw.random(scores.shape) < 0.3
    right[np.arange(len(right)), draw.integers(0, scores.shape[1], len(right))] = True
    places = [
        min(place for place, document in enumerate(order(row)) if is_right[document]) for row, is_right in zip(scores, right, strict=True)
    ]
    assert metrics.ranks_of_best(scores, right).tolist() == places


def test_a_model_that_gives_everything_one_score_is_as_good_as_chance() -> None:
    scores, labels = np.zeros((40, 8), np.float32), np.arange(40) % 8
    assert metrics.top_1(scores, labels) == 1 / 8
    assert metrics.top_5(scores, labels) == 5 / 8
    assert metrics.mean_per_class(scores, labels) == 1 / 8
    assert metrics.roc_auc(scores[:, :2], labels % 2) == 0.5


def test_every_metric_has_its_name() -> None:
    scores, labels = case(3, classes=2)
    assert all(0 <= metric(scores, labels) <= 1 for metric in metrics.METRICS.values())
