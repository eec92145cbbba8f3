"""Balancing one shard: from its matches to probabilities, and from the pool to the pairs that stay."""

from __future__ import annotations

import base64
import heapq
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from tallyclip.core.balance import TextsPolicy, draw, keep_probability, pick_one
from tallyclip.core.counts import add_to_counts
from tallyclip.core.data import Matches, concatenate
from tallyclip.core.plan import parts_of
from tallyclip.core.uids import uid_strings
from tallyclip.errors import StaleError
from tallyclip.export.uids import RunWriter
from tallyclip.io.files import replacing
from tallyclip.io.tables import TableWriter
from tallyclip.match.matched_pairs import LANGUAGE, LanguageTags, MatchedPairs, read_matches
from tallyclip.readers.columns import ColumnChoice, Columns
from tallyclip.readers.content import LONGEST_SAMPLE
from tallyclip.readers.ledger import KEPT_SAMPLES
from tallyclip.readers.pairs import PAIRS_AT_ONCE, Texts
from tallyclip.readers.read import columns_of, read_shard
from tallyclip.readers.records import BYTES_AT_ONCE, Records, as_kind
from tallyclip.readers.sources import fingerprint
from tallyclip.run.layout import BalanceFolder
from tallyclip.run.shards import ShardJob, ShardReport, sizes_of
from tallyclip.stages.match_shard import Sample, smallest_uids

EXAMPLES_PER_BATCH = 3  # of pairs that do not stay
PROBABILITIES = pa.schema(
    [
        ("uid_high", pa.uint64()),
        ("uid_low", pa.uint64()),
        ("file", pa.dictionary(pa.int32(), pa.string())),
        ("row", pa.int64()),
        ("text", pa.int32()),
        ("keep_probability", pa.float64()),
    ]
)


class BalanceJob(ShardJob, frozen=True):
    """What a worker needs to balance a shard.

    ``columns_out`` maps the pool's columns to their names in the curated set; ``several_texts``: this set has the columns of pairs whose
    images have several texts; ``list_captions``: and this shard's captions come as lists, which do not go into it.
    """

    choice: ColumnChoice
    matches: str
    probability: str
    folder: str
    seed: int
    policy: TextsPolicy
    schema: str
    columns_out: dict[str, str]
    several_texts: bool
    list_captions: bool
    with_languages: bool


class BalanceReport(ShardReport, kw_only=True):
    """``rows`` counts the pairs that name an entry; ``candidates`` those that could be drawn, one for each
    image if so asked; ``kept`` those that stay; ``thinned`` are examples of those that do not."""

    kept: int
    expected_parts: int
    candidates: int
    thinned: list[Sample]
    uid_runs: list[str]


def balance_shard(job: BalanceJob, tick: Callable[[int], None]) -> BalanceReport:
    """Write the probabilities of all of a shard's matched pairs, the pairs that stay with all their columns, and their uids."""
    started = time.perf_counter()
    folder, key, file = BalanceFolder(Path(job.folder)), job.shard.key, job.shard.file
    if fingerprint(file.path) != file.fingerprint:
        raise StaleError(f"{file.path} changed after it was matched", "put it back as it was, or give a new --out")
    columns = columns_of(file, job.choice)
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(job.schema)))
    thinned: list[Sample] = []
    with (
        replacing(folder.probabilities_of(key)) as probabilities_part,
        replacing(folder.curated_of(key)) as curated_part,
        RunWriter(folder.uid_runs, key) as uid_runs,
        TableWriter(probabilities_part, PROBABILITIES, repetitive=["file", "text"]) as probabilities,
        TableWriter(curated_part, _curated_schema(schema, job), repetitive=_repetitive(schema, columns, job)) as curated,
    ):
        draws = _Draws(job, probabilities, uid_runs)
        for records in read_shard(job.shard, columns, job.choice, everything=True, schema=schema):
            if len(records.rows):
                texts, last = Texts(records, columns), int(records.rows[-1])
                for kept, keep in draws.up_to(last):
                    for table in _curated_tables(records, texts, columns, schema, kept, keep, job):
                        curated.write(table)
                    tick(len(kept))
                thinned = heapq.nsmallest(KEPT_SAMPLES, thinned + _read_examples(texts, draws.examples_up_to(last)))
    with replacing(folder.counts_of(key)) as part, part.open("wb") as out:
        named = np.flatnonzero(draws.counts)
        np.savez(out, entry_ids=named.astype(np.uint32), counts=draws.counts[named])
    files = [folder.probabilities_of(key), folder.curated_of(key), folder.counts_of(key), *uid_runs.paths]
    return BalanceReport(
        path=file.path,
        fingerprint=file.fingerprint,
        rows=draws.rows,
        seconds=round(time.perf_counter() - started, 3),
        outputs=sizes_of(folder.path, *files),
        kept=curated.rows,
        expected_parts=draws.expected_parts,
        candidates=draws.candidates,
        thinned=thinned,
        uid_runs=[path.name for path in uid_runs.paths],
    )


