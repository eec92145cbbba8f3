"""The gradients of a step: of the contrastive loss of all pairs of all ranks, whatever part of them fits into memory at a time.

A batch that does not fit is cut into chunks (GradCache, arXiv 2101.06983). The features of all chunks are computed first and nothing is
kept but them; the loss of these features gives the gradient of each feature; then each chunk is computed again, and its features'
gradients are carried on to the weights. That is exact, since the loss depends on the weights through the features alone, if the second
time gives the same features: so the random numbers of a chunk are those of its own seed, and models whose features depend on the other
pairs of a chunk, as with batch normalisation, are refused.

Ranks: the loss of a rank is the mean over its own pairs, with the features of all ranks as the others. Gathering carries gradients back
to the rank that a feature is from, so a rank's gradient is that of the sum of all ranks' losses by its own features. DDP takes the mean of
that over the ranks: the gradient of the mean loss, as one process would compute it. The logit scale of each rank has a gradient of its own
loss alone, and their mean is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float32, Int64
from torch.nn.parallel import DistributedDataParallel

from tallyclip.errors import OptionError

Chunk = tuple[Float32[torch.Tensor, "B 3 H W"], Int64[torch.Tensor, "B T"]]  # pictures and their texts' tokens
Autocast = Callable[[], AbstractContextManager[Any]]


def add_gradients(
    model: torch.nn.Module,
    loss: Callable[..., torch.Tensor],
    chunks: Sequence[Chunk],
    *,
    seed: int,
    autocast: Autocast = nullcontext,
    scale: Callable[[torch.Tensor], torch.Tensor] = lambda loss: loss,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add the gradients of the loss of this rank's chunks to those of the model's parameters.

    Args:
        model: gives a dict: image_features and text_features, float[B, D] each, and logit_scale, float[]; one of open_clip's with
            ``output_dict``, possibly in DDP.
        loss: of these, by their names; of ``B * len(chunks)`` pairs.
        chunks: of equal sizes on all ranks.
        seed: of the random numbers that the model draws, as for dropout.
        autocast: the context to compute in.
        scale: multiplies the loss before its gradients are taken, as a GradScaler does.

    Returns:
        The loss of this rank, and the logit scale.
    """
    if len(chunks) == 1:
        torch.manual_seed(seed)
        with autocast():
            made = model(*chunks[0])
            value = loss(**made)
        scale(value).backward()
        return value.detach(), made["logit_scale"].detach()

    cached: list[dict[str, torch.Tensor]] = []
    for number, chunk in enumerate(chunks):
        torch.manual_seed(seed + number)
        with torch.no_grad(), autocast():
            cached.append(model(*chunk))
    logit_scale = cached[0]["logit_scale"].clone().requires_grad_()
    images, texts = (torch.cat([made[name] for made in cached]).requires_grad_() for name in ("image_features", "text_features"))
    with autocast():
        value = loss(image_features=images, text_features=texts, logit_scale=logit_scale)
    scale(value).backward()

    of_images, of_texts = _gradient(images).chunk(len(chunks)), _gradient(texts).chunk(len(chunks))
    of_scale = [torch.zeros_like(logit_scale)] * (len(chunks) - 1) + [_gradient(logit_scale)]  # every chunk uses it, and it counts once
    for number, chunk in enumerate(chunks):
        torch.manual_seed(seed + number)
        is_last = number == len(chunks) - 1
        with model.no_sync() if isinstance(model, DistributedDataParallel) and not is_last else nullcontext():  # ranks exchange sums once
            with autocast():
                made = model(*chunk)
            features = [made["image_features"], made["text_features"], made["logit_scale"]]
            torch.autograd.backward(features, [of_images[number], of_texts[number], of_scale[number]])
    return value.detach(), logit_scale.detach()


def check_chunks(model: torch.nn.Module, chunks: int) -> None:
    """Refuse to cut batches of a model whose features depend on the other pairs of a chunk.

    Raises:
        OptionError: there are several chunks, and the model has batch normalisation.
    """
    normalised = [name for name, module in model.named_modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]  # pyright: ignore[reportPrivateUsage] - their base class has no other name
    if chunks > 1 and normalised:
        raise OptionError(
            f"the model has batch normalisation ({normalised[0]}, ...), so a batch in {chunks} chunks is not the same as one",
            "give a --batch-size that is the --global-batch over the number of processes, or a model without it, such as a ViT",
        )


def _gradient(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None, "the loss depends on features and logit scale"
    return tensor.grad
