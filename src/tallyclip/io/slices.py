"""Files of numbers in slices, each of which is read without the others; of a file on a store only its bytes come.

A file begins with the places of its slices, in bytes: where each begins, and where the last ends. Then come the slices, rows of 64-bit
numbers. All numbers are little-endian.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt64

from tallyclip.errors import ArtifactError
from tallyclip.io.files import replacing
from tallyclip.io.mirror import at_once, mirror_of, read_range

NUMBER = np.dtype("<u8")


def write_slices(path: Path, slices: Iterable[UInt64[np.ndarray, "_ K"]], count: int) -> int:
    """Write slices, one after the other; returns how many rows they have.

    Args:
        path: of the file.
        slices: of which one at a time is held in memory.
        count: of the slices.
    """
    places = np.zeros(count + 1, NUMBER)
    places[0] = places.nbytes
    rows = 0
    with replacing(path) as part, part.open("wb") as file:
        file.write(places.tobytes())
        for number, some in enumerate(slices, 1):
            file.write(np.ascontiguousarray(some, NUMBER).data)
            places[number], rows = file.tell(), rows + len(some)
        file.seek(0)
        file.write(places.tobytes())
    return rows


def read_slice(path: Path, number: int, columns: int) -> UInt64[np.ndarray, "n K"]:
    """Read a slice of a file.

    Args:
        path: of the file.
        number: of the slice, from 0.
        columns: K.

    Raises:
        ArtifactError: the file is gone or broken.
    """
    size = NUMBER.itemsize
    try:
        start, stop = np.frombuffer(read_range(path, number * size, (number + 2) * size), NUMBER).tolist()
        return np.frombuffer(read_range(path, start, stop), NUMBER).reshape(-1, columns).astype(np.uint64, copy=False)
    except (OSError, ValueError) as error:
        hint = f"delete {path} and run the command that made it again"
        raise ArtifactError(f"{path}: broken: {error}", hint) from error


def read_slices(paths: Iterable[Path], number: int, columns: int) -> list[UInt64[np.ndarray, "_ K"]]:
    """The slice of the same number of each file, those with rows, in the order of the files; see ``read_slice``."""
    paths = list(paths)
    found: dict[Path, UInt64[np.ndarray, "_ K"]] = {}

    def read(path: Path) -> None:
        found[path] = read_slice(path, number, columns)

    if paths and mirror_of(paths[0]) is not None:
        at_once(read, paths)
    else:
        for path in paths:
            read(path)
    return [found[path] for path in paths if len(found[path])]
