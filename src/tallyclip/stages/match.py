"""The stage of matching: every shard of the pool by itself, to the pairs that match an entry.

When all shards are done their set is a snapshot: which shards there are, of which files in which state, how their columns are read, and one
schema for all. Later stages read the pool by it. Longer than others: it has the piece of work, the snapshot and
the part of the card.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Int64, UInt8, UInt64
from msgspec.structs import replace

from tallyclip.core.counts import add_to_counts
from tallyclip.core.data import Matches
from tallyclip.core.duplicates import preferences
from tallyclip.core.sorting import sort_rows
from tallyclip.errors import ArtifactError
from tallyclip.io.arrays import read_arrays, write_array
from tallyclip.io.files import replacing, write_json
from tallyclip.io.mirror import fetch_all, fetched, is_there, send
from tallyclip.io.structs import read_struct
from tallyclip.match.kernel import match_rows
from tallyclip.match.matched_pairs import LanguageTags, MatchedPairs, MatchWriter
from tallyclip.match.matcher import Matcher
from tallyclip.readers.columns import ColumnChoice, Columns
from tallyclip.readers.content import LONGEST_SAMPLE
from tallyclip.readers.estimate import estimate_rows
from tallyclip.readers.ledger import KEPT_SAMPLES, UNNAMED, Ledger, Sample, Samples, merge_samples
from tallyclip.readers.pairs import Pairs, pairs_in_parts, table_of, urls_of
from tallyclip.readers.parquet import footer_of
from tallyclip.readers.read import open_file, read_shard
from tallyclip.readers.records import Records, schema_of, unify, widen
from tallyclip.readers.sources import Pool, PoolFile, Shard, cut
from tallyclip.report.card import Part, reasons
from tallyclip.run.cost import Cost, Expected
from tallyclip.run.engine import fingerprint_before_work
from tallyclip.run.items import Failure, Report, Work
from tallyclip.run.shards import ShardItem
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.gather import GATHER, CountRepeats, DroppingFolder, url_keys
from tallyclip.stages.kept import KEPT, KeptPairs, samples_of
from tallyclip.stages.metadata import METADATA
from tallyclip.stages.remaining import RemainingFolder
from tallyclip.steps.base import Verdict
from tallyclip.steps.dropped import dropped_pairs
from tallyclip.steps.languages import LANGUAGE, SCORE, LanguageChoice, Languages, asked_languages
from tallyclip.wording import plural

SAMPLED = 64  # of so many keys one is in the sample from which repeats are estimated
FIRST_LEFT_OUT = np.uint64((1 << 64) // SAMPLED)
LONGEST_COUNTED = 32  # the histogram of matches per caption ends with "this many and more"
SECONDS_PER_MATCHED_PAIR = 1.5e-7  # to write its matches, and to read them again
BYTES_PER_MATCHED_PAIR, BYTES_PER_MATCH = 28, 4


class MatchFolder(DroppingFolder):
    """Per shard the pairs that match an entry; how often each entry is matched, with the columns of the shard's file; if repeats are
    counted or estimated, the sorted keys of pairs and of URLs, or a sample of them; with --write-dropped the pairs that are dropped."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.snapshot_file = path / "_shards.json"
        self.schema = path / "_schema.arrow"
        self.before = path / "_before.npy"

    @property
    def earlier_draw(self) -> str | None:
        """If the pairs are those that an earlier draw has kept: the file of its entries' probabilities, float64[V]."""
        return str(self.before) if is_there(self.before) else None

    def matches(self, key: str) -> Path:
        return self.path / f"{key}.arrow"

    def counts(self, key: str) -> Path:
        return self.path / f"{key}.npz"

    def pair_keys(self, key: str) -> Path:
        return self.path / "_keys" / f"{key}.pairs.npy"

    def url_keys(self, key: str) -> Path:
        return self.path / "_keys" / f"{key}.urls.npy"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return self.matches(key), self.counts(key), self.pair_keys(key), self.url_keys(key), self.dropped(key)


