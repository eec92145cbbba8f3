"""Crawl files as a reader like any other: WAT and WARC give records, which here are pairs of an image URL and a caption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tallyclip.core.uids import UID, uid_column
from tallyclip.io.fetch import local_copy
from tallyclip.io.streams import file_name
from tallyclip.io.web import POLITE
from tallyclip.readers.columns import Columns
from tallyclip.readers.crawl.gather import SCHEMA, Gatherer
from tallyclip.readers.records import Records
from tallyclip.readers.warc import read_warc
from tallyclip.readers.wat import read_wat

READERS = {"wat": read_wat, "warc": read_warc}
UID_COLUMN = "uid"  # made while pages are read, where captions that a page repeats are dropped; nobody has to hash a pair again
PAGE_COLUMN = "page"  # a hash of the page and its place in the archive
COLUMNS = Columns("text", "url", UID_COLUMN, layout="crawl")
PAIRS = pa.schema([(UID_COLUMN, UID), *SCHEMA, (PAGE_COLUMN, pa.uint64())])


class CrawlReading(msgspec.Struct, frozen=True):
    """How crawl files are read.

    Attributes:
        scratch: a folder for copies of remote files.
        keep_readable: keep what can be read of damaged files.
        max_download: bytes of a file; larger ones are not fetched.
    """

    scratch: str = "."
    keep_readable: bool = False
    max_download: int = POLITE.largest


def read_crawl(path: str, kind: str, how: CrawlReading) -> Iterator[Records]:
    """Stream the pairs of a WAT or WARC file, with the columns of ``PAIRS``.

    Raises:
        SourceError: the file cannot be read or fetched, or is damaged and ``keep_readable`` is off.
        MissingExtraError: a package that reads such files is not installed.
    """
    policy = msgspec.structs.replace(POLITE, largest=how.max_download)
    name = file_name(path).rsplit("/", 1)[-1]  # not that of a copy
    gatherer, rows, before = Gatherer(), 0, Counter[str]()
    with local_copy(path, Path(how.scratch), policy) as local:
        records: Iterator[Any] = READERS[kind](local, gatherer, name=name, keep_readable=how.keep_readable)
        more = True
        while more:
            more = any(gatherer.is_full for _ in records)
            taken = gatherer.take()
            table = taken.table.add_column(0, UID_COLUMN, uid_column(taken.uids)).append_column(PAGE_COLUMN, pa.array(taken.pages))
            seen = gatherer.counts - before
            before = gatherer.counts.copy()
            yield Records(np.arange(rows, rows + len(table)), table, gatherer.drain(), dict(seen))
            rows += len(table)
