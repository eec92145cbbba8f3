"""open_clip's models with their tokenizers and transforms, and the optimizer of their weights."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.extras import load
from tallyclip.train.open_clip import FirstRow
from tallyclip.train.presets import Settings
from tallyclip.train.torchvision import import_torchvision


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


def model_name(model: str) -> str:
    """The name by which open_clip knows a model: of a configuration file, which it is told of, its name without the suffix.

    Raises:
        OptionError: open_clip knows no such model.
        ArtifactError: the file is none of a model.
    """
    open_clip = import_open_clip()
    if not model.endswith(".json"):
        if model not in open_clip.list_models():
            alike = ", ".join(get_close_matches(model, open_clip.list_models(), n=5)) or "a name that it has"
            raise OptionError(f"open_clip has no model {model}", f"give {alike}, or a .json of its form")
        return model
    path = Path(model)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{model}: not readable: {error}", "give the name of a model, or a configuration as open_clip has it"
        ) from error
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - set(config if isinstance(config, dict) else ())
    if missing:
        raise ArtifactError(f"{model}: no model of open_clip's: it has no {', '.join(sorted(missing))}")
    if path.stem in open_clip.list_models() and open_clip.get_model_config(path.stem) != config:
        raise OptionError(f"{model}: open_clip has another model of this name", "give the file another name")
    open_clip.add_model_config(path)
    return path.stem


def create_model(name: str, settings: Settings, *, seed: int = 0, pretrained: str | None = None) -> CreatedModel:
    """A model of open_clip's with random weights, the same for each seed, or with those of a checkpoint.

    Args:
        name: by which open_clip knows it.
        settings: that says how pictures are cropped.
        seed: of the weights.
        pretrained: a checkpoint of this model, in a form that open_clip reads.

    Raises:
        OptionError: the model is trained with another loss.
        ArtifactError: the checkpoint cannot be read, or is of another model.
    """
    open_clip = import_open_clip()
    config = open_clip.get_model_config(name)
    torch.manual_seed(seed)
    with _few_words():
        model, transform, _ = open_clip.create_model_and_transforms(name, aug_cfg={"scale": settings.crop_scale}, output_dict=True)
    if not isinstance(model, open_clip.CLIP | open_clip.CustomTextCLIP) or getattr(model, "logit_bias", None) is not None:
        raise OptionError(f"{name} is not trained with the loss of CLIP", "give a model of CLIP's kind, such as ViT-B-32-quickgelu")
    if pretrained is not None:
        _load_weights(model, name, pretrained)
    return CreatedModel(model, transform, FirstRow(open_clip.get_tokenizer(name)), config)


def _load_weights(model: torch.nn.Module, name: str, path: str) -> None:
    from_file = import_open_clip().load_checkpoint
    try:
        from_file(model, path)
    except OSError as error:
        raise ArtifactError(f"{path}: not readable: {error.strerror or error}") from error
    except Exception as error:  # of pickle, zip files, shapes, names: whatever torch and open_clip raise for a file that is none
        reason = " ".join(str(error).split())[:300]
        raise ArtifactError(
            f"{path}: not weights of {name} that can be loaded safely: {reason}", "was it written by this model?"
        ) from error


def import_open_clip() -> Any:
    """open_clip, beside any torchvision.

    Raises:
        MissingExtraError: open_clip or torchvision is not installed.
    """
    import_torchvision()
    return load("open_clip", "open_clip_torch", "train", "training")


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