class SnapshotShard(msgspec.Struct, frozen=True):
    """A shard of the snapshot, how its columns are read, and how many pairs of it match an entry.

    ``list_captions``: its captions come as lists, which are left out of the curated set. Each pair has its own caption there, and with all
    captions of its image beside it the set would grow with the square of their number.
    """

    shard: Shard
    columns: Columns
    matched: int
    list_captions: bool


class Snapshot(msgspec.Struct, frozen=True):
    """The shards that were matched, by key, in order.

    Attributes:
        names: of the pool, as they were given.
        choice: what was said of its columns.
        shards: that were matched.
        several_captions: has any image several captions?
        all_own: is every uid the pool's own?
        languages: were languages detected?
    """

    names: list[str]
    choice: ColumnChoice
    shards: dict[str, SnapshotShard]
    several_captions: bool
    all_own: bool
    languages: bool


class MatchOptions(msgspec.Struct, frozen=True):
    """A pool, in which languages its captions are matched, whether repeats are counted and dropped pairs written; ``footers`` is a folder
    of footers that have been read."""

    pool: Pool
    languages: LanguageChoice | None = None
    repeats: CountRepeats | None = None
    write_dropped: bool = False
    footers: str | None = None


class MatchJob(msgspec.Struct, frozen=True):
    """What all shards have in common."""

    choice: ColumnChoice
    matcher: str
    languages: LanguageChoice | None
    repeats: CountRepeats | None
    write_dropped: bool
    footers: str | None
    kept: str | None


class MatchReport(Report):
    """``rows`` counts the records of the shard, dropped ones too; ``texts`` the pairs; ``matched`` those that match an entry."""

    texts: int
    matched: int
    matches: int
    own_uids: int
    drops: dict[str, int]
    samples: Samples
    lengths: list[int]
    columns: Columns
    several_texts: bool


def match_shard(job: MatchJob, item: ShardItem, folder: MatchFolder, tick: Callable[[int], None]) -> MatchReport:
    """Match one shard: writes the pairs that match an entry, and how often each entry is matched."""
    shard, key = item.shard, item.shard.key
    matcher = _open_matcher(job.matcher)
    opened = open_file(shard.file, job.choice, _known_footer(job.footers, shard.file))
    tally = _Tally(len(matcher), opened.columns)
    languages = None if job.languages is None else Languages(job.languages)
    kept = None if job.kept is None else KeptPairs(RemainingFolder(Path(job.kept)).pairs(key))
    keys = None if job.repeats is None else _RepeatKeys(sampled=job.repeats == "estimate")
    with_languages = languages is not None or (kept is not None and kept.has_languages)
    with (
        replacing(folder.matches(key)) as part,
        MatchWriter(part, with_languages=with_languages) as writer,
        dropped_pairs(folder.dropped(key), wanted=job.write_dropped, file=shard.file.named) as dropped,
    ):
        for records in read_shard(shard, opened.columns, job.choice, footer=opened.footer):
            tally.add_records(records)
            for found_pairs in pairs_in_parts(records, opened.columns):
                pairs, detected = (found_pairs, None) if kept is None else kept.of(found_pairs)
                if keys is not None:
                    keys.add(pairs, records, opened.columns.url)
                matches = matcher.match(pairs.texts)
                unmatched, matched = np.flatnonzero(matches.lengths == 0), np.flatnonzero(matches.lengths)
                tags = None if detected is None else LanguageTags(detected.labels[matched], detected.scores[matched])
                if job.write_dropped:
                    dropped.add_records(pairs.drops)
                    dropped.add(table_of(pairs, records, opened.columns, unmatched), UNNAMED)
                if languages is not None:
                    verdict = languages.judge(pa.table({"text": pairs.texts.take(pa.array(matched))}))
                    if job.write_dropped:
                        dropped.add_drops(table_of(pairs, records, opened.columns, matched), verdict.drops)
                    matched, tags = _in_languages(pairs, matched, verdict)
                    matches = _only(matches, matched)
                offsets = np.append(matches.offsets[matched], matches.offsets[-1])
                found = Matches(offsets, matches.entry_ids)
                writer.write(MatchedPairs(pairs.rows[matched], pairs.text_numbers[matched], pairs.uids[matched], found, tags))
                tally.add(pairs, found, unmatched)
            tick(len(records.rows))
    if keys is not None:
        write_array(folder.pair_keys(key), keys.of_pairs())
        write_array(folder.url_keys(key), keys.of_urls())
    schema = opened.schema or schema_of(tally.kinds)
    place = schema.get_field_index(opened.columns.caption)
    several = place >= 0 and pa.types.is_nested(schema.field(place).type)
    columns = (schema.remove(place) if several else schema).serialize().to_pybytes()
    write_shard_counts(folder.counts(key), tally.counts, np.frombuffer(columns, np.uint8))
    return tally.report(several=several)