class _Draws:
    """Goes through a shard's matches once: probabilities, draws, and what is said of them."""

    def __init__(self, job: BalanceJob, probabilities: TableWriter, uid_runs: RunWriter) -> None:
        self._job = job
        self._p = np.load(job.probability, mmap_mode="r")
        self._batches = read_matches(Path(job.matches))
        self._probabilities = probabilities
        self._uid_runs = uid_runs
        self._kept: list[tuple[MatchedPairs, Float64[np.ndarray, " n"]]] = []
        self._examples: list[tuple[int, int, int]] = []  # row, text number, the number to sample by
        self._seen = -1
        self.counts = np.zeros(len(self._p), np.int64)
        self.rows = 0
        self.expected_parts = self.candidates = 0

    def up_to(self, row: int) -> Iterator[tuple[MatchedPairs, Float64[np.ndarray, " K"]]]:
        """The pairs that stay, not yet given out, of records up to a row, and their probabilities; in parts if they are many."""
        while self._seen < row and (batch := next(self._batches, None)) is not None:
            self._draw(batch)
            if sum(int(np.searchsorted(pairs.rows, row, side="right")) for pairs, _ in self._kept) >= PAIRS_AT_ONCE:
                yield self._given(row)
        yield self._given(row)

    def _given(self, row: int) -> tuple[MatchedPairs, Float64[np.ndarray, " K"]]:
        given = [_split(pairs, keep, row) for pairs, keep in self._kept]
        self._kept = [rest for _, rest in given if len(rest[0])]
        return _join([now for now, _ in given])

    def examples_up_to(self, row: int) -> list[tuple[int, int, int]]:
        """Examples, not yet given out, of pairs of records up to a row that do not stay."""
        examples = [example for example in self._examples if example[0] <= row]
        self._examples = [example for example in self._examples if example[0] > row]
        return examples

    def _draw(self, pairs: MatchedPairs) -> None:
        keep = keep_probability(pairs.matches, self._p)
        candidates = pick_one(pairs.rows, pairs.uids) if self._job.policy == "one-per-image" else np.ones(len(pairs), np.bool_)
        kept = draw(keep, pairs.uids, self._job.seed) & candidates
        self._probabilities.write(_probability_table(pairs, keep, self._job.shard.file.path))
        chosen = pairs.take(np.flatnonzero(kept))
        self._kept.append((chosen, keep[kept]))
        self._uid_runs.add(chosen.uids)
        add_to_counts(self.counts, chosen.matches)
        self.rows += len(pairs)
        self.expected_parts += parts_of(keep[candidates])
        self.candidates += int(np.count_nonzero(candidates))
        self._seen = int(pairs.rows[-1]) if len(pairs) else self._seen
        for i in smallest_uids(pairs.uids, np.flatnonzero(candidates & ~kept), EXAMPLES_PER_BATCH):
            self._examples.append((int(pairs.rows[i]), int(pairs.text_numbers[i]), int(pairs.uids[i, 0])))


def _split(
    pairs: MatchedPairs, keep: Float64[np.ndarray, " N"], row: int
) -> tuple[tuple[MatchedPairs, Float64[np.ndarray, " K"]], tuple[MatchedPairs, Float64[np.ndarray, " R"]]]:
    place = int(np.searchsorted(pairs.rows, row, side="right"))
    if place == len(pairs):
        return (pairs, keep), (pairs.take(np.zeros(0, np.int64)), keep[:0])
    first, rest = np.arange(place), np.arange(place, len(pairs))
    return (pairs.take(first), keep[:place]), (pairs.take(rest), keep[place:])


def _join(
    parts: list[tuple[MatchedPairs, Float64[np.ndarray, " n"]]],
) -> tuple[MatchedPairs, Float64[np.ndarray, " K"]]:
    if len(parts) == 1:
        return parts[0]
    tags = [part.languages for part, _ in parts if part.languages is not None]
    languages = LanguageTags(np.concatenate([tag.labels for tag in tags]), np.concatenate([tag.scores for tag in tags])) if tags else None
    nothing = MatchedPairs(
        np.zeros(0, np.int64),
        np.zeros(0, np.int32),
        np.zeros((0, 2), np.uint64),
        Matches(np.zeros(1, np.int64), np.zeros(0, np.uint32)),
    )
    pairs = [nothing, *(pairs for pairs, _ in parts)]
    joined = MatchedPairs(
        np.concatenate([part.rows for part in pairs]),
        np.concatenate([part.text_numbers for part in pairs]),
        np.concatenate([part.uids for part in pairs]),
        concatenate([part.matches for part in pairs]),
        languages,
    )
    return joined, np.concatenate([np.zeros(0), *(keep for _, keep in parts)])


