"""What kind of text a file is, by its name and its first bytes."""

from __future__ import annotations

import os
import re

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.streams import compression_of, file_name, is_url, open_stream, without_compression
from tallyclip.lists import dump, extracted
from tallyclip.readers.content import COMPRESSED_KINDS, OTHER_KINDS, reading, suffixes_of

DUMP_NAME = re.compile(r"\.xml(?:-p\d+p\d+)?$", re.IGNORECASE)
DUMP = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<(?:mediawiki|page)\b")
KNOWN = (
    "texts are .parquet files, Wikipedia's pages-articles dumps (.xml, .xml.bz2), the output of wikiextractor, and .txt files; "
    "all but Parquet also as .gz, .zst or .bz2"
)
# Beginnings of files that are no running text, what they look like, and what would work.
NO_TEXT = [
    *((pattern, *kind.split(": ", 1)) for pattern, kind, _ in OTHER_KINDS),
    *((pattern, kind, f"unpack it, or give it a suffix with {suffixes_of(names)}") for pattern, kind, names in COMPRESSED_KINDS),
    (
        rb'\s*(?:\[\s*)?\{\s*"[^"\n]{1,99}"\s*:',
        "JSON",
        'JSON is read with one object per line, with "id", "url", "title" and "text", as wikiextractor writes it',
    ),
]


def kind_of(path: str) -> str:
    """Which of ``texts.READERS`` reads a file.

    Raises:
        OptionError: none does, or it is a dump that is not on this machine.
        SourceError: it cannot be read, or its content is no text.
    """
    name = os.path.basename(file_name(path))
    if "-multistream-index" in name:
        raise OptionError(f"{path}: this is the index of a dump, not text", "give the dump itself; its index is not needed")
    suffix = os.path.splitext(without_compression(path))[1].lower()
    if suffix == ".parquet" and compression_of(path) is None:
        return "parquet"
    is_dump = DUMP_NAME.search(without_compression(path)) is not None
    start = b"" if is_dump else _beginning(path)
    if is_dump or DUMP.match(start):
        if is_url(path):
            raise OptionError(f"{path}: a dump is read on this machine only", "fetch it first")
        return "dump"
    for kind, beginning in extracted.BEGINNINGS.items():
        if beginning.match(start):
            return kind
    if suffix != ".txt":
        raise OptionError(f"{path}: this is no kind of text that can be read", KNOWN)
    for beginning, kind, hint in NO_TEXT:
        if re.match(beginning, start, re.IGNORECASE):
            raise SourceError(f"{path}: not plain text: it looks like {kind}", hint)
    return "text"


def _beginning(path: str) -> bytes:
    with reading(path), open_stream(path) as stream:
        start = stream.read(4096)
    return start.decode("utf-16", "replace").encode() if start.startswith(dump.UTF16) else start