def write_shard_counts(path: Path, counts: Int64[np.ndarray, " V"], columns: UInt8[np.ndarray, " B"]) -> None:
    """Write the counts of the entries that a shard matches, and the bytes of a schema: the columns of the shard's file."""
    entries = np.flatnonzero(counts)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, entry_ids=entries.astype(np.uint32), counts=counts[entries], columns=columns)


def _in_languages(pairs: Pairs, matched: Int64[np.ndarray, " M"], verdict: Verdict) -> tuple[Int64[np.ndarray, " K"], LanguageTags]:
    """Of the pairs that match an entry those in the languages asked for, with these; the others are dropped."""
    pairs.drops.extend(drop._replace(row=int(pairs.rows[matched[drop.row]])) for drop in verdict.drops)
    labels = np.array(verdict.columns[LANGUAGE].to_pylist(), np.str_)
    return matched[verdict.keep], LanguageTags(labels[verdict.keep], verdict.columns[SCORE].to_numpy()[verdict.keep])


def _only(matches: Matches, texts: Int64[np.ndarray, " K"]) -> Matches:
    """The matches of some captions; the others match nothing."""
    lengths = np.zeros(len(matches), np.int64)
    lengths[texts] = matches.lengths[texts]
    return Matches(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]), matches.take(texts).entry_ids)


@lru_cache(maxsize=1)
def _open_matcher(path: str) -> Matcher:
    """A worker opens the tables of a run once."""
    return Matcher.open(Path(path))


def footer_file(folder: str, fingerprint: str) -> Path:
    """Where the footer of a file is kept between listing a pool and matching it: over a network each reading is a round trip."""
    return Path(folder) / fingerprint


def _known_footer(folder: str | None, file: PoolFile) -> Any:
    path = None if folder is None else footer_file(folder, file.fingerprint)
    return footer_of(path.read_bytes()) if path is not None and path.exists() else None


def read_schema(path: Path) -> pa.Schema:
    """The columns of all files, that the stage has written.

    Raises:
        ArtifactError: it is not whole.
    """
    try:
        return _schema(fetched(path).read_bytes())
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: not readable: {error}", f"delete {path.parent} and run the same command again") from error


def _schema(content: bytes) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(content))


class _RepeatKeys:
    """Collects the keys of a shard's pairs, and of their URLs: all, or those in the sample."""

    def __init__(self, *, sampled: bool) -> None:
        self._sampled = sampled
        self._pairs: list[UInt64[np.ndarray, "_ 2"]] = []
        self._urls: list[UInt64[np.ndarray, "_ 2"]] = []

    def add(self, pairs: Pairs, records: Records, url: str | None) -> None:
        self._pairs.append(self._some(pairs.uids))
        if url is None:  # other files of the pool may have URLs
            self._urls.append(self._pairs[-1])
        else:
            self._urls.append(self._some(url_keys(urls_of(pairs, records, url), pairs.uids)))

    def of_pairs(self) -> UInt64[np.ndarray, "N 2"]:
        return sort_rows(np.concatenate([np.zeros((0, 2), np.uint64), *self._pairs]))

    def of_urls(self) -> UInt64[np.ndarray, "N 2"]:
        return sort_rows(np.concatenate([np.zeros((0, 2), np.uint64), *self._urls]))

    def _some(self, keys: UInt64[np.ndarray, "N 2"]) -> UInt64[np.ndarray, "n 2"]:
        # Hashed once more, since the pool's own uids may be any numbers.
        return keys[preferences(keys[:, 0], keys[:, 1]) < FIRST_LEFT_OUT] if self._sampled else keys


