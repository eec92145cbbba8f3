"""Atlases: those that are bundled can be used, and what cannot is refused with what would work."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.experiment.world.atlas import BUNDLED, CELL, COLUMNS, check_atlas, open_atlas
from tallyclip.experiment.world.things import all_things

SIZE = (2304, 2112)


def bundled(name: str) -> Path:
    with resources.as_file(resources.files("tallyclip") / "experiment" / "world" / "data" / f"{name}.webp") as path:
        return path


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_atlas_has_a_drawing_of_each_thing(name: str) -> None:
    check_atlas(bundled(name))
    cells = open_atlas(name).cells
    assert len(cells) == len(all_things()) == 1161
    assert {(cell.size, cell.mode) for cell in cells} == {((CELL, CELL), "RGBa")}
    assert len({cell.tobytes() for cell in cells}) > 1150


def test_the_styles_draw_the_same_things_in_other_ways() -> None:
    cells = [np.stack([np.asarray(cell, np.float32).ravel() for cell in open_atlas(name).cells[:200]]) for name in BUNDLED[:2]]
    one, other = ((some - some.mean(0)) / np.linalg.norm(some - some.mean(0), axis=1, keepdims=True) for some in cells)
    best = (one @ other.T).argmax(axis=1)
    assert (best == np.arange(200)).mean() > 0.3  # by chance 1 in 200
    assert not any(np.array_equal(a, b) for a, b in zip(*cells, strict=True))


def test_an_atlas_in_a_file_is_read_as_a_bundled_one_is(tmp_path: Path) -> None:
    Image.open(bundled("noto")).save(tmp_path / "mine.png")
    of_file, of_package = ([cell.tobytes() for cell in open_atlas(name).cells] for name in (str(tmp_path / "mine.png"), "noto"))
    assert of_file == of_package


def text(path: Path) -> None:
    path.write_text("no picture")


def cut_short(path: Path) -> None:
    content = bundled("noto").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def of_another_size(path: Path) -> None:
    Image.new("RGBA", (2304, 2048)).save(path, "PNG")


def huge(path: Path) -> None:
    Image.new("L", (20_000, 20_000)).save(path, "PNG")


def without_transparency(path: Path) -> None:
    Image.new("RGB", SIZE, "red").save(path, "PNG")


def with_empty_cells(path: Path) -> None:
    atlas = Image.open(bundled("noto")).convert("RGBA")
    for cell in (1, COLUMNS):
        x, y = cell % COLUMNS * CELL, cell // COLUMNS * CELL
        atlas.paste((0, 0, 0, 0), (x, y, x + CELL, y + CELL))
    atlas.save(path, "PNG")


def empty(path: Path) -> None:
    Image.new("RGBA", SIZE).save(path, "PNG")


def nothing(path: Path) -> None:
    assert not path.exists()


FORM = "2304 x 2112 pixels: 36 x 33 cells of 64 x 64, with transparency"


@pytest.mark.parametrize(
    ("make", "kind", "what", "hint"),
    [
        (nothing, OptionError, "no such atlas, and no such file", "give noto, fluent-3d, twemoji, or a file"),
        (Path.mkdir, ArtifactError, "not a picture", FORM),
        (text, ArtifactError, "not a picture", FORM),
        (cut_short, ArtifactError, "not a picture", FORM),
        (of_another_size, ArtifactError, "2304 x 2048 pixels", FORM),
        (huge, ArtifactError, "not a picture", FORM),
        (without_transparency, ArtifactError, "nothing in it is transparent", "PNG or WebP"),
        (with_empty_cells, ArtifactError, "cells are empty: 1 (joker), 36 (sun behind small cloud)", "numbered row by row, from 0"),
        (empty, ArtifactError, "and 1,156 more", "numbered row by row"),
    ],
)
def test_what_is_no_atlas_is_refused(make: Callable[[Path], None], kind: type[Exception], what: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "atlas.png"
    make(path)
    for use in (check_atlas, open_atlas):
        with pytest.raises(kind) as caught:
            use(str(path))
        said, _, hinted = str(caught.value).partition("Hint:")
        assert str(path) in said
        assert what in said
        assert hint in hinted


def test_a_style_that_is_misspelt_is_asked_for() -> None:
    with pytest.raises(OptionError) as caught:
        open_atlas("twemojis")
    assert "did you mean twemoji?" in (caught.value.hint or "")
