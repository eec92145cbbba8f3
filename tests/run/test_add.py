"""Files added to a run: the result is that of all at once, and only what is new is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.readers.crawl.tools import image, page, write_wat
from tests.tools import assert_same, captions, fails, manifest, modified, results, succeeds, write_entries, write_pool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("added")
    write_entries(folder / "entries.json")
    write_pool(folder / "pool")
    (folder / "newer").mkdir()
    for name in ("cherry.jsonl.gz", "apple.parquet"):
        shutil.move(folder / "pool" / name, folder / "newer" / name)
    return folder


@pytest.mark.parametrize("more", [[], ["--duplicates", "pair"], ["--languages", "all", "--write-dropped"]], ids=" ".join)
def test_the_result_is_that_of_all_at_once(folder: Path, more: list[str], tmp_path: Path) -> None:
    asked = ["--metadata", folder / "entries.json", "--t", 20, *more]
    succeeds("curate", folder / "pool", *asked, "--out", tmp_path / "run", "--workers", 1)
    read = "gather" if "pair" in more else "match"
    kept = {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "run" / read / "_done").iterdir()}
    succeeds("add", tmp_path / "run", "newer", "--workers", 1, cwd=folder)
    done = {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "run" / read / "_done").iterdir()}
    assert done.keys() - kept.keys() == {"cherry", "apple"}
    assert {key: done[key] for key in kept} == kept  # not read again
    succeeds("curate", folder / "pool", folder / "newer", *asked, "--out", tmp_path / "once")
    assert_same(tmp_path / "run", results(tmp_path / "once"))


def test_what_was_added_once_is_added_no_more(folder: Path, tmp_path: Path) -> None:
    succeeds("match", folder / "pool", "--metadata", folder / "entries.json", "--out", tmp_path / "run")
    for _ in range(2):
        succeeds("add", tmp_path / "run", folder / "newer")
        before = modified(tmp_path / "run", "match")
    succeeds("add", tmp_path / "run", folder / "newer")
    assert modified(tmp_path / "run", "match") == before
    assert json.loads((tmp_path / "run" / "run.json").read_text())["command"].count(str(folder / "newer")) == 1


def test_pools_of_crawls_are_kept_apart_so_that_only_the_later_is_matched(folder: Path, tmp_path: Path) -> None:
    """Entry counts, t, uids and the draw are those of one pool of both crawls, though which of two equal pairs is kept may differ."""
    for number in range(6):
        pages = [
            page(f"http://{n}.example/{number}", [image(f"/{n % 90}.jpg", alt=text)]) for n, text in enumerate(captions(150, number % 5))
        ]
        crawl = tmp_path / ("older" if number < 4 else "later")
        crawl.mkdir(exist_ok=True)
        write_wat(crawl / f"{number}.warc.wat.gz", pages)
    asked = ["--metadata", folder / "entries.json", "--tail-share", 0.2]
    succeeds("pool", tmp_path / "older", "--out", tmp_path / "p1")
    succeeds("curate", tmp_path / "p1" / "pool", *asked, "--out", tmp_path / "run")
    matched = modified(tmp_path / "run", "match/_done")
    succeeds("pool", tmp_path / "later", "--exclude-pool", tmp_path / "p1", "--out", tmp_path / "p2")
    succeeds("add", tmp_path / "run", tmp_path / "p2" / "pool")
    assert modified(tmp_path / "run", "match/_done").items() >= matched.items()
    succeeds("pool", tmp_path / "older", tmp_path / "later", "--out", tmp_path / "both")
    succeeds("curate", tmp_path / "both" / "pool", *asked, "--out", tmp_path / "once")
    assert manifest(tmp_path / "p2", "pool")["result"]["pairs"] > 0
    for name in ("entry_counts.json", "entry_counts_curated.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "once" / name).read_bytes()
    assert np.array_equal(np.load(tmp_path / "run" / "uids.npy"), np.load(tmp_path / "once" / "uids.npy"))
    assert manifest(tmp_path / "run", "plan")["result"]["t"] == manifest(tmp_path / "once", "plan")["result"]["t"]


def test_to_what_no_files_can_be_added(folder: Path, tmp_path: Path) -> None:
    assert "is not a run folder" in fails(2, "add", tmp_path, folder / "newer")
    succeeds("match", folder / "pool", "--metadata", folder / "entries.json", "--out", tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    for command, said in ((["match", "--crawl", "CC-MAIN-2024-22"], "of a crawl by its name"), (["demo"], "by 'tallyclip demo'")):
        (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"command": command}))
        assert said in fails(2, "add", tmp_path / "run", folder / "newer")
