"""What workers do for a list: count a part of the inputs, and merge what has been counted."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from tallyclip.metadata.languages import language
from tallyclip.metadata.ngrams.counter import Counter
from tallyclip.metadata.ngrams.runs import (
    Pairs,
    Run,
    Words,
    hash_range,
    merge_pairs,
    merge_words,
    pairs_of,
    places_of,
    read_pairs,
    read_words,
    renamed,
    slice_words,
    write_pairs,
    write_words,
)
from tallyclip.metadata.pageviews import ViewChoice, read_views
from tallyclip.metadata.segment import Segmenter
from tallyclip.metadata.tables import read_pair_counts, read_word_counts
from tallyclip.metadata.texts import TextCounts, TextPart, read_texts
from tallyclip.store.build_layout import CountsFolder
from tallyclip.store.files import write_array

Tick = Callable[[int], None]


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


Source = TextJob | TableJob | ViewsJob


class CountJob(msgspec.Struct, frozen=True):
    """A part of the inputs: where from, and the folder, the name and the memory to count it with."""

    source: Source
    folder: str
    key: str
    memory: int


class CountReport(msgspec.Struct):
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
    seconds: float


def count_part(job: CountJob, tick: Tick) -> CountReport:
    """Count a part of the inputs, to sorted runs."""
    started = time.monotonic()
    folder = CountsFolder(Path(job.folder))
    runs: list[tuple[int, int]] = []

    def write(run: Run) -> None:
        name = f"{job.key}.{len(runs)}"
        write_words(folder.run_words(name), run.words)
        write_pairs(folder.run_pairs(name), run.pairs)
        runs.append((len(run.words.hashes), len(run.pairs.keys)))

    texts, drops = TextCounts(), Tally[str]()
    segmented = isinstance(job.source, TextJob) and language(job.source.language).words != "spaces"
    counter = Counter(job.memory, write, joints=segmented)
    match job.source:
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
    counter.finish()
    return CountReport(runs, counter.total, texts, dict(drops + Tally(texts.drops)), round(time.monotonic() - started, 2))


class MergeJob(msgspec.Struct, frozen=True):
    """A bucket of words or pairs, or a run, of a folder with these runs.

    Attributes:
        words: the number of words in each bucket, once they are merged.
        bits: of the hash, that say which bucket a word is in.
        first, end: of a bucket of pairs, the positions of the words that they begin with.
    """

    folder: str
    runs: list[str]
    number: int
    bits: int
    words: list[int] = []
    first: int = 0
    end: int = 0


def merge_word_bucket(job: MergeJob, tick: Tick) -> int:
    """Merge the words of a bucket; returns how many there are."""
    folder = CountsFolder(Path(job.folder))
    parts: list[Words] = []
    for run in job.runs:
        words = read_words(folder.run_words(run))
        parts.append(slice_words(words, hash_range(words, job.number, job.bits)))
    merged = merge_words(parts)
    write_words(folder.words(job.number), merged)
    tick(sum(len(part.hashes) for part in parts))
    return len(merged.hashes)


def place_run(job: MergeJob, tick: Tick) -> None:
    """Find the words of a run among all words."""
    folder = CountsFolder(Path(job.folder))
    words = read_words(folder.run_words(job.runs[job.number]))
    places = [np.zeros(0, np.uint32)]
    base = 0
    for bucket, size in enumerate(job.words):
        part = slice_words(words, hash_range(words, bucket, job.bits))
        places.append(places_of(part, read_words(folder.words(bucket))) + np.uint32(base))
        base += size
    write_array(folder.run_places(job.runs[job.number]), np.concatenate(places))
    tick(len(words.hashes))


def merge_pair_bucket(job: MergeJob, tick: Tick) -> int:
    """Merge the pairs whose first word is in a range; returns how many there are."""
    folder = CountsFolder(Path(job.folder))
    parts: list[Pairs] = []
    for run in job.runs:
        places = np.load(folder.run_places(run), mmap_mode="r", allow_pickle=False)
        first, end = np.searchsorted(places, np.array([job.first, job.end], np.uint64))
        pairs = read_pairs(folder.run_pairs(run))
        some = pairs_of(pairs, int(first), int(end))
        parts.append(Pairs(renamed(pairs.keys[some], places), pairs.counts[some]))
    merged = merge_pairs(parts)
    write_pairs(folder.pairs(job.number), merged)
    tick(sum(len(part.keys) for part in parts))
    return len(merged.keys)


def buckets_of_pairs(words: int, pairs: int, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of words, of which each begins about ``most`` pairs."""
    buckets = max(1, -(-pairs // most))
    for bucket in range(buckets):
        yield bucket * words // buckets, (bucket + 1) * words // buckets
