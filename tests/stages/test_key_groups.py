"""Keys of very many files, merged in groups: the same rows are found as from each file by itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyclip.core.duplicates import bucket_bits, first_of_each, sorted_records
from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.flows.curate import make_pool
from tallyclip.io.arrays import write_array
from tallyclip.io.files import write_json
from tallyclip.io.slices import read_slice, read_slices, write_slices
from tallyclip.run.ranks import Alone, Finish, PartDone, Rank, Role
from tallyclip.run.runners.base import Event, Payload, Result, Task, Tick
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages import PRELOAD, key_groups
from tallyclip.stages.buckets import (
    COLUMNS,
    ROWS_PER_BUCKET,
    Bucket,
    BucketJob,
    DuplicatesFolder,
    bucket_key,
    find_boilerplate,
    find_repeats,
)
from tallyclip.stages.gather import PoolOptions
from tallyclip.stages.key_groups import GroupsJob, Places, PlacesJob, are_many, collect_places, groups_of, merge_keys, places_of
from tallyclip.stages.runs import RUN
from tests.run.driver import Inline
from tests.stages.merged_keys import merge_keys_of
from tests.stages.test_crawl import made as made_pool
from tests.stages.test_crawl import rows_of, write_crawl
from tests.stages.test_repeats import found as found_repeats
from tests.stages.test_steps_for_tables import OPTIONS, made, some_pairs, write_as
from tests.tools import manifest, results

SMALL = st.sampled_from([0, 1, 2, 1 << 62, 1 << 63, (1 << 64) - 1])  # so that halves of keys, whole keys and preferences meet often
Row = tuple[int, int, int]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2, PRELOAD) as some:
        yield some


def nothing(_: int) -> None: ...


def written(folder: Path, name: str, files: list[list[Row]], *, collapse: bool) -> list[str]:
    paths = []
    for number, rows in enumerate(files):
        numbers = np.array(rows, np.uint64).reshape(-1, 3)
        records = sorted_records(numbers[:, :2].copy(), numbers[:, 2].copy(), np.arange(len(rows), dtype=np.uint64))
        write_array(folder / f"{name}{number}.npy", records[first_of_each(records)] if collapse else records)
        paths.append(str(folder / f"{name}{number}.npy"))
    return paths


class InGroups:
    """The work of the stage, called for each piece, with files merged in groups of ``size``."""

    def __init__(self, root: Path, bits: int, size: int, files: dict[str, list[str]], before: list[set[int]]) -> None:
        self.folder, self.bits, self.size, self.files = DuplicatesFolder(root / "stage"), bits, size, files
        self.before = self._places("before", before)

    def _places(self, name: str, rows: list[set[int]]) -> Places:
        paths = []
        for start in range(0, len(rows), self.size):
            slices = [np.array(sorted(some), np.uint64) for some in rows[start : start + self.size]]
            paths.append(self.folder.path / f"{name}{start}")
            write_slices(paths[-1], slices, len(slices))
        return Places(list(map(str, paths)), self.size)

    def removed(self, kind: str, *, limit: int = 0) -> tuple[list[set[int]], list[set[int]]]:
        """For each file the rows that repeat another, or are boilerplate, and those that are in an earlier pool."""
        folder, lists = self.folder, {}
        for each in [kind, "known"]:
            groups = groups_of(each, self.files[each], 1000)
            job = GroupsJob(self.bits, COLUMNS, {kind: self.before})
            for group in groups.values():
                merge_keys(job, group, folder, nothing)
            lists[each] = [str(folder.group(key)) for key in groups]
        write_json(folder.group_runs(kind), lists)
        count = len(self.files[kind])
        job = BucketJob(self.bits, str(folder.group_runs(kind)), site_limit=limit, groups=[*range(0, count, self.size)])
        for number in range(1 << self.bits):
            (find_boilerplate if limit else find_repeats)(job, Bucket(number, 0), folder, nothing)
        prefix = "sites-" if limit else ""
        found = {}
        for of in ("removed", "excluded")[: 1 if limit else 2]:
            paths = [str(folder.found(bucket_key(number, prefix), of)) for number in range(1 << self.bits)]
            groups = places_of(of, count)
            for group in groups.values():
                collect_places(PlacesJob({of: paths}), group, folder, nothing)
            places = Places([str(folder.places(key)) for key in groups], self.size)
            found[of] = [[*map(int, places.of_file(number))] for number in range(count)]
            assert all(rows == sorted({*rows}) for rows in found[of])
        return [{*rows} for rows in found["removed"]], [{*rows} for rows in found.get("excluded", [[]] * count)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=30), min_size=1, max_size=7),
    st.lists(st.lists(st.tuples(SMALL, SMALL), max_size=5), max_size=4),
    st.sets(st.tuples(st.integers(0, 6), st.integers(0, 29)), max_size=8),
    st.integers(0, 4),
    st.integers(1, 4),
    st.integers(1, 40),
)
def test_of_each_key_the_row_is_kept_that_a_dictionary_would_keep(
    files: list[list[Row]], known: list[list[tuple[int, int]]], gone: set[tuple[int, int]], bits: int, size: int, rows_at_once: int
) -> None:
    before = [{row for file, row in gone if file == number and row < len(files[number])} for number in range(len(files))]
    best: dict[tuple[int, int], tuple[int, int, int]] = {}
    keys = {key for some in known for key in some}
    for file, rows in enumerate(files):
        for row, (high, low, preference) in enumerate(rows):
            if row not in before[file] and (high, low) not in keys:
                candidate = (max(preference, 1), file, row)
                best[high, low] = min(best.get((high, low), candidate), candidate)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_groups, "FILES_OF_A_GROUP", size)
        patch.setattr(key_groups, "ROWS_AT_ONCE", rows_at_once)
        root = Path(name)
        earlier = []
        for number, some in enumerate(known):
            write_array(root / f"known{number}.npy", np.unique(np.array(some, np.uint64).reshape(-1, 2), axis=0))
            earlier.append(str(root / f"known{number}.npy"))
        paths = {"pairs": written(root, "file", files, collapse=False), "known": earlier}
        repeated, excluded = InGroups(root, bits, size, paths, before).removed("pairs")
    kept = {
        (file, row)
        for file, rows in enumerate(files)
        for row in range(len(rows))
        if row not in before[file] | repeated[file] | excluded[file]
    }
    assert kept == {(file, row) for _, file, row in best.values()}
    assert excluded == [
        {row for row, (high, low, _) in enumerate(rows) if (high, low) in keys and row not in before[file]}
        for file, rows in enumerate(files)
    ]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=20), min_size=1, max_size=5),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_rows_of_keys_with_too_many_different_preferences_are_found(files: list[list[Row]], bits: int, size: int, limit: int) -> None:
    companions: dict[tuple[int, int], set[int]] = {}
    for rows in files:
        for high, low, third in rows:
            companions.setdefault((high, low), set()).add(max(third, 1))
    expected = [{row for row, (high, low, _) in enumerate(rows) if len(companions[high, low]) > limit} for rows in files]
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_groups, "FILES_OF_A_GROUP", size)
        paths = {"sites": written(Path(name), "file", files, collapse=False), "known": []}
        nothing_before: list[set[int]] = [set() for _ in files]
        assert InGroups(Path(name), bits, size, paths, nothing_before).removed("sites", limit=limit)[0] == expected


@pytest.mark.parametrize("name", ["pair", "url"])
def test_tables_have_the_same_pairs(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pairs = some_pairs()
    pool = write_as("parquet", tmp_path / "pool", pairs, 7)
    options = OPTIONS[name] | {"write_dropped": True}
    first = made(tmp_path / "first", workers, pool, **options)
    assert "files_of_a_group" not in manifest(first, "duplicates")["result"]
    merge_keys_of(monkeypatch, files=3, rows_per_bucket=40)
    second = made(tmp_path / "second", workers, pool, **options)
    assert manifest(second, "duplicates")["result"]["files_of_a_group"] == 3
    assert not (second / "duplicates" / "_groups").exists()
    assert results(second) == results(first)
    for stage in ("kept", "match"):
        assert manifest(second, stage)["result"] == manifest(first, stage)["result"]


@pytest.mark.parametrize(
    "options",
    [{}, {"duplicates": "url"}, {"max_site_repeats": 2}, {"duplicates": "off", "max_site_repeats": 2}, {"duplicates": "off"}],
    ids=["pair", "url", "sites", "sites alone", "nothing"],
)
def test_pools_of_crawls_have_the_same_pairs(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    crawl = write_crawl(tmp_path / "crawl")
    first = made_pool(tmp_path / "first", workers, crawl, **options)
    earlier = made_pool(tmp_path / "earlier", workers, crawl / "apple.warc.wat.gz", **options)
    more = {} if options.get("duplicates") == "off" else {"exclude": [str(tmp_path / "earlier")]}
    rest = made_pool(tmp_path / "rest", workers, crawl, **options, **more)
    merge_keys_of(monkeypatch, files=2, rows_per_bucket=30)
    for name, before, so in (("again", first, {}), ("rest again", rest, more)):
        assert rows_of(made_pool(tmp_path / name, workers, crawl, **options, **so)) == rows_of(before)
        result, known = (manifest(tmp_path / which, "duplicates")["result"] for which in (name, before.parent.name))
        assert result["files_of_a_group"] == 2
        assert {key: result[key] for key in ("repeats", "excluded")} == {key: known[key] for key in ("repeats", "excluded")}
    assert earlier.exists()


def test_repeats_are_counted_the_same(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs(), 7)
    first = made(tmp_path / "first", workers, pool, duplicates="report")
    merge_keys_of(monkeypatch, files=3, rows_per_bucket=40)
    second = made(tmp_path / "second", workers, pool, duplicates="report")
    assert found_repeats(second) == found_repeats(first)
    assert len(list((second / "repeats" / "_done").glob("*-group-*"))) == 2 * 3
    assert not (second / "repeats" / "_groups").exists()


def test_keys_are_merged_where_slices_are_many_and_short() -> None:
    assert not are_many(files=1_000, bits=bucket_bits(10**9, ROWS_PER_BUCKET), rows=10**9)
    assert are_many(files=10_000, bits=bucket_bits(10**10, ROWS_PER_BUCKET), rows=10**10)
    assert are_many(files=100_000, bits=bucket_bits(10**8, ROWS_PER_BUCKET), rows=10**8)  # of which each has a thousand
    assert not are_many(files=10_000, bits=bucket_bits(10**6, ROWS_PER_BUCKET), rows=10**6)


def test_slices_are_read_as_they_were_written_and_broken_files_named(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    slices = [draw.integers(0, 1 << 64, (rows, 3), np.uint64, endpoint=False) for rows in (4, 0, 1, 0, 0, 7)]
    path = tmp_path / "some.slices"
    assert write_slices(path, iter(slices), len(slices)) == 12
    for number, rows in enumerate(slices):
        assert read_slice(path, number, 3).tolist() == rows.tolist()
    assert [len(rows) for rows in read_slices([path, path], 2, 3)] == [1, 1]
    assert read_slices([path], 1, 3) == []
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"some.slices: broken: it ends before byte"):
        read_slice(path, 5, 3)
    with pytest.raises(ArtifactError, match=r"gone.slices: broken: .*No such file"):
        read_slice(tmp_path / "gone.slices", 0, 3)


class Impatient(Inline):
    """Is interrupted after some tasks."""

    def map(self, function: Callable[[Payload, Tick], Result], tasks: Iterable[Task[Payload]]) -> Iterator[Event]:
        for event in super().map(function, tasks):
            yield event
            if len(self.done) >= 2:
                raise KeyboardInterrupt


@pytest.mark.parametrize("ranks", [0, 2], ids=["interrupted", "ranks"])
def test_what_is_made_bit_by_bit_is_the_same(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, ranks: int) -> None:
    crawl = write_crawl(tmp_path / "crawl")
    made_pool(tmp_path / "earlier", workers, crawl / "apple.warc.wat.gz")
    options = PoolOptions(max_site_repeats=2, exclude=[str(tmp_path / "earlier")])
    merge_keys_of(monkeypatch, files=2, rows_per_bucket=30)
    with Workspace(RUN, tmp_path / "at once", workers, command=["test"]) as run:
        make_pool(run, [str(crawl)], options)

    def attempt(role: Role, runner: Inline) -> None:
        ends = suppress(KeyboardInterrupt, PartDone, IncompleteError)
        with ends, Workspace(RUN, tmp_path / "bits", runner, command=["test"], role=role) as run:
            make_pool(run, [str(crawl)], options)

    attempts = 0
    while not (tmp_path / "bits" / "pool").exists():
        attempts += 1
        assert attempts < 100
        if not ranks:
            attempt(Alone(), Impatient())
            continue
        for number in range(ranks):
            attempt(Rank(number, ranks), Inline())
        for stage in ("gather", "duplicates", "pool"):
            attempt(Finish(stage), Inline())
    assert attempts > 3
    assert rows_of(tmp_path / "bits" / "pool") == rows_of(tmp_path / "at once" / "pool")
    of_bits, at_once = (manifest(tmp_path / name, "duplicates")["result"] for name in ("bits", "at once"))
    assert of_bits == at_once
    assert at_once["files_of_a_group"] == 2
