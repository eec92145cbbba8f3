"""The files of a crawl, by its id: a sample of its file list, chosen once and recorded in the run folder."""

from __future__ import annotations

import hashlib
import os
from typing import Literal

import msgspec

from tallyclip.errors import OptionError
from tallyclip.io.files import write_json
from tallyclip.io.streams import is_url
from tallyclip.io.structs import read_struct
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.crawl.paths import BASE_URL, list_urls, parse_share, sample
from tallyclip.readers.sources import Pool, PoolFile, file_keys
from tallyclip.run.workspace import Workspace

CHOSEN = "crawl.json"  # in the run folder: the chosen files


class Crawl(msgspec.Struct, frozen=True):
    """A crawl, and the share of its files to read.

    Attributes:
        name: its id, such as CC-MAIN-2024-22.
        share: the share of its files, such as "1/1000".
        kind: the kind of files.
        base_url: where its path list and files are.
    """

    name: str
    share: str = "1"
    kind: Literal["wat", "warc"] = "wat"
    base_url: str = BASE_URL

    @classmethod
    def of(cls, name: str, share: str, kind: Literal["wat", "warc"], base_url: str) -> Crawl:
        """A crawl, with its share and URL in normal form.

        Raises:
            OptionError: the share is invalid.
        """
        base = base_url.rstrip("/")
        return cls(name, str(parse_share(share)), kind, base if is_url(base) else os.path.abspath(base))

    def __str__(self) -> str:
        return f"{self.share} of the {self.kind.upper()} files of {self.name} at {self.base_url}"


class _Chosen(msgspec.Struct, frozen=True):
    crawl: Crawl
    urls: list[str]


def crawl_files(run: Workspace, crawl: Crawl) -> Pool:
    """The files of a crawl. They are chosen once, and recorded in the run folder for later commands.

    A file is identified by its URL alone: published crawls do not change, and a request for the state of each of a hundred thousand
    files would take longer than reading some.

    Raises:
        OptionError: there is no such crawl, or the run has another one.
        SourceError: its list cannot be read.
    """
    share = parse_share(crawl.share)
    run.create([str(crawl)], 0)
    chosen_file = run.root / CHOSEN
    chosen = read_struct(chosen_file, _Chosen)
    if chosen is not None and chosen.crawl != crawl:
        raise OptionError(f"{run.root} is a run of {chosen.crawl}, not of {crawl}", "give a new --out, or the same crawl and sample")
    if chosen is None:
        run.downloads.mkdir(parents=True, exist_ok=True)
        run.progress.note(f"reading the file list of {crawl.name} at {crawl.base_url}")
        urls = list_urls(crawl.name, crawl.kind, crawl.base_url, run.downloads)
        chosen = _Chosen(crawl, sample(urls, share))
        write_json(chosen_file, msgspec.to_builtins(chosen))
        run.progress.note(f"{len(chosen.urls):,} of {len(urls):,} {crawl.kind.upper()} files of {crawl.name} chosen")
    urls = sorted(chosen.urls)
    keys = file_keys(urls)
    files = [PoolFile(url, keys[url], crawl.kind, 0, hashlib.sha256(url.encode()).hexdigest()[:32]) for url in urls]
    return Pool([str(crawl)], ColumnChoice(), files)
