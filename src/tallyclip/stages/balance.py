"""The stage balance: keep probabilities of all matched pairs, draws, and the curated set with its uids and entry counts.

Longer than others: the draw reads matches and records in parallel, and their batches differ.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Float64
from msgspec.structs import replace

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
from tallyclip.export.uids import RunWriter, runs_of
from tallyclip.io.arrays import map_array, read_array, write_array
from tallyclip.io.files import replacing
from tallyclip.io.tables import TableWriter
from tallyclip.match.matched_pairs import LanguageTags, MatchedPairs, read_matches
from tallyclip.match.matcher import Matcher
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.content import LONGEST_SAMPLE
from tallyclip.readers.ledger import KEPT_SAMPLES
from tallyclip.readers.pairs import PAIRS_AT_ONCE, Texts
from tallyclip.readers.parquet import Footer
from tallyclip.readers.read import read_shard
from tallyclip.readers.sources import PoolFile, Shard, described, present_state
from tallyclip.report.card import SHOWN_FILES, SHOWN_SAMPLES, FileCounts, PairExample, Part
from tallyclip.report.entries import EntryChanges, changes
from tallyclip.report.numbers import short, visible
from tallyclip.run.cost import Cost, Expected
from tallyclip.run.engine import failure_message
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.counts import load_counts
from tallyclip.stages.match import MATCH, MatchReport, SnapshotShard, read_schema, smallest_uids, snapshot_of, unmatch
from tallyclip.stages.merged_uids import merge_uids
from tallyclip.stages.metadata import entries_of
from tallyclip.stages.plan import Aim, resolve, steps_to, tabulate, warning_of
from tallyclip.stages.sums import sum_of_shards
from tallyclip.wording import plural

EXAMPLES_PER_BATCH = 3  # of kept pairs, and of the others
ENTRIES_PER_EXAMPLE = 12
PROBABILITY_BINS = 10  # of keep probabilities below 1; those of 1 are apart
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
        self.groups = path / "groups"
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


class PairSample(msgspec.Struct, order=True, frozen=True):
    """A pair, with a number by which samples of several shards are ordered without favor; of its entries the most selective ones."""

    number: int
    row: int
    text_number: int
    text: str
    keep_probability: float
    entry_ids: list[int]


class BalanceReport(Report):
    """What one shard gave.

    Attributes:
        rows: number of pairs that match an entry.
        candidates: number of these that can be drawn: all, or one for each image.
        kept: number of these that are kept.
        expected_parts: expected number of these, in fixed point (``core/plan.py``).
        keep_probabilities: numbers of pairs that match an entry and of pairs that are kept, by tenths of their keep probability; the last
            is for a probability of 1.
        kept_samples, dropped_samples: examples of candidates that are kept, and that are not.
    """

    kept: int
    expected_parts: int
    candidates: int
    keep_probabilities: list[tuple[int, int]]
    kept_samples: list[PairSample]
    dropped_samples: list[PairSample]


def balance_shard(job: BalanceJob, item: SnapshotShard, folder: BalanceFolder, tick: Callable[[int], None]) -> BalanceReport:
    """Write a shard's results: probabilities of all matched pairs, kept pairs with all their columns, and their uids."""
    shard, key, file, columns = item.shard, item.shard.key, item.shard.file, item.columns
    footer = footer_as_matched(shard)
    schema = read_schema(Path(job.schema))
    rows = CuratedRows(schema, columns, job.columns, list_captions=item.list_captions)
    samples: dict[bool, list[PairSample]] = {True: [], False: []}
    with (
        replacing(folder.probabilities(key)) as probabilities_part,
        replacing(folder.curated(key)) as curated_part,
        RunWriter(folder.uid_runs, key) as uid_runs,
        TableWriter(
            probabilities_part, PROBABILITIES, repetitive=["file", "text"], rising=["row"], random=["uid_high", "uid_low"]
        ) as probabilities,
        TableWriter(curated_part, rows.schema, repetitive=rows.repetitive, rising=[ENTRY_IDS_PATH]) as curated,
    ):
        draws = _Draws(job, key, file.named, probabilities, uid_runs)
        for records in read_shard(shard, columns, job.choice, everything=True, schema=schema, footer=footer):
            if len(records.rows):
                captions, last = Texts(records, columns), int(records.rows[-1])
                for kept, keep in draws.up_to(last):
                    for table in rows.tables(records, captions, kept, keep):
                        curated.write(table)
                    tick(len(kept))
                for is_kept, some in draws.examples_up_to(last).items():
                    samples[is_kept] = heapq.nsmallest(KEPT_SAMPLES, samples[is_kept] + _with_texts(captions, some))
    with replacing(folder.counts(key)) as part, part.open("wb") as out:
        entries = np.flatnonzero(draws.counts)
        np.savez(out, entry_ids=entries.astype(np.uint32), counts=draws.counts[entries])
    return BalanceReport(
        rows=draws.rows,
        kept=curated.rows,
        expected_parts=draws.expected_parts,
        candidates=draws.candidates,
        keep_probabilities=[(int(matched), int(kept)) for matched, kept in draws.bins.T],
        kept_samples=samples[True],
        dropped_samples=samples[False],
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
        self._p = map_array(job.probability)
        self._before = None if job.before is None else map_array(job.before)
        self._batches = read_matches(Path(job.matches) / f"{key}.arrow")
        self._probabilities = probabilities
        self._uid_runs = uid_runs
        self._kept: list[tuple[MatchedPairs, Float64[np.ndarray, " n"]]] = []
        self._examples: dict[bool, list[PairSample]] = {True: [], False: []}  # kept or not; their texts are not read yet
        self._seen = -1
        self.counts = np.zeros(len(self._p), np.int64)
        self.rows = 0
        self.expected_parts = self.candidates = 0
        self.bins = np.zeros((2, PROBABILITY_BINS + 1), np.int64)  # of matched pairs, and of kept ones

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

    def examples_up_to(self, row: int) -> dict[bool, list[PairSample]]:
        """Examples of kept pairs (True) and of others, of records up to a row, that were not returned yet; without their texts."""
        found = {kept: [example for example in some if example.row <= row] for kept, some in self._examples.items()}
        self._examples = {kept: [example for example in some if example.row > row] for kept, some in self._examples.items()}
        return found

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
        for row, probabilities in zip(self.bins, (keep, keep[kept]), strict=True):
            row += np.bincount((probabilities * PROBABILITY_BINS).astype(np.int64), minlength=PROBABILITY_BINS + 1)
        for is_kept in (True, False):
            for i in smallest_uids(pairs.uids, np.flatnonzero(candidates & (kept == is_kept)), EXAMPLES_PER_BATCH).tolist():
                self._examples[is_kept].append(self._example(pairs, i, float(keep[i])))

    def _example(self, pairs: MatchedPairs, i: int, keep: float) -> PairSample:
        entries = pairs.matches[i]
        most_selective = entries[np.argsort(-self._p[entries], kind="stable")][:ENTRIES_PER_EXAMPLE].tolist()
        return PairSample(int(pairs.uids[i, 0]), int(pairs.rows[i]), int(pairs.text_numbers[i]), "", keep, most_selective)


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


def _with_texts(captions: Texts, examples: list[PairSample]) -> list[PairSample]:
    if not examples:
        return []
    ordered = sorted(examples, key=lambda example: (example.row, example.text_number))
    rows = np.array([example.row for example in ordered])
    numbers = np.array([example.text_number for example in ordered], np.int32)
    found = captions.at(captions.places(rows), numbers).to_pylist()
    return [replace(example, text=text[:LONGEST_SAMPLE]) for example, text in zip(ordered, found, strict=True)]


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
    counts = sum_of_shards(run, [folder.counts(key) for key in reports], len(entries), folder.groups)
    write_array(folder.counts_curated, counts)
    write_entry_counts(folder.entry_counts_curated, entries, counts)
    marks = (folder.mark(key) for key in reports)  # which know all runs: to look for them, one by one, asks a store once a shard
    names = (name for mark in marks if mark is not None for name in mark.outputs if name.startswith(f"{folder.uid_runs.name}/"))
    merged = merge_uids(run, [folder.path / name for name in names], folder.uids)
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
    kept_examples: list[PairExample]
    dropped_examples: list[PairExample]
    keep_probabilities: dict[str, tuple[int, int]]
    head_entries: int
    head_matches: int
    warning: str | None
    matches_before: int
    matches_after: int
    entry_changes: EntryChanges
    plan: list[PlanRow]
    matched_files: int
    by_file: list[FileCounts]

    def summary(self) -> list[str]:
        of = "matched images" if self.texts_policy == "one-per-image" else "matched pairs"
        top = ", ".join(f"{visible(row.entry)!r} {short(row.before)} → {short(row.after)}" for row in self.entry_changes.frequent[:3])
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
    kept = heapq.nsmallest(KEPT_SAMPLES, (sample for report in reports.values() for sample in report.kept_samples))
    dropped = heapq.nsmallest(KEPT_SAMPLES, (sample for report in reports.values() for sample in report.dropped_samples))
    result, files = balanced.result, _by_file(run, reports)
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
        kept_examples=_examples(kept, entries),
        dropped_examples=_examples(dropped, entries),
        keep_probabilities=_by_probability(reports.values()),
        head_entries=int(np.count_nonzero(head)),
        head_matches=int(before[head].sum()),
        warning=result["warning"],
        matches_before=int(before.sum()),
        matches_after=int(after.sum()),
        entry_changes=changes(entries, before, after),
        plan=tabulate(run, before, sorted({*steps_to(int(before.max())), t}), policy),
        matched_files=len(files),
        by_file=files[:SHOWN_FILES],
    )


