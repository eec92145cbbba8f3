"""The stage repeats: how many pairs repeat others, where none are dropped for that. It counts all, or estimates from a fixed sample.

A pair repeats another if both have one key: that of the pair (``pair``) or that of its URL (``url``). Matching leaves the keys of each
shard, sorted: all of them, or those whose hash falls into 1/64 of all hashes, the same ones whatever the files. Pairs with equal keys are
in the sample together, or neither is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import UInt64

from tallyclip.core.duplicates import bucket_bits, first_of_each
from tallyclip.core.sorting import bucket_slice, sort_rows
from tallyclip.io.arrays import map_array
from tallyclip.io.files import write_json
from tallyclip.io.mirror import fetch_all
from tallyclip.io.slices import read_slices
from tallyclip.report.card import Facts
from tallyclip.report.numbers import percent, short
from tallyclip.run.items import Report, Work
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.buckets import ROWS_PER_BUCKET, Bucket, buckets_of, key_files
from tallyclip.stages.key_groups import GROUPS, GroupsJob, KeyGroupsFolder, are_many, groups_of, merge_keys
from tallyclip.stages.match import MATCH, SAMPLED
from tallyclip.wording import plural

KINDS = {"pair": "by URL and caption", "url": "by URL"}
BY_UID = "by uid"  # in place of URL and caption, where the pool has uids of its own


class RepeatsFolder(KeyGroupsFolder):
    """The list of key files, or of those of groups."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.keys = path / "_keys.json"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return (self.group(key),)


class BucketsJob(msgspec.Struct, frozen=True):
    """What is the same for all buckets: how many leading bits of a key choose one, the list of key files by kind, and whether these are of
    groups."""

    bits: int
    keys: str
    merged: bool


class RepeatsReport(Report):
    """By kind: how many keys there are, how many different ones, and the sum of the squares of how often each of these is there."""

    counts: dict[str, tuple[int, int, int]]


class Repetition(msgspec.Struct, frozen=True):
    """How many pairs repeat another: all but one of those with a key. ``error`` is the standard error of an estimate."""

    count: int
    error: int


def count_bucket(job: BucketsJob, item: Bucket, _: RepeatsFolder, tick: Callable[[int], None]) -> RepeatsReport:
    """Count the keys of a bucket."""
    counts: dict[str, tuple[int, int, int]] = {}
    for kind, paths in key_files(job.keys).items():
        if job.merged:
            parts = read_slices(map(Path, paths), item.number, 2)
        else:
            fetch_all(map(Path, paths))
            parts = [_bucket_of(path, item.number, job.bits) for path in paths]
        keys = sort_rows(np.concatenate([np.zeros((0, 2), np.uint64), *parts]))
        times = np.diff(np.append(np.flatnonzero(first_of_each(keys)), len(keys)))
        counts[kind] = len(keys), len(times), int((times**2).sum())
        tick(len(keys))
    return RepeatsReport(rows=sum(keys for keys, _, _ in counts.values()), counts=counts)


def _bucket_of(path: str, number: int, bits: int) -> UInt64[np.ndarray, "n 2"]:
    """The keys of a file that are in a bucket: a copy, since a file that is mapped is open."""
    keys = map_array(path)
    return np.array(keys[bucket_slice(keys[:, 0], number, bits)])


def estimated(pairs: int, keys: int, different: int, squares: int) -> Repetition:
    """How many of some pairs repeat another, from a sample in which each different key is with a chance of 1/64.

    There are two estimates. The share of repeats in the sample is that of the pool, with the error of a ratio: the residuals of the keys,
    (times - 1) - share * times, squared and summed (Cochran, Sampling Techniques, 6.4). It is good if no key is very frequent, and useless
    if one is, most of all if the sample lacks it. Or all pairs repeat but 64 for each different key in the sample, with an error that does
    not depend on how often keys are there. That is taken if its error is smaller, or if the sample has another share of the pairs than it
    would have by chance, for then a frequent key is in it or missing.

    Args:
        pairs: of the pool.
        keys: in the sample.
        different: of these.
        squares: the sum of the squares of how often each different one is there.
    """
    share = (keys - different) / max(1, keys)
    residuals = max(0.0, (1 - share) ** 2 * squares - 2 * (1 - share) * keys + different)
    by_share = Repetition(round(pairs * share), round(math.sqrt(residuals) * pairs / max(1, keys)))
    chance = math.sqrt(1 - 1 / SAMPLED)
    by_keys = Repetition(max(0, pairs - SAMPLED * different), round(SAMPLED * chance * math.sqrt(max(1, different))))
    is_as_by_chance = abs(pairs - SAMPLED * keys) <= 3 * SAMPLED * chance * math.sqrt(max(1, squares))
    return by_share if is_as_by_chance and by_share.error <= by_keys.error else by_keys


