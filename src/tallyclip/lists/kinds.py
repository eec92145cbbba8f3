"""Which kind of text a file is, by its name and its first bytes."""

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
    "give .parquet files, Wikipedia's pages-articles dumps (.xml, .xml.bz2), the output of wikiextractor, and .txt files; "
    "all but Parquet also as .gz, .zst or .bz2"
)
# How files other than plain text begin, what they are, and what would work.
NOT_TEXT = [
    *((pattern, *kind.split(": ", 1)) for pattern, kind, _ in OTHER_KINDS),
    *((pattern, kind, f"decompress it, or give it a suffix with {suffixes_of(names)}") for pattern, kind, names in COMPRESSED_KINDS),
    (
        rb'\s*(?:\[\s*)?\{\s*"[^"\n]{1,99}"\s*:',
        "JSON",
        'give JSON with one object per line, with "id", "url", "title" and "text", as wikiextractor writes it',
    ),
]


def kind_of(path: str) -> str:
    """The key in ``texts.READERS`` for a file.

    Raises:
        OptionError: it is of no known kind, or a remote dump.
        SourceError: it cannot be read, or its content is not text.
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
            raise OptionError(f"{path}: a dump must be a local file", "fetch it first")
        return "dump"
    for kind, beginning in extracted.BEGINNINGS.items():
        if beginning.match(start):
            return kind
    if suffix != ".txt":
        raise OptionError(f"{path}: unknown kind of text file", KNOWN)
    for beginning, kind, hint in NOT_TEXT:
        if re.match(beginning, start, re.IGNORECASE):
            raise SourceError(f"{path}: not plain text: it looks like {kind}", hint)
    return "text"


def _beginning(path: str) -> bytes:
    with reading(path), open_stream(path) as stream:
        start = stream.read(4096)
    return start.decode("utf-16", "replace").encode() if start.startswith(dump.UTF16) else start
