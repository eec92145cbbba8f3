"""From image files to pictures: whatever the file holds, the model sees RGB of 8 bits, upright, on white."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tallyclip.train.pictures import PictureError, decode
from tests.train.tools import encoded, noise

LOSSLESS: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}  # or nearly so
RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def pixels(content: bytes) -> np.ndarray:
    image = decode(content)
    assert image.mode == "RGB"
    return np.asarray(image)


def reason(content: bytes, most_pixels: int = 1 << 20) -> str:
    with pytest.raises(PictureError) as caught:
        decode(content, most_pixels)
    return caught.value.reason


def halves(left: Any, right: Any, mode: str = "RGB") -> Image.Image:
    """Two colours side by side."""
    image = Image.new(mode, (20, 10), left)
    image.paste(right, (10, 0, 20, 10))
    return image


def png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG from its chunks."""
    whole = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in whole]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_pictures_of_8_bits_are_what_pillow_sees(kind: str) -> None:
    content = encoded(noise(), kind)
    np.testing.assert_array_equal(pixels(content), np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_lies_on_its_side_is_turned_upright(kind: str, orientation: int) -> None:
    upright = halves(RED, GREEN)
    turns: dict[int, Callable[[Image.Image], Image.Image]] = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
    }
    stored = turns[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = pixels(encoded(stored, kind, exif=exif.tobytes(), **LOSSLESS.get(kind, {}))).astype(int)
    assert found.shape == (10, 20, 3)
    assert np.abs(found - np.asarray(upright)).max() < 40  # JPEG blurs


def test_exif_that_is_broken_does_not_cost_the_picture() -> None:
    for exif in (
        b"Exif\0\0" + b"II*\0\xff\xff\xff\xff",
        b"Exif\0\0nonsense",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x07\0\0\0\x01\xff\xff\xff\xff",
    ):
        for kind in ("JPEG", "PNG", "WEBP"):
            assert pixels(encoded(noise(), kind, exif=exif)).shape == (48, 64, 3)


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "PNG"), ("RGBA", "WEBP"), ("LA", "PNG")])
def test_what_is_transparent_is_laid_on_white(mode: str, kind: str) -> None:
    opaque, transparent = ((255, 0, 0, 255), (0, 255, 0, 0)) if mode == "RGBA" else ((10, 255), (10, 0))
    found = pixels(encoded(halves(opaque, transparent, mode), kind, **LOSSLESS.get(kind, {})))
    assert tuple(found[0, 0]) == (RED if mode == "RGBA" else (10, 10, 10))
    assert tuple(found[0, -1]) == WHITE


def test_half_transparent_is_half_white() -> None:
    assert tuple(pixels(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG"))[0, 0]) == (127, 127, 127)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palettes_become_their_colours_and_what_is_transparent_in_them_white(kind: str) -> None:
    image = Image.new("P", (20, 10), 0)
    image.putpalette([*RED, *GREEN, 0, 0, 255])
    image.paste(1, (10, 0, 20, 10))
    assert [tuple(pixels(encoded(image, kind))[0, x]) for x in (0, -1)] == [RED, GREEN]
    assert [tuple(pixels(encoded(image, kind, transparency=1))[0, x]) for x in (0, -1)] == [RED, WHITE]


def test_palettes_may_be_half_transparent() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0])
    assert tuple(pixels(encoded(image, "PNG", transparency=bytes([128])))[0, 0]) == (127, 127, 127)


@pytest.mark.parametrize(("mode", "colour", "seen"), [("RGB", GREEN, GREEN), ("L", 7, (7, 7, 7))])
def test_one_colour_may_stand_for_transparent(mode: str, colour: Any, seen: tuple[int, int, int]) -> None:
    other = RED if mode == "RGB" else 90
    content = encoded(halves(other, colour, mode), "PNG", transparency=colour)
    assert [tuple(pixels(content)[0, x]) for x in (0, -1)] == [RED if mode == "RGB" else (90, 90, 90), WHITE]
    assert tuple(pixels(encoded(halves(other, colour, mode), "PNG"))[0, -1]) == seen


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_of_grey_are_scaled_to_8(kind: str) -> None:
    levels = np.linspace(0, 65535, 256 * 4).round().astype(np.uint16).reshape(16, 64)
    found = pixels(encoded(Image.fromarray(levels), kind))
    np.testing.assert_array_equal(found[..., 0], np.rint(levels / 257))
    np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_16_bits_of_colour_are_scaled_to_8() -> None:
    levels = np.linspace(0, 65535, 8 * 8 * 3).round().astype(">u2").reshape(8, 8, 3)
    lines = b"".join(b"\0" + line.tobytes() for line in levels)
    found = pixels(png(struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0), (b"IDAT", zlib.compress(lines))))
    assert np.abs(found - levels / 257).max() <= 1


def test_levels_that_are_no_16_bits_are_refused() -> None:
    assert reason(encoded(Image.new("F", (4, 4), 0.5), "TIFF")) == "neither 8 nor 16 bits"
    assert reason(encoded(Image.new("I", (4, 4), 70_000), "TIFF")) == "neither 8 nor 16 bits"


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(pixels(encoded(image, "JPEG", quality=95)).astype(int) - RED).max() < 8
    assert np.abs(pixels(encoded(image, "TIFF")).astype(int) - RED).max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "YCbCr"])
def test_other_modes_become_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "YCbCr" else "PNG"
    assert np.abs(pixels(encoded(Image.new("RGB", (16, 16), WHITE).convert(mode), kind)).astype(int) - 255).max() < 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_seen(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **LOSSLESS.get(kind, {}))
    with Image.open(io.BytesIO(content)) as opened:
        assert getattr(opened, "n_frames", 1) == 2
    assert tuple(pixels(content)[0, 0]) == RED


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_a_file_that_is_cut_short_is_refused_wherever_it_was_cut(kind: str) -> None:
    content = encoded(noise(), kind)
    for size in (1, 3, 20, len(content) // 3, len(content) // 2, len(content) - 30):
        assert reason(content[:size]) in ("not an image", "cut short", "broken")
    if kind in ("JPEG", "PNG"):
        assert reason(content[: len(content) // 2]) == "cut short"


def test_what_is_no_picture_is_refused_by_its_reason() -> None:
    assert reason(b"") == "empty"
    for content in (
        b"<html>404 not found</html>",
        b"\0" * 1000,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nquit\n",
        b"\xff\xd8\xff",
    ):
        assert reason(content) == "not an image"
    good = encoded(noise(), "PNG")
    assert reason(good[:60] + bytes(byte ^ 0x55 for byte in good[60:120]) + good[120:]) == "broken"


def test_the_size_is_known_before_anything_is_decoded() -> None:
    """A hundred megapixels, then ten thousand: in a file without any content."""
    for side in (10_000, 100_000):
        assert reason(png(struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), (b"IDAT", b"")), 64 << 20) == "too many pixels"
    assert reason(encoded(noise()), most_pixels=64 * 48 - 1) == "too many pixels"
    assert decode(encoded(noise()), 64 * 48).size == (64, 48)


def test_whatever_happens_to_the_bytes_there_is_a_picture_or_a_reason() -> None:
    draw = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        good = np.frombuffer(encoded(noise((24, 24)), kind), np.uint8)
        for _ in range(60):
            content = good.copy()
            content[draw.integers(0, len(content), 4)] = draw.integers(0, 256, 4)
            try:
                assert decode(content.tobytes(), 1 << 20).mode == "RGB"
            except PictureError as error:
                assert error.reason in ("not an image", "cut short", "broken", "too many pixels", "neither 8 nor 16 bits")
