"""WAT and WARC files, made by hand: each record is a gzip member, as Common Crawl writes them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def record(kind: str, content: bytes, uri: str = "", end: bytes = b"\r\n", **headers: str) -> bytes:
    """A WARC record."""
    lines = ["WARC/1.0", f"WARC-Type: {kind}", "WARC-Date: 2026-01-01T00:00:00Z", "WARC-Record-ID: <urn:uuid:0>"]
    lines += [f"WARC-Target-URI: {uri}"] if uri else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(content)}"]
    return end.join(line.encode() for line in lines) + end * 2 + content + end * 2


def packed(records: Sequence[bytes]) -> bytes:
    """Records as gzip members."""
    return b"".join(gzip.compress(one, compresslevel=1, mtime=0) for one in records)


def image(url: str | None, **texts: Any) -> dict[str, Any]:
    return {"path": "IMG@/src", **({} if url is None else {"url": url}), **texts}


def wat_json(links: Sequence[Any], base: str | None = None, place: tuple[str, int] | None = ("page.warc.gz", 7)) -> bytes:
    """The content of a WAT record of a page, without blanks, as Common Crawl writes it."""
    head = {} if base is None else {"Head": {"Base": base}}
    html = {**head, "Links": list(links)}
    container = {} if place is None else {"Container": {"Filename": place[0], "Offset": str(place[1])}}
    return json.dumps(
        {**container, "Envelope": {"Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": html}}}}, separators=(",", ":")
    ).encode()


def page(uri: str, links: Sequence[Any], **more: Any) -> bytes:
    """A page's record in a WAT file."""
    return record("metadata", wat_json(links, **more), uri)


def write_wat(path: Path, pages: Sequence[bytes]) -> Path:
    """A WAT file of records."""
    path.write_bytes(packed([record("warcinfo", b"software: test\r\n", WARC_Filename=path.name), *pages]))
    return path
