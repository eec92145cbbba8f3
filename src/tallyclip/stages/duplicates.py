"""The stage duplicates: finds duplicate pairs across all files. It waits for all files, and works on buckets of sorted keys.

Boilerplate captions are found first, so that a pair removed as boilerplate does not cause the removal of its duplicates. Of very many
files the keys are merged in groups before (``stages/key_groups.py``), and the rows that are found are collected for each group after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import UInt64

from tallyclip.core.duplicates import MOST_ROWS, ROW_BITS, bucket_bits
from tallyclip.errors import OptionError
from tallyclip.io.arrays import map_array
from tallyclip.io.files import write_json
from tallyclip.io.mirror import fetch_all, is_there
from tallyclip.readers.ledger import BOILERPLATE as BOILERPLATE_CAPTION
from tallyclip.readers.ledger import IN_EARLIER_POOL, REPEATED_IN_POOL
from tallyclip.run.items import Work
from tallyclip.run.manifest import read_manifest
from tallyclip.run.record import check_layout
from tallyclip.run.stage import Finished, Making, Section, Stage
from tallyclip.run.workspace import Workspace
from tallyclip.stages.buckets import (
    COLUMNS,
    EXCLUDED,
    REMOVED,
    ROWS_PER_BUCKET,
    SITES,
    BucketJob,
    BucketReport,
    DuplicatesFolder,
    bucket_key,
    buckets_of,
    find_boilerplate,
    find_repeats,
)
from tallyclip.stages.gather import GATHER, PoolOptions
from tallyclip.stages.key_groups import (
    FILES_OF_A_GROUP,
    GROUPS,
    GroupsJob,
    Places,
    PlacesJob,
    are_many,
    collect_places,
    group_key,
    groups_of,
    merge_keys,
    places_of,
)
from tallyclip.wording import plural

MERGING, COLLECTING = "duplicates: merge keys", "duplicates: collect"
BOILERPLATE_ROWS = "boilerplate"  # what is found of rows by site


class Removed(msgspec.Struct, frozen=True):
    """What is removed of gathered files: for each reason, files of places of all of them, or of groups."""

    places: dict[str, list[str] | Places]

    def of_file(self, number: int, repeats: UInt64[np.ndarray, " _"]) -> dict[str, UInt64[np.ndarray, " _"]]:
        """For each reason the rows of one file to remove, ascending.

        Args:
            number: the position of the file among all that were gathered.
            repeats: the rows that are duplicates of others in the same file.
        """
        found: dict[str, UInt64[np.ndarray, " _"]] = {}
        for reason, places in self.places.items():
            parts = [places.of_file(number)] if isinstance(places, Places) else [*_places(number, places)]
            own = [repeats] if reason == REPEATED_IN_POOL else []
            found[reason] = np.sort(np.concatenate([np.zeros(0, np.uint64), *own, *parts]))
        return found


def removed_of(run: Workspace) -> Removed:
    """What the stage in place has found."""
    folder, found = run.folder(DUPLICATES), run.required(DUPLICATES).result
    files, size = len(run.required(GATHER).pieces), found.get("files_of_a_group")
    if size is not None:
        off = run.required(DUPLICATES).options["duplicates"] == "off"
        kinds = {} if off else {REPEATED_IN_POOL: REMOVED, IN_EARLIER_POOL: EXCLUDED}
        kinds |= {BOILERPLATE_CAPTION: BOILERPLATE_ROWS} if found["site_buckets"] else {}
        return Removed({reason: _collected(folder, kind, files, size) for reason, kind in kinds.items()})
    buckets = [bucket_key(number) for number in range(found["buckets"])]
    return Removed(
        {
            REPEATED_IN_POOL: [str(folder.removed(key)) for key in buckets],
            IN_EARLIER_POOL: [str(folder.excluded(key)) for key in buckets],
            BOILERPLATE_CAPTION: [str(folder.removed(bucket_key(number, SITES))) for number in range(found["site_buckets"])],
        }
    )


def _collected(folder: DuplicatesFolder, kind: str, files: int, size: int) -> Places:
    """The rows of one kind, as they were collected for groups of files."""
    return Places([str(folder.places(group_key(kind, number))) for number in range(-(-files // size))], size)


def _places(number: int, paths: Iterable[str]) -> Iterator[UInt64[np.ndarray, " _"]]:
    """The rows of one file, from files of places of all files' rows; one array for each."""
    first = np.uint64(number << ROW_BITS)
    paths = list(paths)
    fetch_all(map(Path, paths))
    for path in paths:
        places = map_array(path)
        low, high = np.searchsorted(places, first), np.searchsorted(places, first + np.uint64(MOST_ROWS))
        yield places[low:high] - first


