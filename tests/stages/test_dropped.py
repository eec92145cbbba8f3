"""--write-dropped: the pairs that were dropped, by reason, as many as the card counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tallyclip.errors import IncompleteError
from tallyclip.run.runners.local import Workers
from tallyclip.stages import PRELOAD
from tallyclip.steps.languages import LanguageChoice
from tallyclip.steps.own import own_step
from tests.stages.test_crawl import write_crawl
from tests.stages.test_steps_for_tables import FILTERS, made, matches_of, some_pairs, write_as
from tests.tools import manifest, succeeds

OWN = "tests.steps.own_steps:no_fives"


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2, PRELOAD) as some:
        yield some


def dropped(run: Path) -> dict[str, int]:
    """Rows by their reason, each in the folder of its own."""
    tables = {folder.name: pq.read_table(folder) for folder in (run / "dropped").iterdir() if not folder.name.startswith("_")}
    counts = Counter[str]()
    for name, table in tables.items():
        reasons = set(table["reason"].to_pylist())
        assert len(reasons) == 1, name
        counts[reasons.pop()] += len(table)
    return dict(counts)


def test_every_pair_of_a_table_that_is_dropped_is_written_with_its_reason(tmp_path: Path, workers: Workers) -> None:
    pairs = [*some_pairs(), ("http://a.example/new.png", "ein kleiner Hund auf der Wiese mit word1")]
    first = made(tmp_path / "first", workers, write_as("csv", tmp_path / "earlier", pairs[:40], 1), duplicates="pair")
    pool = write_as("jsonl", tmp_path / "pool", pairs)
    with (pool / "1.jsonl").open("a") as file:
        file.write('{"url": "http://a.example/x.png", "caption": null}\nnot JSON\n')
    options: dict[str, Any] = {"duplicates": "pair", "filters": FILTERS, "languages": LanguageChoice(["de"]), "exclude": [str(first)]}
    run = made(tmp_path / "run", workers, pool, **options, steps=[own_step(OWN)], write_dropped=True)
    counted = manifest(run, "match")["result"]["drops"]
    assert dropped(run) == counted
    assert counted.keys() >= {
        "caption too short",
        "step no_fives",
        "duplicate in the pool",
        "in an earlier pool",
        "language: other",
        "matches no entry",
        "no caption",
        "not JSON",
    }
    without = made(tmp_path / "without", workers, pool, **options, steps=[own_step(OWN)])
    assert manifest(without, "match")["result"]["drops"] == counted
    assert not (without / "dropped").exists()
    short = pq.read_table(run / "dropped" / "caption-too-short").to_pylist()
    assert sorted((row["url"], row["text"]) for row in short) == sorted(pair for pair in pairs if len(pair[1]) < 6)
    repeated = pq.read_table(run / "dropped" / "duplicate-in-the-pool").to_pylist()
    assert all(row["text"] and row["uid"] and Path(row["file"]).parent == pool for row in repeated)
    row = repeated[0]
    number = Path(row["file"]).stem
    assert pairs[int(number) :: 3][row["row"]] == (row["url"], row["text"])
    unmatched = pq.read_table(run / "dropped" / "matches-no-entry")["text"].to_pylist()
    assert not any(map(matches_of, unmatched))


def test_every_pair_of_crawl_files_that_is_dropped_is_written_with_its_page(tmp_path: Path, workers: Workers) -> None:
    crawl = write_crawl(tmp_path / "crawl")
    run = made(tmp_path / "run", workers, crawl, filters=FILTERS, languages=LanguageChoice(["en"]), write_dropped=True)
    of_pool, of_match = (manifest(run, stage)["result"]["drops"] for stage in ("pool", "match"))
    found = dropped(run)
    for reason in ("caption too short", "duplicate in the pool"):
        assert found[reason] == of_pool[reason] > 0
    for reason, count in of_match.items():
        assert found[reason] == count
    table = pq.read_table(run / "dropped" / "duplicate-in-the-pool")
    assert all(page.startswith("http") for page in table["page_url"].to_pylist())
    assert all(offset >= 0 for offset in table["offset"].to_pylist())


def test_taking_the_option_away_takes_the_files_away(tmp_path: Path, workers: Workers) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    run = made(tmp_path / "run", workers, pool, write_dropped=True)
    assert dropped(run) == manifest(run, "match")["result"]["drops"]
    made(tmp_path / "run", workers, pool)
    assert not (run / "dropped").exists()
    assert not list(run.rglob("_dropped"))
    made(tmp_path / "run", workers, pool, duplicates="url", write_dropped=True)
    assert dropped(run) == manifest(run, "match")["result"]["drops"]
    assert "dropped" in succeeds("status", run)


def test_where_no_pair_is_left_what_was_dropped_is_written(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    long = "a_function_with_a_long_name_" * 4
    source = f"def {long}(pairs):\n    return [False] * len(pairs), ['犬' * 60, 'Narrow', 'narrow'] * (len(pairs) // 3)\n"
    (tmp_path / "drops_all.py").write_text(source)
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    with pytest.raises(IncompleteError, match="no pair is kept of 900"):
        made(tmp_path / "run", workers, pool, steps=[own_step(f"drops_all:{long}")], write_dropped=True)
    tables = [pq.read_table(folder) for folder in (tmp_path / "run" / "dropped").iterdir() if not folder.name.startswith("_")]
    assert sorted(map(len, tables)) == [300, 600]
    assert Counter(reason[-6:] for table in tables for reason in table["reason"].to_pylist()) == {
        "犬" * 6: 300,
        "Narrow": 300,
        "narrow": 300,
    }
