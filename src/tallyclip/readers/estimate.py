"""How many records a file may have, from its beginning."""

from __future__ import annotations

from tallyclip.errors import SourceError
from tallyclip.io.streams import compression_of, open_stream
from tallyclip.readers.arrow import count_rows
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.content import BOM, reading
from tallyclip.readers.json_lines import count_lines, count_records
from tallyclip.readers.sources import NOTHING_SAID, PoolFile, Shard
from tallyclip.readers.tar import count_samples

LOOKED_AT = 4 << 20  # bytes, unpacked
MEMBERS = 300  # of a tar
USUAL_COMPRESSION = 4
BYTES_PER_PAIR = {"wat": 600, "warc": 3_000}  # of compressed crawl files; measured on some hundred pages of news and blogs


def estimate_rows(shard: Shard, choice: ColumnChoice = NOTHING_SAID) -> int:
    """The number of records of a shard: exact for Parquet, else the density of the file's beginning times its size; 0 if unreadable.

    Args:
        shard: a file of the pool, or a part of one.
        choice: what the user said of columns, which may tell what a JSON file's records are.
    """
    if shard.rows is not None:
        return shard.rows
    try:
        with reading(shard.file.path):
            match shard.file.kind:
                case "parquet":
                    return 0
                case "arrow":
                    return count_rows(shard.file.path)
                case "tar":
                    return _tar_rows(shard.file)
                case "wat" | "warc" as kind:
                    return shard.file.size // BYTES_PER_PAIR[kind]
                case _:
                    return _text_rows(shard.file, choice)
    except SourceError:
        return 0


def _text_rows(file: PoolFile, choice: ColumnChoice) -> int:
    with open_stream(file.path) as stream:
        start = stream.read(LOOKED_AT)
    whole = len(start) < LOOKED_AT
    start = start.removeprefix(BOM)
    if not start:
        return 0
    rows = count_records(file.path, start, choice, whole=whole) if file.kind == "json" else count_lines(start)
    if whole:
        return rows
    size = file.size * (USUAL_COMPRESSION if compression_of(file.path) else 1)
    return max(1, round(rows * max(1.0, size / len(start))))


def _tar_rows(file: PoolFile) -> int:
    """Images, which most of a tar is, do not get smaller by compression."""
    samples, size = count_samples(file.path, MEMBERS)
    return samples if size is None else max(1, round(samples * file.size / size))
