"""The stages that count: words and phrases of texts, and views of titles.

Every part of the inputs is counted by itself to sorted runs, and then all runs are merged, bucket by bucket. Sums do not ask who added them
or in which order. So the counts are the same however the inputs were cut, by however many workers they were counted, and how often memory
was full. Longer than others: four sections, one after the other.
"""

from __future__ import annotations

import itertools
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.arrays import map_array, write_array
from tallyclip.io.files import read_json, write_json
from tallyclip.io.structs import fingerprint_of
from tallyclip.lists.count_tables import read_pair_counts, read_word_counts
from tallyclip.lists.languages import language
from tallyclip.lists.ngrams.buckets import Buckets, NgramCounts
from tallyclip.lists.ngrams.counter import LEAST_MEMORY, NgramCounter
from tallyclip.lists.ngrams.kernel import flush
from tallyclip.lists.ngrams.runs import (
    CountedPairs,
    CountedWords,
    SortedRun,
    copy_words,
    hash_range,
    key_range,
    merge_pairs,
    merge_words,
    of_file,
    places_of,
    read_pairs,
    read_words,
    renamed,
    write_pairs,
    write_words,
)
from tallyclip.lists.pageviews import ViewChoice, read_views
from tallyclip.lists.segment import Segmenter
from tallyclip.lists.texts import TextCounts, TextPart, read_texts
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.wording import plural

VERSION = 2  # of what is counted as a word and as a phrase
COMMAND = "tallyclip metadata build RECIPE --out DIR"
OF_A_WORKER = 256 << 20  # bytes that a process takes without counting anything
WORDS_AT_ONCE = 1 << 20  # records of a bucket
PAIRS_AT_ONCE = 1 << 21
SAMPLED = 4096  # of so many pairs of a run one is looked at
GOLDEN = 0.6180339887
LAST_KEY = (1 << 64) - 1  # which no pair has
WORDS_OF, PAIRS_OF, PLACES_OF = "words-", "pairs-", "places-"  # before the number of a bucket, or the name of a run

Tick = Callable[[int], None]


class NgramsFolder(StageFolder):
    """Counts under way or done: sorted runs while there are texts to count, then buckets, merged and in order."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.runs = path / "_runs"
        self.run_names = self.runs / "names.json"
        self.buckets = Buckets(path)

    def run_words(self, run: str) -> Path:
        return self.runs / f"{run}.words.arrow"

    def run_pairs(self, run: str) -> Path:
        return self.runs / f"{run}.pairs.arrow"

    def run_places(self, run: str) -> Path:
        return self.runs / f"{run}.places.npy"

    def outputs_of(self, key: str) -> Iterable[Path]:
        if key.startswith(WORDS_OF):
            return (self.buckets.words(int(key.removeprefix(WORDS_OF))),)
        if key.startswith(PAIRS_OF):
            return (self.buckets.pairs(int(key.removeprefix(PAIRS_OF))),)
        if key.startswith(PLACES_OF):
            return (self.run_places(key.removeprefix(PLACES_OF)),)
        runs = (f"{key}.{number}" for number in itertools.count())
        return [path for run in itertools.takewhile(self._is_there, runs) for path in (self.run_words(run), self.run_pairs(run))]

    def _is_there(self, run: str) -> bool:
        return self.run_words(run).exists()


class TextJob(msgspec.Struct, frozen=True, tag=True):
    """Texts to count the words and phrases of."""

    part: TextPart
    language: str

    @property
    def path(self) -> str:
        return self.part.path


class TableJob(msgspec.Struct, frozen=True, tag=True):
    """A table of words, or pairs of words, that somebody has counted."""

    path: str
    pairs: bool


class ViewsJob(msgspec.Struct, frozen=True, tag=True):
    """An hour's titles with their views."""

    path: str
    choice: ViewChoice


class Unreadable(msgspec.Struct, frozen=True, tag=True):
    """A file in which no parts could be found, and why."""

    path: str
    what: str
    hint: str | None


