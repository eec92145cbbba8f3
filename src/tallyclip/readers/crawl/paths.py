"""Which files a crawl of Common Crawl has, and a sample of them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

import msgspec
import pyarrow as pa

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.fetch import MissingFileError, TooLargeError, local_copy
from tallyclip.io.streams import open_stream
from tallyclip.io.web import POLITE, FetchPolicy
from tallyclip.readers.content import DAMAGED, EMPTY

BASE_URL = "https://data.commoncrawl.org"
TOP = "crawl-data/"  # the folder that every path of a crawl begins with
LARGEST = 64 << 20  # bytes of a list: the longest ones have 100,000 lines of 140
NAMES = "names look like CC-MAIN-2024-22; see the list at https://index.commoncrawl.org/collinfo.json"


def parse_share(text: str) -> Fraction:
    """A share of the files, exactly: "1/1000", "0.001" or "1".

    Raises:
        OptionError: it is none, or not above 0 and at most 1.
    """
    if re.fullmatch(r"[0-9]{1,18}([/.][0-9]{1,18})?", text.strip()):
        try:
            share = Fraction(text.strip())
        except ZeroDivisionError:
            share = Fraction(0)
        if 0 < share <= 1:
            return share
    raise OptionError(f"--sample {text}: no share of the files", "give one above 0 and at most 1, such as 1/1000 or 0.001")


def list_urls(crawl: str, kind: Literal["wat", "warc"], base_url: str, scratch: Path, policy: FetchPolicy = POLITE) -> list[str]:
    """The addresses of a crawl's files, in the order of its list.

    Args:
        crawl: its name, such as CC-MAIN-2024-22.
        kind: which of its files.
        base_url: what ``crawl-data/`` is below: a web address, an fsspec URL or a folder.
        scratch: a folder for the list.
        policy: how patient to be.

    Raises:
        OptionError: there is no such crawl.
        SourceError: the list cannot be fetched, or is not what it should be.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", crawl):
        raise OptionError(f"{crawl!r}: no name of a crawl", NAMES)
    base = base_url.rstrip("/")
    name = f"{base}/{TOP}{crawl}/{kind}.paths.gz"
    too_large = SourceError(f"{name}: larger than {LARGEST >> 20} MiB", "is this a list of paths?")
    try:
        with local_copy(name, scratch, msgspec.structs.replace(policy, largest=LARGEST)) as copy, open_stream(copy) as stream:
            content = stream.read(LARGEST + 1)
    except (FileNotFoundError, MissingFileError):
        raise OptionError(f"{crawl}: there is no such crawl at {base}", NAMES) from None
    except TooLargeError:
        raise too_large from None
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{name}: {error}", DAMAGED) from error
    if len(content) > LARGEST:
        raise too_large
    return [f"{base}/{path}" for path in _paths(name, content)]


def sample(urls: Sequence[str], share: Fraction) -> list[str]:
    """A share of the files, rounded up, in the order they come in.

    Which ones is decided by their paths alone: a smaller share is part of a larger one, whatever the order and from wherever they are read.
    """
    if not urls:
        return []
    chosen = sorted(range(len(urls)), key=lambda i: _order(urls[i]))[: max(1, math.ceil(share * len(urls)))]
    return [urls[i] for i in sorted(chosen)]


def _paths(name: str, content: bytes) -> list[str]:
    seen: dict[str, None] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        path = line.removesuffix(b"\r")
        if not path:
            continue
        if not re.fullmatch(rb"[\w.=+-]+(/[\w.=+-]+)*", path) or {b".", b".."} & set(path.split(b"/")):
            raise SourceError(f"{name}: line {number:,} is no path: {path[:200]!r}", "is this a list of paths?")
        if path.decode() in seen:
            raise SourceError(f"{name}: line {number:,} repeats {path.decode()}", "its files would be counted twice")
        seen[path.decode()] = None
    if not seen:
        raise SourceError(f"{name}: there is nothing in it", EMPTY)
    return list(seen)


def _order(url: str) -> tuple[bytes, str]:
    """Where a file stands among all, by chance but always the same."""
    _, top, below = url.rpartition(f"/{TOP}")
    path = top + below if top else re.sub(r"^[A-Za-z0-9+.-]+://[^/]*", "", url)
    return hashlib.blake2b(path.encode(), digest_size=8).digest(), path
