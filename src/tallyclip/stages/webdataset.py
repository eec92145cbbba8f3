"""The stage webdataset: the curated pairs of tars of images, as new shards in WebDataset's form.

Samples keep the order of the tars. A pair that is there more than once is taken from the first of its samples, and a sample with several
texts has those that are curated. Which sample goes into which shard is known before any is written, so shards are written side by side.

Longer than others: from finding samples to the members of a shard is read as one.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Int64, UInt64

from tallyclip.core.lookup import COMPILED, find_uids
from tallyclip.core.uids import column_uids, uid_strings
from tallyclip.errors import IncompleteError, StaleError
from tallyclip.export.webdataset import TarShardWriter
from tallyclip.io.arrays import map_array, read_array, write_array
from tallyclip.io.files import replacing, write_json
from tallyclip.io.mirror import fetched
from tallyclip.readers.content import reading
from tallyclip.readers.records import decode_json
from tallyclip.readers.tar import member_key, open_tar
from tallyclip.run.items import Report, StageFolder, Work
from tallyclip.run.manifest import Manifest
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.stages.exported import ExportedRun, asked_of_run, finished_unchanged
from tallyclip.stages.lookup import LOOKUP, LookupOptions, places_of_rows
from tallyclip.stages.samples import NO_SAMPLE, NOT_OF_THIS_RUN, PAIRS, SAMPLES, first_rows, not_read, samples_of, tar_sources
from tallyclip.wording import plural

FIND, SHARD = "find-", "shard-"  # prefixes of the keys of pieces
SHARD_DIGITS = 5  # as img2dataset's; more where there are more shards
OPEN_CLIP_READS = ("jpg", "png", "jpeg", "webp")  # suffixes, in version 3.3.0
OURS: tuple[str, ...] = ("uid", "caption", "entry_ids", "keep_probability")
OTHER_CAPTION = re.compile(r"caption_\d+")
# Fields of a pool that would be taken for ours; by ``texts`` MetaCLIP's lists of captions are known.
RENAMED = ("uid", "caption", "texts", PAIRS)


class ShardsFolder(StageFolder):
    """The shards; and per tar which of its pairs are curated, and those of them that were chosen."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.met = path / "met.npy"
        self.sizes = path / "shards" / "sizes.json"

    def found(self, key: str) -> Path:
        return self.path / "found" / f"{key}.npy"

    def chosen(self, key: str) -> Path:
        return self.path / "chosen" / f"{key}.npy"

    def shard(self, name: str) -> Path:
        return self.path / "shards" / f"{name}.tar"

    def outputs_of(self, key: str) -> Iterable[Path]:
        return (self.found(key.removeprefix(FIND)) if key.startswith(FIND) else self.shard(key.removeprefix(SHARD)),)


class ShardsOptions(msgspec.Struct, frozen=True):
    """The run, and the samples in a shard."""

    run: ExportedRun
    shard_size: int


class FindJob(msgspec.Struct, frozen=True):
    """The samples of all tars, and the table of curated uids."""

    samples: str
    table: str


class FindItem(msgspec.Struct, frozen=True):
    key: str


class FindReport(Report):
    """``rows`` counts pairs with an image; ``found`` those of them that are curated."""

    found: int


class TarPart(msgspec.Struct, frozen=True):
    """Some of the chosen samples of a tar: from ``start``, before ``stop``."""

    key: str
    path: str
    start: int
    stop: int


class ShardJob(msgspec.Struct, frozen=True):
    """What all shards have in common; ``digits`` of the place in a shard."""

    samples: str
    table: str
    curated: list[str]
    digits: int


class ShardOfTars(msgspec.Struct, frozen=True):
    """A shard: its name, and the samples that go into it."""

    name: str
    parts: list[TarPart]

    @property
    def samples(self) -> int:
        return sum(part.stop - part.start for part in self.parts)


class ShardReport(Report):
    """``rows`` counts samples; ``suffixes`` those of their images."""

    pairs: int
    suffixes: dict[str, int]


