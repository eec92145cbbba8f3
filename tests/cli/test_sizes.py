"""Sets of exactly a size, small pools, and what `plan`, `balance` and `status` say of each other."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tests.tools import ENTRIES, addresses, captions, fails, kept_uids, manifest, succeeds, write_entries

REPEATED = 200  # pairs that are in both files
SIZES = (1, 7, 100, 400, 800)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over two files with pairs in common, matched and counted."""
    folder = tmp_path_factory.mktemp("sizes")
    pairs = [json.dumps({"url": url, "caption": text}) for url, text in zip(addresses(1000, "a"), captions(1000, 1), strict=True)]
    (folder / "a.jsonl").write_text("\n".join(pairs[:600]) + "\n")
    (folder / "b.jsonl").write_text("\n".join(pairs[600 - REPEATED :]) + "\n")
    entries = write_entries(folder / "entries.json", ENTRIES)
    run = tc.match_pool([folder / "a.jsonl", folder / "b.jsonl"], out=folder / "run", metadata=entries, workers=1)
    tc.count(run)
    return run.path


def uids(run: Path) -> set[tuple[int, int]]:
    return {(int(high), int(low)) for high, low in kept_uids(run).tolist()}


def flat(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def test_exactly_so_many_distinct_pairs_are_kept_and_sets_are_nested(counted: Path) -> None:
    sets, repeated = [], 0
    for size in SIZES:
        tc.balance(counted, size=size, exactly=True, seed=7, workers=1)
        result = manifest(counted, "balance")["result"]
        assert len(kept_uids(counted)) == result["unique_uids"] == size
        rows = sum(pq.read_metadata(path).num_rows for path in (counted / "curated").iterdir())
        assert rows == result["kept"] == size + result["repeated_uids"]
        repeated += result["repeated_uids"]
        sets.append(uids(counted))
        assert not (counted / "plan" / "thresholds").exists()
    assert repeated > 0
    assert all(smaller < larger for smaller, larger in pairwise(sets))
    t = manifest(counted, "balance")["options"]["t"]
    tc.balance(counted, t=t, seed=7, workers=1)  # the ordinary draw, and the smallest t at which it keeps so many
    assert uids(counted) == sets[-1]
    tc.balance(counted, t=math.nextafter(t, 0), seed=7, workers=1)
    assert len(uids(counted)) == SIZES[-1] - 1


def test_pairs_of_the_tail_are_all_in_a_set_of_an_exact_size(counted: Path) -> None:
    tc.balance(counted, size=700, exactly=True, workers=1)
    t = manifest(counted, "balance")["options"]["t"]
    before, after = (json.loads((counted / name).read_text()) for name in ("entry_counts.json", "entry_counts_curated.json"))
    tail = [entry for entry, count in before.items() if 0 < count < t]
    assert tail
    assert all(after[entry] == before[entry] for entry in tail)


def test_one_caption_of_each_image_can_be_kept_exactly_too(tmp_path: Path) -> None:
    texts = captions(600, 3)
    pool, entries = tmp_path / "pool.jsonl", write_entries(tmp_path / "entries.json", ENTRIES)
    lines = ({"url": f"http://a.example/{n}.jpg", "texts": texts[2 * n : 2 * n + 2]} for n in range(300))
    pool.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = tc.curate(pool, out=tmp_path / "run", metadata=entries, size=100, exactly=True, texts="one-per-image", workers=1)
    assert len(kept_uids(run.path)) == 100


def test_more_than_can_be_kept_is_refused_with_the_most_that_can(counted: Path) -> None:
    tc.balance(counted, t=math.inf, workers=1)
    most = len(kept_uids(counted))
    assert most < manifest(counted, "balance")["result"]["kept"]
    said = fails(2, "plan", counted, "--size", most + 1, "--exactly")
    assert f"a size of exactly {most + 1:,} is more than the {most:,} distinct pairs that match an entry" in said
    tc.balance(counted, size=most, exactly=True, workers=1)
    assert len(kept_uids(counted)) == most


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--exactly",), "give --size PAIRS --exactly"),
        (("--t", "3", "--exactly"), "give --size PAIRS --exactly"),
        (("--size", "10.5", "--exactly"), "is not a whole number of pairs"),
        (("--size", "inf", "--exactly"), "is not a whole number of pairs"),
    ],
)
def test_exactly_needs_a_whole_size(counted: Path, options: tuple[str, ...], said: str) -> None:
    assert said in fails(2, "balance", counted, *options)


def test_balance_does_what_was_planned_and_says_so(counted: Path) -> None:
    tc.plan(counted, size=300, exactly=True, workers=1)
    run = tc.balance(counted, workers=1)
    assert len(kept_uids(counted)) == 300
    assert manifest(counted, "balance")["command"][:5] == ["balance", str(counted), "--size", "300", "--exactly"]
    tc.plan(counted, t=5, workers=1)
    tc.balance(counted, size=200, workers=1)  # what is asked for counts
    assert run.plan.why == "for an expected size of 200 pairs"


