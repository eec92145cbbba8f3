"""WARC files: the pages themselves, from which the images are taken here.

What counts as a page is what Common Crawl's extractor (ia-web-commons) takes links from, so that a WARC and its WAT give the same pairs as
far as two parsers can agree: any response of type HTML, whatever its status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallyclip.readers.crawl.archive import WarcRecord, read_records
from tallyclip.readers.crawl.charset import to_utf8
from tallyclip.readers.crawl.gather import TOO_COMPLEX, Gatherer
from tallyclip.readers.crawl.html import TooComplexError, images_of
from tallyclip.readers.crawl.http import Response, decode_body, parse_response

KINDS = ("response", "resource", "revisit", "warcinfo")
OTHER_RECORDS = "other records"
GUESSED = "pages of a guessed charset"
REVISIT = "revisit: the page is in an earlier capture"

_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.{0,1000}?-->\s*|<\?xml.{0,200}?\?>\s*)?<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)


def read_warc(path: str, gather: Gatherer, *, name: str | None = None, keep_readable: bool = False) -> Iterator[None]:
    """Put the images of a WARC file's pages into a gatherer; yields after each record, so that rows can be taken.

    Args:
        path: on this machine.
        gather: takes the images in.
        name: of the file in the rows, if not that of its path.
        keep_readable: see ``read_records``.

    Raises:
        SourceError: see ``read_records``.
        MissingExtraError: a package that reads pages is not installed.
    """
    name = name or path.rsplit("/", 1)[-1]
    for record in read_records(path, KINDS, gather.drop, keep_readable=keep_readable):
        gather.counts["records"] += 1
        if record.kind == "response":
            _read_response(record, name, gather)
        elif record.kind == "revisit":
            gather.drop(REVISIT, record.uri)
        elif record.kind == "resource":
            gather.counts[OTHER_RECORDS] += 1  # what crawlers write of their own: the extractor does not look into it either
        yield


def _read_response(record: WarcRecord, name: str, gather: Gatherer) -> None:
    response = parse_response(record.content)
    if not _may_be_page(response, record.payload_type):
        gather.counts[OTHER_RECORDS] += 1
        return
    body = decode_body(response)
    if body.content is None:
        gather.drop(body.reason or "", record.uri)
        return
    content_type = response.header("content-type")
    if not (content_type or record.payload_type) and not _HTML_START.match(body.content):
        gather.counts[OTHER_RECORDS] += 1
        return
    try:
        base, images = images_of(to_utf8(body.content, content_type, lambda: gather.counts.update([GUESSED])))
    except TooComplexError:
        gather.drop(TOO_COMPLEX, record.uri)
        return
    if body.reason is not None:
        gather.drop(body.reason, record.uri)  # of this page the rest
    gather.page(record.uri, base, name, record.offset, images)


def _may_be_page(response: Response, found: str | None) -> bool:
    content_type = (found or response.header("content-type")).lower()
    return response.status is not None and (not content_type or "html" in content_type)
