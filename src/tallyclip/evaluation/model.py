"""Models of open_clip with their weights, each checked before it is used."""

from __future__ import annotations

import difflib
import logging
import os
import pickle
import warnings
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.evaluation.images import shown
from tallyclip.extras import load
from tallyclip.io.files import read_json
from tallyclip.train.torchvision import import_torchvision

PURPOSE = "evaluating models"
SCHEMAS = ("hf-hub:", "local-dir:")  # names that bring their own weights
PRECISIONS = ("fp32", "amp")
POSITIONS = ("positional_embedding", "visual.positional_embedding", "text.positional_embedding")
CONFIGURATION = ("embed_dim", "vision_cfg", "text_cfg")  # what a model's has
SUGGESTED = 5


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


def open_clip() -> Any:
    """The package.

    Raises:
        MissingExtraError: it is not installed.
    """
    import_torchvision()
    return load("open_clip", "open_clip_torch", "train", PURPOSE)


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
    package = open_clip()
    if precision not in PRECISIONS:
        raise OptionError(f"--precision {precision}: no such precision", f"it is one of {', '.join(PRECISIONS)}")
    place = _device(device)
    architecture = _architecture(package, name)
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
        _load_weights(package, model, name, file)
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


def _architecture(package: Any, name: str) -> str:
    """The name by which open_clip knows the model."""
    if name.startswith(SCHEMAS):
        return name
    if name.endswith(".json"):
        return _configured(package, Path(name))
    known = package.list_models()
    if name not in known:
        near = difflib.get_close_matches(name, known, SUGGESTED, 0.5)
        raise OptionError(f"open_clip has no model {name}", f"near are {', '.join(near)}" if near else "see open_clip.list_models()")
    return name


def _configured(package: Any, path: Path) -> str:
    """Tell open_clip of a configuration in a file; the model is called as the file is."""
    if not path.is_file():
        raise OptionError(f"{path}: no such file", "a model is a name of open_clip, or a JSON file as in its model_configs")
    config = read_json(path)
    missing = [key for key in CONFIGURATION if key not in config]
    if missing:
        raise ArtifactError(f"{path}: not a model's configuration: it has no {shown(missing)}", "see open_clip's model_configs")
    if path.stem in package.list_models() and package.get_model_config(path.stem) != config:
        raise OptionError(f"{path}: open_clip has another model of this name", "give the file another name")
    package.add_model_config(path)
    return path.stem


def _load_weights(package: Any, model: Any, name: str, file: str) -> None:
    """Load a checkpoint into a model.

    Raises:
        ArtifactError: it is not the model's, or not only weights.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # torch warns of files that are no checkpoints
            weights: Mapping[str, Any] = package.factory.load_state_dict(file, device="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        hint = "save the weights alone: torch.save(model.state_dict(), FILE)"
        raise ArtifactError(f"{file}: no checkpoint, or one that holds more than weights and numbers, which may run code", hint) from error
    except Exception as error:  # torch and open_clip raise whatever comes of a file that is none
        raise ArtifactError(f"{file}: no checkpoint, or a damaged one: {' '.join(str(error).split())[:200]}") from error
    wanted = {key: value.shape for key, value in model.state_dict().items()}
    # open_clip would resize these, and the numbers would be of a model that was never trained.
    resized = [key for key in POSITIONS if key in wanted and isinstance(weights.get(key), Tensor) and weights[key].shape != wanted[key]]
    try:
        if resized:
            raise RuntimeError
        package.load_checkpoint(model, file)
    except (RuntimeError, KeyError, AttributeError, ValueError) as error:
        what, hint = f"{file}: its weights are not those of {name}", "give --model the name of the model it was trained as"
        raise ArtifactError(what, hint, _misfits(wanted, weights)) from error


def _misfits(wanted: Mapping[str, torch.Size], weights: Mapping[str, Any]) -> list[str]:
    """What does not fit, a line each."""
    missing = [key for key in wanted if key not in weights]
    others = [key for key in weights if key not in wanted]
    shapes = [
        f"{key} {tuple(weights[key].shape)} instead of {tuple(shape)}"
        for key, shape in wanted.items()
        if isinstance(weights.get(key), Tensor) and weights[key].shape != shape
    ]
    lines = ((len(missing), "missing", missing), (len(others), "not of the model", others), (len(shapes), "of another shape", shapes))
    return [f"{count:,} {what}: {shown(keys)}" for count, what, keys in lines if count]