def earlier_pool(run: Workspace, folder: Path, duplicates: str) -> tuple[str, list[str]]:
    """The fingerprint of an earlier pool, and the files of its keys.

    Raises:
        OptionError: it is this run, not a pool, incomplete, or has keys of another kind or version.
    """
    root = folder.resolve()
    if root == run.root:
        raise OptionError(f"--exclude-pool {folder} is the run itself", "give the run folder of an earlier pool")
    try:
        check_layout(run.kind, root)
    except OptionError as error:
        hint = "make that pool again with this version, into a new --out, and name it here"
        raise OptionError(f"--exclude-pool {error.what}", hint) from error
    pool = run.stages["kept" if is_there(root / "kept" / "_manifest.json") else "pool"]
    manifest, found = read_manifest(pool.folder(root / pool.name)), read_manifest(DUPLICATES.folder(root / DUPLICATES.name))
    if manifest is None or found is None:
        raise OptionError(f"{folder}: there is no pool in this folder", "give --exclude-pool a run folder of 'tallyclip pool'")
    if found.options["duplicates"] != duplicates or duplicates == "off":
        raise OptionError(
            f"{folder} was made with --duplicates {found.options['duplicates']}, this run uses {duplicates}",
            "use the same --duplicates, pair or url, for both",
        )
    if found.options["gathered_by"] != GATHER.version:
        raise OptionError(
            f"--exclude-pool {folder} was made by another version of tallyclip, which writes URLs differently",
            "make that pool again with this version in a new --out, and give that folder here",
        )
    index: Any = pool.folder(root / pool.name)
    paths: list[Path] = [index.index(shard) for shard in manifest.pieces]
    gone = next((path for path in paths if not is_there(path)), None)
    if gone is not None:
        raise OptionError(f"{gone} is missing: the pool is incomplete", "run the command that made the pool again")
    return manifest.fingerprint, list(map(str, paths))


def _asked(run: Workspace, options: PoolOptions) -> dict[str, Any]:
    return {
        "duplicates": options.key,
        "excluded": [earlier_pool(run, Path(folder), options.key)[0] for folder in options.exclude],
        "max_site_repeats": options.max_site_repeats,
        "gathered_by": GATHER.version,
    }


def _bits(making: Making[DuplicatesFolder, PoolOptions], *, by_site: bool) -> int:
    """How many bits of a key choose its bucket."""
    gathered = making.run.required(GATHER).result
    rows = gathered["pairs"] if by_site else gathered["pairs"] - gathered["repeats"]
    return bucket_bits(rows, ROWS_PER_BUCKET)


def _key_files(making: Making[DuplicatesFolder, PoolOptions]) -> dict[str, list[str]]:
    """The files of keys, by their kind; those of the pool in the order of its files."""
    run, options = making.run, making.options
    gathered, keys = run.folder(GATHER), run.required(GATHER).pieces
    return {
        "pairs": [] if options.key == "off" else [str(gathered.keys(key)) for key in keys],
        "sites": [str(gathered.sites(key)) for key in keys],
        "known": [path for folder in options.exclude for path in earlier_pool(run, Path(folder), options.key)[1]],
    }


def _are_merged(making: Making[DuplicatesFolder, PoolOptions], files: Mapping[str, list[str]]) -> bool:
    """Are the files merged in groups? All kinds are, or none."""
    rows = making.run.required(GATHER).result["pairs"]
    return are_many(len(files["sites"]) + len(files["known"]), _bits(making, by_site=True), rows)


def _cut_groups_by_site(making: Making[DuplicatesFolder, PoolOptions]) -> Work:
    files = _key_files(making)
    if making.options.max_site_repeats is None or not _are_merged(making, files):
        return Work({})
    groups = groups_of("sites", files["sites"], making.run.required(GATHER).result["pairs"])
    return Work(groups, GroupsJob(_bits(making, by_site=True), COLUMNS))


def _cut_sites(making: Making[DuplicatesFolder, PoolOptions]) -> Work:
    limit = making.options.max_site_repeats
    if limit is None:
        return Work({})
    bits, pairs = _bits(making, by_site=True), making.run.required(GATHER).result["pairs"]
    return Work(buckets_of(bits, pairs, SITES), _bucket_job(making, bits, ("sites",), site_limit=limit))


def _cut_boilerplate(making: Making[DuplicatesFolder, PoolOptions]) -> Work:
    if not making.keys[GROUPS_BY_SITE.name]:
        return Work({})
    return _collecting(making, {BOILERPLATE_ROWS: (REMOVED, BOILERPLATE)})


