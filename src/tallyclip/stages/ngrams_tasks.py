"""What workers do for a list: count a part of the inputs, and merge what has been counted."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np

from tallyclip.core.sorting import sample_of_run
from tallyclip.io.files import read_json, write_array
from tallyclip.lists.count_tables import read_pair_counts, read_word_counts
from tallyclip.lists.languages import language
from tallyclip.lists.ngrams.counter import NgramCounter
from tallyclip.lists.ngrams.runs import (
    Pairs,
    Run,
    Words,
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
from tallyclip.run.build_layout import CountsFolder

SAMPLED = 4096  # of so many pairs of a run one is looked at
LAST_KEY = (1 << 64) - 1  # which no pair has

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
    counter = NgramCounter(job.memory, write, joints=segmented)
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
    """A bucket of words or pairs, or a run, of a folder whose runs are known by ``CountsFolder.run_names``.

    Attributes:
        words: the number of words in each bucket, once they are merged.
        bits: of the hash, that say which bucket a word is in.
        low, high: of a bucket of pairs, its first key and the one after its last.
    """

    folder: str
    number: int
    bits: int
    words: list[int] = []
    low: int = 0
    high: int = 0


def _runs(folder: CountsFolder) -> list[str]:
    return read_json(folder.run_names)["runs"]


def merge_word_bucket(job: MergeJob, tick: Tick) -> int:
    """Merge the words of a bucket; returns how many there are."""
    folder = CountsFolder(Path(job.folder))
    parts: list[Words] = []
    for run in _runs(folder):
        words = read_words(folder.run_words(run))
        with of_file(folder.run_words(run)):
            parts.append(copy_words(words, hash_range(words, job.number, job.bits)))
    merged = merge_words(parts)
    write_words(folder.words(job.number), merged)
    tick(sum(len(part.hashes) for part in parts))
    return len(merged.hashes)


def place_run(job: MergeJob, tick: Tick) -> list[int]:
    """Find the words of a run among all words; returns a sample of its pairs' keys, as pairs of these."""
    folder = CountsFolder(Path(job.folder))
    run = _runs(folder)[job.number]
    words = read_words(folder.run_words(run))
    places = [np.zeros(0, np.uint32)]
    base = 0
    for bucket, size in enumerate(job.words):
        with of_file(folder.run_words(run)):
            part = copy_words(words, hash_range(words, bucket, job.bits))
            places.append(places_of(part, read_words(folder.words(bucket))) + np.uint32(base))
        base += size
    found = np.concatenate(places)
    write_array(folder.run_places(run), found)
    tick(len(words.hashes))
    keys = read_pairs(folder.run_pairs(run)).keys
    with of_file(folder.run_pairs(run)):
        renamed(keys[-1:], found)  # the largest: pairs of words that there are not would be in no range
        return renamed(sample_of_run(keys, job.number, SAMPLED), found).tolist()


def merge_pair_bucket(job: MergeJob, tick: Tick) -> int:
    """Merge the pairs of a range of keys; returns how many there are."""
    folder = CountsFolder(Path(job.folder))
    parts: list[Pairs] = []
    for run in _runs(folder):
        places = np.load(folder.run_places(run), mmap_mode="r", allow_pickle=False)
        pairs = read_pairs(folder.run_pairs(run))
        some = key_range(pairs, places, job.low, job.high)
        with of_file(folder.run_pairs(run)):
            parts.append(Pairs(renamed(pairs.keys[some], places), pairs.counts[some].copy()))  # a view would keep the run mapped
    merged = merge_pairs(parts)
    write_pairs(folder.pairs(job.number), merged)
    tick(sum(len(part.keys) for part in parts))
    return len(merged.keys)


def buckets_of_pairs(sample: list[int], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of keys with about ``most`` pairs each, by a sample: some words begin more pairs than a thousand others."""
    step = max(1, most // SAMPLED)
    bounds = [0, *dict.fromkeys(sorted(sample)[step::step]), LAST_KEY]
    yield from pairwise(bounds)
