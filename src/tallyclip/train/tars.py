"""The bytes of images, by their places in a tar."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

from tallyclip.errors import StaleError
from tallyclip.io.streams import compression_of, is_url, open_file, open_stream
from tallyclip.readers.content import reading
from tallyclip.wording import plural

HEADER = 512  # bytes before a member's content
SIZE = slice(124, 136)  # where a header has the content's size, in octal digits
GAP = 1 << 20  # of a tar behind a URL: two images this close are one request, since a request costs as much time as this many bytes
REQUEST = 8 << 20  # and it is no longer than this, but for an image that is
CHUNK = 1 << 20


def read_images(path: str, at: Int64[np.ndarray, " N"], size: Int64[np.ndarray, " N"]) -> Iterator[bytes]:
    """Read N images from a tar, in its order. Of a tar that is not compressed, little else is read.

    Args:
        path: or URL.
        at: places of the images, rising; in a compressed tar those after decompression.
        size: of the images in bytes.

    Raises:
        SourceError: the tar cannot be read.
        StaleError: the tar has no images of these sizes at these places, so it is not the one that the index is of.
    """
    with reading(path):
        members = _by_reading_on(path, at, size) if compression_of(path) else _by_seeking(path, at, size)
        for place, length, content in zip(at.tolist(), size.tolist(), members, strict=True):
            if len(content) != HEADER + length or _size_in(content) != length:
                what = f"{path}: no image of {plural(length, 'byte')} at byte {place:,}, where the index has one"
                raise StaleError(what, "the tar was changed or cut short after the index was made: make the index again")
            yield content[HEADER:]


def _by_seeking(path: str, at: Int64[np.ndarray, " N"], size: Int64[np.ndarray, " N"]) -> Iterator[bytes]:
    with open_file(path, ahead=False) as file:
        for first, last in requests_for(at, size) if is_url(path) else ((i, i + 1) for i in range(len(at))):
            start = int(at[first]) - HEADER
            file.seek(start)
            content = file.read(int(at[last - 1] + size[last - 1]) - start)
            for place, length in zip((at[first:last] - start).tolist(), size[first:last].tolist(), strict=True):
                yield content[place - HEADER : place + length]


def _by_reading_on(path: str, at: Int64[np.ndarray, " N"], size: Int64[np.ndarray, " N"]) -> Iterator[bytes]:
    with open_stream(path) as stream:
        here = 0
        for place, length in zip(at.tolist(), size.tolist(), strict=True):
            while here < place - HEADER:
                skipped = len(stream.read(min(CHUNK, place - HEADER - here)))
                if not skipped:
                    break
                here += skipped
            content = stream.read(HEADER + length)
            here += len(content)
            yield content


def _size_in(header: bytes) -> int | None:
    try:
        return int(header[SIZE].strip(b" \0"), 8)
    except ValueError:
        return None


def requests_for(at: Int64[np.ndarray, " N"], size: Int64[np.ndarray, " N"]) -> Iterator[tuple[int, int]]:
    """Images that are close to each other, by the first and the one after the last."""
    first = 0
    for i in range(1, len(at) + 1):
        if i == len(at) or at[i] - at[i - 1] - size[i - 1] > GAP or at[i] + size[i] - at[first] > REQUEST:
            yield first, i
            first = i
