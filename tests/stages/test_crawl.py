"""From crawl files to a pool and a curated set: the same whatever the order, the split, the workers and the interruptions."""

from __future__ import annotations

import gzip
import http.server
import json
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tallyclip.flows.curate import make_pool
from tallyclip.readers.crawl.links import base_of, clean_text, web_address
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages import PRELOAD, duplicates
from tallyclip.stages.gather import PoolOptions
from tallyclip.stages.runs import RUN
from tallyclip.steps.languages import LanguageChoice
from tests.readers.crawl.tools import image, packed, page, record, write_wat
from tests.stages.test_interruptions import photographed
from tests.tools import ENTRIES, captions, fails, leftovers, manifest, results, succeeds, write_entries

Row = dict[str, Any]
PAGES = {"apple": 40, "berry": 25, "cherry": 7}
GERMAN = ["ein kleiner Hund auf der Wiese mit word3", "das alte Haus am See und word1", "eine schöne Blume im Garten von word2"]


def site(name: str, number: int) -> tuple[str, list[dict[str, Any]]]:
    """A page whose images repeat those of other pages, with other texts and the same."""
    draw = random.Random(f"{name} {number}")
    links = []
    for text in captions(draw.randint(0, 12), draw.randint(0, 10**6)):
        url = draw.choice([f"/{draw.randint(0, 30)}.png", f"https://cdn.example/{draw.randint(0, 60)}.png", "data:,x"])
        links.append(
            image(
                url,
                alt=draw.choice([f"a photo of the {text} in the garden", draw.choice(ENTRIES), *GERMAN]),
                title=draw.choice(["", f"this is {text}", "a logo"]),
            )
        )
    return f"http://{draw.choice('abc')}.example/{number}", links


def write_crawl(folder: Path, suffix: str = "") -> Path:
    folder.mkdir(parents=True)
    for name, count in PAGES.items():
        pages = [page(*site(name, number), place=(f"{name}.warc.gz", number)) for number in range(count)]
        write_wat(folder / f"{name}{suffix}.warc.wat.gz", pages)
    return folder


GATHERING = ("gather", "duplicates", "pool")


def rows_of(folder: Path) -> list[Row]:
    return sorted(pq.read_table(folder).to_pylist(), key=lambda row: sorted(map(str, row.items())))


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crawl(tmp_path_factory.mktemp("crawl") / "files")


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2, PRELOAD) as some:
        yield some


def made(root: Path, workers: Workers, *sources: Path, **options: Any) -> Path:
    """A pool, made in this process; returns its folder."""
    with Workspace(RUN, root, workers, command=["test"]) as run:
        make_pool(run, [str(source) for source in sources], PoolOptions(**options))
    return root / "pool"


def test_each_pair_of_a_crawl_comes_once(crawl: Path, tmp_path: Path, workers: Workers) -> None:
    expected = set()
    for name, count in PAGES.items():
        for number in range(count):
            uri, links = site(name, number)
            for link in links:
                url, reason = web_address(link["url"], base_of(uri, None))
                expected |= {(url, text) for text in map(clean_text, (link["alt"], link["title"])) if text and not reason}
    rows = rows_of(made(tmp_path / "run", workers, crawl))
    assert sorted((row["url"], row["text"]) for row in rows) == sorted(expected)
    found = manifest(tmp_path / "run", "pool")["result"]
    assert found["drops"]["duplicate in the pool"] > 50
    assert manifest(tmp_path / "run", "gather")["result"]["seen"]["texts"] == len(rows) + sum(found["drops"].values())


