"""The stage balance: keep probabilities of all matched pairs, draws, and the curated set with its uids and entry counts.

Longer than others: the draw reads matches and records in parallel, and their batches differ.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Float64

from tallyclip.core.balance import (
    COMPILED,
    TextsPolicy,
    checked_seed,
    draw,
    entry_probability,
    keep_probability,
    pick_one,
    second_probability,
)
from tallyclip.core.counts import add_to_counts, tail_share
from tallyclip.core.data import Matches, Metadata, concatenate
from tallyclip.core.plan import UNIT, PlanRow, parts_of
from tallyclip.core.uids import make_uids
from tallyclip.errors import IncompleteError, OptionError, SourceError, StaleError
from tallyclip.export.curated import ENTRY_IDS_PATH, CuratedColumns, CuratedRows
from tallyclip.export.entry_counts import write_entry_counts
from tallyclip.export.uids import RunWriter, merge_runs, runs_of
from tallyclip.io.arrays import read_array, write_array
from tallyclip.io.files import replacing
from tallyclip.io.tables import TableWriter
from tallyclip.match.matched_pairs import LanguageTags, MatchedPairs, read_matches
from tallyclip.match.matcher import Matcher
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.content import LONGEST_SAMPLE
from tallyclip.readers.ledger import KEPT_SAMPLES, Sample
from tallyclip.readers.pairs import PAIRS_AT_ONCE, Texts
from tallyclip.readers.parquet import Footer
from tallyclip.readers.read import read_shard
from tallyclip.readers.sources import PoolFile, Shard, described, present_state
from tallyclip.report.card import SHOWN_SAMPLES, EntryCount, Part, histogram, top_entries
from tallyclip.report.numbers import short, visible
from tallyclip.run.cost import Cost, Expected
from tallyclip.run.engine import failure_message
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.counts import add_shard, load_counts
from tallyclip.stages.match import MATCH, SnapshotShard, read_schema, smallest_uids, snapshot_of, unmatch
from tallyclip.stages.metadata import entries_of
from tallyclip.stages.plan import Aim, resolve, steps_to, tabulate, warning_of
from tallyclip.wording import plural

EXAMPLES_PER_BATCH = 3  # pairs that are not kept
SECONDS_PER_KEPT_PAIR = 1.2e-6  # to write its row
BYTES_PER_PROBABILITY, BYTES_PER_MATCH = 22, 4
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


class BalanceFolder(StageFolder):
    """While the stage is in progress it holds the results; they are moved to the run folder when it ends."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entry_probability = path / "entry_probability.npy"
        self.counts_curated = path / "counts_curated.npy"
        self.uid_runs = path / "uid_runs"
        self.uids = path / "uids.npy"
        self.entry_counts_curated = path / "entry_counts_curated.json"

    def probabilities(self, key: str) -> Path:
        return self.path / "probabilities" / f"{key}.parquet"

    def curated(self, key: str) -> Path:
        return self.path / "curated" / f"{key}.parquet"

    def counts(self, key: str) -> Path:
        return self.path / "shard_counts" / f"{key}.npz"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return self.probabilities(key), self.curated(key), self.counts(key), *runs_of(self.uid_runs, key)


class BalanceOptions(msgspec.Struct, frozen=True):
    """The threshold, why, and what it was chosen by; the seed, and whether every caption of an image is a pair or one is picked."""

    t: float
    why: str
    aim: Aim
    seed: int = 0
    policy: TextsPolicy = "pairs"


class BalanceJob(msgspec.Struct, frozen=True):
    """What is the same for all shards. ``schema`` is a file with the pool's columns, ``before`` of an earlier draw (``MatchFolder``)."""

    choice: ColumnChoice
    matches: str
    probability: str
    schema: str
    columns: CuratedColumns
    seed: int
    policy: TextsPolicy
    before: str | None


class BalanceReport(Report):
    """What one shard gave.

    Attributes:
        rows: number of pairs that match an entry.
        candidates: number of these that can be drawn: all, or one for each image.
        kept: number of these that are kept.
        expected_parts: expected number of these, in fixed point (``core/plan.py``).
        downsampled: examples of candidates that are not kept.
    """

    kept: int
    expected_parts: int
    candidates: int
    downsampled: list[Sample]


