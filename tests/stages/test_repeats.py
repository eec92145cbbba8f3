"""How many pairs repeat others, where none are dropped: counted, and estimated from a sample that does not depend on the files."""

from __future__ import annotations

import json
import random
import resource
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tallyclip.core.duplicates import preferences
from tallyclip.core.uids import make_uids
from tallyclip.io.arrays import write_array
from tallyclip.io.files import write_json
from tallyclip.run.runners.local import Workers
from tallyclip.stages import PRELOAD, repeats
from tallyclip.stages.buckets import Bucket
from tallyclip.stages.repeats import BucketsJob, RepeatsFolder, count_bucket, estimated
from tallyclip.steps.filters import Filters
from tests.stages.test_crawl import write_crawl
from tests.stages.test_steps_for_tables import made, some_pairs, write_as
from tests.tools import assert_same, fails, manifest, results, succeeds, write_entries


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2, PRELOAD) as some:
        yield some


def found(run: Path) -> dict[str, int]:
    return {kind: repeats["count"] for kind, repeats in manifest(run, "repeats")["result"]["repeats"].items()}


def test_as_many_repeats_are_reported_as_would_be_dropped(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    run = made(tmp_path / "report", workers, pool, duplicates="report")
    kept = pq.read_table(pool)
    for kind in ("pair", "url"):
        dropped = manifest(made(tmp_path / kind, workers, pool, duplicates=kind), "match")["result"]["drops"]["duplicate in the pool"]
        assert found(run)[kind] == dropped > 100
    for kind, columns in (("pair", "url, caption"), ("url", "url")):
        assert found(run)[kind] == len(kept) - len(duckdb.connect().execute(f"select distinct {columns} from kept").fetchall())
    card = json.loads((run / "card" / "card.json").read_text())["repeats"]
    assert card["exact"]
    assert card["repeats"]["url"] == {"count": found(run)["url"], "error": 0}
    assert f"- by URL: {found(run)['url']:,} pairs" in (run / "card" / "card.md").read_text()
    assert manifest(run, "match")["result"]["drops"].keys() == {"matches no entry"}
    monkeypatch.setattr(repeats, "ROWS_PER_BUCKET", 100)
    with Workers(1, PRELOAD) as one:
        again = made(tmp_path / "again", one, write_as("jsonl", tmp_path / "other", some_pairs(), 5), duplicates="report")
    assert found(again) == found(run)
    assert len(manifest(again, "repeats")["pieces"]) > 4


def test_repeats_are_estimated_from_the_same_pairs_whatever_the_files(tmp_path: Path, workers: Workers) -> None:
    draw = random.Random(3)
    texts = [f"word{i % 3} {i}" for i in range(40)]
    pairs = [(f"http://a.example/{draw.randrange(4000)}.png", draw.choice(texts)) for _ in range(20_000)]
    run = made(tmp_path / "run", workers, write_as("parquet", tmp_path / "pool", pairs))
    draw.shuffle(pairs)
    other = made(tmp_path / "other", workers, write_as("csv", tmp_path / "csv", pairs, 2), duplicates="estimate")
    result = manifest(run, "repeats")["result"]
    assert manifest(other, "repeats")["result"] == result
    urls = make_uids(None, [url for url, _ in pairs])
    sampled = urls[preferences(urls[:, 0].copy(), urls[:, 1].copy()) >> np.uint64(58) == 0]
    share = 1 - len(np.unique(sampled, axis=0)) / len(sampled)
    assert result["repeats"]["url"]["count"] == round(share * len(pairs))
    for kind, distinct in (("pair", len(set(pairs))), ("url", len({url for url, _ in pairs}))):
        estimate = result["repeats"][kind]
        assert 0 < estimate["error"] < len(pairs) / 10
        assert abs(estimate["count"] - (len(pairs) - distinct)) < 4 * estimate["error"]
    assert "from a sample of 1/64" in (run / "card" / "card.html").read_text()


@pytest.mark.parametrize("name", ["a few times each", "twice or once", "as names are", "one very often", "each once"])
def test_estimates_scatter_as_their_errors_say(name: str) -> None:
    """Of keys that are there this often, samples of 1/64 are drawn: the true number is within two errors nearly always."""
    draw = np.random.default_rng(5)
    times = {
        "a few times each": draw.integers(1, 10, 60_000),
        "twice or once": draw.integers(1, 3, 200_000),
        "as names are": np.minimum(draw.zipf(2.2, 200_000), 100_000),
        "one very often": np.append(np.ones(200_000, np.int64), 90_000),
        "each once": np.ones(200_000, np.int64),
    }[name]
    pairs, repeated = int(times.sum()), int((times - 1).sum())
    within, far = 0, []
    for _ in range(300):
        some = times[draw.random(len(times)) < 1 / 64]
        estimate = estimated(pairs, int(some.sum()), len(some), int((some**2).sum()))
        within += abs(estimate.count - repeated) <= 2 * estimate.error
        far.append(abs(estimate.count - repeated))
    assert within > 0.9 * 300
    assert np.mean(far) < 0.03 * pairs


def test_a_small_pool_of_one_url_is_not_said_to_have_no_repeats() -> None:
    for times in ([3000], [1500, 1500]):
        for some in ([], times[:1], times):
            estimate = estimated(3000, sum(some), len(some), sum(number**2 for number in some))
            assert estimate.count > 2900, some
    assert estimated(150, 0, 0, 0).count == 0


def test_files_without_urls_and_pools_with_uids_are_told_of_as_they_are(tmp_path: Path, workers: Workers) -> None:
    (tmp_path / "pool").mkdir()
    urls = [f"http://a.example/{i % 4000}" for i in range(8000)]
    pq.write_table(pa.table({"url": urls, "text": ["word1"] * 8000}), tmp_path / "pool" / "a.parquet")
    pq.write_table(pa.table({"text": [f"word1 {i}" for i in range(8000)]}), tmp_path / "pool" / "b.parquet")
    exact = found(made(tmp_path / "exact", workers, tmp_path / "pool", duplicates="report"))
    assert exact == {"pair": 4000, "url": 4000}
    estimate = manifest(made(tmp_path / "run", workers, tmp_path / "pool"), "repeats")["result"]["repeats"]["url"]
    assert abs(estimate["count"] - 4000) < 4 * estimate["error"]
    uids = [f"{i % 30:032x}" for i in range(60)]
    pq.write_table(pa.table({"uid": uids, "url": ["http://a.example/"] * 60, "text": ["word1"] * 60}), tmp_path / "c.parquet")
    run = made(tmp_path / "uids", workers, tmp_path / "c.parquet", duplicates="report")
    assert found(run) == {"pair": 30, "url": 59}
    assert "by uid: 30 pairs (50.0%)" in (run / "card" / "card.md").read_text()


def test_repeats_are_those_of_the_pairs_that_steps_leave(tmp_path: Path, workers: Workers) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    long = [pair for pair in some_pairs() if len(pair[1]) >= 6]
    run = made(tmp_path / "run", workers, pool, duplicates="report", filters=Filters(min_text_length=6))
    assert found(run) == {"pair": len(long) - len(set(long)), "url": len(long) - len({url for url, _ in long})}
    assert manifest(run, "repeats")["result"]["pairs"] == len(long)


def test_pools_without_urls_have_repeats_by_pair_alone(tmp_path: Path, workers: Workers) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "a.txt").write_text("a photo\nword1\na photo\na photo\n")
    assert found(made(tmp_path / "run", workers, tmp_path / "pool", duplicates="report")) == {"pair": 2}
    pq.write_table(pa.table({"url": ["http://a.example/1"] * 2 + [None] * 2, "text": ["word1", "word2"] * 2}), tmp_path / "b.parquet")
    assert found(made(tmp_path / "b", workers, tmp_path / "b.parquet", duplicates="report")) == {"pair": 0, "url": 1}


