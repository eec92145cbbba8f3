"""From the bytes of an image to the picture that a model sees: RGB, 8 bits, upright, on white."""

from __future__ import annotations

import warnings
from contextlib import suppress
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

Image.init()
# Those that hold pictures of the web, and whose decoders start no other program.
FORMATS = [name for name in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF", "JPEG2000", "PPM") if name in Image.OPEN]
MOST_PIXELS = 64 << 20
DEEP_LEVELS = 65535 / 255  # of 16 bits for each of 8


class PictureError(Exception):
    """An image that cannot be decoded, and in a few words why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(content: bytes, most_pixels: int = MOST_PIXELS, *, plain: bool = False) -> Image.Image:
    """The picture that an image file shows, in mode RGB.

    It is turned upright as EXIF says, what is transparent is laid on white, 16 bits are scaled to 8, CMYK and palettes become RGB, and of
    an animation it is the first frame.

    Args:
        content: of the file.
        most_pixels: an image with more is not decoded. Pillow's own limit, ``PIL.Image.MAX_IMAGE_PIXELS``, is one too.
        plain: only change the mode, as Pillow does. So evaluation sets are read everywhere, and numbers are to be comparable.

    Raises:
        PictureError: the file is empty, no image, cut short or broken, or has too many pixels, or others than of 8 or 16 bits.
    """
    if not content:
        raise PictureError("empty")
    try:
        # Pillow warns of odd EXIF and of many pixels: neither says whether there is a picture.
        with warnings.catch_warnings(action="ignore"):
            image = Image.open(BytesIO(content), formats=FORMATS)
            if image.width * image.height > most_pixels:
                raise PictureError("too many pixels")
            image.load()
            if plain:
                return image.convert("RGB")
            _turn_upright(image)
            return _in_rgb(image)
    except PictureError:
        raise
    except Image.UnidentifiedImageError:
        raise PictureError("not an image") from None
    except Image.DecompressionBombError:
        raise PictureError("too many pixels") from None
    except Exception as error:  # Pillow's decoders raise almost anything for bytes that are broken
        raise PictureError("cut short" if "truncated" in str(error).lower() else "broken") from error


def _turn_upright(image: Image.Image) -> None:
    with suppress(Exception):  # EXIF that is broken says nothing of how the picture stands, and the picture is whole
        ImageOps.exif_transpose(image, in_place=True)


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise PictureError("neither 8 nor 16 bits")
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, which Pillow's own conversion would cut off at 255."""
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > 65535:
        raise PictureError("neither 8 nor 16 bits")
    return Image.fromarray(np.rint(levels / DEEP_LEVELS).astype(np.uint8)).convert("RGB")
