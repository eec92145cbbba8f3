"""WAT files: the links that Common Crawl has already taken from its pages, as JSON.

A record is read in its bytes (``crawl/wat_json.py``). If its JSON is not as plain as Common Crawl writes it, it is decoded by msgspec,
which passes over what is not asked for; and if something has another form than is expected, as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from tallyclip.readers.crawl.archive import read_records
from tallyclip.readers.crawl.gather import Gatherer
from tallyclip.readers.crawl.wat_json import IMAGE
from tallyclip.readers.crawl.written import NO_PAGE, Image, WatRecord
from tallyclip.readers.records import Bad, decode_json

ODD_LINK = "malformed link"


class _Head(msgspec.Struct, gc=False, rename={"base": "Base"}):
    base: str | None = None


class _Html(msgspec.Struct, gc=False, rename={"head": "Head", "links": "Links"}):
    head: _Head | None = None
    links: list[Image] | None = None


class _Response(msgspec.Struct, gc=False, rename={"html": "HTML-Metadata"}):
    html: _Html | None = None


class _Payload(msgspec.Struct, gc=False, rename={"response": "HTTP-Response-Metadata"}):
    response: _Response | None = None


class _Envelope(msgspec.Struct, gc=False, rename={"payload": "Payload-Metadata"}):
    payload: _Payload | None = None


class _Container(msgspec.Struct, gc=False, rename={"filename": "Filename", "offset": "Offset"}):
    filename: str | None = None
    offset: str | int | None = None


class _Wat(msgspec.Struct, gc=False, rename={"container": "Container", "envelope": "Envelope"}):
    container: _Container | None = None
    envelope: _Envelope | None = None


_decode = msgspec.json.Decoder(_Wat).decode


def read_wat(path: str, gather: Gatherer, *, name: str | None = None, keep_readable: bool = False) -> Iterator[None]:
    """Put the images of a WAT file's pages into a gatherer; yields after each record, so that rows can be taken.

    Where a record names the WARC file and the place that its page is at, these are the row's; else those of the record itself.

    Args:
        path: on this machine.
        gather: takes the images in.
        name: of the file in the rows, if not that of its path.
        keep_readable: see ``read_records``.

    Raises:
        SourceError: see ``read_records``.
    """
    name = name or path.rsplit("/", 1)[-1]
    for record in read_records(path, ("metadata", "warcinfo"), gather.drop, keep_readable=keep_readable):
        gather.counts["records"] += 1
        if record.kind != "metadata":
            continue
        found = gather.written.read(record.content) or _decoded(record.content, gather)
        if found.has_page:
            offset = _whole(found.offset)
            place = (found.crawl_file, offset) if found.crawl_file and offset is not None else (name, record.offset)
            gather.written_page(record.uri, found.base, *place, found.images)
        yield


def _decoded(content: bytes, gather: Gatherer) -> WatRecord:
    """The same as ``WrittenTexts.read`` of any record; one that is no JSON is dropped."""
    try:
        wat = _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        wat = _decode_slowly(content, gather)
    payload = wat.envelope.payload if wat and wat.envelope else None
    html = payload.response.html if payload and payload.response else None
    if wat is None or html is None:
        return NO_PAGE
    container = wat.container or _Container()
    images = gather.written.add(link for link in html.links or () if link.path == IMAGE)
    return WatRecord(True, html.head.base if html.head else None, container.filename, container.offset, images)


def _whole(offset: str | int | None) -> int | None:
    try:
        place = -1 if offset is None else int(offset)
    except ValueError:
        return None
    return place if 0 <= place < 1 << 63 else None


def _decode_slowly(content: bytes, gather: Gatherer) -> _Wat | None:
    """What is there of a record that is not quite as it should be: each part that has another form counts as absent."""
    value = decode_json(content)
    if isinstance(value, Bad):
        gather.drop(value.reason, value.sample)
        return None
    wat = _part(value)
    payload = _part(_part(wat.get("Envelope")).get("Payload-Metadata"))
    html = _part(_part(payload.get("HTTP-Response-Metadata")).get("HTML-Metadata"))
    if not html:
        return _Wat()
    links: list[Image] = []
    found = html.get("Links")
    for link in cast(list[Any], found) if isinstance(found, list) else []:
        try:
            links.append(msgspec.convert(link, Image))
        except msgspec.ValidationError:
            gather.drop(ODD_LINK, str(link))
    container = _part(wat.get("Container"))
    base = _text(_part(html.get("Head")).get("Base"))
    offset = container.get("Offset")
    place = _Container(_text(container.get("Filename")), offset if isinstance(offset, str | int) else None)
    return _Wat(place, _Envelope(_Payload(_Response(_Html(_Head(base), links)))))


def _part(value: Any) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
