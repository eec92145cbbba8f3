"""Estimates what a run takes: the beginning of a few files is matched, and the stages say what the rest costs them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from tallyclip.core.data import Metadata
from tallyclip.errors import SourceError
from tallyclip.match.matcher import Matcher
from tallyclip.match.reference import Mode
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.content import reading
from tallyclip.readers.estimate import estimate_rows
from tallyclip.readers.others import skipped_notes
from tallyclip.readers.pairs import pairs_in_parts
from tallyclip.readers.read import columns_of, notes_of, read_shard
from tallyclip.readers.sources import Shard, cut, find_files
from tallyclip.run.cost import Cost, Expected
from tallyclip.stages.runs import RUN

SHARDS_LOOKED_AT = 3
SECONDS_TO_START = 5.0  # this and the bytes are measured on the pool of the benchmark (docs/benchmarks.md)
BYTES_PER_WORKER = 420 << 20
BYTES_OF_DRIVER = 350 << 20


class Estimate(msgspec.Struct):
    """What a run is expected to take.

    Attributes:
        exact_rows: True if every file states its number of records.
        columns: by their roles, of the first file that can be read.
        notes: on how that file is read.
        skipped: notes on files that are not part of the pool.
        unread: errors of the sampled files that cannot be read.
        seconds, disk_bytes: upper bounds, for a set that keeps every matched pair.
    """

    files: int
    bytes: int
    shards: int
    rows: int
    exact_rows: bool
    pairs: int
    matched: int
    matches_per_pair: float
    columns: dict[str, str]
    notes: list[str]
    unread: list[str]
    skipped: list[str]
    seconds: float
    disk_bytes: int
    memory_bytes: int
    workers: int


def estimate_run(pool: Sequence[str], choice: ColumnChoice, metadata: Metadata, mode: Mode, workers: int) -> Estimate:
    """Read and match the first batch of a few shards, and extrapolate.

    Raises:
        OptionError: there is nothing to read, or the caption column cannot be detected.
        SourceError: none of the sampled files can be read.
    """
    files, skipped = find_files(pool, choice)
    shards = cut(files)
    matcher = Matcher(metadata, mode)
    matcher.match(["compile"])
    samples: list[_Sample] = []
    unread: list[str] = []
    for shard in _spread(shards):
        try:
            sample = _look(shard, choice, matcher)
        except SourceError as error:
            unread.append(error.what)
            continue
        if sample is not None:
            samples.append(sample)
    if not samples and unread:
        raise SourceError("none of the sampled files could be read:", "run 'tallyclip match' to see the errors of all files", unread)
    if not samples:
        raise SourceError("the sampled files have no records", "check that this is the right pool")
    rows = sum(estimate_rows(shard, choice) for shard in shards)
    seen, pairs_seen = sum(sample.rows for sample in samples), sum(sample.pairs for sample in samples)
    scale = rows / max(1, seen)
    matched = sum(sample.matched for sample in samples) * scale
    matches = sum(sample.matches for sample in samples) * scale
    row_bytes = sum(sample.bytes for sample in samples) / max(1, seen) + sum(sample.text_bytes for sample in samples) / max(1, pairs_seen)
    expected = Expected(
        pairs=pairs_seen * scale,
        matched=matched,
        matches=matches,
        match_seconds=sum(sample.seconds_matching for sample in samples) * scale,
        read_seconds=sum(sample.seconds_reading for sample in samples) * scale,
        row_bytes=row_bytes,
    )
    gathered = any(file.is_gathered for file in files)
    costs = [stage.cost(expected) for stage in RUN.stages if stage.cost is not None and (gathered or not stage.optional)]
    cost = sum(costs, Cost())
    return Estimate(
        files=len(files),
        bytes=sum(file.size for file in files),
        shards=len(shards),
        rows=rows,
        exact_rows=all(shard.rows is not None for shard in shards),
        pairs=round(pairs_seen * scale),
        matched=round(matched),
        matches_per_pair=matches / matched if matched else 0.0,
        columns=samples[0].columns,
        notes=samples[0].notes,
        unread=unread,
        skipped=skipped_notes(skipped),
        seconds=SECONDS_TO_START + cost.seconds / min(workers, len(shards)),
        disk_bytes=round(cost.disk_bytes),
        memory_bytes=BYTES_OF_DRIVER + min(workers, len(shards)) * BYTES_PER_WORKER,
        workers=workers,
    )


class _Sample(msgspec.Struct):
    """Measurements of the first batch of a shard. ``bytes`` is the size of its records without lists of captions; ``text_bytes`` the size
    of the captions in these lists, each of which is written to the row of its pair."""

    rows: int
    pairs: int
    matched: int
    matches: int
    bytes: int
    text_bytes: int
    seconds_matching: float
    seconds_reading: float
    columns: dict[str, str]
    notes: list[str]


def _spread(shards: Sequence[Shard]) -> list[Shard]:
    places = np.linspace(0, len(shards) - 1, min(len(shards), SHARDS_LOOKED_AT)).astype(int)
    return [shards[place] for place in places]


def _look(shard: Shard, choice: ColumnChoice, matcher: Matcher) -> _Sample | None:
    """The first batch of a shard; None if it is empty.

    Raises:
        SourceError: the shard cannot be read.
    """
    columns = columns_of(shard.file, choice)
    started = time.perf_counter()
    records = next(read_shard(shard, columns, choice), None)
    if records is None:
        return None
    pairs = matched = found = text_bytes = 0
    several = pa.types.is_nested(records.table[columns.caption].type)
    with reading(shard.file.path):
        for part in pairs_in_parts(records, columns):
            matches = matcher.match(part.texts)
            pairs += len(part.rows)
            matched += int(np.count_nonzero(matches.lengths))
            found += len(matches.entry_ids)
            text_bytes += part.texts.nbytes if several else 0
    matched_at = time.perf_counter()
    everything = next(read_shard(shard, columns, choice, everything=True))
    rows = len(everything.rows) + len(everything.drops)
    table = everything.table.drop_columns([columns.caption]) if several else everything.table
    return _Sample(
        rows=len(records.rows) + len(records.drops),
        pairs=pairs,
        matched=matched,
        matches=found,
        bytes=round(table.nbytes / max(1, rows) * (len(records.rows) + len(records.drops))),
        text_bytes=text_bytes,
        seconds_matching=matched_at - started,
        seconds_reading=time.perf_counter() - matched_at,
        columns=columns.roles,
        notes=[str(columns), *notes_of(shard.file, columns)],
    )