def balance_shard(job: BalanceJob, item: SnapshotShard, folder: BalanceFolder, tick: Callable[[int], None]) -> BalanceReport:
    """Write a shard's results: probabilities of all matched pairs, kept pairs with all their columns, and their uids."""
    shard, key, file, columns = item.shard, item.shard.key, item.shard.file, item.columns
    footer = footer_as_matched(shard)
    schema = read_schema(Path(job.schema))
    rows = CuratedRows(schema, columns, job.columns, list_captions=item.list_captions)
    downsampled: list[Sample] = []
    with (
        replacing(folder.probabilities(key)) as probabilities_part,
        replacing(folder.curated(key)) as curated_part,
        RunWriter(folder.uid_runs, key) as uid_runs,
        TableWriter(
            probabilities_part, PROBABILITIES, repetitive=["file", "text"], rising=["row"], random=["uid_high", "uid_low"]
        ) as probabilities,
        TableWriter(curated_part, rows.schema, repetitive=rows.repetitive, rising=[ENTRY_IDS_PATH]) as curated,
    ):
        draws = _Draws(job, key, file.path, probabilities, uid_runs)
        for records in read_shard(shard, columns, job.choice, everything=True, schema=schema, footer=footer):
            if len(records.rows):
                captions, last = Texts(records, columns), int(records.rows[-1])
                for kept, keep in draws.up_to(last):
                    for table in rows.tables(records, captions, kept, keep):
                        curated.write(table)
                    tick(len(kept))
                downsampled = heapq.nsmallest(KEPT_SAMPLES, downsampled + _read_examples(captions, draws.examples_up_to(last)))
    with replacing(folder.counts(key)) as part, part.open("wb") as out:
        entries = np.flatnonzero(draws.counts)
        np.savez(out, entry_ids=entries.astype(np.uint32), counts=draws.counts[entries])
    return BalanceReport(
        rows=draws.rows,
        kept=curated.rows,
        expected_parts=draws.expected_parts,
        candidates=draws.candidates,
        downsampled=downsampled,
    )


def footer_as_matched(shard: Shard) -> Footer | None:
    """The footer of a shard's file, if it has one.

    Raises:
        StaleError: the file changed after it was matched.
        SourceError: it is gone.
    """
    now, footer = _present(shard)
    if now.fingerprint != shard.file.fingerprint:
        raise StaleError(f"{shard.file.path} changed after it was matched", "restore the file, or curate again with a new --out")
    return footer


def _present(shard: Shard) -> tuple[PoolFile, Footer | None]:
    """A shard's file in its present state. Of a file of several shards a worker reads the footer once, as long as its state is the same."""
    path = shard.file.path
    if shard.groups is None:
        return described(path)
    size, stamp = present_state(path)
    return _described_once(path, (size, stamp)) if stamp else described(path)


@lru_cache(maxsize=1)
def _described_once(path: str, _state: tuple[int, str]) -> tuple[PoolFile, Footer | None]:
    return described(path)


class _Draws:
    """Reads a shard's matches once: computes probabilities, draws pairs, and counts both."""

    def __init__(self, job: BalanceJob, key: str, path: str, probabilities: TableWriter, uid_runs: RunWriter) -> None:
        self._job, self._path = job, path
        self._p = np.load(job.probability, mmap_mode="r")
        self._before = None if job.before is None else np.load(job.before, mmap_mode="r")
        self._batches = read_matches(Path(job.matches) / f"{key}.arrow")
        self._probabilities = probabilities
        self._uid_runs = uid_runs
        self._kept: list[tuple[MatchedPairs, Float64[np.ndarray, " n"]]] = []
        self._examples: list[tuple[int, int, int]] = []  # row, caption number, sampling key
        self._seen = -1
        self.counts = np.zeros(len(self._p), np.int64)
        self.rows = 0
        self.expected_parts = self.candidates = 0

    def up_to(self, row: int) -> Iterator[tuple[MatchedPairs, Float64[np.ndarray, " K"]]]:
        """The kept pairs of records up to a row that were not returned yet, with their probabilities; in parts if there are many."""
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
        """Examples of pairs that are not kept, of records up to a row, that were not returned yet."""
        examples = [example for example in self._examples if example[0] <= row]
        self._examples = [example for example in self._examples if example[0] > row]
        return examples

    def _draw(self, pairs: MatchedPairs) -> None:
        keep = alone = keep_probability(pairs.matches, self._p)
        if self._before is not None:
            keep = second_probability(alone, keep_probability(pairs.matches, self._before))
        candidates = pick_one(pairs.rows, pairs.uids) if self._job.policy == "one-per-image" else np.ones(len(pairs), np.bool_)
        kept = draw(alone, pairs.uids, self._job.seed) & candidates
        self._probabilities.write(_probability_table(pairs, keep, self._path))
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


def _read_examples(captions: Texts, examples: list[tuple[int, int, int]]) -> list[Sample]:
    if not examples:
        return []
    rows, numbers, draws = (np.array(column) for column in zip(*sorted(examples), strict=True))
    found = captions.at(captions.places(rows), numbers.astype(np.int32))
    return [Sample(int(n), int(row), text[:LONGEST_SAMPLE]) for n, row, text in zip(draws, rows, found.to_pylist(), strict=True)]