def find_curated(job: FindJob, item: FindItem, folder: ShardsFolder, tick: Callable[[int], None]) -> FindReport:
    """Write which pairs of a tar are curated: their rows among its samples, their rows in the table, and their samples, int64[n, 3]."""
    samples = samples_of(Path(job.samples), item.key)
    places = find_uids(map_array(job.table), column_uids(samples["uid"].combine_chunks()))
    rows = np.flatnonzero(places >= 0)
    write_array(folder.found(item.key), np.column_stack([rows, places[rows], samples["sample"].to_numpy()[rows]]))
    tick(len(places))
    return FindReport(rows=len(places), found=len(rows))


def write_shard(job: ShardJob, item: ShardOfTars, folder: ShardsFolder, tick: Callable[[int], None]) -> ShardReport:
    """Write a shard."""
    place = pairs = 0
    suffixes = Counter[str]()
    with replacing(folder.shard(item.name)) as out, TarShardWriter(out) as writer:
        for part in item.parts:
            chosen = _of_samples(map_array(folder.chosen(part.key)), part.start, part.stop)
            samples = samples_of(Path(job.samples), part.key).take(pa.array(chosen[:, 0]))
            rows = _curated_rows(job.curated, map_array(job.table)[chosen[:, 1], 2])
            uids = uid_strings(column_uids(samples["uid"].combine_chunks())).to_pylist()
            texts = samples["text"].to_pylist()
            keys, places, of_images = (samples[name].to_pylist() for name in ("key", "sample_at", "suffix"))
            starts = first_rows(chosen[:, 2]).tolist()
            wanted = {places[start]: keys[start] for start in starts}
            for start, end, members in zip(starts, [*starts[1:], len(chosen)], _members(part.path, wanted), strict=True):
                of_pairs = [dict(zip(OURS, (uids[i], texts[i], *rows[i]), strict=True)) for i in range(start, end)]
                fields = _fields(members.pop("json", None), of_pairs)
                members.pop("txt", None)
                suffixes[of_images[start]] += 1
                writer.write(f"{item.name}{place:0{job.digits}d}", members, fields, texts[start])
                place, pairs = place + 1, pairs + end - start
                tick(1)
    return ShardReport(rows=place, pairs=pairs, suffixes=dict(suffixes))


def _of_samples(chosen: Int64[np.ndarray, "n 3"], start: int, stop: int) -> Int64[np.ndarray, "k 3"]:
    """The chosen pairs of the samples from ``start`` to before ``stop``, as they are counted in the tar."""
    firsts = first_rows(chosen[:, 2])
    return np.array(chosen[firsts[start] : firsts[stop] if stop < len(firsts) else len(chosen)])


def _curated_rows(files: list[str], known: UInt64[np.ndarray, " N"]) -> list[tuple[list[int], float]]:
    """The entry ids and the keep probabilities of rows of the curated set, of which only the row groups that have them are read."""
    numbers, rows = places_of_rows(known)
    found: list[tuple[list[int], float]] = [([], 0.0)] * len(known)
    for number in np.unique(numbers):
        with reading(files[number]), pq.ParquetFile(str(fetched(Path(files[number])))) as file:
            of_file = np.flatnonzero(numbers == number)
            groups = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
            ends = np.cumsum(groups)
            in_groups = np.searchsorted(ends, rows[of_file], side="right")
            for group in np.unique(in_groups):
                some = of_file[in_groups == group]
                table = file.read_row_group(int(group), columns=["entry_ids", "keep_probability"])
                table = table.take(pa.array(rows[some] - (ends[group] - groups[group])))
                for i, ids, keep in zip(some, *(table[name].to_pylist() for name in table.column_names), strict=True):
                    found[i] = (ids, keep)
    return found


def _members(path: str, wanted: dict[int, str]) -> Iterator[dict[str, bytes]]:
    """The members of some samples of a tar, by their suffixes.

    Args:
        path: of the tar.
        wanted: the keys of the samples, by the places where they begin, in the order of the tar.

    Raises:
        StaleError: other samples are there now.
    """
    given, key = 0, ""
    sample: dict[str, bytes] | None = None
    with reading(path), open_tar(path, next(iter(wanted))) as tar:
        for member in tar:
            named = member_key(member.name) if member.is_file else None
            if named is None:
                continue
            begins = member.place in wanted
            if sample is not None and (begins or named[0] != key or named[1] in sample):
                yield sample
                sample, given = None, given + 1
                if given == len(wanted):
                    return
            if begins:
                sample, key = {}, named[0]
                if key != wanted[member.place]:
                    break
            if sample is not None:
                sample[named[1]] = b"" if named[1] == "txt" else tar.content(member)  # the txt is written anew
        else:
            if sample is not None:
                yield sample
                given += 1
    if given < len(wanted):
        raise StaleError(f"{path} changed after its samples were listed", "run the same command again")


