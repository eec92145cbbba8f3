"""What is said of a threshold is what was asked for, however large or small."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from tests.tools import ENTRIES, fails, manifest, modified, results, succeeds, write_entries, write_pool

CLAIM = "keeps every matched pair (matched, not balanced)"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pool(tmp_path_factory.mktemp("threshold") / "pool")


@cache
def curated(pool: Path, t: str) -> tuple[Path, str]:
    """A run at a threshold, and what was said of it."""
    entries, run = write_entries(pool.parent / "entries.json", ENTRIES), pool.parent / f"run at {t}"
    return run, succeeds("curate", pool, "--metadata", entries, "--t", t, "--out", run)


def read_json(path: Path) -> dict[str, Any]:
    """As JSON's own standard has it, which knows neither Infinity nor NaN."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{path}: {constant} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def every_file(run: Path) -> Iterator[str]:
    for name in ("card/card.html", "card/card.md", "card/card.json", "plan/plan.json", "balance/_manifest.json", "plan/_manifest.json"):
        yield (run / name).read_text()


def test_infinity_keeps_every_matched_pair_and_is_called_what_it_is(pool: Path) -> None:
    run, said = curated(pool, "inf")
    planned = succeeds("plan", run, "--t", "inf")
    largest = int(np.load(run / "counts" / "counts.npy").max())
    assert f"t = inf, as given: {CLAIM}" in said
    assert f"t = inf as given: {CLAIM}" in planned
    for text in (said, planned, *every_file(run)):
        assert "above every count" not in text
        assert f"{largest + 1:,}" not in text
        assert f"{largest + 1}.0" not in text
    markdown, page = (run / "card" / "card.md").read_text(), (run / "card" / "card.html").read_text()
    assert f"- t = inf, as given: {CLAIM}" in markdown
    assert f"<b>inf</b><span>threshold t, as given: {CLAIM}</span>" in page
    for text in (markdown, page):
        assert "With t = inf every pair that matches an entry is kept: this set is matched, not balanced." in text
        assert "selects about t" not in text
    assert "as in the run, which kept every matched pair" in succeeds("match", "--text", "word0", "--counts", run)
    assert "t inf" in succeeds("status", run)


def test_infinity_with_one_text_of_each_image_claims_no_more_than_that(tmp_path: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps({"texts": ["word0", "word1"], "url": f"http://a.example/{n}.jpg"}) + "\n" for n in range(20)))
    entries, run = write_entries(tmp_path / "entries.json", ENTRIES), tmp_path / "run"
    options = ("--t", "inf", "--texts", "one-per-image")
    said = succeeds("curate", pool, "--metadata", entries, *options, "--out", run)
    assert manifest(run, "balance")["result"]["kept"] == 20
    planned, shown = " ".join(succeeds("plan", run, *options).split()), succeeds("match", "--text", "word0", "--counts", run)
    claim = "keeps one matched caption of every image (matched, not balanced)"
    assert f"t = inf, as given: {claim}" in said
    assert f"t = inf as given: {claim}" in planned
    assert "as in the run, which kept one matched caption of every image" in shown
    assert "With t = inf of every image one caption that matches an entry is kept" in (run / "card" / "card.md").read_text()
    for text in (said, planned, shown, *every_file(run)):
        assert "every matched pair" not in text
        assert "every pair that matches" not in text


def test_json_holds_an_infinite_threshold_as_text(pool: Path) -> None:
    run, _ = curated(pool, "inf")
    plan = json.loads(succeeds("plan", run, "--t", "inf", "--json"), parse_constant=pytest.fail)
    assert plan == read_json(run / "plan" / "plan.json")
    assert plan["t"] == plan["rows"][-1]["t"] == "inf"
    card = read_json(run / "card" / "card.json")
    assert card["t"] == card["plan"][-1]["t"] == "inf"
    assert [row["ours"] for row in card["comparisons"] if row["what"] == "t"] == ["inf"]
    assert read_json(run / "balance" / "_manifest.json")["options"]["t"] == "inf"
    assert read_json(run / "plan" / "_manifest.json")["result"]["t"] == "inf"


def test_an_infinite_threshold_gives_what_one_above_every_count_gives(pool: Path) -> None:
    run, _ = curated(pool, "inf")
    other, _ = curated(pool, str(int(np.load(run / "counts" / "counts.npy").max()) + 1))
    assert results(run) == results(other)
    assert manifest(run, "balance")["result"] | {"t": 0} == manifest(other, "balance")["result"] | {"t": 0}


def test_a_finished_run_at_infinity_is_not_done_again(pool: Path) -> None:
    run, _ = curated(pool, "inf")
    stages = ("match", "counts", "balance", "curated", "card")
    before = modified(run, *stages)
    succeeds("balance", run, "--t", "inf")
    succeeds("card", run)
    assert modified(run, *stages) == before


@pytest.mark.parametrize(("t", "shown"), [("1e16", "1e+16"), ("1.7e308", "1.7e+308")])
def test_a_huge_threshold_is_shown_short_everywhere(pool: Path, t: str, shown: str) -> None:
    run, said = curated(pool, t)
    assert f"t = {shown}, as given" in said
    assert shown in succeeds("plan", run, "--t", t)
    for name in ("card.md", "card.html"):
        text = (run / "card" / name).read_text()
        assert f"fewer than t = {shown} matches" in text
        assert "0,000,000,000" not in text
        assert "T</b>" not in text
    assert read_json(run / "card" / "card.json")["t"] == float(t)
    assert results(run) == results(curated(pool, "inf")[0])


def test_the_same_threshold_for_another_reason_gives_the_same_set_and_says_the_new_reason(pool: Path) -> None:
    entries, run = write_entries(pool.parent / "entries.json", ENTRIES), pool.parent / "two reasons"
    arguments = ("curate", pool, "--metadata", entries, "--out", run)
    assert "for a tail share of 0.1" in succeeds(*arguments, "--tail-share", "0.1")
    t, before = manifest(run, "balance")["options"]["t"], results(run)
    assert f"t = {t:,.6g}, as given" in succeeds(*arguments, "--t", t)
    assert f"- t = {t:,.6g}, as given" in (run / "card" / "card.md").read_text()
    assert results(run) == before


def test_a_threshold_below_one_is_shown_as_it_is(pool: Path) -> None:
    run, said = curated(pool, "0.25")
    assert "t = 0.25, as given" in said
    assert "t = 0.25 as given" in succeeds("plan", run, "--t", "0.25")
    assert "- t = 0.25, as given" in (run / "card" / "card.md").read_text()
    assert read_json(run / "plan" / "plan.json")["rows"][0]["t"] == 0.25
    assert math.isclose(
        read_json(run / "card" / "card.json")["expected"], read_json(run / "plan" / "plan.json")["rows"][0]["expected_size"]
    )


def test_a_threshold_that_keeps_nothing_says_so(pool: Path) -> None:
    entries = write_entries(pool.parent / "entries.json", ENTRIES)
    said = fails(1, "curate", pool, "--metadata", entries, "--t", "1e-300", "--out", pool.parent / "nothing")
    assert "no pair was kept at t = 1e-300" in said
    assert "1e-300" in succeeds("plan", pool.parent / "nothing", "--t", "1e-300")
