"""JSON files that are one object with lists in it: COCO's captions, Karpathy's splits, RedCaps and SBU, as records.

The lists are read item by item. Held are only the images that annotations are joined with, and lists that run parallel, up to ``MOST_HELD``
bytes of JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, cast

from tallyclip.errors import SourceError
from tallyclip.readers.content import read_chunks
from tallyclip.readers.records import Bad, decode_json, sample_of
from tallyclip.readers.values import lists_of

MOST_HELD = 512 << 20  # about 600 MB of memory for images, 1.6 GB for lists
BLANK = b" \t\r\n"
URL_NAMES = ("coco_url", "url", "flickr_url")  # of an image, the first that is there
OF_LISTS = {"captions": "caption", "image_urls": "url", "user_ids": "user_id"}  # what a value of a list is called in its record

Items = Iterator[tuple[Any, int]]  # objects, or ``Bad`` in place of one that cannot be read, each with its size
FirstItems = dict[str, Any]  # by the names of lists


def first_items(path: str, start: bytes) -> FirstItems:
    """The first item of each list in the single object that a file begins with; nothing if objects follow each other line by line."""
    if not start.lstrip(BLANK).startswith(b"{"):
        return {}
    line, _, rest = start.partition(b"\n")
    if rest.strip(BLANK) and not isinstance(decode_json(line), Bad):
        return {}
    first: FirstItems = {}
    with suppress(SourceError):  # the beginning ends anywhere
        for name, item, _ in lists_of(path, iter([start])):
            first.setdefault(name, item)
    return first


def _has(first: FirstItems, name: str, *names: str) -> bool:
    """Has the first item of a list these names?"""
    item = first.get(name)
    return isinstance(item, dict) and all(one in item for one in names)


# COCO: {"images": [{"id", "file_name", "coco_url"}], "annotations": [{"image_id", "caption"}]}


def is_coco(first: FirstItems) -> bool:
    """Do images have ids, or annotations the ids of images?"""
    images = _has(first, "images", "id") and not _has(first, "images", "sentences")
    annotations = _has(first, "annotations", "image_id")
    return (images and ("annotations" not in first or annotations)) or (annotations and not is_redcaps(first))


def coco_items(path: str, chunks: Iterator[bytes]) -> Items:
    """Each annotation with the URL and the file name of its image. The images are held; if they come after the annotations, the file is
    read twice."""
    images: _Images | None = None
    complete = False
    for name, item, size in lists_of(path, chunks):
        if name == "images" and not complete:
            images = images or _Images(path)
            images.add(item, size)
        elif name == "annotations":
            if images is None:
                images = _Images(path)
                for other, image, held in lists_of(path, read_chunks(path)):
                    if other == "images":
                        images.add(image, held)
            complete = True
            yield images.joined(item), size


class _Images:
    """The images of a file by their ids: of each its URL and its file name."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: dict[int | str, tuple[str | None, str | None]] = {}
        self._held = 0

    def add(self, item: Any, size: int) -> None:
        """Remember an image; the annotations of one without an id, URL and name are dropped."""
        self._held = _checked_size(self._path, "images", self._held + size)
        if not isinstance(item, dict):
            return
        image = cast(dict[str, Any], item)
        name, url = image.get("file_name"), next((url for one in URL_NAMES if (url := image.get(one)) is not None), None)
        key = image.get("id")
        if isinstance(key, int | str) and isinstance(name, str | None) and isinstance(url, str | None) and (name or url):
            self._found.setdefault(key, (url, name))

    def joined(self, item: Any) -> Any:
        """An annotation with the URL and the file name of its image."""
        if not isinstance(item, dict):
            return item
        annotation = cast(dict[str, Any], item)
        key = annotation.get("image_id")
        found = self._found.get(key) if isinstance(key, int | str) else None
        if found is None:
            return Bad("annotation without its image", sample_of(annotation))
        return annotation | {"url": found[0], "file_name": found[1]}


def _checked_size(path: str, what: str, size: int) -> int:
    if size > MOST_HELD:
        hint = "cut the file into several, or write an object a line with the URL and the caption of each pair"
        raise SourceError(
            f"{path}: the {what} take more than {MOST_HELD >> 20:,} MiB, which must be held while the captions are read", hint
        )
    return size


# Karpathy's splits: {"images": [{"filename", "sentences": [{"raw", "tokens"}]}]}


def is_karpathy(first: FirstItems) -> bool:
    """Do images have sentences?"""
    return _has(first, "images", "filename", "sentences")


def karpathy_items(path: str, chunks: Iterator[bytes]) -> Items:
    """Each image with the list of its captions."""
    for name, item, size in lists_of(path, chunks):
        if name == "images":
            yield (_with_captions(cast(dict[str, Any], item)) if isinstance(item, dict) else item), size


def _with_captions(image: dict[str, Any]) -> dict[str, Any]:
    sentences = image.get("sentences")
    captions = [one.get("raw") if isinstance(one, dict) else one for one in sentences] if isinstance(sentences, list) else sentences
    return {name: value for name, value in image.items() if name != "sentences"} | {"captions": captions}


# RedCaps: {"annotations": [{"image_id", "url", "caption", "raw_caption"}]}


def is_redcaps(first: FirstItems) -> bool:
    """Do annotations have URLs and captions of their own?"""
    return _has(first, "annotations", "url", "caption")


def redcaps_items(path: str, chunks: Iterator[bytes]) -> Items:
    """The annotations, as they are."""
    return ((item, size) for name, item, size in lists_of(path, chunks) if name == "annotations")


# SBU: {"image_urls": [...], "captions": [...], "user_ids": [...]}


def is_sbu(first: FirstItems) -> bool:
    """Is there a list of URLs, called as in SBU?"""
    return isinstance(first.get("image_urls"), str)


def sbu_items(path: str, chunks: Iterator[bytes]) -> Items:
    """The values of lists that run parallel, one of each a record. All lists are held."""
    columns: dict[str, list[Any]] = {}
    held = 0
    for name, item, size in lists_of(path, chunks):
        held = _checked_size(path, "lists", held + size)
        columns.setdefault(OF_LISTS.get(name, name), []).append(item)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {length:,}" for name, length in islice(lengths.items(), len(OF_LISTS)))
        raise SourceError(f"{path}: its lists do not run parallel, for they have different lengths ({listed})", "is a part of it missing?")
    for values in zip(*columns.values(), strict=True):
        bad = next((value for value in values if isinstance(value, Bad)), None)
        yield bad or dict(zip(columns, values, strict=True)), sum(len(value) for value in values if isinstance(value, str))
