"""A picture of a thing: its drawing on a background, at any place, size and angle, perhaps with other things beside or behind it."""

from __future__ import annotations

import io
import math
from bisect import bisect
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy.random import Generator
from PIL import Image

from tallyclip.experiment.world.atlas import Atlas
from tallyclip.experiment.world.things import Thing

QUALITY = 90  # of JPEG
SIZES = (0.45, 0.95)  # of the thing, as shares of the picture's side
SIZES_BESIDE = (0.3, 0.5)  # of another thing
BESIDE = (0.7, 0.9)  # below the first there is no other thing, below the second one, above it two
OUTSIDE = 0.06  # share of its side that a thing may reach out of the picture
MOST_TURNED = 25.0  # degrees
CLEAR = 0.6  # share of another thing that is to be seen, for a caption to name it
COLOURS = {
    "white": (246, 246, 246),
    "black": (24, 24, 26),
    "grey": (140, 142, 145),
    "red": (205, 45, 45),
    "orange": (240, 140, 40),
    "yellow": (245, 215, 70),
    "green": (75, 165, 80),
    "blue": (55, 105, 205),
    "light blue": (165, 210, 240),
    "purple": (130, 75, 175),
    "pink": (245, 165, 195),
    "brown": (130, 90, 60),
    "beige": (228, 212, 180),
}
# What backgrounds are like, in words with one or two colours; and below which chance each is drawn.
BACKGROUNDS = ("{} background", "{} and {} gradient", "{} and {} background", "{} and {} stripes", "textured {} surface")
BELOW = (0.4, 0.6, 0.72, 0.8, 1.0)
WHITE = 0.35  # share of plain backgrounds that are white, as of products


class Picture(NamedTuple):
    """A picture.

    Attributes:
        content: of the JPEG file.
        background: in words, without an article.
        beside: another thing that is clearly to be seen.
    """

    content: bytes
    background: str
    beside: Thing | None


def draw(random: Generator, thing: Thing, others: Sequence[Thing], atlases: Sequence[Atlas], size: int) -> Picture:
    """Draw a picture. What is drawn of ``random`` does not depend on the atlases, so a thing stands the same in any style.

    Args:
        random: all chance.
        thing: to draw.
        others: things that may be beside or behind it.
        atlases: one of them is taken.
        size: of the picture's side in pixels.
    """
    cells = atlases[int(random.random() * len(atlases))].cells
    canvas, background = _background(random, size)
    chance = random.random()
    count = bisect(BESIDE, chance) if others else 0
    beside = [others[int(random.random() * len(others))] for _ in range(count)]
    behind = [_put(random, canvas, cells[other.cell], SIZES_BESIDE) for other in beside]
    before = _put(random, canvas, cells[thing.cell], SIZES)
    clear = [other for other, placed in zip(beside, behind, strict=True) if _seen(placed, before) >= CLEAR]
    return Picture(_as_jpeg(_jittered(random, canvas)), background, clear[0] if clear else None)


class _Placed(NamedTuple):
    """A drawing in the picture: RGBA, and where its upper left corner is."""

    drawing: Image.Image
    place: tuple[int, int]


def _put(random: Generator, canvas: Image.Image, cell: Image.Image, sizes: tuple[float, float]) -> _Placed:
    """Draw a thing into the picture."""
    share, mirrored, turned, across, down = random.random(5).tolist()
    side = round(canvas.width * (sizes[0] + share * (sizes[1] - sizes[0])))
    drawing = cell.resize((side, side), Image.Resampling.BICUBIC)
    if mirrored < 0.5:
        drawing = drawing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    drawing = drawing.rotate((2 * turned - 1) * MOST_TURNED, Image.Resampling.BICUBIC).convert("RGBA")
    room = canvas.width - side * (1 - 2 * OUTSIDE)
    place = round(across * room - OUTSIDE * side), round(down * room - OUTSIDE * side)
    canvas.paste(drawing, place, drawing)
    return _Placed(drawing, place)


def _seen(behind: _Placed, before: _Placed) -> float:
    """The share of a thing's area that another does not cover."""
    alpha = behind.drawing.getchannel("A")
    area = np.asarray(alpha, np.float32).sum()
    alpha.paste(0, (before.place[0] - behind.place[0], before.place[1] - behind.place[1]), before.drawing)
    return float(np.asarray(alpha, np.float32).sum() / max(area, 1.0))


def _background(random: Generator, size: int) -> tuple[Image.Image, str]:
    """A background, and what it is in words."""
    chance, one, two, white, angle, shift, width = random.random(7).tolist()
    kind = bisect(BELOW, chance)
    names = list(COLOURS)
    first = int(one * len(names))
    if kind == 0 and white < WHITE:
        first = names.index("white")
    second = (first + 1 + int(two * (len(names) - 1))) % len(names)
    first, second = names[first], names[second]
    colours = np.array([COLOURS[first], COLOURS[second]], np.float32) + random.normal(0, 8, (2, 3)).astype(np.float32)
    across, down = _coordinates(size)
    along = across * math.cos(2 * math.pi * angle) + down * math.sin(2 * math.pi * angle)  # from about -0.7 to 0.7
    match kind:
        case 0:
            mixed = np.zeros_like(along)
        case 1:
            mixed = np.clip(along * 0.8 + 0.5, 0, 1)
        case 2:
            mixed = np.clip((along - (shift - 0.5) * 0.5) * size + 0.5, 0, 1)
        case 3:
            mixed = np.clip(np.sin(along * 2 * math.pi * (2 + 3 * width)) * 3 + 0.5, 0, 1)
        case _:
            mixed = np.zeros_like(along)
            coarse = random.normal(0, 22, (4 + int(width * 12),) * 2).astype(np.float32)
            colours = colours + np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))[..., None, None]
    pixels = colours[..., 0, :] + mixed[..., None] * (colours[..., 1, :] - colours[..., 0, :])
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), BACKGROUNDS[kind].format(first, second)


@cache
def _coordinates(size: int) -> tuple[Float32[np.ndarray, "S S"], Float32[np.ndarray, "S S"]]:
    line = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    return np.broadcast_to(line, (size, size)), np.broadcast_to(line[:, None], (size, size))


def _jittered(random: Generator, canvas: Image.Image) -> Image.Image:
    """The picture in other light: brightness, contrast, saturation, and a cast."""
    brightness, contrast, saturation = (random.random(3).astype(np.float32) * 2 - 1).tolist()
    cast = random.normal(1, 0.05, 3).astype(np.float32)
    grey = np.full((3, 3), 1 / 3, np.float32)
    mix = (grey + (np.eye(3, dtype=np.float32) - grey) * (1 + 0.3 * saturation)) * cast * (1 + 0.2 * contrast)
    pixels = (np.asarray(canvas, np.float32) - 128) @ mix + (128 + 20 * brightness)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _as_jpeg(picture: Image.Image) -> bytes:
    with io.BytesIO() as file:
        picture.save(file, "JPEG", quality=QUALITY)
        return file.getvalue()