class InputPart(msgspec.Struct, frozen=True):
    """A part of the inputs.

    Attributes:
        counted: what to count.
        size: how many bytes that is.
        checksum: of its file.
        means: what else its counts depend on: what tells words apart.
    """

    counted: TextJob | TableJob | ViewsJob | Unreadable
    size: int
    checksum: str
    means: str = ""

    @property
    def name(self) -> str:
        """What people know it by: its file."""
        return self.counted.path

    @property
    def key(self) -> str:
        """What its counts depend on, and the path does not belong to that: a file may move, and a repaired one is another."""
        source = msgspec.to_builtins(self.counted)
        source.pop("path", None)
        source.get("part", {}).pop("path", None)
        return fingerprint_of(version=VERSION, checksum=self.checksum, means=self.means, source=source)[:32]


class CountOptions(msgspec.Struct, frozen=True):
    """The parts of the inputs, and the bytes of memory that a worker may count in."""

    parts: list[InputPart]
    memory: int


class CountJob(msgspec.Struct, frozen=True):
    memory: int


class CountReport(Report):
    """What a part had.

    Attributes:
        runs: how many sorted runs it became, with how many words and pairs each.
        total: words, of repeats each, or views.
        texts: of texts, what they were in.
        drops: records that could not be used, by reason.
    """

    runs: list[tuple[int, int]]
    total: int
    texts: TextCounts
    drops: dict[str, int]


def count_part(job: CountJob, item: InputPart, folder: NgramsFolder, tick: Tick) -> CountReport:
    """Count a part of the inputs, to sorted runs."""
    key = item.key
    runs: list[tuple[int, int]] = []

    def write(run: SortedRun) -> None:
        name = f"{key}.{len(runs)}"
        write_words(folder.run_words(name), run.words)
        write_pairs(folder.run_pairs(name), run.pairs)
        runs.append((len(run.words.hashes), len(run.pairs.keys)))

    texts, drops = TextCounts(), Tally[str]()
    segmented = isinstance(item.counted, TextJob) and language(item.counted.language).words != "spaces"
    counter = NgramCounter(job.memory, write, joints=segmented)
    match item.counted:
        case TextJob(part, code):
            segmenter = Segmenter(language(code)) if segmented else None
            for batch in read_texts(part, texts, tick):
                counter.add(segmenter.split(batch) if segmenter else batch)
        case TableJob(path, pairs):
            if pairs:
                for words, counts in read_pair_counts(path, drops, tick):
                    counter.add_pairs(words, counts)
            else:
                for words, counts in read_word_counts(path, drops, tick):
                    counter.add_words(words, counts)
        case ViewsJob(path, choice):
            for titles, views in read_views(path, choice, drops, tick):
                counter.add_words(titles, views)
        case Unreadable(_, what, hint):
            raise SourceError(what, hint)
    counter.finish()
    return CountReport(rows=item.size, runs=runs, total=counter.total, texts=texts, drops=dict(drops + Tally(texts.drops)))


class MergeJob(msgspec.Struct, frozen=True):
    """What all buckets have in common.

    Attributes:
        bits: of the hash, that say which bucket a word is in.
        words: the number of words in each bucket, once they are merged.
    """

    bits: int
    words: list[int] = []


class MergeItem(msgspec.Struct, frozen=True):
    """A bucket of words or pairs, or a run; it has about so many rows.

    Attributes:
        number: of the bucket.
        run: its name.
        low, high: of a bucket of pairs, its first key and the one after its last.
    """

    rows: int
    number: int = 0
    run: str = ""
    low: int = 0
    high: int = 0


class MergeReport(Report):
    """How many different words or pairs a bucket has."""

    different: int


class PlaceReport(Report):
    """A sample of the keys of a run's pairs, as pairs of all words."""

    sample: list[int]