def test_status_tells_a_plan_from_what_was_drawn_and_what_to_do_next(counted: Path) -> None:
    tc.balance(counted, t=9, seed=3, workers=1)
    tc.plan(counted, t=20, workers=1)
    shown = succeeds("status", counted)
    assert "the set was drawn at t = 9; 'tallyclip balance' draws what is planned here" in flat(shown)
    assert "t 9 · seed 3" in flat(shown)
    assert shown.splitlines()[-1] == f"next  tallyclip card {counted}"
    assert tc.status(counted).card is None
    tc.card(counted)
    status = json.loads(succeeds("status", counted, "--json"))
    assert (status["next"], status["card"]) == (None, str(counted / "card" / "card.html"))
    tc.balance(counted, workers=1)
    assert "the set was drawn" not in succeeds("status", counted)


def test_the_card_of_a_run_half_made_says_what_is_missing_first(tmp_path: Path, counted: Path) -> None:
    run = tc.match_pool(counted.parent / "a.jsonl", out=tmp_path / "run", metadata=counted.parent / "entries.json", workers=1).path
    assert f"Hint: run 'tallyclip count {run}' first" in fails(1, "card", run)
    assert tc.status(run).next == f"tallyclip count {run}"
    tc.count(run)
    assert f"Hint: run 'tallyclip balance {run}' first" in fails(1, "card", run)
    assert not (run / "card").exists()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A pool in which every third match is the only one of its entry, and its entries."""
    folder = tmp_path_factory.mktemp("small")
    texts = [f"word{n % 4} rare{n}" if n % 2 else f"word{n % 4}" for n in range(400)]
    pool, entries = folder / "pool.jsonl", folder / "entries.json"
    pool.write_text("".join(json.dumps({"url": f"http://a.example/{n}", "caption": text}) + "\n" for n, text in enumerate(texts)))
    entries.write_text(json.dumps([*(f"word{n}" for n in range(4)), *(f"rare{n}" for n in range(400))]))
    return pool, entries


def lost(run: Path) -> tuple[int, int]:
    """How many matched entries have no pair left, and how many matched entries there are, from the files of a run."""
    before, after = (json.loads((run / name).read_text()) for name in ("entry_counts.json", "entry_counts_curated.json"))
    matched = [entry for entry, count in before.items() if count]
    return sum(not after.get(entry) for entry in matched), len(matched)


@pytest.mark.parametrize("options", [("--t", "0.5"), ("--size", "60"), ("--size", "60", "--exactly")])
def test_a_threshold_without_a_tail_is_warned_of_everywhere(small: tuple[Path, Path], tmp_path: Path, options: tuple[str, ...]) -> None:
    run = tmp_path / "run"
    said = succeeds("curate", small[0], "--metadata", small[1], *options, "--out", run, "--workers", 1)
    t = float(np.float64(manifest(run, "balance")["options"]["t"]))
    assert t < 1
    gone, matched = lost(run)
    assert gone > 0
    warning = f"at t = {t:,.6g} no entry is in the tail (tail share 0): {gone:,} of the {matched:,} matched entries lose all their pairs"
    page, markdown = ((run / "card" / name).read_text() for name in ("card.html", "card.md"))
    assert page.index(warning) < page.index('<div class="tiles">')
    planned, shown = (flat(succeeds(*command)) for command in (("plan", run, *options), ("status", run)))
    for text in (said, planned, shown, markdown, (run / "plan" / "plan.json").read_text()):
        assert warning in text
    for text in (page, markdown):
        assert "keeps all its pairs" not in text
        assert "No entry has fewer than t" in text


def test_a_tail_share_that_a_small_pool_cannot_have_is_said_with_the_one_it_has(small: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = succeeds("curate", small[0], "--metadata", small[1], "--out", run, "--workers", 1)
    gone, matched = lost(run)
    before = json.loads((run / "entry_counts.json").read_text())
    t = manifest(run, "balance")["options"]["t"]
    assert t == sorted({count for count in before.values() if count})[1]
    assert gone == 0
    share = sum(count for count in before.values() if count < t) / sum(before.values())
    least = f"the smallest possible is {share:.3g}, at t = {t:g}"
    warning = f"too small for a tail share of 0.06: {least}; each of the {matched:,} matched entries keeps a pair or more"
    for text in (said, flat(succeeds("plan", run)), flat(succeeds("status", run)), (run / "card" / "card.html").read_text()):
        assert warning in text
    assert "keeps all its pairs" in (run / "card" / "card.md").read_text()


def test_a_pool_with_a_tail_is_not_warned_of(counted: Path) -> None:
    assert tc.plan(counted, t=20, workers=1).plan.warning is None
    assert tc.plan(counted, t=math.inf, workers=1).plan.warning is None


def test_the_card_counts_the_entries_of_the_head_that_have_fewer_pairs(small: tuple[Path, Path], tmp_path: Path) -> None:
    run = tc.curate(small[0], out=tmp_path / "run", metadata=small[1], t=100, workers=1).path
    before, after = (json.loads((run / name).read_text()) for name in ("entry_counts.json", "entry_counts_curated.json"))
    fewer = sum(after.get(entry, 0) < count for entry, count in before.items())
    head = sum(count >= 100 for count in before.values())
    card = json.loads((run / "card" / "card.json").read_text())
    assert (card["entry_changes"]["downsampled_count"], card["head_entries"], card["entry_changes"]["lost_count"]) == (fewer, head, 0)
    assert fewer < head  # of count t, all pairs are kept
    assert f"Of {head} head entries" in (run / "card" / "card.html").read_text()
