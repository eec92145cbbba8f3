"""Checkpoints: all that a training needs to go on, in one file that is whole or not there.

OUT/checkpoints/step-0000012345.pt is a dict. ``state_dict`` are the weights, so open_clip loads the file as any other of its own:
``open_clip.create_model(NAME, pretrained=FILE)``. Beside them are the states of the optimizer, of the loss's scale and of the loader.
Random numbers need no state: those of a step follow from the seed, the step and the rank, those of a sample from its uid and epoch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tallyclip.errors import ArtifactError, OutputError
from tallyclip.io.files import clear_parts, replacing

NAME = re.compile(r"step-(\d{10})\.pt")


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` steps is."""
    return folder / f"step-{step:010d}.pt"


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the last at the end."""
    return sorted(path for path in folder.glob("step-*.pt") if NAME.fullmatch(path.name))


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file that can be loaded, or none: it is on the disk in whole before it has its name.

    Raises:
        OutputError: the disk is full, or the folder cannot be written. Files that are there stay as they are.
    """
    with replacing(path) as part, part.open("wb") as file:
        try:
            torch.save(dict(content), file)
        except RuntimeError as error:  # of torch's own writer, whose first reason is the system's
            raise _reason(error, path) from error
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def keep_last(folder: Path, number: int) -> None:
    """Delete all checkpoints but the last ones, and what was left of files that were not finished."""
    clear_parts(folder)
    for path in checkpoints_in(folder)[:-number]:
        path.unlink()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the processor. Nothing that it says is run.

    Raises:
        ArtifactError: it cannot be read, or is no checkpoint of a training.
    """
    hint = f"delete it: the one before is taken then; this is torch {torch.__version__}"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except OSError as error:
        raise ArtifactError(f"{path}: not readable: {error.strerror or error}") from error
    except Exception as error:  # of pickle and of zip files, whatever torch raises for a file that is broken or written by a later one
        raise ArtifactError(f"{path}: no checkpoint that can be loaded: {why_not_loaded(error)}", hint) from error
    names = {"state_dict", "optimizer", "scaler", "loader", "step", "seen", "torch"}
    if not isinstance(content, dict) or not names.issubset(content):
        raise ArtifactError(f"{path}: no checkpoint of a training that can go on", hint)
    return content


def why_not_loaded(error: Exception) -> str:
    """What torch says of a file that it does not load, in one line and without its advice to trust the file."""
    said = " ".join(str(error).split())
    return said.partition("WeightsUnpickler error: ")[2].partition(" Please use")[0] or said[:300]


def _reason(error: RuntimeError, path: Path) -> BaseException:
    """The error of the file system behind one of torch's, if there is one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause or OutputError(f"{path}: cannot be written: {error}", "look at the free space of the disk")


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