def _runs(folder: NgramsFolder) -> list[str]:
    return read_json(folder.run_names)["runs"]


def merge_word_bucket(job: MergeJob, item: MergeItem, folder: NgramsFolder, tick: Tick) -> MergeReport:
    """Merge the words of a bucket."""
    parts: list[CountedWords] = []
    for run in _runs(folder):
        words = read_words(folder.run_words(run))
        with of_file(folder.run_words(run)):
            parts.append(copy_words(words, hash_range(words, item.number, job.bits)))
    merged = merge_words(parts)
    write_words(folder.buckets.words(item.number), merged)
    tick(sum(len(part.hashes) for part in parts))
    return MergeReport(rows=item.rows, different=len(merged.hashes))


def place_run(job: MergeJob, item: MergeItem, folder: NgramsFolder, tick: Tick) -> PlaceReport:
    """Find the words of a run among all words."""
    words = read_words(folder.run_words(item.run))
    places = [np.zeros(0, np.uint32)]
    base = 0
    for bucket, size in enumerate(job.words):
        with of_file(folder.run_words(item.run)):
            part = copy_words(words, hash_range(words, bucket, job.bits))
            places.append(places_of(part, read_words(folder.buckets.words(bucket))) + np.uint32(base))
        base += size
    found = np.concatenate(places)
    write_array(folder.run_places(item.run), found)
    tick(len(words.hashes))
    keys = read_pairs(folder.run_pairs(item.run)).keys
    start = int(item.number * GOLDEN % 1 * SAMPLED)  # another in each run, or short runs would not be in the sample
    with of_file(folder.run_pairs(item.run)):
        renamed(keys[-1:], found)  # the largest: pairs of words that there are not would be in no range
        return PlaceReport(rows=item.rows, sample=renamed(keys[start::SAMPLED], found).tolist())


def merge_pair_bucket(_: MergeJob, item: MergeItem, folder: NgramsFolder, tick: Tick) -> MergeReport:
    """Merge the pairs of a range of keys."""
    parts: list[CountedPairs] = []
    for run in _runs(folder):
        places = map_array(folder.run_places(run))
        pairs = read_pairs(folder.run_pairs(run))
        some = key_range(pairs, places, item.low, item.high)
        with of_file(folder.run_pairs(run)):
            parts.append(CountedPairs(renamed(pairs.keys[some], places), pairs.counts[some].copy()))  # a view would keep the run mapped
    merged = merge_pairs(parts)
    write_pairs(folder.buckets.pairs(item.number), merged)
    tick(sum(len(part.keys) for part in parts))
    return MergeReport(rows=item.rows, different=len(merged.keys))


