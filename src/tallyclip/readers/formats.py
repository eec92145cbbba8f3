"""Forms of JSON and text files whose records are not simply their objects or lines: one table, in which each is declared once.

A form says what the roles of its records' columns are, how a file of it begins, and how records come from its content. ``--format`` names a
form, or one of the plain kinds, and so overrides what is detected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple, cast

from tallyclip.errors import OptionError, SourceError
from tallyclip.readers import annotations
from tallyclip.readers.annotations import BLANK, FirstItems, Items, first_items
from tallyclip.readers.columns import ROLE_NAMES, WIT, ColumnChoice, Columns
from tallyclip.readers.content import is_utf8, read_lines, shown
from tallyclip.readers.records import NOT_JSON, Bad, sample_of
from tallyclip.readers.values import OBJECT, Name, values_of

LOOKED_AT = 1000  # keys and captions, or lines
LOOKED_AT_BYTES = 1 << 20  # to detect the form of a file
NEARLY_ALL = 0.95
TEXT_KINDS = ("json", "csv", "tsv", "text")  # that may each be read as another of them
IMAGE_LINE = re.compile(rb"([^\t]+)#(\d+)\t(.*)", re.DOTALL)
IMAGE_NAME = re.compile(rb"[^\t]+\.(?:jpe?g|png|gif|webp)\b[^\t]*#\d+\t", re.IGNORECASE)


class Beginning(NamedTuple):
    """The beginning of a file: its bytes, and of a JSON object the first item of each list."""

    path: str
    content: bytes
    first: FirstItems
    choice: ColumnChoice


class Format(NamedTuple):
    """A form of files.

    Attributes:
        name: for ``--format``.
        kind: of files, by their suffix, whose content may have this form.
        columns: the roles in its records.
        called: what a message calls a record.
        is_like: does a file begin like one of this form? None where the kind's own reader reads it.
        items: the records of a file, from its path and its content.
        record_bytes: about how large a record is, where the beginning of a file does not show it.
    """

    name: str
    kind: str
    columns: Columns | None = None
    called: str = "item"
    is_like: Callable[[Beginning], bool] | None = None
    items: Callable[[str, Iterator[bytes]], Items] | None = None
    record_bytes: int | None = None


def format_of(path: str, kind: str, start: bytes, choice: ColumnChoice) -> Format | None:
    """The form of a file that begins like this; None: it is read as its kind is otherwise."""
    if choice.format is not None:
        return named_format(choice.format)
    content = start[:LOOKED_AT_BYTES]
    beginning = Beginning(path, content, first_items(path, content) if kind == "json" else {}, choice)
    return next((form for form in FORMATS if form.kind == kind and form.is_like is not None and form.is_like(beginning)), None)


def named_format(name: str) -> Format:
    """The form that ``--format`` names.

    Raises:
        OptionError: there is none of this name.
    """
    found = next((form for form in FORMATS if form.name == name), None)
    if found is None:
        raise OptionError(f"--format {name!r} is not known", f"the formats are: {', '.join(form.name for form in FORMATS)}")
    return found


def kind_as(path: str, kind: str, choice: ColumnChoice) -> str:
    """The kind that a file is read as: that of its suffix, or of ``--format``.

    Raises:
        OptionError: the format is unknown, or cannot be that of a file of this kind.
    """
    if choice.format is None:
        return kind
    form = named_format(choice.format)
    if kind not in TEXT_KINDS:
        raise OptionError(
            f"{path}: --format {form.name} is for files of JSON or text", "leave it out: this kind of file says what is in it"
        )
    return form.kind


# MetaCLIP v2: {uuid: [[source of the text, text, language], ...], ...}

KEY, TEXTS_OF_KEY = "uuid", "texts"


def _is_keyed(beginning: Beginning) -> bool:
    """Not if a key is the name of a column, or appears twice, as names do where each object is a record."""
    keys: set[str] = set(ROLE_NAMES.union(beginning.choice.named))
    found = 0
    with suppress(SourceError):  # the beginning ends anywhere
        for item, _ in islice(_keyed_items(beginning.path, iter([beginning.content])), LOOKED_AT):
            if isinstance(item, Bad) or item[KEY] in keys or not _are_keyed_texts(item[TEXTS_OF_KEY]):
                return False
            keys.add(item[KEY])
            found += bool(item[TEXTS_OF_KEY])
    return found > 0


def _keyed_items(path: str, chunks: Iterator[bytes]) -> Items:
    """Keys and their captions as records with the columns ``uuid`` and ``texts``."""
    key: str | None = None
    size = 0
    for value, length in values_of(path, chunks, OBJECT):
        if isinstance(value, Name):
            if key is not None:
                yield Bad(NOT_JSON, sample_of(key)), size
            key, size = str(value), length
        elif key is None:
            yield value if isinstance(value, Bad) else Bad(NOT_JSON, sample_of(value)), length
        else:
            item = {KEY: key, TEXTS_OF_KEY: value}
            if isinstance(value, Bad):
                yield value, size + length
            elif isinstance(value, str):  # in this form captions are always in lists
                yield Bad("caption is not text", sample_of(item)), size + length
            else:
                yield item, size + length
            key = None


def _are_keyed_texts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(text, list) and len(text) in (2, 3) and all(isinstance(part, str | None) for part in cast(list[Any], text))
        for text in cast(list[Any], value)
    )


# Flickr8k and Flickr30k: image.jpg#0<TAB>caption


def _is_flickr(beginning: Beginning) -> bool:
    lines = beginning.content.split(b"\n", LOOKED_AT)
    lines = lines[:-1] or lines  # the last may go on
    return sum(map(bool, map(IMAGE_NAME.match, lines))) >= NEARLY_ALL * len(lines)


def _flickr_items(path: str, chunks: Iterator[bytes]) -> Items:
    return ((_captioned(line.removesuffix(b"\r")), len(line)) for line in read_lines(path, chunks))


def _captioned(line: bytes) -> dict[str, Any] | Bad:
    found = IMAGE_LINE.fullmatch(line)
    if found is None:
        return Bad("line without an image", shown(line)) if line.strip(BLANK) else Bad("empty line", "")
    if not is_utf8(line):
        return Bad("not UTF-8", shown(line))
    image, number, caption = (part.decode() for part in found.groups())
    return {"image": image, "caption_number": number, "caption": caption}


def _of(is_like: Callable[[FirstItems], bool]) -> Callable[[Beginning], bool]:
    return lambda beginning: is_like(beginning.first)


# The first form of its kind that a file begins like is the file's. The plain kinds come last: they have no form to detect.
FORMATS = [
    Format(
        "karpathy",
        "json",
        Columns("captions", key="filename", layout="Karpathy's splits"),
        "image",
        _of(annotations.is_karpathy),
        annotations.karpathy_items,
    ),
    Format(
        "redcaps", "json", Columns("caption", "url", layout="RedCaps"), "annotation", _of(annotations.is_redcaps), annotations.redcaps_items
    ),
    Format(
        "coco",
        "json",
        Columns("caption", "url", key="file_name", layout="COCO captions"),
        "annotation",
        _of(annotations.is_coco),
        annotations.coco_items,
        record_bytes=155,  # in the captions of COCO 2017
    ),
    Format(
        "sbu", "json", Columns("caption", "url", layout="SBU"), "caption", _of(annotations.is_sbu), annotations.sbu_items, record_bytes=200
    ),
    Format("metaclip-v2", "json", Columns("texts", key=KEY, layout="MetaCLIP v2"), "key", _is_keyed, _keyed_items),
    Format("flickr", "text", Columns("caption", key="image", layout="Flickr8k and Flickr30k"), "line", _is_flickr, _flickr_items),
    Format("wit", "tsv", WIT),
    *(Format(kind, kind) for kind in TEXT_KINDS),
]