class _Tally:
    """What is said of a shard."""

    def __init__(self, entries: int, columns: Columns) -> None:
        self.counts = np.zeros(entries, np.int64)
        self.columns = columns
        self.lengths = np.zeros(LONGEST_COUNTED + 1, np.int64)
        self.rows = self.texts = self.matched = self.own_uids = 0
        self.ledger = Ledger()
        self.unmatched: list[Sample] = []
        self.kinds: dict[str, pa.DataType] = {}
        self.schema: pa.Schema | None = None  # of the batch before

    def add_records(self, records: Records) -> None:
        """A batch of records, of which the pairs follow."""
        schema = records.table.schema
        if schema != self.schema:
            widen(self.kinds, schema)
            self.schema = schema
        self.rows += len(records.rows) + len(records.drops)

    def add(self, pairs: Pairs, found: Matches, unmatched: Int64[np.ndarray, " U"]) -> None:
        """Pairs, the matches of those that are kept, and which match nothing."""
        self.texts += len(pairs.rows)
        self.matched += len(found)
        self.own_uids += pairs.own_uids
        add_to_counts(self.counts, found)
        self.lengths += np.bincount(np.minimum(found.lengths, LONGEST_COUNTED), minlength=LONGEST_COUNTED + 1)
        self.lengths[0] += len(unmatched)
        for drop in pairs.drops:
            self.ledger.add(drop)
        self._sample_unmatched(pairs, unmatched)

    def _sample_unmatched(self, pairs: Pairs, unmatched: Int64[np.ndarray, " U"]) -> None:
        """Keep the unmatched captions with the smallest uids: a fair sample, whatever the cut of the shards."""
        smallest = smallest_uids(pairs.uids, unmatched, KEPT_SAMPLES)
        fresh = [Sample(int(pairs.uids[i, 0]), int(pairs.rows[i]), pairs.texts[int(i)].as_py()[:LONGEST_SAMPLE]) for i in smallest]
        self.unmatched = heapq.nsmallest(KEPT_SAMPLES, self.unmatched + fresh)

    def report(self, *, several: bool) -> MatchReport:
        unmatched = int(self.lengths[0])
        return MatchReport(
            rows=self.rows,
            texts=self.texts,
            matched=self.matched,
            matches=int(self.counts.sum()),
            own_uids=self.own_uids,
            drops=dict(self.ledger.counts) | ({UNNAMED: unmatched} if unmatched else {}),
            samples=self.ledger.report() | ({UNNAMED: self.unmatched} if unmatched else {}),
            lengths=self.lengths.tolist(),
            columns=self.columns,
            several_texts=several,
        )


def smallest_uids(uids: UInt64[np.ndarray, "N 2"], places: Int64[np.ndarray, " K"], count: int) -> Int64[np.ndarray, " k"]:
    """Of some places, the few whose uids are smallest: a sample that does not depend on how pairs are cut into batches."""
    if len(places) > count:
        places = places[np.argpartition(uids[places, 0], count)[:count]]
    return places[np.argsort(uids[places, 0], kind="stable")]


def _asked(run: Workspace, options: MatchOptions) -> dict[str, Any]:
    return {
        "columns": msgspec.to_builtins(options.pool.choice),
        "mode": run.required(METADATA).options["mode"],
        "languages": asked_languages(options.languages),
        "repeats": options.repeats,
        "write_dropped": options.write_dropped,
    }


