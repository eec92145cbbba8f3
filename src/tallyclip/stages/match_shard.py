"""Matching one shard: from the pool to the pairs that name an entry."""

from __future__ import annotations

import base64
import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Int64, UInt64

from tallyclip.core.counts import add_to_counts
from tallyclip.core.data import Matches
from tallyclip.io.files import replacing
from tallyclip.match.matched_pairs import LanguageTags, MatchedPairs, MatchWriter
from tallyclip.match.matcher import Matcher
from tallyclip.readers.columns import ColumnChoice, Columns
from tallyclip.readers.content import LONGEST_SAMPLE
from tallyclip.readers.ledger import KEPT_SAMPLES, UNNAMED, Ledger
from tallyclip.readers.pairs import Pairs, pairs_in_parts
from tallyclip.readers.read import columns_of, full_schema, read_shard
from tallyclip.readers.records import Drop, Records, schema_of, widen
from tallyclip.readers.sources import Shard
from tallyclip.run.layout import MatchFolder
from tallyclip.run.shards import ShardJob, ShardReport, sizes_of
from tallyclip.steps.languages import LanguageChoice, told

LONGEST_COUNTED = 32  # the histogram of matches per text ends with "this many and more"


class Sample(msgspec.Struct, order=True):
    """A dropped text, with a number by which samples of several shards are told apart and thinned without favour."""

    number: int
    row: int
    text: str


class MatchReport(ShardReport, kw_only=True):
    """``rows`` counts the records of the shard, dropped ones too; ``texts`` the pairs; ``matched`` those that name an entry.

    ``schema`` has the columns that go into the curated set. A column of lists of captions does not: each pair has its own caption there,
    and with all captions of its image beside it the set would grow with the square of their number.
    """

    texts: int
    matched: int
    matches: int
    own_uids: int
    drops: dict[str, int]
    samples: dict[str, list[Sample]]
    lengths: list[int]
    columns: str
    several_texts: bool
    schema: str


class MatchJob(ShardJob, frozen=True):
    """What a worker needs to match a shard."""

    choice: ColumnChoice
    matcher: str
    folder: str
    languages: LanguageChoice | None = None


def match_shard(job: MatchJob, tick: Callable[[int], None]) -> MatchReport:
    """Match one shard: writes the pairs that name an entry, and how often each entry is named."""
    started = time.perf_counter()
    folder, key = MatchFolder(Path(job.folder)), job.shard.key
    matcher = _open_matcher(job.matcher)
    columns = columns_of(job.shard.file, job.choice)
    tally = _Tally(len(matcher), columns)
    with replacing(folder.matches(key)) as part, MatchWriter(part, with_languages=job.languages is not None) as writer:
        for records in read_shard(job.shard, columns, job.choice):
            tally.add_records(records)
            for pairs in pairs_in_parts(records, columns):
                matches = matcher.match(pairs.texts)
                unnamed, matched, languages = np.flatnonzero(matches.lengths == 0), np.flatnonzero(matches.lengths), None
                if job.languages is not None:
                    matched, languages = _in_languages(pairs, matched, job.languages)
                    matches = _only(matches, matched)
                offsets = np.append(matches.offsets[matched], matches.offsets[-1])
                found = Matches(offsets, matches.entry_ids)
                writer.write(MatchedPairs(pairs.rows[matched], pairs.text_numbers[matched], pairs.uids[matched], found, languages))
                tally.add(pairs, found, unnamed)
            tick(len(records.rows))
    named = np.flatnonzero(tally.counts)
    with replacing(folder.counts(key)) as part, part.open("wb") as file:
        np.savez(file, entry_ids=named.astype(np.uint32), counts=tally.counts[named])
    outputs = sizes_of(folder.path, folder.matches(key), folder.counts(key))
    return tally.report(job.shard, outputs, time.perf_counter() - started)


def _in_languages(pairs: Pairs, matched: Int64[np.ndarray, " M"], choice: LanguageChoice) -> tuple[Int64[np.ndarray, " K"], LanguageTags]:
    """Of the pairs that name an entry those in the languages asked for, with these; the others are dropped. Only these texts are looked
    at, for to tell a language takes fifty times as long as to match."""
    labels, scores, keep, drops = told(pairs.texts.take(pa.array(matched)).to_pylist(), choice)
    pairs.drops.extend(Drop(reason, int(pairs.rows[matched[i]]), sample) for i, reason, sample in drops)
    return matched[keep], LanguageTags(np.array(labels, np.str_)[keep], scores[keep])


