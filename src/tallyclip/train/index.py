"""The index of image shards: which pairs of a run lie where in which tar, with the keep probability of each.

INDEX/
├── index/KEY.arrow     for each tar the pairs in it, in its order
└── index/shards.json   the tars, and of which run the pairs are

An index is small beside the images, and mapped into memory: of a shard only what is asked for is read.
"""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64, UInt64

from tallyclip.core.uids import column_uids
from tallyclip.errors import ArtifactError, IncompleteError, InUseError, OptionError
from tallyclip.exports import export_index
from tallyclip.io.streams import is_url, real_path
from tallyclip.io.structs import fingerprint_of, read_struct
from tallyclip.readers.listing import kind_of, list_files, named_by
from tallyclip.readers.sources import find_tars
from tallyclip.run.workspace import only_read
from tallyclip.stages.balance import BALANCE
from tallyclip.stages.index import INDEX_SCHEMA
from tallyclip.stages.runs import RUN
from tallyclip.wording import plural

COMMAND = "tallyclip export index RUN --images SHARDS --out INDEX"
COLUMNS = {field.name: field.type for field in INDEX_SCHEMA}
SECONDS_BETWEEN_LOOKS = 1.0  # while another process makes the index
logger = logging.getLogger("tallyclip.train")
Shards = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class IndexedRun(msgspec.Struct):
    """Of which run the pairs are."""

    t: float
    fingerprint: str


class IndexedShard(msgspec.Struct):
    """A tar, the name of its file in the index, how many pairs and samples of the run are in it, and its state."""

    path: str
    key: str
    pairs: int
    samples: int
    fingerprint: str = ""


class _ShardList(msgspec.Struct):
    """The content of shards.json."""

    run: IndexedRun
    shards: list[IndexedShard]
    drops: dict[str, int]
    not_read: list[str] = []


class ShardRows(NamedTuple):
    """The N pairs of a shard, in the order of the tar.

    Attributes:
        uids: of the pairs.
        keep: their keep probabilities.
        curated: which are in the run's curated set.
        samples: the number of each one's sample in the tar, rising; an image with several texts has several rows.
        image_at: the place of the image's bytes in the (decompressed) tar.
        image_size: how many bytes they are.
        texts: a column of strings.
    """

    uids: UInt64[np.ndarray, "N 2"]
    keep: Float64[np.ndarray, " N"]
    curated: Bool[np.ndarray, " N"]
    samples: Int64[np.ndarray, " N"]
    image_at: Int64[np.ndarray, " N"]
    image_size: Int64[np.ndarray, " N"]
    texts: pa.StringArray


class ShardIndex:
    """An index, or the part of it that some shards are in.

    Args:
        folder: of the index.
        run: of which run its pairs are.
        shards: in the order of the index.
        not_read: paths of tars that the index was to be of, and that could not be read; they are left out without an error.
    """

    def __init__(self, folder: Path, run: IndexedRun, shards: Sequence[IndexedShard], not_read: Sequence[str] = ()) -> None:
        self.folder = folder
        self.run = run
        self.shards = shards
        self._not_read = not_read

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> ShardIndex:
        """An index by its folder.

        Raises:
            ArtifactError: there is none, or it is broken.
        """
        path = Path(folder) / "index" / "shards.json"
        found = read_struct(path, _ShardList)
        if found is None:
            raise ArtifactError(f"{folder}: this is no index of shards: {path} is missing", f"{COMMAND} makes one")
        return cls(Path(folder), found.run, found.shards, found.not_read)

    def of(self, shards: Shards) -> ShardIndex:
        """The part of the index that these shards are in: paths, URLs, globs, or folders of tars.

        A tar that lies elsewhere than when the index was made is known by its name, if that is the name of only one.

        Raises:
            OptionError: there are no tars, or some are not in the index.
        """
        by_path = {shard.path: shard for shard in self.shards}
        by_name: defaultdict[str, list[IndexedShard]] = defaultdict(list)
        for shard in self.shards:
            by_name[_name(shard.path)].append(shard)
        paths: dict[str, str] = {}  # of each shard by its path in the index, where it lies now
        for path in _tars(shards, by_path):
            if path in self._not_read:
                logger.warning("%s could not be read when the index was made, and is left out", path)
                continue
            alike = [by_path[path]] if path in by_path else by_name[_name(path)]
            if len(alike) != 1:
                what = "it is not in the index" if not alike else f"{len(alike)} tars in the index have this name"
                raise OptionError(f"{path}: {what} {self.folder}", f"{COMMAND} makes an index of your shards")
            if alike[0].path in paths:
                raise OptionError(f"{path}: the index knows only one tar of this name, and {paths[alike[0].path]} is one too")
            paths[alike[0].path] = path
        if not paths:
            raise OptionError(f"{shards}: no tars here", "give paths, URLs or globs of .tar files, or folders with them")
        chosen = [msgspec.structs.replace(shard, path=paths[shard.path]) for shard in self.shards if shard.path in paths]
        return ShardIndex(self.folder, self.run, chosen)

    def rows(self, shard: IndexedShard) -> ShardRows:
        """The pairs of a shard, mapped into memory.

        Raises:
            ArtifactError: its file is missing or broken, or belongs to another index.
        """
        path = self.folder / "index" / f"{shard.key}.arrow"
        hint = f"delete {self.folder} and make it again: {COMMAND}"
        try:
            with pa.memory_map(str(path)) as file:
                # A process that was forked has no threads, and Arrow would wait for them.
                table = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(use_threads=False)).read_all()
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"{path}: not readable: {' '.join(str(error).split())}", hint) from error
        if not all(name in table.column_names and table.schema.field(name).type == kind for name, kind in COLUMNS.items()):
            raise ArtifactError(f"{path}: written by another version", hint)
        if len(table) != shard.pairs:
            raise ArtifactError(f"{path}: {plural(len(table), 'pair')}, but shards.json says {shard.pairs:,}", hint)
        uids, *arrays, texts = (_whole(table.column(name)) for name in COLUMNS)
        keep, curated, samples, at, size = (array.to_numpy(zero_copy_only=not pa.types.is_boolean(array.type)) for array in arrays)
        return ShardRows(column_uids(uids), keep, curated, samples, at, size, texts)


