"""What wikiextractor makes of a dump: articles between lines ``<doc id=... url=... title=...>`` and ``</doc>``, or with ``--json`` an
object a line, with the article as its ``text``. It writes ``<``, ``>`` and ``&`` as entities in both.

Files are found out by their beginning, since they are called ``wiki_00`` and the like, without a suffix.
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
BEGINNINGS = {  # of a file of each kind
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
    """The lines of one part without those of tags, some in a batch, with the number of articles that begin in them.

    Args:
        path: a file on this machine, or a URL.
        part: one of ``plain.find_parts``.
        batch: at most so many bytes are given at once.
        drop: told the reason for lines that are left out, and how many.
        tick: told how many bytes of the part have been read since the last time.

    Raises:
        SourceError: the file is cut short or damaged.
    """
    is_ended = True
    for lines in plain.read_lines(path, part, batch, drop, tick):
        ending = lines.rstrip()
        is_ended = ending.endswith(CLOSING) if ending else is_ended
        yield unescaped(TAG_LINE.sub(b"", lines)), len(OPENING.findall(lines))
    if part[1] is None and not is_ended:
        raise SourceError(f"{path}: the file is cut short: it does not end with </doc>", DAMAGED)


def read_json(path: str, part: tuple[int, int | None], batch: int, drop: Drop, tick: Tick) -> Iterator[list[bytes]]:
    """The articles of one part, some in a batch; a line without one is dropped. Arguments and errors are those of ``read_documents``."""
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
        raise SourceError(f"{path}: the file is cut short: its last line is not a whole JSON object", DAMAGED)
