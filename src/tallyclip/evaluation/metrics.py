"""Metrics as functions of a matrix: scores of N images for C classes, or of Q queries for D documents, and what is right.

Of equal scores the first counts as higher. So a model that gives the same score to everything is as good as chance, and no better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64


def ranks(scores: Float32[np.ndarray, "N C"], labels: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """How many classes come before the right one, for each image.

    Args:
        scores: of N images for C classes, higher is likelier.
        labels: the right class of each image, of range(C).

    >>> ranks(np.float32([[0.1, 0.9, 0.5], [0.2, 0.2, 0.2]]), np.array([2, 1])).tolist()
    [1, 1]
    """
    right = np.take_along_axis(scores, labels[:, None], axis=1)
    before = np.arange(scores.shape[1]) < labels[:, None]
    return ((scores > right) | ((scores == right) & before)).sum(axis=1, dtype=np.int64)


def ranks_of_best(scores: Float32[np.ndarray, "Q D"], right: Bool[np.ndarray, "Q D"]) -> Int64[np.ndarray, " Q"]:
    """How many documents come before the best of the right ones, for each query.

    Args:
        scores: of Q queries for D documents.
        right: which documents are right for which query; at least one for each.

    >>> ranks_of_best(np.float32([[0.1, 0.9, 0.5, 0.4]]), np.array([[True, False, True, False]])).tolist()
    [1]
    """
    best = np.where(right, scores, -np.inf).argmax(axis=1)
    return ranks(scores, best.astype(np.int64))


def recall_at(found: Int64[np.ndarray, " N"], k: int) -> float:
    """The share of images or queries whose right answer is among the first k.

    Args:
        found: how many answers come before the right one.
        k: at least 1.
    """
    return float((found < k).mean())


def top_1(scores: Float32[np.ndarray, "N C"], labels: Int64[np.ndarray, " N"]) -> float:
    """The share of images whose right class has the highest score."""
    return recall_at(ranks(scores, labels), 1)


def top_5(scores: Float32[np.ndarray, "N C"], labels: Int64[np.ndarray, " N"]) -> float:
    """The share of images whose right class is among the five with the highest scores."""
    return recall_at(ranks(scores, labels), 5)


def mean_of_top_1_and_5(scores: Float32[np.ndarray, "N C"], labels: Int64[np.ndarray, " N"]) -> float:
    """The mean of both, as Kinetics has it."""
    found = ranks(scores, labels)
    return (recall_at(found, 1) + recall_at(found, 5)) / 2


def recall_of_classes(scores: Float32[np.ndarray, "N C"], labels: Int64[np.ndarray, " N"]) -> Float64[np.ndarray, " C"]:
    """Of each class the share of its images that have it as their first; NaN for a class without images."""
    right = np.bincount(labels, weights=scores.argmax(axis=1) == labels, minlength=scores.shape[1])
    images = np.bincount(labels, minlength=scores.shape[1])
    return np.divide(right, images, out=np.full(len(images), np.nan), where=images > 0)


def mean_per_class(scores: Float32[np.ndarray, "N C"], labels: Int64[np.ndarray, " N"]) -> float:
    """The mean of ``recall_of_classes`` over the classes that have images."""
    return float(np.nanmean(recall_of_classes(scores, labels)))


def roc_auc(scores: Float32[np.ndarray, "N 2"], labels: Int64[np.ndarray, " N"]) -> float:
    """The area under the ROC curve of the second class, by how far its score is above that of the first.

    It is the chance that of an image of each class the right one comes first, and half that chance where both are equal. NaN if a class
    has no image.

    >>> roc_auc(np.float32([[0, 1], [0, 3], [0, 2], [0, 4]]), np.array([0, 0, 1, 1]))
    0.75
    """
    above = scores[:, 1].astype(np.float64) - scores[:, 0]
    _, place, count = np.unique(above, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2  # the mean of the places, from 1, that equal values share
    second = labels == 1
    n_second, n_first = int(second.sum()), int((~second).sum())
    if not n_first or not n_second:
        return float("nan")
    return float((middle[place[second]].sum() - n_second * (n_second + 1) / 2) / (n_first * n_second))


def f1_macro(scores: Float32[np.ndarray, "N C"], labels: Int64[np.ndarray, " N"]) -> float:
    """The mean F1 over the classes that have images, as WILDS has it for iWildCam."""
    first = scores.argmax(axis=1)
    right = np.bincount(labels[first == labels], minlength=scores.shape[1])
    images, named = np.bincount(labels, minlength=scores.shape[1]), np.bincount(first, minlength=scores.shape[1])
    return float((2 * right / np.maximum(images + named, 1))[images > 0].mean())


def worst_group(scores: Float32[np.ndarray, "N C"], labels: Int64[np.ndarray, " N"], groups: Int64[np.ndarray, " N"], k: int = 1) -> float:
    """The lowest top-k accuracy of a group of images.

    Args:
        scores: of N images for C classes.
        labels: the right class of each image.
        groups: the group of each, any number.
        k: how many classes count as the first.
    """
    found = ranks(scores, labels) < k
    _, group = np.unique(groups, return_inverse=True)
    return float((np.bincount(group, weights=found) / np.bincount(group)).min())


# By the names that CLIP_benchmark and DataComp give them in their results. Of two classes the first five say nothing.
METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = MappingProxyType(
    {
        "acc1": top_1,
        "acc5": top_5,
        "mean_per_class_recall": mean_per_class,
        "mean_acc1_acc5": mean_of_top_1_and_5,
        "roc_auc": roc_auc,
        "F1-macro_all": f1_macro,
    }
)
GROUP_METRICS: Mapping[str, int] = MappingProxyType({"acc_worst_region": 1, "acc_wg": 1, "acc_top5_wg": 5})  # the k of ``worst_group``
MIXED_METRIC = "mean_recall@1"  # of retrieval: the mean of both directions
