"""Filters, languages, exclusion and duplicates of tables: what is kept does not depend on the files, and is as for crawl files."""

from __future__ import annotations

import json
import random
import shutil
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tallyclip.core.data import Metadata
from tallyclip.flows.curate import balance, curate, match
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run.engine import make
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages import PRELOAD, duplicates
from tallyclip.stages.counts import COUNTS
from tallyclip.stages.gather import PoolOptions
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN
from tallyclip.steps.filters import Filters
from tallyclip.steps.languages import LanguageChoice
from tallyclip.steps.own import own_step
from tests.stages.test_crawl import write_crawl
from tests.stages.test_interruptions import photographed
from tests.tools import assert_same, captions, fails, leftovers, manifest, results, succeeds, write_entries

ENTRIES = ["word0", "word1", "word2", "photo", "Hund", "hot dog"]
FILTERS = Filters(min_text_length=6)
Pair = tuple[str, str]


def some_pairs(count: int = 900) -> list[Pair]:
    """Pairs of which many repeat others, by URL and caption or by URL alone."""
    draw = random.Random(1)
    texts = captions(60, 5)
    return [(f"http://a.example/{int(draw.paretovariate(0.4)) % 300}.png", draw.choice(texts)) for _ in range(count)]


def write_as(kind: str, folder: Path, pairs: list[Pair], parts: int = 3) -> Path:
    """The same pairs in some files of a kind."""
    folder.mkdir()
    for part in range(parts):
        some = pairs[part::parts]
        path = folder / f"{part}.{kind}"
        if kind == "parquet":
            columns = {"url": [url for url, _ in some], "caption": [text for _, text in some], "width": list(range(len(some)))}
            pq.write_table(pa.table(columns), path, row_group_size=70)
        elif kind == "jsonl":
            path.write_text("".join(json.dumps({"url": url, "caption": text}) + "\n" for url, text in some))
        elif kind == "csv":
            path.write_text("url,caption\n" + "".join(f'{url},"{text}"\n' for url, text in some))
        else:
            with tarfile.open(path, "w") as tar:
                for i, (url, text) in enumerate(some):
                    for suffix, content in (("txt", text), ("json", json.dumps({"url": url, "caption": text}))):
                        member = tarfile.TarInfo(f"{i:05d}.{suffix}")
                        member.size = len(content.encode())
                        tar.addfile(member, BytesIO(content.encode()))
    return folder


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2, PRELOAD) as some:
        yield some


def made(root: Path, workers: Workers, pool: Path, *, t: float = 1e9, **options: Any) -> Path:
    """A run over a pool, with steps, made in this process."""
    with Workspace(RUN, root, workers, command=["test"]) as run:
        curate(run, [str(pool)], ColumnChoice(), Metadata(ENTRIES), Aim(t=t), options=PoolOptions(**options))
    return root


def balanced(root: Path, workers: Workers, pool: Path, *, t: float, **options: Any) -> None:
    """The same, but for the plan and the card, whose pictures take the longest."""
    with Workspace(RUN, root, workers, command=["test"]) as run:
        match(run, [str(pool)], ColumnChoice(), Metadata(ENTRIES), options=PoolOptions(**options))
        make(run, COUNTS)
        balance(run, Aim(t=t))


def matches_of(text: str) -> bool:
    return any(entry in text.split() for entry in ENTRIES) or "hot dog" in text


def kept(run: Path) -> list[Pair]:
    table = pq.read_table(run / "curated")
    text = next(name for name in ("caption", "text") if name in table.column_names)
    return sorted(zip(table["url"].to_pylist(), table[text].to_pylist(), strict=True))