def _probability_table(pairs: MatchedPairs, keep: Float64[np.ndarray, " N"], path: str) -> pa.Table:
    file = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(pairs), np.int32)), pa.array([path]))
    uids = np.ascontiguousarray(pairs.uids.T)
    columns = [
        pa.array(uids[0]),
        pa.array(uids[1]),
        file,
        pa.array(pairs.rows),
        pa.array(pairs.text_numbers),
        pa.array(keep),
    ]
    return pa.table(columns, schema=PROBABILITIES)


def _curated_schema(schema: pa.Schema, job: BalanceJob) -> pa.Schema:
    several = [("caption", pa.string()), ("text_number", pa.int32())] if job.several_texts else []
    languages = list(LANGUAGE) if job.with_languages else []
    ours = [("uid", pa.string()), *several, *languages, ("entry_ids", pa.list_(pa.uint32())), ("keep_probability", pa.float64())]
    return pa.schema([(job.columns_out[field.name], field.type) for field in schema if field.name in job.columns_out] + ours)


def _repetitive(schema: pa.Schema, columns: Columns, job: BalanceJob) -> list[str]:
    unique = () if job.list_captions else (columns.caption, columns.url, columns.key, columns.uid)  # an image's, in the row of each text
    fields = [field for field in schema if field.name not in unique and not pa.types.is_floating(field.type)]
    return [job.columns_out[field.name] for field in fields if field.name in job.columns_out]


def _curated_tables(
    records: Records,
    texts: Texts,
    columns: Columns,
    schema: pa.Schema,
    kept: MatchedPairs,
    keep: Float64[np.ndarray, " K"],
    job: BalanceJob,
) -> Iterator[pa.Table]:
    """The records of the pairs that stay, a row for each pair, with the columns that are ours; in parts where records are repeated.

    Seven arguments: the pairs, what they are of, and how they are written.
    """
    places, captions = texts.at(kept.rows, kept.text_numbers)
    left_out = columns.caption if job.list_captions else None
    wanted = [name for name in schema.names if name in job.columns_out and name in records.table.column_names and name != left_out]
    table = records.table.select(wanted)
    for start, end in _parts(table, places):
        whole = end - start == len(kept)
        some = kept if whole else kept.take(np.arange(start, end))
        yield _curated_table(
            table.take(pa.array(places[start:end])), captions.slice(start, end - start), schema, some, keep[start:end], job
        )


def _parts(table: pa.Table, places: Int64[np.ndarray, " K"]) -> Iterator[tuple[int, int]]:
    """Which of the rows with these places, in ascending order, to take at once: one row may be large and taken thousands of times.

    Ranges are halved until their rows, were each taken as often as the one that is taken most, are no more than ``BYTES_AT_ONCE``.
    """
    ranges = [(0, len(places))]
    while ranges:
        start, end = ranges.pop()
        if start == end:
            yield start, end
            continue
        first, last = int(places[start]), int(places[end - 1])
        most = int(np.bincount(places[start:end] - first).max())
        nbytes = table.slice(first, last - first + 1).nbytes
        if most == 1 or most * nbytes <= BYTES_AT_ONCE:
            yield start, end
        elif first < last:
            middle = int(np.searchsorted(places, (first + last) // 2, side="right"))
            ranges += [(middle, end), (start, middle)]
        else:
            step = max(1, BYTES_AT_ONCE // nbytes)
            yield from ((place, min(place + step, end)) for place in range(start, end, step))


def _curated_table(
    rows: pa.Table, texts: pa.Array, schema: pa.Schema, kept: MatchedPairs, keep: Float64[np.ndarray, " K"], job: BalanceJob
) -> pa.Table:
    arrays: list[pa.Array | pa.ChunkedArray] = []
    for field in schema:
        if field.name in job.columns_out:
            missing = field.name not in rows.column_names
            arrays.append(pa.nulls(len(kept), field.type) if missing else as_kind(rows[field.name], field.type))
    ids = pa.ListArray.from_arrays(pa.array(kept.matches.offsets.astype(np.int32)), pa.array(kept.matches.entry_ids))
    several = [texts.cast(pa.string()), pa.array(kept.text_numbers)] if job.several_texts else []
    ours = [uid_strings(kept.uids), *several, *_languages(kept, job), ids, pa.array(keep)]
    return pa.table([*arrays, *ours], schema=_curated_schema(schema, job))


def _languages(kept: MatchedPairs, job: BalanceJob) -> list[pa.Array]:
    if not job.with_languages:
        return []
    if kept.languages is None:  # of no pair at all
        return [pa.array([], field.type) for field in LANGUAGE]
    return [pa.array(kept.languages.labels.tolist(), pa.string()), pa.array(kept.languages.scores)]


def _read_examples(texts: Texts, examples: list[tuple[int, int, int]]) -> list[Sample]:
    if not examples:
        return []
    rows, numbers, draws = (np.array(column) for column in zip(*sorted(examples), strict=True))
    _, found = texts.at(rows, numbers.astype(np.int32))
    return [Sample(int(n), int(row), text[:LONGEST_SAMPLE]) for n, row, text in zip(draws, rows, found.to_pylist(), strict=True)]