def _cut(making: Making[MatchFolder, MatchOptions]) -> Work:
    options = making.options
    run = making.run
    kept = run.whole(KEPT)
    place = None if kept is None else str(run.folder(KEPT).path)
    job = MatchJob(
        options.pool.choice,
        str(run.folder(METADATA).matcher),
        options.languages,
        options.repeats,
        options.write_dropped,
        options.footers,
        place,
    )
    shards = {shard.key: ShardItem(shard) for shard in cut(options.pool.files)}
    return Work(shards if kept is None else {key: shards[key] for key in kept.pieces}, job)


def _finish(making: Making[MatchFolder, MatchOptions]) -> Finished:
    run, folder, pool = making.run, making.folder, making.options.pool
    reports: dict[str, MatchReport] = making.reports(SHARDS)
    drops = Counter[str]()
    for report in reports.values():
        drops.update(report.drops)
    kept = run.whole(KEPT)
    drops.update({} if kept is None else kept.result["drops"])
    result: dict[str, Any] = {
        "sources": pool.names,
        "files": len(pool.files),
        "bytes": sum(file.size for file in pool.files),
        "records": sum(report.rows for report in reports.values()),
        "texts": sum(report.texts for report in reports.values()),
        "matched": sum(report.matched for report in reports.values()),
        "matches": sum(report.matches for report in reports.values()),
        "drops": dict(sorted(drops.items())),
        "own_uids": sum(report.own_uids for report in reports.values()),
        "has_urls": any(report.columns.url is not None for report in reports.values()),
        "columns": sorted({str(report.columns) for report in reports.values()}),
    }
    shards = {shard.key: shard for shard in cut(pool.files)}
    snapshot = Snapshot(
        pool.names,
        pool.choice,
        {key: SnapshotShard(shards[key], report.columns, report.matched, report.several_texts) for key, report in reports.items()},
        several_captions=any(report.several_texts for report in reports.values()),
        all_own=result["own_uids"] == result["texts"],
        languages=making.options.languages is not None or (kept is not None and run.required(GATHER).options["languages"] is not None),
    )
    write_json(folder.snapshot_file, msgspec.to_builtins(snapshot))
    fetch_all(map(folder.counts, reports))
    schema = unify([_schema(read_arrays(folder.counts(key), "columns")["columns"].tobytes()) for key in reports])
    with replacing(folder.schema) as part:
        part.write_bytes(schema.serialize().to_pybytes())
    if len(result["columns"]) > 1:
        run.progress.note(f"columns, over all files: {'; '.join(result['columns'])}")
    if pool.choice.uid is not None or 0 < result["own_uids"] < result["texts"]:
        run.progress.note(f"uids: {result['own_uids']:,} of {result['texts']:,} are the pool's own, 32 hex digits; the others are hashes")
    said = f"{result['matched']:,} of {plural(result['texts'], 'caption')} {'matches' if result['matched'] == 1 else 'match'} an entry"
    return Finished(result, said, (folder.snapshot_file, folder.schema))


def snapshot_of(run: Workspace) -> Snapshot:
    """The shards that were matched.

    Raises:
        IncompleteError: matching is not whole.
        ArtifactError: the snapshot is not whole.
    """
    matched = run.required(MATCH)
    path = run.folder(MATCH).snapshot_file
    snapshot = read_struct(path, Snapshot)
    if snapshot is None:
        raise ArtifactError(f"{path} is gone", f"delete {path.parent} and run the same command again")
    if "pool" not in matched.inputs:
        return snapshot
    own = run.folder(run.stages["pool"]).path
    return replace(snapshot, shards={key: _within(shard, own) for key, shard in snapshot.shards.items()})


def _within(matched: SnapshotShard, pool: Path) -> SnapshotShard:
    """A shard of the run's own pool where that is now: the run may have been moved since."""
    shard = matched.shard
    file = replace(shard.file, path=str(pool / Path(shard.file.path).name))
    return replace(matched, shard=replace(shard, file=file))


