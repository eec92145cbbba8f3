"""Resolving one bucket of keys: one slice of every file's sorted keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np

from tallyclip.core.duplicates import frequent, resolve, shard_places, without
from tallyclip.core.sorting import bucket_slice
from tallyclip.io.files import write_array
from tallyclip.run.layout import DuplicatesFolder


class BucketJob(msgspec.Struct, frozen=True):
    """What a worker needs to resolve a bucket of pairs, or with ``site_limit`` one of texts by site.

    ``runs`` is a file that names the files of keys, in the order of the shards; rows that are in the files ``site_losers`` go already, and
    are no reason for others to go.
    """

    bucket: int
    bits: int
    runs: str
    known: list[str]
    folder: str
    site_limit: int | None = None
    site_losers: list[str] = []

    @property
    def key(self) -> str:
        return f"{self.bucket:05d}" if self.site_limit is None else f"sites-{self.bucket:05d}"


class BucketReport(msgspec.Struct, frozen=True):
    """How many rows go, and how many of these because their key is of an earlier pool."""

    going: int
    known: int


def resolve_bucket(job: BucketJob, tick: Callable[[int], None]) -> BucketReport:
    """Find who goes in a bucket: writes their places."""
    folder = DuplicatesFolder(Path(job.folder))
    runs: list[np.ndarray] = []
    for shard, path in enumerate(_names(job.runs)["pairs" if job.site_limit is None else "sites"]):
        records = np.load(path, mmap_mode="r")
        part = np.array(records[bucket_slice(records[:, 0], job.bucket, job.bits)])
        if len(part):
            part[:, 3] = shard_places(shard, part[:, 3])
            runs.append(part)
    rows = sum(map(len, runs))
    tick(rows)
    if job.site_limit is not None:
        going = frequent(runs, job.site_limit)
        write_array(folder.site_losers(job.bucket), going)
        return BucketReport(len(going), 0)
    known: list[np.ndarray] = []
    for path in job.known:
        keys = np.load(path, mmap_mode="r")
        known.append(keys[bucket_slice(keys[:, 0], job.bucket, job.bits)])
    for path in job.site_losers:
        losers = np.load(path, mmap_mode="r")
        runs = [without(run, losers) for run in runs]
    going, of_known = resolve(runs, known)
    write_array(folder.losers(job.bucket), going)
    return BucketReport(len(going), of_known)


@lru_cache(maxsize=1)
def _names(path: str) -> dict[str, list[str]]:
    return json.loads(Path(path).read_text(encoding="utf-8"))