def options_for(run: Workspace, aim: Aim, seed: int, policy: TextsPolicy) -> BalanceOptions:
    """The options for an aim: the threshold is computed from this pool, or for a size is that of the plan in place (``resolve``).

    Raises:
        OptionError: the aim or the seed is invalid.
    """
    aim.check()
    checked_seed(seed)
    check_same_draw(run, run.required(MATCH).options.get("drawn"), seed, policy)
    return BalanceOptions(*resolve(run, aim, policy), aim, seed, policy)


def check_same_draw(run: Workspace, drawn: Mapping[str, Any] | None, seed: int, policy: TextsPolicy) -> None:
    """Refuse another draw than the earlier one that the pairs of a run have survived, if there was one.

    Raises:
        OptionError: seed or policy are not those of the earlier draw.
    """
    if drawn is not None and (drawn["seed"], drawn["texts"]) != (seed, policy):
        what = f"{run.root}: images were downloaded of the pairs that a draw has kept, and it only goes on with its seed and its --texts"
        raise OptionError(what, f"give --seed {drawn['seed']} --texts {drawn['texts']}")


def _asked(_: Workspace, options: BalanceOptions) -> dict[str, Any]:
    return {"t": options.t, "why": options.why, "seed": options.seed, "texts": options.policy}  # the card shows the reason


def _cut(making: Making[BalanceFolder, BalanceOptions]) -> Work:
    run, folder, options = making.run, making.folder, making.options
    snapshot, matches = snapshot_of(run), run.folder(MATCH)
    write_array(folder.entry_probability, entry_probability(load_counts(run), options.t))
    job = BalanceJob(
        choice=snapshot.choice,
        matches=str(matches.path),
        probability=str(folder.entry_probability),
        schema=str(matches.schema),
        columns=curated_columns(run),
        seed=options.seed,
        policy=options.policy,
        before=matches.earlier_draw,
    )
    return Work(snapshot.shards, job)


def curated_columns(run: Workspace) -> CuratedColumns:
    """Which columns the curated set of a matched pool has."""
    snapshot = snapshot_of(run)
    return CuratedColumns.of(
        read_schema(run.folder(MATCH).schema).names,
        several_captions=snapshot.several_captions,
        all_own=snapshot.all_own,
        languages=snapshot.languages,
    )


def _failed(making: Making[BalanceFolder, BalanceOptions]) -> None:
    """Remove shards that cannot be read completely from the snapshot, as if they had failed during matching.

    Raises:
        IncompleteError: some shards failed; they can be repaired, or accepted as failed.
        StaleError: all of them failed because their files changed.
    """
    failures, shards = making.failures, snapshot_of(making.run).shards
    broken = {key: failure for key, failure in failures.items() if _is_as_it_was(shards[key].shard.file)}
    again = f"'{MATCH.command}' or 'tallyclip curate POOL... --out RUN'"
    what, hint, details = failure_message(failures, len(shards), again=again)
    if not broken:  # --allow-failed-shards would not help: these files can be read
        place = making.run.folder(MATCH).path
        afresh = f"restore the files, give a new --out, or delete {place} and match everything again"
        raise StaleError(what, afresh, details)
    unmatch(making.run, broken)
    raise IncompleteError(what, hint, details)


def _is_as_it_was(file: PoolFile) -> bool:
    try:
        return described(file.path)[0].fingerprint == file.fingerprint
    except SourceError:
        return False


def _finish(making: Making[BalanceFolder, BalanceOptions]) -> Finished:
    run, folder, options = making.run, making.folder, making.options
    reports: dict[str, BalanceReport] = making.reports(SHARDS)
    kept = sum(report.kept for report in reports.values())
    if kept == 0:
        raise IncompleteError(f"no pair was kept at t = {options.t:g}", "give a larger --t, or a --size")
    entries = entries_of(run).entries
    counts = np.zeros(len(entries), np.int64)
    for key in reports:
        add_shard(counts, folder.counts(key))
    write_array(folder.counts_curated, counts)
    write_entry_counts(folder.entry_counts_curated, entries, counts)
    merged = merge_runs([path for key in reports for path in runs_of(folder.uid_runs, key)], folder.uids)
    expected = sum(report.expected_parts for report in reports.values()) / UNIT
    before = load_counts(run)
    warning = warning_of(before, options.aim, options.t, counts > 0)
    if warning is not None:
        run.progress.note(f"warning: {warning}")
    result = {
        "t": options.t,
        "seed": options.seed,
        "candidates": sum(report.candidates for report in reports.values()),
        "kept": kept,
        "expected": expected,
        "unique_uids": merged.unique,
        "repeated_uids": merged.total - merged.unique,
        "tail_share": tail_share(before, options.t),
        "lost_entries": int(np.count_nonzero((before > 0) & (counts == 0))),
        "warning": warning,
    }
    outputs = (folder.counts_curated, folder.entry_counts_curated, folder.uids)
    return Finished(result, f"{plural(kept, 'pair')} kept at t = {options.t:,.6g}, {expected:,.0f} expected", outputs)


