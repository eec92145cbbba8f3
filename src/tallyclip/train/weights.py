"""Models of open_clip by their names or files, and their weights, each checked before it is used."""

from __future__ import annotations

import difflib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.extras import load
from tallyclip.io.files import read_json
from tallyclip.train.torchvision import import_torchvision

PURPOSE = "training and evaluating models"
SCHEMAS = ("hf-hub:", "local-dir:")  # names that bring their own weights
POSITIONS = ("positional_embedding", "visual.positional_embedding", "text.positional_embedding")
CONFIGURATION = ("embed_dim", "vision_cfg", "text_cfg")  # what a model's has
SUGGESTED = 5
LISTED = 5


def import_open_clip() -> Any:
    """open_clip, beside any torchvision.

    Raises:
        MissingExtraError: open_clip or torchvision is not installed.
    """
    import_torchvision()
    return load("open_clip", "open_clip_torch", "train", PURPOSE)


def architecture_of(name: str) -> str:
    """The name by which open_clip knows a model: of a configuration file, which it is told of, its name without the suffix.

    Raises:
        OptionError: open_clip knows no such model, or another of the file's name.
        ArtifactError: the file is none of a model.
    """
    if name.startswith(SCHEMAS):
        return name
    package = import_open_clip()
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
        raise ArtifactError(f"{path}: not a model's configuration: it has no {_few(missing)}", "see open_clip's model_configs")
    if path.stem in package.list_models() and package.get_model_config(path.stem) != config:
        raise OptionError(f"{path}: open_clip has another model of this name", "give the file another name")
    package.add_model_config(path)
    return path.stem


def load_weights(model: Any, name: str, file: str) -> None:
    """Load a checkpoint into a model.

    Raises:
        ArtifactError: it is not the model's, or not only weights.
    """
    package = import_open_clip()
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
    return [f"{count:,} {what}: {_few(keys)}" for count, what, keys in lines if count]


def _few(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED:,} more" if len(names) > LISTED else "")