def unmatch(run: Workspace, failures: Mapping[str, Failure]) -> None:
    """Take shards that failed in a later stage back out of the snapshot, so that they can be repaired, or accepted as failed.

    Matching reads only the columns that it needs, so a file may turn out to be broken when all of them are read.
    """
    asked = run.required(MATCH).options["languages"]
    languages = None if asked is None else msgspec.convert({name: asked[name] for name in ("languages", "threshold")}, LanguageChoice)
    snapshot = snapshot_of(run)
    others: dict[str, Any] = {name: run.required(MATCH).options[name] for name in ("repeats", "write_dropped")}
    options = MatchOptions(Pool(snapshot.names, snapshot.choice, []), languages, **others)
    folder = MatchFolder(run.withdraw(MATCH, fingerprint_before_work(run, MATCH, options)))
    for key, failure in failures.items():
        folder.forget(key)
        late = replace(failure, source=ShardItem(snapshot.shards[key].shard).source, late=True)
        write_json(folder.failed(key), msgspec.to_builtins(late))
    send(map(folder.failed, failures))


class MatchPart(Part):
    """What was read and matched; ``shards`` are the pieces of the files that were read."""

    sources: list[str]
    files: int
    bytes: int
    columns: list[str]
    languages: str | None
    shards: int
    records: int
    texts: int
    matched: int
    drops: list[Any]
    failed_shards: dict[str, str]
    own_uids: int
    lengths: list[int]

    def summary(self) -> list[str]:
        failed = len(self.failed_shards)
        unread = [f"{failed:,} of {plural(self.shards + failed, 'shard')} not read"] if failed else []
        dropped = ", ".join([*unread, *(f"{drop.count:,} {drop.reason}" for drop in self.drops[:4])]) or "none"
        dropped += f", and for {len(self.drops) - 4} more reasons" if len(self.drops) > 4 else ""
        return [f"pool        {plural(self.records, 'record')}, {plural(self.texts, 'caption')}; dropped: {dropped}"]


def match_part(run: Workspace) -> MatchPart:
    """What was read and matched, of a run whose stage is whole."""
    matched = run.required(MATCH)
    reports: dict[str, MatchReport] = run.reports(MATCH)
    read = run.required(GATHER) if GATHER.name in matched.inputs else matched
    kept = KEPT.name in matched.inputs
    before = samples_of(run) if kept else []
    asked, result = matched.options["languages"] or (read.options["languages"] if kept else None), matched.result
    languages = None
    if asked is not None:
        languages = f"{', '.join(asked['languages']) or 'all'} with a score of at least {asked['threshold']:g}, by {asked['model']}"
    return MatchPart(
        sources=read.result["sources"],
        files=result["files"],
        bytes=result["bytes"],
        columns=result["columns"],
        languages=languages,
        shards=len(read.pieces),
        records=result["records"],
        texts=result["texts"],
        matched=result["matched"],
        drops=reasons(result["drops"], merge_samples([*(report.samples for report in reports.values()), *before])),
        failed_shards=read.failed | matched.failed,
        own_uids=result["own_uids"],
        lengths=np.sum([report.lengths for report in reports.values()], axis=0).tolist(),
    )


def _cost(expected: Expected) -> Cost:
    """Its rates are measured on the benchmark's pool (docs/benchmarks.md), reading and matching on the pool itself."""
    seconds = expected.match_seconds + expected.matched * SECONDS_PER_MATCHED_PAIR
    return Cost(seconds, expected.matched * BYTES_PER_MATCHED_PAIR + expected.matches * BYTES_PER_MATCH)


SHARDS = Section(_cut, match_shard, "shards", rows=lambda job, item: estimate_rows(item.shard, job.choice))
MATCH = Stage(
    name="match",
    version=4,
    command="tallyclip match POOL... --out RUN",
    needs=("metadata",),
    uses=("pool", "kept", "samples"),  # the last where it is made of what was downloaded
    sections=(SHARDS,),
    reads_files=True,
    folder=MatchFolder,
    asked=_asked,
    finish=_finish,
    card=match_part,
    cost=_cost,
    compiled=(match_rows,),
)