def find_index(shards: Shards, run: str | os.PathLike[str]) -> Path:
    """The folder of the index of these shards in a run. It is made if there is none, or if the run was balanced anew.

    Of several processes that ask at once, as the ranks of a training do, one makes it and the others wait.

    Raises:
        OptionError: there are no tars.
        ArtifactError, IncompleteError: the run is none, or is not balanced; or no shard has a pair of it.
    """
    given = [shards] if isinstance(shards, (str, os.PathLike)) else shards
    names = [name if is_url(name) else os.path.abspath(name) for name in (os.fspath(shard) for shard in given)]
    folder = Path(run) / "index" / fingerprint_of(shards=names)[:16]
    while not _is_current(folder, names, fingerprint_of_run(run)):
        try:
            logger.info("index %s: made, once for these shards", folder)
            export_index(run, names, out=folder)
            break
        except InUseError:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        except IncompleteError as error:
            hint = f"to go on without tars that cannot be read: {COMMAND} --allow-failed-shards, and give index=INDEX"
            raise IncompleteError(error.what, f"{error.hint}; or {hint}" if error.hint else hint) from error
    return folder


def fingerprint_of_run(run: str | os.PathLike[str]) -> str:
    """The fingerprint of what a run has drawn.

    Raises:
        ArtifactError: there is no such run.
        IncompleteError: it is not balanced.
    """
    return only_read(RUN, os.fspath(run)).required(BALANCE).fingerprint


def _is_current(folder: Path, names: Sequence[str], fingerprint: str) -> bool:
    """Is there an index that has all these tars, and is of them and of the run as they are now?"""
    try:
        index = ShardIndex.open(folder)
    except ArtifactError:
        return False
    known = {(shard.path, shard.fingerprint) for shard in index.shards}
    return index.run.fingerprint == fingerprint and known == {(file.path, file.fingerprint) for file in find_tars(names)[0]}


def _whole(column: pa.ChunkedArray) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _tars(shards: Shards, known: dict[str, IndexedShard]) -> list[str]:
    """The paths and URLs of tars; those that are known as they are written are not looked for."""
    given = [shards] if isinstance(shards, (str, os.PathLike)) else shards
    found: dict[str, str] = {}  # by their real paths, so that each is there once
    for name in (each for shard in given for each in named_by(os.fspath(shard))):
        path = name if name in known or is_url(name) else os.path.abspath(name)
        if path in known:
            found.setdefault(real_path(path), path)
        else:
            for file in sorted(file for file in list_files(name).files if kind_of(file) == "tar"):
                found.setdefault(real_path(file), file)
    return list(found.values())


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
