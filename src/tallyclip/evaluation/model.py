"""Models of open_clip with their weights, each checked before it is used."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.train.weights import SCHEMAS, architecture_of, import_open_clip, load_weights

PRECISIONS = ("fp32", "amp")


class ZeroShotModel(NamedTuple):
    """A model with what it takes to use it.

    Attributes:
        name: of the architecture.
        pretrained: the file or tag of its weights; empty if the name says it all.
        model: open_clip's, on its device, for inference.
        tokenizer: texts → token ids, int64[T, L].
        preprocess: picture → float32[3, H, W].
        device: that it is on.
        precision: "fp32", or "amp" for half precision where open_clip takes it: float16 on GPUs, bfloat16 on CPUs.
    """

    name: str
    pretrained: str
    model: Any
    tokenizer: Any
    preprocess: Any
    device: torch.device
    precision: str

    def autocast(self) -> AbstractContextManager[Any]:
        """For what the model computes."""
        return torch.autocast(self.device.type, enabled=self.precision == "amp")


def load_model(name: str, pretrained: str | None, device: str | None, precision: str) -> ZeroShotModel:
    """A model of open_clip with its weights.

    Args:
        name: one of ``open_clip.list_models()``, a JSON file with such a configuration, or a name that begins with ``hf-hub:`` or
            ``local-dir:``.
        pretrained: a checkpoint, of ``tallyclip train`` or open_clip, or weights alone, or the name of weights that open_clip can fetch;
            None with a name that brings its own.
        device: such as "cuda:1"; None for a GPU if there is one.
        precision: one of ``PRECISIONS``.

    Raises:
        OptionError: no such model, weights, device or precision.
        ArtifactError: the checkpoint is of another model, or holds more than weights.
        MissingExtraError: open_clip is not installed.
    """
    package = import_open_clip()
    if precision not in PRECISIONS:
        raise OptionError(f"--precision {precision}: no such precision", f"it is one of {', '.join(PRECISIONS)}")
    place = _device(device)
    architecture = architecture_of(name)
    brings_weights = name.startswith(SCHEMAS)
    if brings_weights and pretrained is not None:
        raise OptionError(f"{name} brings its weights, so there is no --pretrained", "leave one of them out")
    if not brings_weights and pretrained is None:
        tags = package.list_pretrained_tags_by_model(architecture)
        known = f", or the name of weights that open_clip can fetch: {', '.join(tags)}" if tags else ""
        raise OptionError(f"{name} has no weights yet", f"give --pretrained a checkpoint{known}")
    file = pretrained if pretrained is not None and os.path.isfile(pretrained) else None
    tag = pretrained if file is None else None
    if tag is not None and not package.get_pretrained_cfg(architecture, tag):
        tags = package.list_pretrained_tags_by_model(architecture)
        hint = f"weights that open_clip can fetch for it: {', '.join(tags)}" if tags else "open_clip knows no weights for it"
        raise OptionError(f"{tag}: no such file, and open_clip has no weights of that name for {name}", hint)
    try:
        with _quiet():  # that a model has no weights yet is no warning
            model, _, preprocess = package.create_model_and_transforms(architecture, pretrained=tag)
        tokenizer = package.get_tokenizer(architecture)
    except (RuntimeError, OSError, ValueError, ImportError) as error:  # what is fetched: weights, configurations, tokenizers
        raise ArtifactError(f"{name}: open_clip cannot make it: {' '.join(str(error).split())[:500]}") from error
    if file is not None:
        load_weights(model, name, file)
    return ZeroShotModel(_stem(name), pretrained or "", model.to(place).eval(), tokenizer, preprocess, place, precision)


@contextmanager
def _quiet() -> Generator[None]:
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _stem(name: str) -> str:
    return Path(name).stem if name.endswith(".json") else name


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter if torch was built without CUDA
        said = str(error).splitlines()[0][:200]
        what = f"--device {name}: there is no such device: {said}"
        raise OptionError(what, "leave it out to use a GPU if there is one") from error
    return device