OPTIONS: dict[str, dict[str, Any]] = {
    "pair": {"duplicates": "pair"},
    "url": {"duplicates": "url"},
    "filters": {"filters": FILTERS},
    "all": {"duplicates": "url", "filters": FILTERS, "languages": LanguageChoice(["en"])},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_pairs_are_kept_of_any_kind_of_file_in_any_order_and_split(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pairs = some_pairs()
    first = made(tmp_path / "parquet", workers, write_as("parquet", tmp_path / "a", pairs), **OPTIONS[name])
    uids = np.load(first / "uids.npy")
    assert 10 < len(uids) < len(set(pairs))
    monkeypatch.setattr(duplicates, "ROWS_PER_BUCKET", 40)
    random.Random(2).shuffle(pairs)
    with Workers(1, PRELOAD) as one:
        for kind, parts in (("jsonl", 1), ("csv", 4), ("tar", 2)):
            run = made(tmp_path / kind, one, write_as(kind, tmp_path / f"{kind}s", pairs, parts), **OPTIONS[name])
            assert np.load(run / "uids.npy").tolist() == uids.tolist()
            assert manifest(run, "kept")["result"] == manifest(first, "kept")["result"]
    assert manifest(tmp_path / "csv", "duplicates")["result"]["buckets"] > 1 or name == "filters"


def test_one_of_equal_pairs_is_kept_and_what_is_dropped_is_counted(tmp_path: Path, workers: Workers) -> None:
    pairs = some_pairs()
    run = made(tmp_path / "run", workers, write_as("parquet", tmp_path / "pool", pairs), duplicates="pair", filters=FILTERS)
    long = [pair for pair in pairs if len(pair[1]) >= 6]
    assert kept(run) == sorted({pair for pair in long if matches_of(pair[1])})
    drops = manifest(run, "match")["result"]["drops"]
    assert drops["duplicate in the pool"] == len(long) - len(set(long)) > 100
    assert drops["caption too short"] == len(pairs) - len(long) > 50
    shown = {drop["reason"]: drop for drop in json.loads((run / "card" / "card.json").read_text())["drops"]}
    assert shown["caption too short"]["count"] == drops["caption too short"]
    assert all(len(sample) < 6 for sample in shown["caption too short"]["samples"])
    assert "width" in pq.read_table(run / "curated").column_names


def test_of_a_url_one_caption_is_kept_in_a_language_asked_for(tmp_path: Path, workers: Workers) -> None:
    texts = ["ein kleiner Hund auf der Wiese mit word1", "this is a photo of the garden with word1"]
    pairs = [(f"http://a.example/{i}.png", text) for i in range(40) for text in texts]
    options = {"duplicates": "url", "languages": LanguageChoice(["en"])}
    run = made(tmp_path / "run", workers, write_as("parquet", tmp_path / "pool", pairs), **options)
    assert kept(run) == sorted(pair for pair in pairs if pair[1] == texts[1])
    assert set(pq.read_table(run / "curated")["language"].to_pylist()) == {"en"}
    assert json.loads((run / "card" / "card.json").read_text())["languages"].startswith("en with a score")


@pytest.mark.parametrize("kind", ["pair", "url"])
def test_tables_and_crawl_files_with_the_same_pairs_keep_the_same(tmp_path: Path, workers: Workers, kind: str) -> None:
    """By URL, if the table says of which page and field a caption is."""
    crawl = write_crawl(tmp_path / "crawl")
    succeeds("pool", crawl, "--duplicates", "off", "--out", tmp_path / "all")
    table = pq.read_table(tmp_path / "all" / "pool").drop_columns(["uid"])
    (tmp_path / "tables").mkdir()
    shuffled = table.take(pa.array(np.random.default_rng(3).permutation(len(table))))
    for part in range(3):
        pq.write_table(
            shuffled.slice(part * len(table) // 3, len(table) // 3 + 2 if part == 2 else len(table) // 3),
            tmp_path / "tables" / f"{part}.parquet",
        )
    of_crawl = made(tmp_path / "a", workers, crawl, duplicates=kind)
    of_tables = made(tmp_path / "b", workers, tmp_path / "tables", duplicates=kind)
    assert kept(of_crawl) == kept(of_tables)
    assert np.load(of_crawl / "uids.npy").tolist() == np.load(of_tables / "uids.npy").tolist()
    drops = [manifest(run, stage)["result"]["drops"]["duplicate in the pool"] for run, stage in ((of_crawl, "pool"), (of_tables, "kept"))]
    assert drops[0] == drops[1] > 50


def test_pairs_of_earlier_runs_of_tables_and_of_crawl_files_are_excluded(tmp_path: Path, workers: Workers) -> None:
    pairs = some_pairs()
    first = made(tmp_path / "first", workers, write_as("parquet", tmp_path / "a", pairs[:300]), duplicates="pair")
    second = made(tmp_path / "second", workers, write_as("jsonl", tmp_path / "b", pairs), exclude=[str(first)])
    assert kept(second) == sorted({pair for pair in pairs if matches_of(pair[1])} - {*pairs[:300]})
    assert manifest(second, "match")["result"]["drops"]["in an earlier pool"] >= 300
    crawl = write_crawl(tmp_path / "crawl")
    succeeds("pool", crawl, "--out", tmp_path / "pool")
    of_pool = pq.read_table(tmp_path / "pool" / "pool").select(["url", "text"])
    (tmp_path / "c").mkdir()
    fresh = pa.table({"url": ["http://new.example/1.png"], "text": ["a photo that is new"]})
    pq.write_table(pa.concat_tables([of_pool, fresh]), tmp_path / "c" / "a.parquet")
    third = made(tmp_path / "third", workers, tmp_path / "c", exclude=[str(tmp_path / "pool")])
    assert kept(third) == [("http://new.example/1.png", "a photo that is new")]


def test_boilerplate_of_a_site_is_dropped_where_the_table_says_the_page(tmp_path: Path, workers: Workers) -> None:
    pool = {"url": [f"http://cdn.example/{i}.png" for i in range(9)], "text": ["share this photo"] * 8 + ["a photo"]}
    places = {"field": ["alt"] * 9, "page_url": ["http://a.example/"] * 9, "crawl_file": ["a"] * 9, "offset": list(range(9))}
    (tmp_path / "pool").mkdir()
    pq.write_table(pa.table(pool | places), tmp_path / "pool" / "a.parquet")
    run = made(tmp_path / "run", workers, tmp_path / "pool", max_site_repeats=5)
    assert kept(run) == [("http://cdn.example/8.png", "a photo")]
    assert manifest(run, "match")["result"]["drops"]["boilerplate of its site"] == 8
    (tmp_path / "t.csv").write_text("url,caption\nhttp://a.example/1.png,a photo\n")
    command = ("curate", tmp_path / "t.csv", "--max-site-repeats", 5, "--out", tmp_path / "x")
    assert "hosts of pages are unknown" in fails(1, *command)


def test_steps_can_be_added_and_taken_away_and_the_results_are_those_of_a_fresh_run(tmp_path: Path, workers: Workers) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    plain = results(made(tmp_path / "plain", workers, pool))
    stepped = results(made(tmp_path / "stepped", workers, pool, duplicates="pair"))
    assert plain != stepped
    run = tmp_path / "run"
    for options, expected in (({}, plain), ({"duplicates": "pair"}, stepped), ({}, plain), ({"duplicates": "pair"}, stepped)):
        made(run, workers, pool, **options)
        assert_same(run, expected)
        assert (run / "kept").exists() == bool(options)


def test_from_every_rename_the_same_command_goes_on_to_the_same_bytes(tmp_path: Path, workers: Workers) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    entries = write_entries(tmp_path / "entries.json", ENTRIES)
    command = ("curate", pool, "--metadata", entries, "--t", 50, "--duplicates", "url", "--min-text-length", 6)
    command += ("--step", "tests.steps.own_steps:no_fives", "--write-dropped")
    pictures = photographed(tmp_path, *command)
    clean = results(tmp_path / "run")
    begun = [picture for picture in pictures if not (picture / "plan").exists() and not any((picture / ".work").glob("plan-*"))]
    assert {"gather", "duplicates", "kept", "dropped"} <= {name.name for picture in begun for name in picture.iterdir()}
    for picture in begun[::2]:
        steps = [own_step("tests.steps.own_steps:no_fives")]
        balanced(picture, workers, pool, t=50, duplicates="url", filters=FILTERS, steps=steps, write_dropped=True)
        assert_same(picture, clean)
        assert leftovers(picture) == []


def test_a_shard_that_cannot_be_read_is_repaired_or_accepted(tmp_path: Path) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    whole = (pool / "1.parquet").read_bytes()
    (pool / "1.parquet").write_bytes(whole[: len(whole) // 2] + b"PAR1")
    entries = write_entries(tmp_path / "entries.json", ENTRIES)
    command = ("curate", pool, "--metadata", entries, "--t", "inf", "--duplicates", "pair", "--out", tmp_path / "run")
    assert "1 of 3 shards failed" in fails(1, *command)
    succeeds(*command, "--allow-failed-shards")
    assert list(json.loads((tmp_path / "run" / "card" / "card.json").read_text())["failed_shards"]) == ["1"]
    without = kept(tmp_path / "run")
    (pool / "1.parquet").write_bytes(whole)
    succeeds(*command)
    succeeds(*command[:-1], tmp_path / "clean")
    assert len(kept(tmp_path / "run")) > len(without)
    assert results(tmp_path / "run").keys() == results(tmp_path / "clean").keys()
    assert_same(tmp_path / "run", results(tmp_path / "clean"))


def test_what_cannot_be_done_is_said_before_any_work(tmp_path: Path, workers: Workers) -> None:
    (tmp_path / "t.txt").write_text("a photo\n")
    command = ("curate", tmp_path / "t.txt", "--t", "inf", "--out", tmp_path / "run")
    assert "has no column of URLs, which --duplicates url needs" in fails(2, *command, "--duplicates", "url")
    assert "--keep-readable is for crawl files" in fails(2, *command, "--keep-readable")
    first = made(tmp_path / "first", workers, write_as("csv", tmp_path / "a", some_pairs(90), 1), duplicates="url")
    assert "was made with --duplicates url, this run uses pair" in fails(2, *command, "--exclude-pool", first)
    assert "is not from 0 to 1" in fails(2, *command, "--languages", "en", "--language-threshold", 7)
    assert not (tmp_path / "run" / "gather").exists()
    said = fails(1, *command, "--min-text-length", 99)
    assert "no pair is kept of 1; dropped: 1 caption too short" in said
    shutil.rmtree(tmp_path / "run")


def test_captions_of_one_image_are_pairs_of_their_own(tmp_path: Path, workers: Workers) -> None:
    lists = {"url": ["http://a.example/1", "http://a.example/2"], "texts": [["a photo", "word1", "a photo"], ["tiny", "word2 and more"]]}
    (tmp_path / "pool").mkdir()
    pq.write_table(pa.table(lists), tmp_path / "pool" / "a.parquet")
    run = made(tmp_path / "run", workers, tmp_path / "pool", duplicates="pair", filters=Filters(min_text_length=5))
    table = pq.read_table(run / "curated")
    found = sorted(zip(table["url"].to_pylist(), table["text_number"].to_pylist(), table["caption"].to_pylist(), strict=True))
    assert found == [("http://a.example/1", 0, "a photo"), ("http://a.example/1", 1, "word1"), ("http://a.example/2", 1, "word2 and more")]
    assert pc.all(pc.is_valid(table["uid"])).as_py()