def buckets_of_pairs(sample: list[int], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of keys with about ``most`` pairs each, by a sample: some words begin more pairs than a thousand others."""
    step = max(1, most // SAMPLED)
    bounds = [0, *dict.fromkeys(sorted(sample)[step::step]), LAST_KEY]
    yield from pairwise(bounds)


def memory_of_a_worker(memory: int, workers: int) -> int:
    """What a worker may count in.

    Raises:
        OptionError: that is too little.
    """
    share = memory // workers - OF_A_WORKER
    if share < LEAST_MEMORY:
        least = workers * (OF_A_WORKER + LEAST_MEMORY)
        raise OptionError(
            f"--memory {memory >> 20}M is too little for {workers} workers", f"give at least {least >> 20}M, or fewer --workers"
        )
    return share


def _cut_parts(making: Making[NgramsFolder, CountOptions]) -> Work:
    return Work({part.key: part for part in making.options.parts}, CountJob(making.options.memory))


def _run_sizes(making: Making[NgramsFolder, CountOptions]) -> dict[str, tuple[int, int]]:
    """The sorted runs of all parts, by name: how many words and pairs they have."""
    reports: dict[str, CountReport] = making.reports(PARTS)
    return dict(sorted((f"{key}.{number}", size) for key, report in reports.items() for number, size in enumerate(report.runs)))


def _cut_words(making: Making[NgramsFolder, CountOptions]) -> Work:
    runs = _run_sizes(making)
    write_json(making.folder.run_names, {"runs": list(runs)})  # there may be thousands, too many for every piece of work
    total = sum(words for words, _ in runs.values())
    bits = max(0, (total - 1).bit_length() - (WORDS_AT_ONCE - 1).bit_length())
    return Work({f"{WORDS_OF}{number:05d}": MergeItem(total >> bits, number) for number in range(1 << bits)}, MergeJob(bits))


def _merged_words(making: Making[NgramsFolder, CountOptions]) -> MergeJob:
    reports: dict[str, MergeReport] = making.reports(MERGED_WORDS)
    return MergeJob((len(reports) - 1).bit_length(), [report.different for report in reports.values()])


def _cut_places(making: Making[NgramsFolder, CountOptions]) -> Work:
    runs = _run_sizes(making)
    if not any(pairs for _, pairs in runs.values()):
        return Work({})
    items = {f"{PLACES_OF}{run}": MergeItem(words, number, run) for number, (run, (words, _)) in enumerate(runs.items())}
    return Work(items, _merged_words(making))


def _cut_pairs(making: Making[NgramsFolder, CountOptions]) -> Work:
    reports: dict[str, PlaceReport] = making.reports(PLACES)
    if not reports:
        return Work({})
    ranges = list(buckets_of_pairs([key for report in reports.values() for key in report.sample], PAIRS_AT_ONCE))
    rows = sum(pairs for _, pairs in _run_sizes(making).values()) // len(ranges)
    items = {f"{PAIRS_OF}{number:05d}": MergeItem(rows, number, low=low, high=high) for number, (low, high) in enumerate(ranges)}
    return Work(items, _merged_words(making))


def _finish(making: Making[NgramsFolder, CountOptions]) -> Finished:
    texts, drops, total = TextCounts(), Tally[str](), 0
    reports: dict[str, CountReport] = making.reports(PARTS)
    for report in reports.values():
        texts.add(report.texts)
        total += report.total
        drops.update(report.drops)
    words: dict[str, MergeReport] = making.reports(MERGED_WORDS)
    pairs: dict[str, MergeReport] = making.reports(MERGED_PAIRS)
    counts = NgramCounts(
        [report.different for report in words.values()],
        [report.different for report in pairs.values()],
        total,
        texts,
        dict(sorted(drops.items())),
    )
    said = f"{sum(counts.words):,} different" + (f", {plural(sum(counts.pairs), 'pair')}" if counts.pairs else "")
    return Finished(msgspec.to_builtins(counts), said)


def _asked(_: Any, __: CountOptions) -> dict[str, Any]:
    return {}  # a part's key says what its counts depend on, and memory is nothing to them


PARTS = Section(_cut_parts, count_part, "parts", rows=lambda _, part: part.size, unit="bytes", said="counted")
MERGED_WORDS = Section(_cut_words, merge_word_bucket, "words", rows=lambda _, item: item.rows, unit="records", shown="merge")
PLACES = Section(_cut_places, place_run, "places", rows=lambda _, item: item.rows, unit="records", shown="merge")
MERGED_PAIRS = Section(_cut_pairs, merge_pair_bucket, "pairs", rows=lambda _, item: item.rows, unit="records", shown="merge")


def _stage(name: str, *compiled: Any) -> Stage:
    return Stage(
        name=name,
        version=VERSION,
        command=COMMAND,
        sections=(PARTS, MERGED_WORDS, PLACES, MERGED_PAIRS),
        reads_files=True,
        folder=NgramsFolder,
        asked=_asked,
        finish=_finish,
        scratch=("_runs",),
        optional=True,
        compiled=compiled,
    )


WORD_COUNTS = _stage("counts", flush)
TITLE_VIEWS = _stage("views")
