"""Drawings of all things in one style: a picture of cells."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.experiment.world.things import all_things
from tallyclip.io.toml import meant

BUNDLED = ("noto", "fluent-3d", "twemoji")
CELL = 64  # pixels of a cell's side
COLUMNS = 36
LISTED = 5  # names in a message


class Atlas(NamedTuple):
    """Drawings in one style.

    Attributes:
        name: of the bundled atlas, or the path.
        cells: a picture for each thing, CELL x CELL pixels. Their mode is RGBa: colours are multiplied by how opaque they are, as is best
            for pictures that are resized and turned.
    """

    name: str
    cells: list[Image.Image]


@cache
def open_atlas(name_or_path: str) -> Atlas:
    """The atlas of this name that is bundled, or one in a file.

    Args:
        name_or_path: "noto", "fluent-3d" or "twemoji"; or the path of a picture of the same cells.

    Raises:
        OptionError: there is no such atlas.
        ArtifactError: the file cannot be used.
    """
    if name_or_path in BUNDLED:
        with resources.as_file(resources.files("tallyclip") / "experiment" / "world" / "data" / f"{name_or_path}.webp") as path:
            return Atlas(name_or_path, _cells(path))
    check_atlas(name_or_path)
    return Atlas(name_or_path, _cells(Path(name_or_path)))


def check_atlas(path: str | Path) -> None:
    """Refuse a file that is no atlas.

    Raises:
        OptionError: there is no such file.
        ArtifactError: it is no picture, or of another size, has nothing transparent, or has an empty cell.
    """
    path = Path(path)
    cells = _cells(path)
    alphas = [np.asarray(cell.getchannel("a")) for cell in cells]
    if all(alpha.min() == 255 for alpha in alphas):
        what = f"{path}: nothing in it is transparent, so each thing would have the same background everywhere"
        raise ArtifactError(what, "save it with transparency, as PNG or WebP")
    empty = [thing for thing, alpha in zip(all_things(), alphas, strict=True) if alpha.max() == 0]
    if empty:
        shown = ", ".join(f"{thing.cell} ({thing.name})" for thing in empty[:LISTED])
        more = f" and {len(empty) - LISTED:,} more" if len(empty) > LISTED else ""
        raise ArtifactError(f"{path}: cells are empty: {shown}{more}", "cells are numbered row by row, from 0: draw each of these things")


def _cells(path: Path) -> list[Image.Image]:
    rows = -(-len(all_things()) // COLUMNS)
    size = (COLUMNS * CELL, rows * CELL)
    form = f"an atlas is a picture of {size[0]} x {size[1]} pixels: {COLUMNS} x {rows} cells of {CELL} x {CELL}, with transparency"
    try:
        with Image.open(path) as picture:
            if picture.size != size:
                raise ArtifactError(f"{path}: {picture.width} x {picture.height} pixels", form)
            whole = picture.convert("RGBA").convert("RGBa")
    except (FileNotFoundError, NotADirectoryError):
        hint = f"{meant(str(path), BUNDLED)}give {', '.join(BUNDLED)}, or a file: {form}"
        raise OptionError(f"{path}: no such atlas, and no such file", hint) from None
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise ArtifactError(f"{path}: not a picture that can be read", form) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ArtifactError(f"{path}: not a picture that can be read: {error}", form) from error
    places = ((i % COLUMNS * CELL, i // COLUMNS * CELL) for i in range(len(all_things())))
    return [whole.crop((x, y, x + CELL, y + CELL)) for x, y in places]