def _files(making: Making[RepeatsFolder, None]) -> tuple[dict[str, list[str]], int, int]:
    """The files of keys by kind, the number of keys of a kind, and how many bits of one choose its bucket."""
    run = making.run
    folder, matched = run.folder(MATCH), run.required(MATCH)
    names = {"pair": [str(folder.pair_keys(key)) for key in matched.pieces]}
    if matched.result["has_urls"]:
        names["url"] = [str(folder.url_keys(key)) for key in matched.pieces]
    rows = matched.result["texts"] // (1 if _is_exact(matched) else SAMPLED)
    return names, rows, bucket_bits(rows, ROWS_PER_BUCKET)


def _cut_groups(making: Making[RepeatsFolder, None]) -> Work:
    files, rows, bits = _files(making)
    if not are_many(len(files["pair"]), bits, rows):
        return Work({})
    groups = {key: group for kind, paths in files.items() for key, group in groups_of(kind, paths, rows).items()}
    return Work(groups, GroupsJob(bits, dict.fromkeys(files, 2)))


def _cut(making: Making[RepeatsFolder, None]) -> Work:
    files, rows, bits = _files(making)
    merged = bool(making.keys[GROUPS_OF_KEYS.name])
    if merged:
        files = {kind: [str(making.folder.group(key)) for key in groups_of(kind, paths, 0)] for kind, paths in files.items()}
    write_json(making.folder.keys, files)
    return Work(buckets_of(bits, len(files) * rows), BucketsJob(bits, str(making.folder.keys), merged))


def _is_exact(matched: Manifest) -> bool:
    return matched.options["repeats"] == "report"


def _finish(making: Making[RepeatsFolder, None]) -> Finished:
    reports: list[RepeatsReport] = list(making.reports(BUCKETS).values())
    matched = making.run.required(MATCH)
    pairs, found = matched.result["texts"], dict[str, Repetition]()
    for kind in reports[0].counts:
        keys, different, squares = np.sum([report.counts[kind] for report in reports], axis=0).tolist()
        found[kind] = Repetition(keys - different, 0) if _is_exact(matched) else estimated(pairs, keys, different, squares)
    has_uids = matched.result["own_uids"] > 0 and "pool" not in matched.inputs  # those of the run's own pool are hashes
    result = {"pairs": pairs, "exact": _is_exact(matched), "has_uids": has_uids, "repeats": msgspec.to_builtins(found)}
    return Finished(result, _line(_facts(result)))


class RepeatsFacts(Facts):
    """The repeats on the card, also as numbers."""

    pairs: int
    exact: bool
    repeats: dict[str, Repetition]

    def summary(self) -> list[str]:
        return [f"repeats     {_line(self.facts)}"]


def _facts(result: Mapping[str, Any]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for kind, said in KINDS.items():
        if kind not in result["repeats"]:
            continue
        count, error = result["repeats"][kind]["count"], result["repeats"][kind]["error"]
        share, said = percent(count, result["pairs"]), BY_UID if kind == "pair" and result["has_uids"] else said
        if result["exact"]:
            facts[said] = f"{plural(count, 'pair')} ({share})"
        else:
            facts[said] = (
                f"about {short(count)} ± {short(error)} pairs ({share}), from a sample of 1/{SAMPLED}"
                if count
                else f"none in a sample of 1/{SAMPLED}"
            )
    return facts


def _line(facts: Mapping[str, str]) -> str:
    return "; ".join(f"{said}: {fact}" for said, fact in facts.items())


def _card(run: Workspace) -> RepeatsFacts:
    result = run.required(REPEATS).result
    repeats = msgspec.convert(result["repeats"], dict[str, Repetition])
    title = "Pairs that repeat another, all kept"
    return RepeatsFacts(title=title, facts=_facts(result), pairs=result["pairs"], exact=result["exact"], repeats=repeats)


GROUPS_OF_KEYS = Section(_cut_groups, merge_keys, "groups", rows=lambda _, group: group.rows, unit="keys", shown="repeats: merge keys")
BUCKETS = Section(_cut, count_bucket, "buckets", rows=lambda _, bucket: bucket.rows, unit="keys")
REPEATS = Stage(
    name="repeats",
    version=1,
    command="tallyclip match POOL... --out RUN",
    needs=("match",),
    sections=(GROUPS_OF_KEYS, BUCKETS),
    folder=RepeatsFolder,
    finish=_finish,
    scratch=(GROUPS,),
    optional=True,
    card=_card,
)
