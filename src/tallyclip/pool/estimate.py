"""How many records a file may have, from its beginning."""

from __future__ import annotations

import json

from tallyclip.errors import SourceError
from tallyclip.pool.reading import reading
from tallyclip.pool.sources import PoolFile, Shard
from tallyclip.pool.tars import count_samples
from tallyclip.streams import compression_of, open_stream

LOOKED_AT = 4 << 20  # bytes, unpacked
MEMBERS = 300  # of a tar
USUAL_COMPRESSION = 4
BYTES_PER_PAIR = {"wat": 600, "warc": 3_000}  # of compressed crawl files; measured on some hundred pages of news and blogs


def estimate_rows(shard: Shard) -> int:
    """The number of records of a shard: exact for Parquet, else the density of the file's beginning times its size; 0 if unreadable."""
    if shard.rows is not None:
        return shard.rows
    try:
        with reading(shard.file.path):
            match shard.file.kind:
                case "parquet":
                    return 0
                case "tar":
                    return _tar_rows(shard.file)
                case "wat" | "warc" as kind:
                    return shard.file.size // BYTES_PER_PAIR[kind]
                case _:
                    return _text_rows(shard.file)
    except SourceError:
        return 0


def _text_rows(file: PoolFile) -> int:
    with open_stream(file.path) as stream:
        start = stream.read(LOOKED_AT)
    rows = _count(start, file.kind) if start else 0
    if len(start) < LOOKED_AT:
        return rows
    size = file.size * (USUAL_COMPRESSION if compression_of(file.path) else 1)
    return max(1, round(rows * max(1.0, size / len(start))))


def _count(start: bytes, kind: str) -> int:
    if kind != "json" or start.lstrip()[:1] != b"[":
        return start.count(b"\n") + (not start.endswith(b"\n"))
    text = start.decode("utf-8", "replace").lstrip().removeprefix("[")
    decoder, items, place = json.JSONDecoder(), 0, 0
    while True:
        while place < len(text) and text[place] in ", \t\r\n":
            place += 1
        try:
            place = decoder.raw_decode(text, place)[1]
        except (ValueError, RecursionError):
            return items
        items += 1


def _tar_rows(file: PoolFile) -> int:
    """Images, which most of a tar is, do not get smaller by compression."""
    samples, size = count_samples(file.path, MEMBERS)
    return samples if size is None else max(1, round(samples * file.size / size))
