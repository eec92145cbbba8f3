"""open_clip's models with their tokenizers and transforms, and the optimizer of their weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.train.open_clip import FirstRow
from tallyclip.train.presets import Settings
from tallyclip.train.weights import import_open_clip, load_weights


class CreatedModel(NamedTuple):
    """A model, and what makes its inputs.

    Attributes:
        model: whose ``forward(images, texts)`` gives a dict of image_features, text_features and logit_scale.
        transform: from a picture to float[3, H, W], with a random crop.
        tokenizer: from a text to int64[T].
        config: its architecture, as open_clip has it.
    """

    model: torch.nn.Module
    transform: Callable[[Any], torch.Tensor]
    tokenizer: Callable[[str], torch.Tensor]
    config: dict[str, Any]


def create_model(name: str, settings: Settings, *, seed: int = 0, pretrained: str | None = None) -> CreatedModel:
    """A model of open_clip's with random weights, the same for each seed, or with those of a checkpoint.

    Args:
        name: by which open_clip knows it.
        settings: that says how pictures are cropped.
        seed: of the weights.
        pretrained: a checkpoint of this model, in a form that open_clip reads.

    Raises:
        OptionError: the model is trained with another loss.
        ArtifactError: the configuration has unknown keys; or the checkpoint cannot be read, or is of another model.
    """
    open_clip = import_open_clip()
    config = open_clip.get_model_config(name)
    torch.manual_seed(seed)
    try:
        with _few_words():
            model, transform, _ = open_clip.create_model_and_transforms(name, aug_cfg={"scale": settings.crop_scale}, output_dict=True)
    except TypeError as error:  # a key of the configuration is no argument of open_clip's classes
        raise ArtifactError(f"{name}: not a model's configuration: {error}", "see open_clip's model_configs") from error
    if not isinstance(model, open_clip.CLIP | open_clip.CustomTextCLIP) or getattr(model, "logit_bias", None) is not None:
        raise OptionError(f"{name} is not trained with the loss of CLIP", "give a model of CLIP's kind, such as ViT-B-32-quickgelu")
    if pretrained is not None:
        load_weights(model, name, pretrained)
    return CreatedModel(model, transform, FirstRow(open_clip.get_tokenizer(name)), config)


def adamw(model: torch.nn.Module, settings: Settings) -> torch.optim.AdamW:
    """The optimizer. Weights of two and more dimensions decay. Biases, gains of norms, the class embedding and the logit scale do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim < 2], "weight_decay": 0.0},
        {"params": [parameter for parameter in parameters if parameter.ndim >= 2], "weight_decay": settings.weight_decay},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(settings.beta1, settings.beta2), eps=settings.eps)


def operations_of_pair(model: Any, device: torch.device) -> int:
    """Floating-point operations that training on one pair takes: three times those of its matrix products, one picture and one text.

    What is computed twice to save memory counts once, as is usual for the model's utilization (MFU).
    """
    size = model.visual.image_size
    height, width = size if isinstance(size, tuple) else (size, size)
    picture = torch.zeros(1, 3, height, width, device=device)
    text = torch.zeros(1, model.context_length, dtype=torch.int64, device=device)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(picture, text)
    return 3 * counter.get_total_flops()


@contextmanager
def _few_words() -> Generator[None]:
    """open_clip tells the log that weights are random, which is meant."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