@pytest.mark.parametrize("kind", ["pair", "url", "off"])
def test_the_pool_is_the_same_in_any_order_and_any_split_and_with_any_number_of_buckets(
    crawl: Path, tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    clean = rows_of(made(tmp_path / "clean", workers, crawl, duplicates=kind))
    shutil.copytree(crawl, tmp_path / "files")
    for name, other in (("apple", "zebra"), ("berry", "aardvark")):  # which changes the order of the shards
        (tmp_path / "files" / f"{name}.warc.wat.gz").rename(tmp_path / "files" / f"{other}.warc.wat.gz")
    whole = (tmp_path / "files" / "zebra.warc.wat.gz").read_bytes()
    cuts = [place for place in range(len(whole)) if whole[place : place + 4] == b"\x1f\x8b\x08\x00"]
    for part, (start, end) in enumerate([(0, cuts[10]), (cuts[10], len(whole))]):
        (tmp_path / "files" / f"part{part}.wat.gz").write_bytes(whole[start:end])
    (tmp_path / "files" / "zebra.warc.wat.gz").unlink()
    monkeypatch.setattr(duplicates, "ROWS_PER_BUCKET", 30)
    with Workers(1, PRELOAD) as one:
        assert rows_of(made(tmp_path / "again", one, tmp_path / "files", duplicates=kind)) == clean
    assert (manifest(tmp_path / "again", "duplicates")["result"]["buckets"] > 1) == (kind != "off")
    urls = [row["url"] for row in clean]
    assert (len(urls) == len(set(urls))) == (kind == "url")


def test_the_same_files_twice_are_the_same_pool(crawl: Path, tmp_path: Path, workers: Workers) -> None:
    shutil.copytree(crawl, tmp_path / "more" / "one")
    shutil.copytree(crawl, tmp_path / "more" / "two")
    assert rows_of(made(tmp_path / "run", workers, tmp_path / "more")) == rows_of(made(tmp_path / "clean", workers, crawl))


def test_pairs_of_an_earlier_pool_are_excluded_from_the_next(crawl: Path, tmp_path: Path, workers: Workers) -> None:
    first = rows_of(made(tmp_path / "first", workers, crawl / "apple.warc.wat.gz"))
    second = rows_of(made(tmp_path / "second", workers, crawl, exclude=[str(tmp_path / "first")]))
    whole = rows_of(made(tmp_path / "whole", workers, crawl))
    assert sorted(row["uid"] for row in first + second) == sorted(row["uid"] for row in whole)
    assert manifest(tmp_path / "second", "duplicates")["result"]["excluded"] > 0
    assert "was made with --duplicates pair" in fails(
        2, "pool", crawl, "--exclude-pool", tmp_path / "first", "--duplicates", "url", "--out", tmp_path / "x"
    )
    assert "there is no pool in this folder" in fails(2, "pool", crawl, "--exclude-pool", tmp_path, "--out", tmp_path / "y")


def as_of_another_version(root: Path) -> None:
    """Make it look as if an earlier version had gathered this."""
    for stage, change in (("gather", ("version",)), ("duplicates", ("options", "gathered_by"))):
        path = root / stage / "_manifest.json"
        found = json.loads(path.read_bytes())
        at = found
        for name in change[:-1]:
            at = at[name]
        at[change[-1]] -= 1
        path.write_text(json.dumps(found))


def test_an_earlier_pool_of_another_version_cannot_be_excluded(crawl: Path, tmp_path: Path, workers: Workers) -> None:
    made(tmp_path / "first", workers, crawl / "apple.warc.wat.gz")
    as_of_another_version(tmp_path / "first")
    said = fails(2, "pool", crawl, "--exclude-pool", tmp_path / "first", "--out", tmp_path / "x")
    assert "another version of tallyclip" in said
    assert "make that pool again" in said


def test_files_gathered_by_another_version_are_gathered_again(tmp_path: Path, workers: Workers) -> None:
    path = write_wat(tmp_path / "a.wat.gz", [page("http://a.example/", [image("i a.png", alt="a dog")])])
    made(tmp_path / "run", workers, path)
    done = tmp_path / "run" / "gather" / "_done" / "a.json"
    before = done.stat().st_mtime_ns
    made(tmp_path / "run", workers, path)
    assert done.stat().st_mtime_ns == before
    as_of_another_version(tmp_path / "run")
    assert [row["url"] for row in rows_of(made(tmp_path / "run", workers, path))] == ["http://a.example/i%20a.png"]
    assert done.stat().st_mtime_ns > before


def test_in_one_go_or_in_steps_and_whenever_languages_are_detected_the_set_is_the_same(crawl: Path, tmp_path: Path) -> None:
    entries = write_entries(tmp_path / "entries.json")
    options = ("--metadata", entries, "--t", 10, "--workers", 2)
    succeeds("curate", crawl, *options, "--languages", "en", "--out", tmp_path / "one")
    said = succeeds("pool", crawl, "--languages", "en", "--out", tmp_path / "pool")
    assert "language: other" in said
    succeeds("curate", tmp_path / "pool" / "pool", *options, "--out", tmp_path / "two")
    succeeds("pool", crawl, "--out", tmp_path / "three")
    succeeds("curate", crawl, *options, "--languages", "en", "--out", tmp_path / "three")
    one, two = (pq.read_table(tmp_path / name / "curated") for name in ("one", "two"))
    assert one.num_rows > 50
    assert one.column_names[-4:] == ["language", "language_score", "entry_ids", "keep_probability"]
    columns = sorted(one.column_names)
    assert one.select(columns).sort_by("uid").to_pylist() == two.select(columns).sort_by("uid").to_pylist()
    for name in ("uids.npy", "entry_counts.json", "entry_counts_curated.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() == (tmp_path / "three" / name).read_bytes()
    card = json.loads((tmp_path / "one" / "card" / "card.json").read_text())
    assert card["crawl"]["counts"]["pages"] == sum(PAGES.values())
    assert {drop["reason"] for drop in card["drops"]} >= {"language: other"}


def pool_bytes(run: Path) -> dict[str, bytes]:
    files = [*(run / "pool").rglob("*.parquet"), *(run / "pool").rglob("*.npy"), *(run / "duplicates").glob("*.npy")]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def test_from_every_rename_of_making_a_pool_the_same_command_goes_on_to_the_same_bytes(
    crawl: Path, tmp_path: Path, workers: Workers
) -> None:
    pictures = photographed(tmp_path, "pool", crawl, "--languages", "en")
    clean = pool_bytes(tmp_path / "run")
    assert len(clean) == 2 * len(PAGES) + 2  # pairs and keys of each file; duplicates and excluded pairs of the one bucket
    whole = [tuple(stage for stage in GATHERING if (picture / stage / "_manifest.json").exists()) for picture in pictures]
    assert set(whole) == {GATHERING[:n] for n in range(4)}  # the last when footers of the pool are kept
    for picture in pictures:
        made(picture, workers, crawl, languages=LanguageChoice(["en"]))
        assert pool_bytes(picture) == clean
        assert leftovers(picture) == []


def test_a_damaged_file_fails_alone_and_repaired_the_run_is_as_if_nothing_had_been(crawl: Path, tmp_path: Path) -> None:
    shutil.copytree(crawl, tmp_path / "files")
    path = tmp_path / "files" / "berry.warc.wat.gz"
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    entries = write_entries(tmp_path / "entries.json")
    command = ("curate", tmp_path / "files", "--metadata", entries, "--t", 10, "--out", tmp_path / "run")
    said = fails(1, *command)
    assert "1 of 3 shards failed" in said
    assert str(path) in said
    assert "file cut short" in said
    assert "--keep-readable" in said
    assert not any((tmp_path / "run" / name).exists() for name in ("parse", "pool", "match", "curated"))
    succeeds(*command, "--allow-failed-shards")
    without = results(tmp_path / "run")
    assert list(json.loads((tmp_path / "run" / "card" / "card.json").read_text())["failed_shards"]) == ["berry.warc"]
    succeeds(*command, "--keep-readable")
    assert manifest(tmp_path / "run", "gather")["result"]["drops"]["file cut short"] == 1
    assert len(results(tmp_path / "run")["uids.npy"]) > len(without["uids.npy"])
    path.write_bytes(good)
    succeeds(*command)
    succeeds(*command[:-1], tmp_path / "clean")
    assert results(tmp_path / "run").keys() == results(tmp_path / "clean").keys()
    for name in ("uids.npy", "entry_counts.json", "curated/berry.warc.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "clean" / name).read_bytes()


def test_a_file_that_changes_after_it_was_read_is_refused(crawl: Path, tmp_path: Path) -> None:
    shutil.copytree(crawl, tmp_path / "files")
    succeeds("pool", tmp_path / "files", "--out", tmp_path / "run")
    write_wat(tmp_path / "files" / "apple.warc.wat.gz", [page("http://a.example/", [image("i.png", alt="another")])])
    assert "apple.warc.wat.gz changed after it was read" in fails(2, "pool", tmp_path / "files", "--out", tmp_path / "run")


def test_other_options_redo_what_they_change_and_nothing_else(crawl: Path, tmp_path: Path, workers: Workers) -> None:
    made(tmp_path / "run", workers, crawl)
    before = manifest(tmp_path / "run", "gather")
    made(tmp_path / "run", workers, crawl, languages=LanguageChoice(["en"]))
    assert manifest(tmp_path / "run", "gather") == before
    languages = {row["language"] for row in rows_of(tmp_path / "run" / "pool")}
    assert languages == {"en"}


def test_filters_drop_what_they_say_and_nothing_by_default(crawl: Path, tmp_path: Path) -> None:
    (tmp_path / "domains.txt").write_text("cdn.example\n")
    succeeds("pool", crawl, "--blocked-domains", tmp_path / "domains.txt", "--min-text-length", 7, "--out", tmp_path / "run")
    rows = rows_of(tmp_path / "run" / "pool")
    assert rows
    assert all("cdn.example" not in row["url"] and len(row["text"]) >= 7 for row in rows)
    drops = manifest(tmp_path / "run", "pool")["result"]["drops"]
    assert drops["domain blocked"] > 0
    assert drops["caption too short"] > 0


def test_captions_repeated_all_over_a_site_are_dropped_from_its_pages_alone(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "ROWS_PER_BUCKET", 3)
    for file in range(3):
        pages = [page(f"http://a.example/{file}", [image(f"{file}.png", alt="share this"), image(f"x{file}.png", alt=f"only {file}")])]
        pages += [page("http://b.example/", [image("same.png", alt="share this")])]
        write_wat(tmp_path / f"{file}.wat.gz", pages)
    rows = rows_of(made(tmp_path / "two", workers, *tmp_path.glob("*.wat.gz"), max_site_repeats=2))
    assert sorted((row["text"], row["url"]) for row in rows) == [
        ("only 0", "http://a.example/x0.png"),
        ("only 1", "http://a.example/x1.png"),
        ("only 2", "http://a.example/x2.png"),
        ("share this", "http://b.example/same.png"),
    ]
    assert manifest(tmp_path / "two", "pool")["result"]["drops"] == {"boilerplate of its site": 3, "duplicate in the pool": 2}
    marks = [json.loads(path.read_text()) for path in (tmp_path / "two" / "pool" / "_done").glob("*.json")]
    assert [mark["report"]["samples"] for mark in marks] == [{}, {}, {}]
    assert len(rows_of(made(tmp_path / "three", workers, *tmp_path.glob("*.wat.gz"), max_site_repeats=3))) == 7
    assert "would keep nothing" in fails(2, "pool", tmp_path / "0.wat.gz", "--max-site-repeats", 0, "--out", tmp_path / "x")


def test_files_without_a_pair_are_said_loudly(tmp_path: Path) -> None:
    write_wat(tmp_path / "a.wat.gz", [page("http://a.example/", [image("i.png")])])
    said = fails(1, "pool", tmp_path / "a.wat.gz", "--out", tmp_path / "run")
    assert "no pair was kept: 1 page, 1 image, 0 texts" in said
    assert not (tmp_path / "run" / "pool").exists()


def test_tables_and_crawl_files_do_not_mix(crawl: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a dog\n")
    assert "the input has both crawl files and other files" in fails(2, "curate", crawl, tmp_path / "t.txt", "--out", tmp_path / "a")
    assert "is a pool already" in fails(2, "pool", tmp_path / "t.txt", "--out", tmp_path / "b")
    assert "give either files or --crawl" in fails(2, "pool", "--out", tmp_path / "d")
    assert "does not know 'klingon'" in fails(2, "pool", crawl, "--languages", "klingon", "--out", tmp_path / "e")
    assert not any((tmp_path / name).joinpath("gather").exists() for name in "abde")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine with a crawl of three WAT files, as Common Crawl lays them out; counts what is asked for."""
    root = tmp_path / "web"
    write_crawl(root / "crawl-data" / "TEST-1" / "wat")
    paths = sorted((root / "crawl-data" / "TEST-1" / "wat").iterdir())
    listed = "".join(f"{path.relative_to(root)}\n" for path in paths)
    (root / "crawl-data" / "TEST-1" / "wat.paths.gz").write_bytes(gzip.compress(listed.encode()))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(root))

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}", root
        web.shutdown()
        thread.join()


def test_a_crawl_by_its_name_is_read_from_the_list_that_was_chosen_at_first(
    server: tuple[str, Path], crawl: Path, tmp_path: Path, workers: Workers
) -> None:
    address, root = server
    command = ("pool", "--crawl", "TEST-1", "--base-url", address, "--out", tmp_path / "run")
    said = succeeds(*command)
    assert "files       3" in said
    whole = rows_of(tmp_path / "run" / "pool")
    assert whole == rows_of(made(tmp_path / "clean", workers, crawl))
    assert leftovers(tmp_path / "run") == []
    shutil.rmtree(root / "crawl-data")  # the list and the files are in the run
    succeeds(*command)
    assert "is a run of 1 of the WAT files of TEST-1 at" in fails(2, *command, "--sample", "1/2")


def test_a_sample_of_a_crawl_is_the_same_each_time_and_part_of_a_larger_one(server: tuple[str, Path], tmp_path: Path) -> None:
    address, _ = server
    chosen = []
    for share in ("1/3", "2/3", "0.5"):
        out = tmp_path / share.replace("/", "-")
        succeeds("pool", "--crawl", "TEST-1", "--sample", share, "--base-url", address, "--out", out)
        chosen.append(set(json.loads((out / "crawl.json").read_text())["urls"]))
    assert [len(urls) for urls in chosen] == [1, 2, 2]
    assert chosen[0] < chosen[1] == chosen[2]
    assert "there is no such crawl" in fails(2, "pool", "--crawl", "TEST-2", "--base-url", address, "--out", tmp_path / "none")
    assert "no share of the files" in fails(2, "pool", "--crawl", "TEST-1", "--sample", "2", "--base-url", address, "--out", tmp_path / "x")


def test_a_page_in_wat_and_in_warc_by_the_web_gives_the_same_rows(tmp_path: Path, server: tuple[str, Path], workers: Workers) -> None:
    address, root = server
    html = b'<img src="/a.png" alt="a dog&#10;asleep"><img src="//b.example/c.png" title=" a cat ">'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + html
    records = [record("warcinfo", b""), record("response", answer, "http://zoo.example/x")]
    (root / "pages.warc.gz").write_bytes(packed(records))
    links = [image("/a.png", alt="a dog\nasleep"), image("//b.example/c.png", title=" a cat ")]
    place = ("pages.warc.gz", len(packed(records[:1])))
    wat = write_wat(tmp_path / "pages.warc.wat.gz", [page("http://zoo.example/x", links, place=place)])
    with Workspace(RUN, tmp_path / "warc", workers, command=["test"]) as run:
        make_pool(run, [f"{address}/pages.warc.gz"], PoolOptions())
    rows = rows_of(made(tmp_path / "wat", workers, wat))
    assert rows_of(tmp_path / "warc" / "pool") == rows
    assert sorted((row["url"], row["text"], row["crawl_file"]) for row in rows) == [
        ("http://b.example/c.png", "a cat", "pages.warc.gz"),
        ("http://zoo.example/a.png", "a dog asleep", "pages.warc.gz"),
    ]


def two_texts(folder: Path, count: int = 20) -> Path:
    """Images that each have a German and an English text."""
    links = [image(f"{i}.png", alt=f"{GERMAN[0]} {i}", title=f"a small dog in the garden of house {i}") for i in range(count)]
    return write_wat(folder / "two.wat.gz", [page("http://a.example/", links)])


def test_a_file_larger_than_may_be_fetched_fails_by_name(server: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = server
    write_wat(folder / "large.warc.wat.gz", [page("http://a.example/", [image("i.png", alt="a dog")])])
    said = fails(1, "pool", f"{address}/large.warc.wat.gz", "--max-download", "100", "--out", tmp_path / "run")
    assert "large.warc.wat.gz: the file has" in said
    assert "over the limit of 100" in said
    assert "--max-download SIZE" in said
    succeeds("pool", f"{address}/large.warc.wat.gz", "--max-download", "1M", "--out", tmp_path / "run")
    assert "is not a size" in fails(2, "pool", f"{address}/large.warc.wat.gz", "--max-download", "huge", "--out", tmp_path / "x")


def test_the_caption_kept_for_a_url_is_in_a_language_asked_for(tmp_path: Path, workers: Workers) -> None:
    files = two_texts(tmp_path)
    rows = rows_of(made(tmp_path / "run", workers, files, duplicates="url", languages=LanguageChoice(["en"])))
    assert [row["language"] for row in rows] == ["en"] * 20
    entries = write_entries(tmp_path / "entries.json", ["dog", "Hund"])
    options = ("--metadata", entries, "--duplicates", "url", "--languages", "en", "--t", "inf")
    succeeds("curate", files, *options, "--out", tmp_path / "curated")
    curated = pq.read_table(tmp_path / "curated" / "curated")
    assert sorted(curated["uid"].to_pylist()) == sorted(row["uid"] for row in rows)
    assert curated["language"].to_pylist() == ["en"] * 20


def test_a_pair_dropped_with_its_site_does_not_make_others_repeats(tmp_path: Path, workers: Workers) -> None:
    everywhere = [image(f"http://cdn.example/{i}.png", alt="click to enlarge") for i in range(20)]
    pages = [page("http://a.example/", everywhere)]
    pages += [page(f"http://b{i}.example/", [one]) for i, one in enumerate(everywhere)]
    files = write_wat(tmp_path / "sites.wat.gz", pages)
    assert len(rows_of(made(tmp_path / "pair", workers, files, max_site_repeats=5))) == 20
    links = [image(f"{i}.png", alt="click to enlarge", title=f"only {i}") for i in range(20)]
    files = write_wat(tmp_path / "titles.wat.gz", [page("http://c.example/", links)])
    rows = rows_of(made(tmp_path / "url", workers, files, max_site_repeats=5, duplicates="url"))
    assert sorted(row["text"] for row in rows) == sorted(f"only {i}" for i in range(20))


def test_exclusion_is_of_what_the_earlier_pool_has_and_not_of_what_it_dropped(tmp_path: Path, workers: Workers) -> None:
    files = two_texts(tmp_path)
    german = made(tmp_path / "german", workers, files, languages=LanguageChoice(["de"]))
    earlier = [str(tmp_path / "german")]
    rows = rows_of(made(tmp_path / "english", workers, files, languages=LanguageChoice(["en"]), exclude=earlier))
    assert len(rows_of(german)) == len(rows) == 20
    assert {row["language"] for row in rows} == {"en"}
    said = fails(1, "pool", files, "--exclude-pool", earlier[0], "--languages", "de", "--out", tmp_path / "none")
    assert "no pair was kept" in said
    assert "WET" not in said
    assert "is the run itself" in fails(2, "pool", files, "--exclude-pool", earlier[0], "--out", earlier[0])
    assert (tmp_path / "german" / "pool").exists()
    shutil.rmtree(tmp_path / "german" / "pool" / "_index")
    assert "the pool is incomplete" in fails(2, "pool", files, "--exclude-pool", earlier[0], "--out", tmp_path / "x")
    shutil.rmtree(tmp_path / "german" / "pool")
    assert "there is no pool in this folder" in fails(2, "pool", files, "--exclude-pool", earlier[0], "--out", tmp_path / "y")


def test_how_many_are_excluded_does_not_depend_on_how_the_files_are_split(crawl: Path, tmp_path: Path, workers: Workers) -> None:
    made(tmp_path / "first", workers, crawl / "berry.warc.wat.gz")
    earlier = [str(tmp_path / "first")]
    made(tmp_path / "files", workers, crawl, exclude=earlier)
    (tmp_path / "all.wat.gz").write_bytes(b"".join(path.read_bytes() for path in sorted(crawl.iterdir())))
    made(tmp_path / "one", workers, tmp_path / "all.wat.gz", exclude=earlier)
    drops = [manifest(tmp_path / name, "pool")["result"]["drops"] for name in ("files", "one")]
    assert drops[0] == drops[1]


@pytest.mark.parametrize(
    ("command", "options", "what"),
    [
        ("pool", ["--kind", "warc"], "--sample, --kind and --base-url need --crawl"),
        ("pool", ["--languages", "all", "--language-threshold", 0.9], "keeps every caption"),
        ("curate", ["--caption-column", "text"], "has no columns to choose from"),
    ],
)
def test_options_that_would_do_nothing_are_refused(crawl: Path, tmp_path: Path, command: str, options: list[object], what: str) -> None:
    assert what in fails(2, command, crawl, *options, "--out", tmp_path / "run")


def test_tables_have_no_options_of_crawl_files(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a dog\n")
    assert "is for crawl files" in fails(2, "curate", tmp_path / "t.txt", "--keep-readable", "--out", tmp_path / "run")


def test_tables_do_not_go_into_a_run_of_crawl_files(tmp_path: Path) -> None:
    succeeds("pool", two_texts(tmp_path), "--out", tmp_path / "run")
    (tmp_path / "t.txt").write_text("a dog\n")
    said = fails(2, "curate", tmp_path / "t.txt", "--t", "inf", "--out", tmp_path / "run")
    assert f"{tmp_path}/run holds a pool made from crawl files" in said
    assert not (tmp_path / "run" / "match").exists()


def test_crawl_files_do_not_go_into_a_run_of_tables(crawl: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a dog\n")
    succeeds("curate", tmp_path / "t.txt", "--t", "inf", "--out", tmp_path / "run")
    before = results(tmp_path / "run")
    for command in ("pool", "curate"):
        assert f"{tmp_path}/run is a run over tables" in fails(2, command, crawl, "--out", tmp_path / "run")
    assert results(tmp_path / "run") == before


def test_with_the_same_filters_curate_takes_the_pool_as_it_is(tmp_path: Path) -> None:
    files = two_texts(tmp_path)
    succeeds("pool", files, "--max-text-length", 40, "--out", tmp_path / "run")
    before = pool_bytes(tmp_path / "run"), manifest(tmp_path / "run", "pool")
    command = (
        "curate",
        files,
        "--metadata",
        write_entries(tmp_path / "entries.json", ["dog", "Hund"]),
        "--t",
        "inf",
        "--out",
        tmp_path / "run",
    )
    succeeds(*command, "--max-text-length", 40)
    assert (pool_bytes(tmp_path / "run"), manifest(tmp_path / "run", "pool")) == before
    succeeds(*command)
    assert len(rows_of(tmp_path / "run" / "pool")) > len(before[0])


def test_a_crawl_asked_for_in_other_words_is_the_same(server: tuple[str, Path], tmp_path: Path) -> None:
    _, root = server
    succeeds("pool", "--crawl", "TEST-1", "--sample", "1/2", "--base-url", root.name, "--out", tmp_path / "run", cwd=root.parent)
    said = succeeds("pool", "--crawl", "TEST-1", "--sample", "0.5", "--base-url", f"{root}/", "--out", tmp_path / "run", cwd=tmp_path)
    assert "files       2" in said