def test_the_same_run_counts_estimates_and_does_neither(tmp_path: Path, workers: Workers) -> None:
    pool = write_as("parquet", tmp_path / "pool", some_pairs())
    clean = {kind: results(made(tmp_path / kind, workers, pool, duplicates=kind)) for kind in ("report", "estimate", "off", "pair")}
    for kind in ("off", "report", "pair", "estimate", "off"):
        run = made(tmp_path / "run", workers, pool, duplicates=kind)
        assert_same(run, clean[kind])
        assert (run / "repeats").exists() == (kind in ("report", "estimate"))
        assert "repeats" not in json.loads((run / "card" / "card.json").read_text()) or kind in ("report", "estimate")


def test_pairs_of_crawl_files_are_counted_when_they_are_matched(tmp_path: Path) -> None:
    crawl, entries = write_crawl(tmp_path / "crawl"), write_entries(tmp_path / "entries.json", ["photo", "word1", "a"])
    said = fails(2, "pool", crawl, "--duplicates", "report", "--out", tmp_path / "pool")
    assert "--duplicates report counts repeats while a pool is matched" in said
    assert not (tmp_path / "pool" / "gather").exists()
    succeeds("pool", crawl, "--out", tmp_path / "pool")
    dropped = manifest(tmp_path / "pool", "pool")["result"]["drops"]["duplicate in the pool"]
    out = succeeds("curate", crawl, "--metadata", entries, "--t", "inf", "--duplicates", "report", "--out", tmp_path / "run")
    assert found(tmp_path / "run")["pair"] == dropped > 0
    assert f"repeats     by URL and caption: {dropped:,} pairs" in out


def test_more_files_are_counted_than_a_process_may_have_open(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.npy" for number in range(300)]
    for number, path in enumerate(paths):
        write_array(path, np.array([[number // 2, 0]], np.uint64))
    write_json(tmp_path / "keys.json", {"pair": list(map(str, paths))})
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds() + 100, allowed[1]))
    try:
        job = BucketsJob(0, str(tmp_path / "keys.json"), merged=False)
        report = count_bucket(job, Bucket(0, 300), RepeatsFolder(tmp_path / "stage"), lambda _: None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
    assert report.counts == {"pair": (300, 150, 600)}