def _examples(samples: Iterable[PairSample], entries: Sequence[str]) -> list[PairExample]:
    """Each caption once."""
    found = {sample.text: PairExample(sample.text, [entries[i] for i in sample.entry_ids], sample.keep_probability) for sample in samples}
    return list(found.values())[:SHOWN_SAMPLES]


def _by_probability(reports: Iterable[BalanceReport]) -> dict[str, tuple[int, int]]:
    """Numbers of matched and of kept pairs by their keep probability, in percent."""
    step = 100 // PROBABILITY_BINS
    labels = [*(f"{low}–{low + step}" for low in range(0, 100, step)), "100"]
    sums = np.sum([report.keep_probabilities for report in reports], axis=0).tolist()
    return {label: (matched, kept) for label, (matched, kept) in zip(labels, sums, strict=True)}


def _by_file(run: Workspace, reports: Mapping[str, BalanceReport]) -> list[FileCounts]:
    """What came of each file of the pool, those with the most captions first."""
    matched: dict[str, MatchReport] = run.reports(MATCH)
    files: dict[str, FileCounts] = {}
    for key, item in snapshot_of(run).shards.items():
        counts = files.setdefault(item.shard.file.named, FileCounts(item.shard.file.named))
        counts.captions += matched[key].texts
        counts.matched += matched[key].matched
        counts.kept += reports[key].kept
    return sorted(files.values(), key=lambda counts: (-counts.captions, counts.file))


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
    version=6,
    command="tallyclip balance RUN",
    needs=("match", "counts"),
    sections=(SHARDS,),
    folder=BalanceFolder,
    asked=_asked,
    finish=_finish,
    results=("entry_counts_curated.json", "uids.npy", "probabilities", "curated"),
    scratch=("uid_runs", "shard_counts", "groups", "entry_probability.npy"),
    card=_card,
    cost=_cost,
    warm=_warm,
    compiled=COMPILED,
)
