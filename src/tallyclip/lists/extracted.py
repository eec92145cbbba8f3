"""The output of wikiextractor: articles between lines ``<doc id=... url=... title=...>`` and ``</doc>``, or with ``--json`` one object per
line, with the article as its ``text``. Both have ``<``, ``>`` and ``&`` as entities.

Files are recognized by their first bytes, since their names, such as ``wiki_00``, have no suffix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from tallyclip.errors import SourceError
from tallyclip.lists import plain
from tallyclip.lists.page import unescaped
from tallyclip.readers.content import DAMAGED

NAME = re.compile(r"wiki_\d+")
BEGINNINGS = {  # of files, by kind
    "documents": re.compile(rb'(?:\xef\xbb\xbf)?\s*<doc id="'),
    "json": re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:id|revid|url|title|text)"\s*:'),
}
OPENING = re.compile(rb'^<doc id="[^\n]*>[ \r]*$', re.MULTILINE)
TAG_LINE = re.compile(rb'^(?:<doc id="[^\n]*>|</doc>)[ \r]*(?:\n|\Z)', re.MULTILINE)
CLOSING = b"</doc>"
NO_ARTICLE = 'not a JSON object with a "text"'

Drop = Callable[[str, int], None]
Tick = Callable[[int], None]


class _Article(msgspec.Struct):
    text: str


def read_documents(path: str, part: tuple[int, int | None], batch: int, drop: Drop, tick: Tick) -> Iterator[tuple[bytes, int]]:
    """The lines of one part without tag lines, in batches, with the number of articles that begin in each.

    Args:
        path: a file on this machine, or a URL.
        part: one of ``plain.find_parts``.
        batch: bytes of a batch, at most.
        drop: called with the reason for dropped lines, and their number.
        tick: called with the number of bytes of the part read since the last call.

    Raises:
        SourceError: the file is truncated or damaged.
    """
    is_ended = True
    for lines in plain.read_lines(path, part, batch, drop, tick):
        ending = lines.rstrip()
        is_ended = ending.endswith(CLOSING) if ending else is_ended
        yield unescaped(TAG_LINE.sub(b"", lines)), len(OPENING.findall(lines))
    if part[1] is None and not is_ended:
        raise SourceError(f"{path}: the file is truncated: it does not end with </doc>", DAMAGED)


def read_json(path: str, part: tuple[int, int | None], batch: int, drop: Drop, tick: Tick) -> Iterator[list[bytes]]:
    """The articles of one part, in batches; a line without one is dropped. Arguments and errors as in ``read_documents``."""
    decode = msgspec.json.Decoder(_Article).decode
    rest_is_broken = False
    for lines in plain.read_lines(path, part, batch, drop, tick):
        broken = int(rest_is_broken)
        rest_is_broken = False
        articles: list[bytes] = []
        for line in lines.splitlines(keepends=True):
            if not line.strip():
                continue
            try:
                articles.append(unescaped(decode(line).text.encode()))
            except (msgspec.DecodeError, RecursionError):
                rest_is_broken = not line.endswith(b"\n")
                broken += not rest_is_broken
        if broken:
            drop(NO_ARTICLE, broken)
        yield articles
    if rest_is_broken:
        raise SourceError(f"{path}: the file is truncated: its last line is not a whole JSON object", DAMAGED)
