"""The classifier that texts make: of each class the mean of its prompts' embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float32
from torch.nn.functional import normalize

Told = Callable[[int], None]


@torch.no_grad()
def build_classifier(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[str]], device: torch.device, batch_size: int, told: Told
) -> Float32[torch.Tensor, "C D"]:
    """An embedding of length 1 for each of C classes: the mean of those of its prompts, each of length 1, and that scaled to length 1.

    Args:
        model: of open_clip.
        tokenizer: of that model.
        prompts: of each class, at least one.
        device: of the model.
        batch_size: prompts that are embedded at once.
        told: called with how many more are.
    """
    texts = [text for of_class in prompts for text in of_class]
    embedded = embed_texts(model, tokenizer, texts, device, batch_size, told)
    ends = list(accumulate(map(len, prompts)))
    means = torch.stack([embedded[end - len(of_class) : end].mean(dim=0) for of_class, end in zip(prompts, ends, strict=True)])
    return normalize(means, dim=-1)


@torch.no_grad()
def embed_texts(
    model: Any, tokenizer: Any, texts: Sequence[str], device: torch.device, batch_size: int, told: Told
) -> Float32[torch.Tensor, "T D"]:
    """Embeddings of length 1 of T texts, on the CPU; arguments as of ``build_classifier``."""
    embedded: list[torch.Tensor] = []
    for start in range(0, len(texts), batch_size):
        batch = list(texts[start : start + batch_size])
        embedded.append(normalize(model.encode_text(tokenizer(batch).to(device)).float(), dim=-1).cpu())
        told(len(batch))
    return torch.cat(embedded)