class BalancePart(Part):
    """The curated set, and the entry counts before and after.

    Attributes:
        reduced_entries: entries of the head with fewer pairs in the curated set than in the pool.
        lost_entries: entries that pairs of the pool match, and none of the curated set.
        warning: what to know of the threshold, if there is anything (``warning_of``).
    """

    t: float
    why_t: str
    tail_share: float
    seed: int
    texts_policy: str
    candidates: int
    kept: int
    expected: float
    unique_uids: int
    repeated_uids: int
    downsampled: list[str]
    head_entries: int
    head_matches: int
    reduced_entries: int
    lost_entries: int
    warning: str | None
    top_before: list[EntryCount]
    top_after: list[EntryCount]
    matches_before: int
    matches_after: int
    histogram: dict[str, tuple[int, int]]
    plan: list[PlanRow]

    def summary(self) -> list[str]:
        of = "matched images" if self.texts_policy == "one-per-image" else "matched pairs"
        top = ", ".join(f"{visible(row.entry)!r} {short(row.before)} → {short(row.after)}" for row in self.top_before[:3])
        repeated = f", {self.repeated_uids:,} {'repeats' if self.repeated_uids == 1 else 'repeat'} a uid" if self.repeated_uids else ""
        head = self.head_matches / self.matches_before
        return [
            *([] if self.warning is None else [f"warning     {self.warning}"]),
            f"threshold   t = {self.t:,.6g}, {self.why_t}",
            f"head        {plural(self.head_entries, 'entry', 'entries')} with {head:.1%} of the matches; tail: {self.tail_share:.1%}",
            f"kept        {plural(self.kept, 'pair')} ({self.kept / self.candidates:.1%} of {of}), {self.expected:,.0f} expected{repeated}",
            f"top entries {top}",
        ]


def _card(run: Workspace) -> BalancePart:
    balanced = run.required(BALANCE)
    before, after = load_counts(run), read_array(run.folder(BALANCE).counts_curated)
    entries, t, policy = entries_of(run).entries, float(balanced.options["t"]), balanced.options["texts"]
    head = before >= t
    reports: dict[str, BalanceReport] = run.reports(BALANCE)
    samples = heapq.nsmallest(KEPT_SAMPLES, (sample for report in reports.values() for sample in report.downsampled))
    result = balanced.result
    return BalancePart(
        t=t,
        why_t=balanced.options["why"],
        tail_share=result["tail_share"],
        seed=balanced.options["seed"],
        texts_policy=policy,
        candidates=result["candidates"],
        kept=result["kept"],
        expected=result["expected"],
        unique_uids=result["unique_uids"],
        repeated_uids=result["repeated_uids"],
        downsampled=list(dict.fromkeys(sample.text for sample in samples))[:SHOWN_SAMPLES],  # each caption once
        head_entries=int(np.count_nonzero(head)),
        head_matches=int(before[head].sum()),
        reduced_entries=int(np.count_nonzero(head & (after < before))),
        lost_entries=result["lost_entries"],
        warning=result["warning"],
        top_before=top_entries(entries, before, before, after),
        top_after=top_entries(entries, after, before, after),
        matches_before=int(before.sum()),
        matches_after=int(after.sum()),
        histogram=histogram(before, after),
        plan=tabulate(run, before, sorted({*steps_to(int(before.max())), t}), policy),
    )


def _cost(expected: Expected) -> Cost:
    """As if every matched pair were kept, so an upper end; the rates are measured on the benchmark's pool (docs/benchmarks.md)."""
    seconds = expected.read_seconds + expected.matched * SECONDS_PER_KEPT_PAIR
    return Cost(seconds, expected.matched * (BYTES_PER_PROBABILITY + expected.row_bytes) + expected.matches * BYTES_PER_MATCH)


def _warm() -> None:
    matches: Matches = Matcher(Metadata(["a"])).match(["a"])
    draw(keep_probability(matches, entry_probability(np.ones(1, np.int64), 1)), make_uids(["a"], ["a"]))


SHARDS = Section(_cut, balance_shard, "shards", rows=lambda _, item: item.matched, failed=_failed)
BALANCE = Stage(
    name="balance",
    version=5,
    command="tallyclip balance RUN",
    needs=("match", "counts"),
    sections=(SHARDS,),
    folder=BalanceFolder,
    asked=_asked,
    finish=_finish,
    results=("entry_counts_curated.json", "uids.npy", "probabilities", "curated"),
    scratch=("uid_runs", "shard_counts", "entry_probability.npy"),
    card=_card,
    cost=_cost,
    warm=_warm,
    compiled=COMPILED,
)
