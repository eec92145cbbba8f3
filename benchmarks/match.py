"""Matching on one core: brute force, two Aho-Corasick libraries and ours, on the same texts in one run.

    python benchmarks/match.py --entries standin-metadata.json.gz --texts laion.parquet alttexts.tsv.gz

Every method gets what it likes best: the libraries Python strings, ours an Arrow array. All give the set of entry ids of each text, sorted,
and all results are compared. The methods take turns, and the figure of each is the median of its rounds, so that a machine that is slow
for a while is slow for all. Seconds are those of the process, so others may use the processor in between. Prints a line of JSON for
each method, and one with the time of each step of ours, which is what a row of the first steps takes less what a shorter row takes.
"""

from __future__ import annotations

import argparse
import gzip
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import ahocorasick
import daachorse
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64, UInt8

import tallyclip as tc
from record import record
from tallyclip.core.compiled import ONE, ZERO, compiled, u64
from tallyclip.core.strings import from_arrow
from tallyclip.match.kernel import (
    BLOCK_BYTES,
    BLOCK_ROWS,
    MatchScratch,
    _collect,
    _copy,
    _find_phrases,
    _key,
    _look_up,
    _split,
    make_scratch,
)
from tallyclip.match.spacing import spaced
from tallyclip.match.tables import MatchTables

BRUTE_FORCE_TEXTS = 40
SPLITTING = "tallyclip, splitting into words alone"
STEPS = ("split", "key", "look up", "phrases", "collect", "sort and write")  # of kernel.py
Ids = Sequence[Sequence[int]]


def read_texts(path: Path) -> list[str]:
    """The captions of a Parquet file in LAION's columns, or the last column of a TSV with a header."""
    if path.suffix == ".parquet":
        return [text for text in pq.read_table(path, columns=["TEXT"])["TEXT"].to_pylist() if text is not None]
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t")[-1] for line in lines][1:]


def with_brute_force(entries: Sequence[str]) -> Callable[[Sequence[str]], Ids]:
    needles = [f" {entry} " for entry in entries]
    return lambda texts: [[i for i, needle in enumerate(needles) if needle in text] for text in map(spaced, texts)]


def with_pyahocorasick(entries: Sequence[str]) -> Callable[[Sequence[str]], Ids]:
    automaton = ahocorasick.Automaton()
    for i, entry in enumerate(entries):
        automaton.add_word(f" {entry} ", i)
    automaton.make_automaton()
    return lambda texts: [sorted({i for _, i in automaton.iter(spaced(text))}) for text in texts]


def with_daachorse(entries: Sequence[str]) -> Callable[[Sequence[str]], Ids]:
    automaton = daachorse.CharwiseDoubleArrayAhoCorasick([f" {entry} " for entry in entries])
    return lambda texts: [sorted({i for _, _, i in automaton.find_overlapping(spaced(text))}) for text in texts]


def seconds_of(run: Callable[[], object], repeats: int = 10) -> float:
    started = time.process_time()
    for _ in range(repeats):
        run()
    return (time.process_time() - started) / repeats


@compiled
def first_steps(
    data: UInt8[np.ndarray, " B"], offsets: Int64[np.ndarray, " N1"], tables: MatchTables, scratch: MatchScratch, steps: np.uint64
) -> np.uint64:
    """The first steps of ``kernel.match_rows`` alone, of texts none of which is longer than a block; returns the number of words."""
    rows = u64(len(offsets)) - ONE
    words = first = ZERO
    while first < rows:
        start = u64(offsets[first])
        last = first
        while last < rows and last - first < u64(BLOCK_ROWS) and u64(offsets[last + ONE]) - start <= u64(BLOCK_BYTES):
            last += ONE
        _copy(data, start, u64(offsets[last]), scratch.text)
        found = _split(offsets, first, last, scratch)
        if steps > u64(1):
            _key(found, tables, scratch)
        if steps > u64(2):
            _look_up(found, tables, scratch)
        if steps > u64(3):
            longer = _find_phrases(found, last - first, tables, scratch)
            if steps > u64(4):
                _collect(found, longer, tables, scratch)
        words += found
        first = last
    return words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", required=True)
    parser.add_argument("--texts", type=Path, nargs="+", required=True)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    metadata = tc.Metadata.load(args.entries)
    texts = [text for path in args.texts for text in read_texts(path)]
    array = pa.array(texts)
    started = time.perf_counter()
    matcher = tc.Matcher(metadata)
    matcher.match(array[:10])
    first_build = time.perf_counter() - started
    started = time.perf_counter()
    matcher = tc.Matcher(metadata)
    build = time.perf_counter() - started
    short = array.filter(pa.array([len(text.encode()) <= BLOCK_BYTES for text in texts]))
    strings, scratch = from_arrow(short), make_scratch(len(metadata))
    aho, daa = with_pyahocorasick(metadata.entries), with_daachorse(metadata.entries)
    brute = with_brute_force(metadata.entries)

    matches = matcher.match(array)
    expected = [matches[i].tolist() for i in range(len(matches))]
    assert aho(texts) == expected
    assert daa(texts) == expected
    some = range(0, len(texts), len(texts) // BRUTE_FORCE_TEXTS)
    assert brute([texts[i] for i in some]) == [expected[i] for i in some]

    steps = lambda count: first_steps(strings.data, strings.offsets, matcher._tables, scratch, u64(count))  # noqa: E731
    sample = [texts[i] for i in some]
    methods: dict[str, tuple[Callable[[], object], int]] = {
        "brute force": (lambda: brute(sample), len(sample)),
        "pyahocorasick": (lambda: aho(texts), len(texts)),
        "daachorse": (lambda: daa(texts), len(texts)),
        "tallyclip": (lambda: matcher.match(array), len(texts)),
        SPLITTING: (lambda: steps(2), len(short)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    shorter: list[list[float]] = [[] for _ in STEPS[1:]]
    for _ in range(args.rounds):
        for name, (run, _) in methods.items():
            seconds[name].append(seconds_of(run, 10 if name.startswith("tallyclip") else 1))
        for count, of_rounds in enumerate(shorter, 1):
            of_rounds.append(seconds_of(lambda count=count: steps(count)))
    per_text = {name: statistics.median(seconds[name]) / count for name, (_, count) in methods.items()}
    ours = per_text["tallyclip"]
    for name, cost in per_text.items():
        record(
            "match",
            libraries=("pyahocorasick", "daachorse"),
            method=name,
            texts_per_second=round(1 / cost),
            nanoseconds_per_text=round(cost * 1e9, 1),
            ours_is_faster_by=round(cost / ours, 2),
        )
    up_to = [0.0, *(min(of_rounds) / len(short) for of_rounds in shorter), min(seconds["tallyclip"]) / len(texts)]
    record("match, nanoseconds of each step", **{name: round((up_to[i + 1] - up_to[i]) * 1e9, 1) for i, name in enumerate(STEPS)})
    record(
        "match, circumstances",
        entries=len(metadata),
        texts=len(texts),
        bytes_per_text=round(sum(len(text.encode()) for text in texts) / len(texts), 1),
        matches_per_text=round(len(matches.entry_ids) / len(texts), 2),
        words_per_text=round(int(steps(1)) / len(short), 2),
        seconds_to_build_tables=round(build, 3),
        seconds_to_build_tables_first=round(first_build, 3),
        megabytes_of_tables=round(sum(np.asarray(table).nbytes for table in matcher._tables) / 1e6, 1),
    )


if __name__ == "__main__":
    main()
