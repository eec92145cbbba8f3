"""Arrays in files, which are whole or absent as any other."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tallyclip.errors import ArtifactError
from tallyclip.io.files import replacing
from tallyclip.io.mirror import fetched


def write_array(path: Path, array: np.ndarray[Any, Any]) -> None:
    """Write an array as ``.npy``."""
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: Path) -> np.ndarray[Any, Any]:
    """Read an array that ``write_array`` wrote for a stage.

    Raises:
        ArtifactError: the file is broken.
    """
    here = fetched(path)
    with _reading(here), here.open("rb") as file:
        return np.load(file, allow_pickle=False)


def map_array(path: str | Path) -> np.ndarray[Any, Any]:
    """The array of a ``.npy`` file of a stage, whose pages are read when they are used.

    Raises:
        ArtifactError: the file is gone or broken.
    """
    here = fetched(Path(path))  # a store that does not answer breaks no file
    with _reading(here):
        return np.load(here, mmap_mode="r", allow_pickle=False)


def read_arrays(path: Path, *names: str) -> dict[str, np.ndarray[Any, Any]]:
    """Read arrays of an ``.npz`` file of a stage, those of these names that there are.

    Raises:
        ArtifactError: the file is broken.
    """
    here = fetched(path)
    with _reading(here), here.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names if name in arrays}


@contextmanager
def _reading(path: Path) -> Generator[None]:
    """NumPy, and zlib below it, raise almost any exception for bytes that are not an array."""
    try:
        yield
    except Exception as error:
        hint = f"delete {path} and run the command that made it again"
        raise ArtifactError(f"{path}: broken: {' '.join(str(error).split())}", hint) from error