def _cut_groups(making: Making[DuplicatesFolder, PoolOptions]) -> Work:
    files = _key_files(making)
    if not files["pairs"] or not _are_merged(making, files):
        return Work({})
    gathered = making.run.required(GATHER).result
    groups = groups_of("pairs", files["pairs"], gathered["pairs"] - gathered["repeats"]) | groups_of("known", files["known"], 0)
    of_site = making.options.max_site_repeats is not None
    removed = {"pairs": _collected(making.folder, BOILERPLATE_ROWS, len(files["pairs"]), FILES_OF_A_GROUP)} if of_site else {}
    return Work(groups, GroupsJob(_bits(making, by_site=False), COLUMNS, removed))


def _cut_pairs(making: Making[DuplicatesFolder, PoolOptions]) -> Work:
    gathered = making.run.required(GATHER).result
    rows = gathered["pairs"] - gathered["repeats"] if making.options.key != "off" else 0
    bits = bucket_bits(rows, ROWS_PER_BUCKET)
    return Work(buckets_of(bits, rows), _bucket_job(making, bits, ("pairs", "known")))


def _cut_places(making: Making[DuplicatesFolder, PoolOptions]) -> Work:
    if not making.keys[GROUPS_OF_PAIRS.name]:
        return Work({})
    return _collecting(making, {REMOVED: (REMOVED, REPEATS), EXCLUDED: (EXCLUDED, REPEATS)})


def _bucket_job(making: Making[DuplicatesFolder, PoolOptions], bits: int, kinds: Sequence[str], site_limit: int = 0) -> BucketJob:
    """What the buckets of a section have in common; the list of their files is written for it."""
    files, folder = _key_files(making), making.folder
    merged = _are_merged(making, files)
    before = [] if merged or site_limit else [str(folder.removed(key)) for key in making.keys[BOILERPLATE.name]]
    if not merged:
        write_json(folder.runs, files)
        return BucketJob(bits, str(folder.runs), before, site_limit)
    runs = folder.group_runs(kinds[0])
    write_json(runs, {kind: [str(folder.group(key)) for key in groups_of(kind, files[kind], 0)] for kind in kinds})
    starts = [*range(0, len(making.run.required(GATHER).pieces), FILES_OF_A_GROUP)]
    return BucketJob(bits, str(runs), before, site_limit, starts)


def _collecting(making: Making[DuplicatesFolder, PoolOptions], kinds: Mapping[str, tuple[str, Section]]) -> Work:
    """To collect what was found in the buckets of sections, by kind."""
    folder, files = making.folder, len(making.run.required(GATHER).pieces)
    found = {kind: [str(folder.found(key, of)) for key in making.keys[section.name]] for kind, (of, section) in kinds.items()}
    groups = {key: group for kind in kinds for key, group in places_of(kind, files).items()}
    return Work(groups, PlacesJob(found))


def _finish(making: Making[DuplicatesFolder, PoolOptions]) -> Finished:
    gathered = making.run.required(GATHER).result
    reports: dict[str, BucketReport] = making.reports(REPEATS)
    removed = gathered["repeats"] + sum(report.removed for report in reports.values())
    excluded = sum(report.excluded for report in reports.values())
    result = {
        "pairs": gathered["pairs"],
        "repeats": removed,
        "excluded": excluded,
        "buckets": len(making.keys[REPEATS.name]),
        "site_buckets": len(making.keys[BOILERPLATE.name]),
    }
    if _are_merged(making, _key_files(making)):
        result["files_of_a_group"] = FILES_OF_A_GROUP
    summary = f"{removed + excluded:,} of {plural(gathered['pairs'], 'pair')} are duplicates" if making.options.key != "off" else "kept"
    return Finished(result, summary)


def _rows(_: object, item: Any) -> int:
    return item.rows


GROUPS_BY_SITE = Section(_cut_groups_by_site, merge_keys, "site_groups", rows=_rows, shown=MERGING)
BOILERPLATE = Section(_cut_sites, find_boilerplate, "sites", rows=_rows, said="boilerplate captions found")
BOILERPLATE_OF_GROUPS = Section(_cut_boilerplate, collect_places, "site_places", shown=COLLECTING)
GROUPS_OF_PAIRS = Section(_cut_groups, merge_keys, "groups", rows=_rows, shown=MERGING)
REPEATS = Section(_cut_pairs, find_repeats, "pairs", rows=_rows)
REPEATS_OF_GROUPS = Section(_cut_places, collect_places, "places", shown=COLLECTING)
DUPLICATES = Stage(
    name="duplicates",
    version=2,
    command="tallyclip pool CRAWL... --out RUN",
    needs=("gather",),
    sections=(GROUPS_BY_SITE, BOILERPLATE, BOILERPLATE_OF_GROUPS, GROUPS_OF_PAIRS, REPEATS, REPEATS_OF_GROUPS),
    folder=DuplicatesFolder,
    asked=_asked,
    finish=_finish,
    scratch=(GROUPS,),
    optional=True,
)
