"""Counting as a whole: every part of the inputs by itself to sorted runs, and then all runs merged, bucket by bucket.

Sums do not ask who added them or in which order. So the counts are the same however the inputs were cut, by however many workers they
were counted, and how often memory was full.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tallyclip.errors import IncompleteError, OptionError
from tallyclip.io.files import write_json
from tallyclip.io.structs import fingerprint_of, read_struct
from tallyclip.lists.ngrams.counter import LEAST_MEMORY
from tallyclip.lists.texts import TextCounts
from tallyclip.run.build_folder import Build
from tallyclip.run.build_layout import CountsFolder
from tallyclip.run.runners.local import Done, Failed, Progress, Task
from tallyclip.stages.ngrams_tasks import (
    CountJob,
    CountReport,
    MergeJob,
    Source,
    buckets_of_pairs,
    count_part,
    merge_pair_bucket,
    merge_word_bucket,
    place_run,
)

VERSION = 2  # of what is counted as a word and as a phrase
OF_A_WORKER = 256 << 20  # bytes that a process takes without counting anything
WORDS_AT_ONCE = 1 << 20  # records of a bucket
PAIRS_AT_ONCE = 1 << 21

Job = TypeVar("Job")
Result = TypeVar("Result")


class Part(msgspec.Struct, frozen=True):
    """A part of the inputs.

    Attributes:
        source: what to count.
        size: how many bytes that is.
        checksum: of its file.
        means: what else its counts depend on: what tells words apart.
    """

    source: Source
    size: int
    checksum: str
    means: str = ""

    @property
    def key(self) -> str:
        """What its counts depend on, and the path does not belong to that: a file may move, and a repaired one is another."""
        source = msgspec.to_builtins(self.source)
        source.pop("path", None)
        source.get("part", {}).pop("path", None)
        return fingerprint_of(version=VERSION, checksum=self.checksum, means=self.means, source=source)[:32]


class Counts(msgspec.Struct):
    """What was counted; the numbers of words and pairs are those of each bucket.

    Attributes:
        total: words, of repeats each, or views.
        texts: of texts, what they were in.
        drops: records that could not be used, by reason.
        failed: parts that could not be read and were accepted as that.
    """

    words: list[int]
    pairs: list[int]
    total: int
    texts: TextCounts
    drops: dict[str, int]
    failed: list[str]


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


def count(
    build: Build, name: str, found: Sequence[Part], unreadable: Sequence[Failed], memory: int, *, accept_failed: bool = False
) -> tuple[CountsFolder, Counts]:
    """Count all parts, or take up what is there.

    Args:
        build: where.
        name: "counts" or "views".
        found: the parts.
        unreadable: files that no parts could be found in.
        memory: of a worker, in bytes.
        accept_failed: go on without parts that cannot be read.

    Raises:
        IncompleteError: parts could not be read, and that was not accepted.
    """
    parts = {part.key: part for part in found}
    fingerprint = fingerprint_of(parts=sorted(parts), unreadable=sorted(failure.what for failure in unreadable))
    manifest = build.in_place(name, fingerprint)
    if manifest is not None:
        counts = msgspec.convert(manifest.result, Counts)
        if not counts.failed or accept_failed:
            build.progress.start(name, 0, 0, None)
            build.progress.finish(f"{sum(counts.words):,} different, counted before")
            return build.layout.counts(name), counts
    folder = build.begin(name)
    manifest = build.whole(folder, fingerprint)
    if manifest is not None:  # interrupted on its way into place
        return build.publish(name, folder), msgspec.convert(manifest.result, Counts)
    reports, failures = _count_parts(build, folder, name, parts, memory)
    failures = [*unreadable, *failures]
    if failures and not (accept_failed and reports):
        hints = dict.fromkeys(failure.hint for failure in failures if failure.hint)
        again = "repair the files and run the same command again (what is counted is kept), or go on without them with --accept-failed"
        what = f"{len(failures):,} of {len(parts) + len(unreadable):,} parts failed:"
        raise IncompleteError(what, "; ".join([*hints, again]), [failure.what for failure in failures[:10]])
    counts = _merge(build, folder, reports)
    counts.failed = sorted(failure.what for failure in failures)
    outputs = [folder.words(bucket) for bucket in range(len(counts.words))] + [folder.pairs(bucket) for bucket in range(len(counts.pairs))]
    seconds = sum(report.seconds for report in reports.values())
    build.write_manifest(folder, name, fingerprint, msgspec.to_builtins(counts), outputs, seconds)
    return build.publish(name, folder), counts


def _count_parts(
    build: Build, folder: CountsFolder, name: str, parts: Mapping[str, Part], memory: int
) -> tuple[dict[str, CountReport], list[Failed]]:
    """The reports of parts, with those that were counted before an interruption, and what failed."""
    known = {key: read_struct(folder.done(key), CountReport) for key in parts}
    reports = {key: report for key, report in known.items() if report is not None and folder.has_runs(key, len(report.runs))}
    todo = [key for key in parts if key not in reports]
    build.progress.start(name, len(parts), len(reports), sum(parts[key].size for key in todo), "bytes")
    jobs = [Task(key, CountJob(parts[key].source, str(folder.path), key, memory)) for key in todo]
    failures: list[Failed] = []
    said: dict[str, int] = {}
    for event in build.workers.map(count_part, jobs):
        match event:
            case Progress(key, size):
                size = min(size, parts[key].size - said.get(key, 0))  # of a packed table more is read than its size
                said[key] = said.get(key, 0) + size
                build.progress.advance(size)
            case Done(key, report):
                write_json(folder.done(key), msgspec.to_builtins(report))
                reports[key] = report
                build.progress.advance(parts[key].size - said.get(key, 0))
                build.progress.shard_done(key)
            case Failed(key, what, _):
                failures.append(event)
                build.progress.shard_failed(Path(parts[key].source.path).name, what)
    total = sum(report.total for report in reports.values())
    build.progress.finish(f"{total:,} {'words' if name == 'counts' else 'views'}")
    return {key: reports[key] for key in parts if key in reports}, failures


def _merge(build: Build, folder: CountsFolder, reports: Mapping[str, CountReport]) -> Counts:
    """Merge the runs of all parts."""
    runs = {f"{key}.{number}": size for key, report in reports.items() for number, size in enumerate(report.runs)}
    words, pairs = sum(size[0] for size in runs.values()), sum(size[1] for size in runs.values())
    names = sorted(runs)
    for merged_before in (folder.words(0).parent, folder.pairs(0).parent):  # by an attempt that was interrupted
        shutil.rmtree(merged_before, ignore_errors=True)
    build.progress.start("merge", 0, 0, 2 * words + pairs, "records")
    bits = max(0, (words - 1).bit_length() - (WORDS_AT_ONCE - 1).bit_length())
    write_json(folder.run_names, {"runs": names})  # there may be thousands, and a job goes to a worker as a message
    template = MergeJob(str(folder.path), 0, bits)
    buckets = [msgspec.structs.replace(template, number=number) for number in range(1 << bits)]
    sizes = _run(build, merge_word_bucket, buckets)
    template = msgspec.structs.replace(template, words=sizes)
    merged: list[int] = []
    if pairs:
        samples = _run(build, place_run, [msgspec.structs.replace(template, number=number) for number in range(len(names))])
        ranges = enumerate(buckets_of_pairs([key for sample in samples for key in sample], PAIRS_AT_ONCE))
        jobs = [msgspec.structs.replace(template, number=number, low=low, high=high) for number, (low, high) in ranges]
        merged = _run(build, merge_pair_bucket, jobs)
    build.progress.finish(f"{sum(sizes):,} different{f', {sum(merged):,} pairs' if merged else ''}")
    texts, drops, total = TextCounts(), dict[str, int](), 0
    for report in reports.values():
        texts.add(report.texts)
        total += report.total
        for reason, times in report.drops.items():
            drops[reason] = drops.get(reason, 0) + times
    return Counts(sizes, merged, total, texts, dict(sorted(drops.items())), [])


def _run(build: Build, function: Callable[[Job, Callable[[int], None]], Result], jobs: list[Job]) -> list[Result]:
    """The results of jobs on what is our own: one that fails ends the command."""
    results: dict[str, Any] = {}
    for event in build.workers.map(function, [Task(str(number), job) for number, job in enumerate(jobs)]):
        match event:
            case Progress(_, records):
                build.progress.advance(records)
            case Done(key, result):
                results[key] = result
            case Failed(_, what, hint):
                raise IncompleteError(what, hint)
    return [results[str(number)] for number in range(len(jobs))]