def _only(matches: Matches, texts: Int64[np.ndarray, " K"]) -> Matches:
    """The matches of some texts; the others name nothing."""
    lengths = np.zeros(len(matches), np.int64)
    lengths[texts] = matches.lengths[texts]
    return Matches(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]), matches.take(texts).entry_ids)


@lru_cache(maxsize=1)
def _open_matcher(folder: str) -> Matcher:
    return Matcher.open(folder)


class _Tally:
    """What is said of a shard in its report, added up batch by batch."""

    def __init__(self, entries: int, columns: Columns) -> None:
        self.counts = np.zeros(entries, np.int64)
        self.columns = columns
        self.lengths = np.zeros(LONGEST_COUNTED + 1, np.int64)
        self.rows = self.texts = self.matched = self.own_uids = 0
        self.ledger = Ledger()
        self.unnamed: list[Sample] = []
        self.kinds: dict[str, pa.DataType] = {}
        self.schema: pa.Schema | None = None  # of the batch before

    def add_records(self, records: Records) -> None:
        """A batch of records, of which the pairs follow."""
        schema = records.table.schema
        if schema != self.schema:
            widen(self.kinds, schema)
            self.schema = schema
        self.rows += len(records.rows) + len(records.drops)

    def add(self, pairs: Pairs, found: Matches, unnamed: Int64[np.ndarray, " U"]) -> None:
        """Pairs, the matches of those that stay, and which name nothing."""
        self.texts += len(pairs.rows)
        self.matched += len(found)
        self.own_uids += pairs.own_uids
        add_to_counts(self.counts, found)
        self.lengths += np.bincount(np.minimum(found.lengths, LONGEST_COUNTED), minlength=LONGEST_COUNTED + 1)
        self.lengths[0] += len(unnamed)
        for drop in pairs.drops:
            self.ledger.add(drop)
        self._sample_unnamed(pairs, unnamed)

    def _sample_unnamed(self, pairs: Pairs, unnamed: Int64[np.ndarray, " U"]) -> None:
        """Keep the unnamed texts with the smallest uids: a fair sample, whatever the cut of the shards."""
        smallest = smallest_uids(pairs.uids, unnamed, KEPT_SAMPLES)
        fresh = [Sample(int(pairs.uids[i, 0]), int(pairs.rows[i]), pairs.texts[int(i)].as_py()[:LONGEST_SAMPLE]) for i in smallest]
        self.unnamed = heapq.nsmallest(KEPT_SAMPLES, self.unnamed + fresh)

    def report(self, shard: Shard, outputs: dict[str, int], seconds: float) -> MatchReport:
        unnamed = int(self.lengths[0])
        schema = full_schema(shard.file) or schema_of(self.kinds)
        place = schema.get_field_index(self.columns.caption)
        several_texts = place >= 0 and pa.types.is_nested(schema.field(place).type)
        if several_texts:
            schema = schema.remove(place)
        return MatchReport(
            path=shard.file.path,
            fingerprint=shard.file.fingerprint,
            rows=self.rows,
            seconds=round(seconds, 3),
            outputs=outputs,
            texts=self.texts,
            matched=self.matched,
            matches=int(self.counts.sum()),
            own_uids=self.own_uids,
            drops=dict(self.ledger.counts) | ({UNNAMED: unnamed} if unnamed else {}),
            samples=samples_of(self.ledger.samples) | ({UNNAMED: self.unnamed} if unnamed else {}),
            lengths=self.lengths.tolist(),
            columns=str(self.columns),
            several_texts=several_texts,
            schema=base64.b64encode(schema.serialize().to_pybytes()).decode(),
        )


def samples_of(drops: Mapping[str, Sequence[Drop]]) -> dict[str, list[Sample]]:
    """The samples of a ledger, for a report."""
    return {reason: [Sample(drop.row, drop.row, drop.sample) for drop in some] for reason, some in drops.items()}


def smallest_uids(uids: UInt64[np.ndarray, "N 2"], places: Int64[np.ndarray, " K"], count: int) -> Int64[np.ndarray, " k"]:
    """Of some places, the few whose uids are smallest: a sample that does not depend on how pairs are cut into batches."""
    if len(places) > count:
        places = places[np.argpartition(uids[places, 0], count)[:count]]
    return places[np.argsort(uids[places, 0], kind="stable")]
