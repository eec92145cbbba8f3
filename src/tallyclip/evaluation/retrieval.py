"""Retrieval: which texts come first for an image, and which images for a text, block by block of the matrix of similarities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64

from tallyclip.evaluation.metrics import ranks, ranks_of_best, recall_at

SCORES_AT_ONCE = 1 << 24  # in a block: 64 MiB


def retrieval(
    images: Float32[np.ndarray, "I D"],
    texts: Float32[np.ndarray, "T D"],
    image_of_text: Int64[np.ndarray, " T"],
    ks: Sequence[int],
) -> dict[str, float]:
    """Recall@k in both directions, by CLIP_benchmark's names.

    Of an image it is enough that one of its texts is among the first k, as in papers on CLIP. The I × T similarities are never all in
    memory.

    Args:
        images: embeddings of length 1.
        texts: embeddings of length 1.
        image_of_text: the image that each text is of, in range(I); every image has a text.
        ks: each at least 1.
    """
    of_texts = np.concatenate([ranks(texts[rows] @ images.T, image_of_text[rows]) for rows in _blocks(len(texts), len(images))])
    of_images = np.concatenate(
        [
            ranks_of_best(images[rows] @ texts.T, image_of_text == np.arange(rows.start, rows.stop)[:, None])
            for rows in _blocks(len(images), len(texts))
        ]
    )
    found: dict[str, float] = {}
    for k in ks:
        found[f"image_retrieval_recall@{k}"] = recall_at(of_texts, k)
        found[f"text_retrieval_recall@{k}"] = recall_at(of_images, k)
    return found


def _blocks(queries: int, documents: int) -> list[slice]:
    size = max(1, SCORES_AT_ONCE // documents)
    return [slice(start, min(start + size, queries)) for start in range(0, queries, size)]
