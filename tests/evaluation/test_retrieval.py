"""Retrieval: what blocks of the matrix give is what the whole gives, and what the definition says."""

from __future__ import annotations

import numpy as np
import pytest

from tallyclip.evaluation import retrieval as module
from tallyclip.evaluation.retrieval import retrieval

KS = (1, 3, 10)


def embeddings(count: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def slowly(images: np.ndarray, texts: np.ndarray, image_of_text: np.ndarray) -> dict[str, float]:
    scores = texts @ images.T
    found: dict[str, float] = {}
    for k in KS:
        first_images = [np.argsort(-row, kind="stable")[:k] for row in scores]
        first_texts = [np.argsort(-row, kind="stable")[:k] for row in scores.T]
        found[f"image_retrieval_recall@{k}"] = float(
            np.mean([image in first for image, first in zip(image_of_text, first_images, strict=True)])
        )
        found[f"text_retrieval_recall@{k}"] = float(np.mean([i in image_of_text[first] for i, first in enumerate(first_texts)]))
    return found


@pytest.mark.parametrize("at_once", [1, 40, 170, 1 << 24])
def test_blocks_of_any_size_give_what_sorting_everything_gives(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCORES_AT_ONCE", at_once)
    for seed in range(5):
        draw = np.random.default_rng(seed)
        image_of_text = np.concatenate([np.arange(23), draw.integers(0, 23, 40)])
        draw.shuffle(image_of_text)
        images = embeddings(23, seed)
        texts = embeddings(63, seed + 50) + images[image_of_text] * draw.random()
        assert retrieval(images, texts, image_of_text, KS) == pytest.approx(slowly(images, texts, image_of_text))


def test_texts_that_equal_their_images_are_found_first_and_those_of_others_are_not() -> None:
    images = embeddings(12, 0)
    image_of_text = np.repeat(np.arange(12), 3)
    assert set(retrieval(images, images[image_of_text], image_of_text, KS).values()) == {1.0}
    assert retrieval(images, images[(image_of_text + 1) % 12], image_of_text, (1,)) == {
        "image_retrieval_recall@1": 0,
        "text_retrieval_recall@1": 0,
    }