def _fields(json: bytes | None, pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """The json of a sample: its own, then what is said of its pair, or of the first of several; ``pairs`` has all of these, and their
    other captions are plain strings too, ``caption_2`` and so on, which open_clip can choose from."""
    own = decode_json(json) if json is not None else {}
    fields: dict[str, Any] = own if isinstance(own, dict) else {}
    if fields.keys() >= {*OURS}:  # of an earlier export, which may have had other pairs
        fields = {name: value for name, value in fields.items() if name not in (*OURS, PAIRS) and not OTHER_CAPTION.fullmatch(name)}
    for name in RENAMED:
        if name in fields and fields[name] != pairs[0].get(name):
            fields[f"pool_{name}"] = fields.pop(name)
    fields |= pairs[0]
    if len(pairs) > 1:
        fields |= {f"caption_{number}": pair["caption"] for number, pair in enumerate(pairs[1:], 2)}
        fields[PAIRS] = pairs
    return fields


def _cut_find(making: Making[ShardsFolder, ShardsOptions]) -> Work:
    run = making.run
    keys = run.required(SAMPLES).pieces
    return Work({f"{FIND}{key}": FindItem(key) for key in keys}, FindJob(str(run.folder(SAMPLES).path), str(run.folder(LOOKUP).table)))


def _cut_shards(making: Making[ShardsFolder, ShardsOptions]) -> Work:
    run, options, size = making.run, making.options, making.options.shard_size
    paths = tar_sources(run)
    shards: list[list[TarPart]] = []
    room = 0  # samples that the last shard can take
    for key, count in _choose(making).items():
        start = 0
        while start < count:
            if room == 0:
                shards.append([])
                room = size
            stop = min(count, start + room)
            shards[-1].append(TarPart(key, paths[key].path, start, stop))
            room, start = room - (stop - start), stop
    digits = max(SHARD_DIGITS, len(str(len(shards) - 1)))
    items = {f"{SHARD}{number:0{digits}d}": ShardOfTars(f"{number:0{digits}d}", parts) for number, parts in enumerate(shards)}
    job = ShardJob(
        str(run.folder(SAMPLES).path),
        str(run.folder(LOOKUP).table),
        LookupOptions.of(options.run.open(), "curated").files,
        len(str(size - 1)),
    )
    return Work(items, job)


def _choose(making: Making[ShardsFolder, ShardsOptions]) -> dict[str, int]:
    """Choose for each uid the first of its samples, and write those of each tar; returns how many samples each tar gives.

    Raises:
        IncompleteError: there are none.
    """
    run, folder = making.run, making.folder
    met = np.zeros(run.required(LOOKUP).result["uids"], np.bool_)
    samples: dict[str, int] = {}
    for piece in making.keys[FOUND.name]:
        key = piece.removeprefix(FIND)
        found = read_array(folder.found(key))
        chosen = found[_first_seen(found[:, 1], met)]
        write_array(folder.chosen(key), chosen)
        samples[key] = len(first_rows(chosen[:, 2]))
    write_array(folder.met, met)
    if not met.any():
        listed = run.required(SAMPLES).result
        what = f"none of the {listed['pairs']:,} pairs of the images is in the curated set of {len(met):,}"
        raise IncompleteError(what, NOT_OF_THIS_RUN)
    return samples


def _first_seen(places: Int64[np.ndarray, " N"], met: Bool[np.ndarray, " V"]) -> Bool[np.ndarray, " N"]:
    """Which places were not met before, of equal ones the first; they are met now."""
    first = np.zeros(len(places), np.bool_)
    first[np.unique(places, return_index=True)[1]] = True
    fresh = first & ~met[places]
    met[places] = True
    return fresh


def _finish(making: Making[ShardsFolder, ShardsOptions]) -> Finished:
    run, folder = making.run, making.folder
    reports: dict[str, ShardReport] = making.reports(SHARDS)
    listed, found = run.required(SAMPLES).result, sum(report.found for report in making.reports(FOUND).values())
    met = read_array(folder.met)
    samples, pairs = sum(report.rows for report in reports.values()), sum(report.pairs for report in reports.values())
    suffixes = sum((Counter(report.suffixes) for report in reports.values()), Counter[str]())
    sizes = {folder.shard(key.removeprefix(SHARD)).name: report.rows for key, report in reports.items()}
    write_json(folder.sizes, sizes)
    result = {
        "shards": len(sizes),
        "first": min(sizes),
        "last": max(sizes),
        "samples": samples,
        "pairs": pairs,
        "curated": len(met),
        "not_met": _not_met(making, met),
        "drops": listed["drops"],
        "others": listed["pairs"] - found,
        "repeats": found - pairs,
        "suffixes": dict(suffixes.most_common()),
        "not_read": run.required(SAMPLES).failed,
    }
    return finished_unchanged(making, Finished(result, f"{plural(samples, 'sample')} in {plural(len(sizes), 'shard')}", (folder.sizes,)))


def _not_met(making: Making[ShardsFolder, ShardsOptions], met: Bool[np.ndarray, " V"]) -> dict[str, int]:
    """Why uids of the curated set have no sample, where something says it."""
    run, left = making.run, ~met
    table = map_array(run.folder(LOOKUP).table)
    reasons = Counter[str]()
    for key in run.required(SAMPLES).pieces:
        failed = pa.ipc.open_file(str(fetched(run.folder(SAMPLES).without_image(key)))).read_all()
        places = find_uids(table, column_uids(failed["uid"].combine_chunks()))
        first = np.flatnonzero(places >= 0)
        first = first[np.sort(np.unique(places[first], return_index=True)[1])]
        some = first[left[places[first]]]
        reasons.update(failed["reason"].take(pa.array(some)).to_pylist())
        left[places[some]] = False
    rest = int(np.count_nonzero(left))
    return dict(reasons.most_common()) | ({NO_SAMPLE: rest} if rest else {})


def webdataset_summary(root: Path, made: Manifest) -> list[str]:
    """What was written where, what is missing and why, and what takes it."""
    found, folder = made.result, root / "shards"
    first, last = found["first"].removesuffix(".tar"), found["last"].removesuffix(".tar")
    shards = folder / (f"{{{first}..{last}}}.tar" if first != last else f"{first}.tar")
    of_pairs = f" of {plural(found['pairs'], 'pair')}" if found["pairs"] != found["samples"] else ""
    left = {"not curated": found["others"], "again": found["repeats"], **found["drops"]}
    missing = sum(found["not_met"].values())
    unread = {f"{suffix} images": count for suffix, count in found["suffixes"].items() if suffix not in OPEN_CLIP_READS}
    return [
        f"shards      {shards}: {plural(found['samples'], 'sample')}{of_pairs}",
        f"curated     {found['curated'] - missing:,} of {plural(found['curated'], 'uid')} met; without: {_listed(found['not_met'])}",
        f"left out    of the images: {_listed(left)}",
        *not_read(found["not_read"]),
        *([f"beware      open_clip skips {_listed(unread)}: it reads {', '.join(OPEN_CLIP_READS)}"] if unread else []),
        f"next        open_clip: --train-data {shlex.quote(str(shards))} --train-num-samples {found['samples']} --dataset-type webdataset",
    ]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if count) or "none"


FOUND = Section(_cut_find, find_curated, "found", shown="find")
SHARDS = Section(_cut_shards, write_shard, "shards", rows=lambda _, item: item.samples, unit="samples")
WEBDATASET = Stage(
    name="webdataset",
    version=1,
    command="tallyclip export webdataset RUN --images IMAGES --out DIR",
    needs=("samples", "lookup"),
    sections=(FOUND, SHARDS),
    folder=ShardsFolder,
    asked=asked_of_run,
    finish=_finish,
    results=("shards",),
    scratch=("found", "chosen", "met.npy"),
    compiled=COMPILED,
)
