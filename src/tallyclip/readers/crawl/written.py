"""The texts and addresses of images as they stand on many pages, in columns of bytes that grow."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
from jaxtyping import Int8

from tallyclip.core.strings import Strings, from_python
from tallyclip.readers.crawl.wat_json import (
    BASE,
    CHARACTERS,
    DEEPEST,
    FILENAME,
    FOUND,
    IMAGES,
    IS_PAGE,
    LEAST,
    OFFSET,
    ROWS,
    SPANS,
    WANTED,
    read_page,
)


class Image(msgspec.Struct, gc=False):
    """An image of a page, with its attributes as they stand there; ``path`` is what WAT calls the kind of a link."""

    path: str | None = None
    url: str | None = None
    alt: str | None = None
    title: str | None = None
    data_image_title: str | None = msgspec.field(default=None, name="data-image-title")


class WatRecord(msgspec.Struct, frozen=True, gc=False):
    """What a WAT record says: whether it is of a page, the page's base, where its own record is, and how many images it has."""

    has_page: bool
    base: str | None = None
    crawl_file: str | None = None
    offset: str | int | None = None
    images: int = 0


NO_PAGE = WatRecord(False)
LEAST_ROOM = 1 << 20
STRINGS = [SPANS + 2 * int(node) for node in (BASE, FILENAME, OFFSET)]


class WrittenTexts:
    """The texts of images, each with its field and the address of its image.

    Surrogates, which JSON may hold, are the three bytes that they are in ``core/strings.py``.
    """

    def __init__(self) -> None:
        self.rows = self.characters = 0
        self._addresses, self._texts = np.zeros(0, np.uint8), np.zeros(0, np.uint8)
        self._address_offsets, self._text_offsets = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self._fields = np.zeros(0, np.int8)
        self._room = 0  # so many bytes of JSON may be read before longer arrays are needed
        self._found = np.zeros(FOUND, np.int64)
        self._scratch = np.zeros(DEEPEST + 2 * WANTED, np.uint64)

    def cut(self, rows: int, characters: int) -> None:
        """Forget the texts after the first ones, which have so many characters. The memory is used again."""
        self.rows, self.characters = rows, characters
        self._found[ROWS], self._found[CHARACTERS] = rows, characters

    def columns(self) -> tuple[Strings, Strings, Int8[np.ndarray, " N"]]:
        """The N addresses, the texts, and their fields; views that end with the next change."""
        addresses, texts = self._address_offsets[: self.rows + 1], self._text_offsets[: self.rows + 1]
        return (
            Strings(self._addresses[: addresses[-1]], addresses, None),
            Strings(self._texts[: texts[-1]], texts, None),
            self._fields[: self.rows],
        )

    def add(self, images: Iterable[Image]) -> int:
        """Append the texts of images; returns how many images these are."""
        seen = 0
        addresses: list[str] = []
        texts: list[str] = []
        fields: list[int] = []
        for image in images:
            seen += 1
            for field, text in enumerate((image.alt, image.title, image.data_image_title)):
                if text:
                    addresses.append(image.url or "")
                    texts.append(text)
                    fields.append(field)
        self._append(from_python(addresses), from_python(texts), fields)
        self.cut(self.rows + len(fields), self.characters + sum(map(len, addresses)) + sum(map(len, texts)))
        return seen

    def _append(self, addresses: Strings, texts: Strings, fields: list[int]) -> None:
        self._make_room(len(addresses.data), len(texts.data), len(fields))
        start, end = self.rows, self.rows + len(fields)
        for data, offsets, more in ((self._addresses, self._address_offsets, addresses), (self._texts, self._text_offsets, texts)):
            place = offsets[start]
            data[place : place + len(more.data)] = more.data
            offsets[start + 1 : end + 1] = place + more.offsets[1:]
        self._fields[start:end] = fields
        self._room = 0

    def read(self, content: bytes) -> WatRecord | None:
        """Append the texts of the images in a WAT record; None if it is odd (``wat_json.py``)."""
        size = len(content)
        if size > self._room:
            self._room = max(size, LEAST_ROOM)
            self._make_room(3 * self._room, self._room, self._room // LEAST + 1)
        columns = self._addresses, self._address_offsets, self._texts, self._text_offsets, self._fields
        if not read_page(np.frombuffer(content, np.uint8), self._scratch, *columns, self._found):
            return None
        found: list[int] = self._found.tolist()
        if not found[IS_PAGE]:
            return NO_PAGE
        self._room -= size
        self.rows, self.characters = found[ROWS], found[CHARACTERS]
        base, crawl_file, offset = [content[found[i] : found[i + 1]].decode() if found[i] else None for i in STRINGS]
        return WatRecord(True, base, crawl_file, offset, found[IMAGES])

    def _make_room(self, address_bytes: int, text_bytes: int, rows: int) -> None:
        """Make room for so many more bytes and rows."""
        used = self.rows
        self._addresses = _longer(self._addresses, int(self._address_offsets[used]), address_bytes)
        self._texts = _longer(self._texts, int(self._text_offsets[used]), text_bytes)
        if used + rows > len(self._fields):
            self._fields = _longer(self._fields, used, rows)
            self._address_offsets, self._text_offsets = (
                _longer(offsets, used + 1, len(self._fields) - used) for offsets in (self._address_offsets, self._text_offsets)
            )


def _longer(array: np.ndarray, used: int, more: int) -> np.ndarray:
    """The array, or a copy of what is used of it, with room for more; at least twice as long, so that few copies are made."""
    if used + more <= len(array):
        return array
    longer = np.empty(max(used + more, 2 * len(array)), array.dtype)
    longer[:used] = array[:used]
    return longer
