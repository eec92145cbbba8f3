"""The commands as people type them: what they print, which code they exit with, and what they refuse before anything starts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tests.stages.conftest import Example
from tests.tools import (
    PATIENCE,
    assert_calm,
    assert_gone,
    assert_same,
    environment,
    eventually,
    fails,
    family,
    kept_uids,
    started,
    succeeds,
    tallyclip,
    write_entries,
    write_parquet,
)


def test_help_is_quick_for_it_loads_none_of_the_heavy_libraries() -> None:
    command = "import sys; sys.argv = ['tallyclip', '--help']\nfrom tallyclip.cli import main\n"
    command += (
        "try: main()\nexcept SystemExit: print(sorted({'matplotlib', 'jinja2', 'numba', 'numpy', 'pyarrow', 'fsspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_told() -> None:
    assert succeeds("--version") == f"tallyclip {tc.__version__}\n"


def test_the_module_is_the_command(example: Example, tmp_path: Path) -> None:
    def module(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "tallyclip", *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert module("--version").stdout == succeeds("--version")
    done = module(*example.arguments, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert_calm(done.stderr)
    assert_same(tmp_path / "run", example.results)
    done = module("status", tmp_path / "nowhere")
    assert (done.returncode, done.stderr) == (2, fails(2, "status", tmp_path / "nowhere"))


BAD_OPTIONS = [
    (("--t", "0"), "t must be a number above 0"),
    (("--t", "-1"), "t must be a number above 0"),
    (("--t", "nan"), "t must be a number above 0"),
    (("--size", "0"), "a size of 0"),
    (("--size", "nan"), "a size of nan"),
    (("--size", "many"), "--size many is not a number of pairs"),
    (("--tail-share", "1.5"), "a tail share of 1.5"),
    (("--tail-share", "nan"), "a tail share of nan"),
    (("--t", "5", "--size", "5"), "--t and --size each choose the threshold"),
    (("--seed", "-1"), "a seed of -1 is out of range"),
    (("--seed", str(2**64)), "out of range"),
    (("--mode", "fuzzy"), "fuzzy"),
    (("--texts", "all"), "all"),
    (("--workers", "0"), "--workers"),
    (("--caption-column", "story"), "no column 'story' for --caption-column"),
    (("--metadata", "nowhere.json"), "no entry list at nowhere.json"),
    (("--no-such-option",), "no-such-option"),
]


@pytest.mark.parametrize(("options", "said"), BAD_OPTIONS, ids=[" ".join(options) for options, _ in BAD_OPTIONS])
def test_what_cannot_be_is_refused_before_anything_starts(example: Example, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    pool, run = example.pool / "apple.parquet", tmp_path / "run"
    arguments = ("curate", pool, *options, "--out", run)
    if "--metadata" not in options:
        arguments = (*arguments, "--metadata", example.entries)
    assert said in " ".join(fails(2, *arguments, cwd=tmp_path).split())
    assert not run.exists()


BAD_LISTS = [
    ("[]", "empty"),
    ('["dog", "cat", "dog"]', "'dog'"),
    ('["dog", ""]', "empty"),
    ('["dog", 5]', "string"),
    ('{"dog": 1}', "list"),
    ("[", "JSON"),
    ('["dog", "\\ud800"]', "entry 1 is not Unicode text"),
]


@pytest.mark.parametrize(("content", "said"), BAD_LISTS)
def test_an_entry_list_that_is_none_is_refused_with_its_name(example: Example, tmp_path: Path, content: str, said: str) -> None:
    entries = tmp_path / "entries.json"
    entries.write_text(content)
    error = fails(2, "curate", example.pool, "--metadata", entries, "--out", tmp_path / "run")
    assert str(entries) in error or "the entry list" in error
    assert said in error
    assert not (tmp_path / "run").exists()


def test_a_list_with_repeats_is_taken_when_it_is_to_be_cleaned(example: Example, tmp_path: Path) -> None:
    entries = tmp_path / "entries.json"
    entries.write_text('["word0", "", "word0", "word1"]')
    assert "--clean-metadata" in fails(2, "match", example.pool, "--metadata", entries, "--out", tmp_path / "run")
    succeeds("match", example.pool, "--metadata", entries, "--clean-metadata", "--out", tmp_path / "run")
    assert "entries 2" in succeeds("status", tmp_path / "run")


def test_a_pool_without_pairs_is_said_to_have_none(tmp_path: Path) -> None:
    pool = write_parquet(tmp_path / "pool.parquet", {"url": ["a"], "caption": ["dog"]})
    pq.write_table(pq.read_table(pool).slice(0, 0), pool)
    arguments = ("--metadata", write_entries(tmp_path / "entries.json"), "--out", tmp_path / "run")
    assert "the pool has no records" in fails(1, "curate", pool, *arguments)
    write_parquet(tmp_path / "nulls.parquet", {"url": ["a", "b"], "caption": pa.nulls(2, pa.string())})
    error = fails(1, "curate", pool, tmp_path / "nulls.parquet", *arguments)
    assert "the pool has no captions: its 2 records were dropped (2 no caption)" in error
    assert "Hint: check the pool and the caption column" in error
    assert not (tmp_path / "run" / "curated").exists()


def test_a_pool_in_which_nothing_matches_ends_with_a_word_on_why(tmp_path: Path) -> None:
    pool = write_parquet(tmp_path / "pool.parquet", {"url": ["a", "b"], "caption": ["Straße", "перевал"]})
    error = fails(1, "curate", pool, "--metadata", write_entries(tmp_path / "entries.json"), "--out", tmp_path / "run")
    assert "none of the pool's 2 captions match an entry" in error
    assert not (tmp_path / "run" / "curated").exists()


def test_a_size_beyond_the_pool_says_how_many_there_are(example: Example, tmp_path: Path) -> None:
    error = fails(2, "curate", example.pool, "--metadata", example.entries, "--size", "1_000_000", "--out", tmp_path / "run")
    assert "1,000,000" in error
    assert "Hint" in error
    assert not (tmp_path / "run" / "curated").exists()


def test_a_size_is_met_within_five_standard_deviations(example: Example, tmp_path: Path) -> None:
    succeeds("curate", example.pool, "--metadata", example.entries, "--size", "700", "--out", tmp_path / "run")
    keep = pq.read_table(tmp_path / "run" / "probabilities")["keep_probability"].to_numpy()
    assert keep.sum() == pytest.approx(700, abs=0.5)
    assert abs(len(kept_uids(tmp_path / "run")) - 700) <= 5 * np.sqrt((keep * (1 - keep)).sum())


def test_the_steps_one_by_one_come_to_what_curate_does(example: Example, tmp_path: Path) -> None:
    run = tmp_path / "run"
    succeeds("match", example.pool, "--metadata", example.entries, "--out", run)
    succeeds("count", run)
    assert "t = 20 as given" in succeeds("plan", run, "--t", "20")
    succeeds("balance", run, "--t", "20")
    assert "card.html" in succeeds("card", run)
    assert_same(run, example.results)


def test_plan_is_for_programs_too(example: Example) -> None:
    plan = json.loads(succeeds("plan", example.run, "--t", "20", "--json"))
    assert plan["t"] == 20
    row = next(row for row in plan["rows"] if row["t"] == 20)
    keep = pq.read_table(example.run / "probabilities")["keep_probability"].to_numpy()
    assert row["expected_size"] == pytest.approx(keep.sum())
    counts = np.array(list(json.loads((example.run / "entry_counts.json").read_text()).values()))
    assert row["tail_share"] == tc.tail_share(counts, 20)


def test_status_is_for_programs_too(example: Example) -> None:
    status = json.loads(succeeds("status", example.run, "--json"))
    assert [stage["state"] for stage in status["stages"]] == ["done"] * 7
    tree = succeeds("status", example.run)
    assert all(stage["stage"] in tree for stage in status["stages"])
    assert "kept" in tree


def test_a_dry_run_writes_nothing_and_says_what_to_expect(example: Example, tmp_path: Path) -> None:
    said = succeeds("curate", example.pool, "--metadata", example.entries, "--dry-run", "--out", tmp_path / "run")
    for word in ("pairs", "time", "disk", "memory"):
        assert word in said
    assert list(tmp_path.iterdir()) == []
    everything = write_parquet(tmp_path / "a.parquet", {"url": [str(i) for i in range(500)], "caption": ["word0 word1"] * 500})
    said = succeeds("curate", everything, "--metadata", example.entries, "--dry-run", "--out", tmp_path / "run")
    assert "500 records in 1 shard" in said
    assert "about 500; about 500 match an entry, 2.0 matches each" in said


def test_a_text_is_told_which_entries_it_names_and_its_odds(example: Example) -> None:
    text = "word0 in New York"
    plain = succeeds("match", "--text", text, "--metadata", example.entries)
    assert [line.split(maxsplit=1)[1].strip() for line in plain.splitlines()[1:]] == ["word0", "New York"]
    said = succeeds("match", "--text", text, "--counts", example.run)
    counts = json.loads((example.run / "entry_counts.json").read_text())
    p = [min(1.0, 20 / max(1, counts[entry])) for entry in ("word0", "New York")]
    assert f"{counts['word0']:,}" in said
    assert f"kept with probability {1 - (1 - p[0]) * (1 - p[1]):.6g}" in said
    assert "matches no entry" in succeeds("match", "--text", "IMG_0042", "--metadata", example.entries)


def test_a_text_that_names_nothing_is_told_why(example: Example) -> None:
    for text, *said in (
        ("IMG_0042", "not in the entry list: 'IMG_0042'"),
        ("WORD0", "'word0': other case: the caption has 'WORD0' (--mode casefold matches it)"),
        ("(word0) hot-dog", "'word0': other marks: the caption has '(word0)'", "'hot dog': other marks: the caption has 'hot-dog'"),
        ("St. Louis", "'St. Louis': the entry has a mark next to another character", "--mode spaced-entries matches it"),
    ):
        found = " ".join(succeeds("match", "--text", text, "--metadata", example.entries).split())
        assert all(one in found for one in ("matches no entry", *said)), found
    found = json.loads(succeeds("match", "--text", "WORD0 word1", "--counts", example.run, "--json"))
    assert [entry["entry"] for entry in found["entries"]] == ["word1"]
    assert [(miss["entry"], miss["mode"]) for miss in found["near_misses"]] == [("word0", "casefold")]
    assert found["keep_probability"] == pytest.approx(found["entries"][0]["entry_probability"])
    assert found["t"] == 20


def test_entries_that_look_like_markup_are_printed_as_they_are(tmp_path: Path) -> None:
    entries = write_entries(tmp_path / "entries.json", ["[bold]", "[/]", ":dog:", "dog"])
    assert "[bold]" in succeeds("match", "--text", "a [bold] and [/] dog", "--metadata", entries)
    pool = write_parquet(tmp_path / "pool.parquet", {"url": ["a", "b"], "caption": ["[bold] [/] dog", "[/]"]})
    said = succeeds("curate", pool, "--metadata", entries, "--t", "inf", "--out", tmp_path / "[run]")
    assert "'[/]' 2 → 2, '[bold]' 1 → 1" in said
    assert "[run]/curated" in said
    info = succeeds("metadata", "info", entries)
    assert "':dog:'" in info


def test_the_bundled_list_is_described() -> None:
    said = succeeds("metadata", "info", "wordnet")
    assert "86,654" in said
    assert tc.Metadata.wordnet().fingerprint in said


def test_the_odds_are_those_of_the_runs_own_list_and_mode(example: Example) -> None:
    for options in (("--metadata", example.entries), ("--mode", "casefold")):
        assert "--counts takes the entry list and the mode from its run" in fails(
            2, "match", "--text", "a", "--counts", example.run, *options
        )


def test_a_dry_run_refuses_what_a_run_would(example: Example, tmp_path: Path) -> None:
    for options in (("--seed", "-1"), ("--t", "0"), ("--metadata", "nowhere.json")):
        fails(2, "curate", example.pool, "--dry-run", *options, "--out", tmp_path / "run")


def test_match_wants_a_pool_or_a_text(tmp_path: Path) -> None:
    assert "give a POOL and --out RUN, or --text" in fails(2, "match")
    assert "takes no POOL or --out" in fails(2, "match", "pool.parquet", "--text", "dog")
    assert "is not a run folder" in fails(2, "match", "--text", "dog", "--counts", tmp_path)


@pytest.mark.parametrize("command", ["count", "plan", "balance", "card", "status"])
def test_where_there_is_no_run_it_is_said(tmp_path: Path, command: str) -> None:
    assert "is not a run folder" in fails(2, command, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_ctrl_c_stops_all_of_it_and_the_same_command_goes_on(example: Example, tmp_path: Path) -> None:
    arguments = (*example.arguments, "--out", tmp_path / "run")
    process = started(*arguments)
    eventually(lambda: list((tmp_path / "run").glob(".work/match-*")), "matching")
    workers = family(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all processes of the command
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Interrupted" in said
    assert_calm(said)
    assert_gone(workers)
    assert not (tmp_path / "run" / "curated").exists()
    succeeds(*arguments)
    assert_same(tmp_path / "run", example.results)


def test_a_reader_that_leaves_does_not_make_a_mess(example: Example) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nowhere:
        process = started("status", example.run, stdout=nowhere)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert said == ""


def test_progress_is_shown_beside_the_results_not_among_them(example: Example, tmp_path: Path) -> None:
    done = tallyclip(*example.arguments, "--out", tmp_path / "run", env=environment(COLUMNS="100"))
    assert done.stdout.splitlines()[0].startswith("pool ")
    assert len(done.stdout.splitlines()) == 11
    for stage in ("metadata", "match", "repeats", "counts", "plan", "balance", "card"):
        assert f"✓ {stage}" in done.stderr


def test_every_command_gives_its_result_to_programs(example: Example, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def result(*arguments: object) -> dict[str, Any]:
        return json.loads(succeeds(*arguments, "--json"))

    estimate = result("curate", example.pool, "--metadata", example.entries, "--dry-run", "--out", run)
    assert estimate["pairs"] > 0
    assert estimate["columns"] == {"caption": "caption", "url": "url"}
    assert result("match", example.pool, "--metadata", example.entries, "--out", run)["stages"]["match"]["texts"] == 2400
    assert result("count", run)["stages"]["counts"]["entries"] == len(json.loads(example.entries.read_text()))
    assert "curated" not in result("count", run)["files"]
    assert result("balance", run, "--t", "inf")["stages"]["balance"]["t"] == "inf"
    assert result("balance", run, "--t", 20)["stages"]["balance"]["kept"] == len(pq.read_table(run / "curated"))
    found = result("card", run)
    whole = result(*example.arguments, "--out", run)
    assert whole["stages"].pop("plan")["t"] == 20  # which balance with a --t of its own does without
    assert found == whole
    assert found["run"] == str(run.resolve())
    assert all(Path(path).is_absolute() and Path(path).exists() for path in found["files"].values())
    assert {"curated", "uids", "card", "entry_counts"} <= found["files"].keys()
    uids = result("export", "uids", run, "--out", tmp_path / "exports")
    assert uids["folder"] == str((tmp_path / "exports").resolve())
    assert uids["result"]["uids"] == len(kept_uids(run))
    info = result("metadata", "info", example.entries)
    assert (info["entries"], info["fingerprint"]) == (204, tc.Metadata.load(str(example.entries)).fingerprint)
    assert sum(info["words"].values()) == 204
    assert sum(info["unmatchable"].values()) == 1
    merged = result("metadata", "merge", example.entries, example.entries, "--out", tmp_path / "merged.json")
    assert (merged["entries"], [one["new"] for one in merged["of"]]) == (204, [204, 0])


def test_quiet_shows_no_progress_and_verbose_names_shards_and_the_log_has_all_of_it(example: Example, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = tallyclip(*example.arguments, "--out", run, "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    assert "Error: " in fails(2, "balance", run, "--t", 0, "--quiet")
    assert "give one of the two" in fails(2, "balance", run, "-q", "-v")
    said = tallyclip("balance", run, "--t", 30, "-v").stderr
    assert all(f"balance: shard {key} done" in said for key in ("apple", "berry"))
    log = (run / "log.txt").read_text().splitlines()
    assert [line.split()[1] for line in log if line.split()[1] in ("begin", "end")] == ["begin", "end"] * 3
    assert all("apple done" in text for text in (said, "\n".join(log)))
    for stage in ("metadata", "match", "counts", "plan", "balance", "card"):
        assert any(line.split()[1] == stage and " finished: " in line for line in log)
    assert any(line.endswith("started, 1 shard of which 0 are done") for line in log)
    begun = [line for line in log if line.split()[1] == "begin"]
    assert [line.split(str(run))[1].strip() for line in begun[1:]] == ["--t 0", "--t 30"]
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert len(events) == len(log)
    assert all(line.endswith(event["what"]) and line.startswith(event["time"][:19]) for line, event in zip(log, events, strict=True))
    assert [event["what"] for event in events if event["event"] == "begin"][1:] == [line.split("begin")[1].strip() for line in begun[1:]]
    assert [event["what"].partition(": ")[0] for event in events if event["event"] == "end"] == ["done", "error", "done"]
    assert {(event["stage"], event["shard"]) for event in events if event["event"] == "shard_done"} >= {
        ("match", "apple"),
        ("balance", "apple"),
    }
    assert {event["stage"] for event in events if event["event"] == "result"} >= {"metadata", "match", "counts", "plan", "balance", "card"}
    (started,) = [event for event in events if (event["event"], event.get("stage")) == ("stage", "match")]
    assert (started["shards"], started["shards_done"], started["rows"], started["unit"]) == (5, 0, 2400, "rows")
    assert {(event["host"], event["pid"] > 0) for event in events} == {(socket.gethostname(), True)}


def test_the_log_says_how_a_command_ended(example: Example, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fails(1, "curate", write_parquet(tmp_path / "none.parquet", {"caption": ["x"]}), "--metadata", example.entries, "--out", run)
    assert "error: none of the pool's 1 captions match an entry" in (run / "log.txt").read_text().splitlines()[-1]


def test_the_demo_ends_with_few_lines_and_the_card_and_leaves_nothing_that_it_does_not_name(tmp_path: Path) -> None:
    said = succeeds("demo", "--out", "demo", cwd=tmp_path)
    assert len(said.splitlines()) == 12
    assert {path.name for path in tmp_path.iterdir()} == {"demo", "demo-pool"}
    assert "demo-pool/*.parquet" in said
    card = tmp_path / said.splitlines()[-1].removeprefix("data card").strip()
    assert card.read_text().startswith("<!")
    assert sum(pq.read_metadata(path).num_rows for path in (tmp_path / "demo" / "curated").glob("*.parquet")) > 30_000


def test_modules_in_the_current_folder_are_not_taken_for_those_of_python(example: Example, tmp_path: Path) -> None:
    for name in ("random", "json", "numpy", "tempfile"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('somebody else')\n")
    arguments = ("--metadata", example.entries, "--t", 20, "--workers", 2, "--out", tmp_path / "run")
    succeeds("curate", example.pool, *arguments, cwd=tmp_path)
    assert_same(tmp_path / "run", example.results)
