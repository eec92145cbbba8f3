"""One run folder through other options, other files and other hands: what is kept, what is made again, what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tallyclip.errors import ArtifactError, IncompleteError, StaleError
from tallyclip.run.workspace import Workspace
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN
from tests.stages.conftest import Example, Stages
from tests.tools import (
    ENTRIES,
    RESULTS,
    addresses,
    assert_same,
    captions,
    fails,
    kept_uids,
    leftovers,
    manifest,
    modified,
    results,
    succeeds,
    write_entries,
    write_parquet,
)

STAGES = [stage.name for stage in RUN.stages if not stage.optional]


@pytest.fixture
def run(example: Example, tmp_path: Path) -> Path:
    """A copy of the example's run, whole."""
    shutil.copytree(example.run, tmp_path / "run")
    return tmp_path / "run"


# Workers, order and cut.


def test_one_worker_or_four_in_any_order_of_the_files_give_the_same_bytes(example: Example, tmp_path: Path) -> None:
    files = sorted(example.pool.iterdir(), reverse=True)
    for workers, order in ((1, files), (4, files[2:] + files[:2])):
        run = tmp_path / str(workers)
        succeeds("curate", *order, "--metadata", example.entries, "--t", 20, "--workers", workers, "--out", run)
        assert_same(run, example.results)


def test_the_same_pairs_cut_into_other_files_and_row_groups_are_kept_and_counted_the_same(tmp_path: Path, stages: Stages) -> None:
    columns = {"url": addresses(1500, "whole"), "caption": captions(1500, 3)}
    whole = write_parquet(tmp_path / "whole.parquet", columns, rows_per_group=700)
    (tmp_path / "cut").mkdir()
    order = np.random.default_rng(0).permutation(1500)
    for number, rows in enumerate(np.array_split(order, 4)):
        part = {name: [values[row] for row in rows] for name, values in columns.items()}
        write_parquet(tmp_path / "cut" / f"{number}.parquet", part, rows_per_group=50 + 100 * number)
    one = stages.run(tmp_path / "one", whole)
    other = stages.run(tmp_path / "other", tmp_path / "cut")
    assert len(kept_uids(tmp_path / "one")) > 300
    for name in ("uids.npy", "entry_counts.json", "entry_counts_curated.json"):
        assert one[name] == other[name]


# Other options on the same run.


def test_the_same_command_again_makes_nothing_again(example: Example, run: Path) -> None:
    before = modified(run, *STAGES, *RESULTS)
    succeeds(*example.arguments, "--out", run)
    assert modified(run, *STAGES, *RESULTS) == before


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"seed": 5}, ("metadata", "match", "counts", "entry_counts.json", "plan")),
        ({"aim": Aim(t=7.0)}, ("metadata", "match", "counts", "entry_counts.json")),
        ({"policy": "one-per-image"}, ("metadata", "match", "counts", "entry_counts.json")),
        ({"mode": "spaced-entries"}, ()),
    ],
    ids=["seed", "t", "texts", "mode"],
)
def test_other_options_make_again_what_they_change_and_nothing_before(
    example: Example, run: Path, stages: Stages, tmp_path: Path, options: dict, kept: tuple[str, ...]
) -> None:
    before = modified(run, *STAGES, *RESULTS)
    stages.run(run, example.pool, pictures=True, **options)
    after = modified(run, *STAGES, *RESULTS)
    same = {path for path in before if before[path] == after[path]}
    assert same == (set(modified(run, *kept)) if kept else set())
    assert_same(run, stages.run(tmp_path / "clean", example.pool, **options))
    assert results(run) != example.results or "policy" in options  # of one text an image, one is the one


def test_another_entry_list_makes_everything_again(example: Example, run: Path, stages: Stages, tmp_path: Path) -> None:
    other = Stages(stages.workers, write_entries(tmp_path / "other.json", ENTRIES[:50]))
    other.run(run, example.pool, pictures=True)
    assert_same(run, other.run(tmp_path / "clean", example.pool))
    assert_same(run, other.run(run, example.pool))
    stages.run(run, example.pool, pictures=True)
    assert_same(run, example.results)


def test_options_can_be_changed_to_and_fro(example: Example, run: Path, stages: Stages) -> None:
    for seed in (1, 2, 0):
        stages.run(run, example.pool, seed=seed, pictures=True)
    assert_same(run, example.results)
    assert manifest(run, "card")["inputs"]["balance"] == manifest(run, "balance")["fingerprint"]


def test_a_set_too_small_to_keep_any_pair_leaves_what_was_there(example: Example, run: Path, stages: Stages) -> None:
    with pytest.raises(IncompleteError, match="no pair was kept at t = 1e-09"):
        stages.run(run, example.pool, aim=Aim(t=1e-9))
    assert results(run) == example.results
    stages.run(run, example.pool)
    assert_same(run, example.results)  # and what was begun is cleared


def test_a_size_beyond_the_pool_leaves_what_was_there(example: Example, run: Path) -> None:
    before = modified(run, *STAGES, *RESULTS)
    arguments = ("curate", example.pool, "--metadata", example.entries, "--out", run)
    matched = manifest(run, "match")["result"]["matched"]
    said = fails(2, *arguments, "--size", matched + 1)
    assert f"more than the {matched:,} pairs" in said
    assert modified(run, *STAGES, *RESULTS) == before


def test_the_card_names_the_commands_that_make_the_set_again(example: Example, run: Path) -> None:
    def commands() -> list[str]:
        return json.loads((run / "card" / "card.json").read_text())["command"].split("\n")

    (whole,) = commands()
    assert whole.startswith("tallyclip curate ")
    succeeds("balance", run, "--t", 20, "--seed", 3)
    succeeds("card", run)
    assert commands() == [whole, f"tallyclip balance {run} --t 20 --seed 3"]
    succeeds(*example.arguments, "--seed", 4, "--out", run)
    (other,) = commands()
    assert f" --out {run} " in other
    assert other.endswith(" --t 20 --seed 4 --workers 2")


# The pool changes.


@pytest.fixture
def pool(example: Example, tmp_path: Path) -> Path:
    return Path(shutil.copytree(example.pool, tmp_path / "pool"))


def test_a_file_that_changed_after_it_was_matched_is_refused_with_a_hint(example: Example, pool: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ("curate", pool, *example.arguments[2:], "--out", run)
    succeeds(*command)
    before = modified(run, *STAGES, *RESULTS)
    os.utime(pool / "date.tsv", ns=(1, 1))
    said = fails(2, *command)
    assert f"{pool}/date.tsv changed after it was" in said
    assert "Hint: give a new --out" in said
    (pool / "date.tsv").unlink()
    assert f"{pool}/date.tsv left the pool after it was" in fails(2, *command)
    assert modified(run, *STAGES, *RESULTS) == before
    assert leftovers(run) == []


def test_a_file_that_changed_before_matching_was_whole_is_refused_too(pool: Path, tmp_path: Path, stages: Stages) -> None:
    (pool / "fig.parquet").touch()
    with pytest.raises(IncompleteError):
        stages.run(tmp_path / "run", pool)
    os.utime(pool / "apple.parquet", ns=(1, 1))
    with pytest.raises(StaleError, match=r"apple\.parquet changed after it was"):
        stages.run(tmp_path / "run", pool)


def test_a_pool_that_was_moved_is_refused_at_once(example: Example, pool: Path, tmp_path: Path) -> None:
    succeeds("match", pool, "--metadata", example.entries, "--out", tmp_path / "run")
    pool.rename(tmp_path / "elsewhere")
    said = fails(2, "curate", tmp_path / "elsewhere", "--metadata", example.entries, "--t", 20, "--out", tmp_path / "run")
    assert "left the pool after it was read" in said
    assert not (tmp_path / "run" / "counts").exists()


def test_a_plan_of_another_version_is_not_used(run: Path, stages: Stages, example: Example) -> None:
    stages.run(run, example.pool, aim=Aim(tail_share=0.2), pictures=True)
    t = manifest(run, "plan")["result"]["t"]
    path = run / "plan" / "_manifest.json"
    found = json.loads(path.read_bytes())
    path.write_text(
        json.dumps(found | {"version": found["version"] - 1, "fingerprint": "0" * 64, "result": found["result"] | {"t": 777.0}})
    )
    stages.run(run, example.pool, aim=Aim(tail_share=0.2), pictures=True)
    assert (manifest(run, "plan")["result"]["t"], manifest(run, "balance")["options"]["t"]) == (t, t)


def test_what_the_hint_says_of_a_changed_file_works(pool: Path, tmp_path: Path, stages: Stages) -> None:
    stages.run(tmp_path / "run", pool)
    write_parquet(pool / "apple.parquet", {"caption": captions(100, 50)})
    with pytest.raises(StaleError) as raised:
        stages.run(tmp_path / "run", pool)
    assert f"or delete {tmp_path / 'run' / 'match'} " in str(raised.value.hint)
    shutil.rmtree(tmp_path / "run" / "match")
    assert_same(tmp_path / "run", stages.run(tmp_path / "clean", pool) | stages.run(tmp_path / "run", pool))


def test_a_file_that_changes_while_its_pairs_are_drawn_gives_no_result(pool: Path, tmp_path: Path, stages: Stages) -> None:
    """The command matches, then the file changes, then it balances."""
    stages.run(tmp_path / "run", pool)
    os.utime(pool / "date.tsv", ns=(1, 1))
    said = fails(2, "balance", tmp_path / "run", "--t", 3)
    assert "date.tsv changed after it was" in said
    with pytest.raises(StaleError, match="changed after it was"):
        stages.run(tmp_path / "run", pool)


def test_an_added_file_is_taken_in_and_all_that_rests_on_the_pool_made_again(pool: Path, tmp_path: Path, stages: Stages) -> None:
    run = tmp_path / "run"
    stages.run(run, pool)
    matched = modified(run / "match", "apple.arrow", "date.arrow")
    write_parquet(pool / "fig.parquet", {"url": addresses(300, "fig"), "caption": captions(300, 52)})
    stages.run(run, pool, pictures=True)
    assert modified(run / "match", "apple.arrow", "date.arrow") == matched
    assert_same(run, stages.run(tmp_path / "clean", pool))
    (pool / "more").mkdir()
    write_parquet(pool / "more" / "apple.parquet", {"caption": captions(300, 51), "price": [1.5] * 300})  # a name that is there
    stages.run(run, pool)
    assert_same(run, stages.run(tmp_path / "cleaner", pool))
    assert manifest(run, "match")["result"]["records"] == 3000


def test_matching_with_other_columns_begun_on_another_pool_leaves_the_old_matches_theirs(
    pool: Path, tmp_path: Path, stages: Stages
) -> None:
    """A later stage takes what it needs of the pool from the matches it builds on, not from the last command."""
    run = tmp_path / "run"
    before = stages.run(run, pool)
    (tmp_path / "other").mkdir()
    write_parquet(tmp_path / "other" / "apple.parquet", {"said": captions(50, 1)})
    (tmp_path / "other" / "bad.parquet").touch()
    command = ("match", tmp_path / "other", "--caption-column", "said", "--metadata", stages.entries, "--out", run)
    assert "bad.parquet" in fails(1, *command)
    succeeds("balance", run, "--t", 20, "--seed", 3)
    succeeds("balance", run, "--t", 20)
    assert results(run) == before
    stages.run(run, pool)
    assert_same(run, before)


def test_a_pool_that_holds_the_run_folder_is_refused(example: Example, pool: Path, run: Path) -> None:
    for source, out in ((pool, pool / "run"), (pool, pool), (run / "curated", run)):
        said = fails(2, "curate", source, *example.arguments[2:], "--out", out)
        assert "overlap" in said
        assert "Hint: give an --out outside" in said
    assert sorted(path.name for path in pool.iterdir()) == sorted(path.name for path in example.pool.iterdir())


# Parts of the run folder are broken or gone.


@pytest.mark.parametrize(
    "gone",
    [
        "match/apple.arrow",
        "match/apple.npz",
        "match/_done/apple.json",
        "match/_shards.json",
        "metadata/matcher/words.npy",
        "metadata/entries.parquet",
        "counts/counts.npy",
        "entry_counts.json",
        "uids.npy",
        "curated/berry.parquet",
        "probabilities/berry.parquet",
        "balance/counts_curated.npy",
    ],
)
@pytest.mark.parametrize("damage", ["deleted", "cut short"])
def test_a_file_that_is_gone_or_cut_short_is_made_again(example: Example, run: Path, stages: Stages, gone: str, damage: str) -> None:
    if damage == "deleted":
        (run / gone).unlink()
    else:
        os.truncate(run / gone, (run / gone).stat().st_size // 2)
    stages.run(run, example.pool)
    assert_same(run, example.results)


@pytest.mark.parametrize("gone", ["plan/plan.json", "plan/plan.svg", "card/card.html", "card/card.json"])
def test_a_picture_that_is_gone_is_drawn_again(example: Example, run: Path, stages: Stages, gone: str) -> None:
    (run / gone).unlink()
    stages.run(run, example.pool, pictures=True)
    assert (run / gone).exists()
    assert_same(run, example.results)


@pytest.mark.parametrize("gone", ["match/_done", "balance/_done", "match", "counts", "balance", "curated", "probabilities", "metadata"])
def test_a_folder_that_is_gone_is_made_again(example: Example, run: Path, stages: Stages, gone: str) -> None:
    shutil.rmtree(run / gone)
    stages.run(run, example.pool)
    assert_same(run, example.results)


@pytest.mark.parametrize("stage", ["metadata", "match", "counts", "plan", "balance", "card"])
def test_a_broken_manifest_is_named_and_what_the_hint_says_works(example: Example, run: Path, stages: Stages, stage: str) -> None:
    (run / stage / "_manifest.json").write_text("{")
    with pytest.raises(ArtifactError) as raised:
        stages.run(run, example.pool, pictures=True)
    assert f"{run / stage / '_manifest.json'}: broken" in raised.value.what
    assert f"delete {run / stage} and run the same command again" in str(raised.value.hint)
    shutil.rmtree(run / stage)
    stages.run(run, example.pool, pictures=True)
    assert_same(run, example.results)


def test_broken_marks_are_made_again(example: Example, run: Path, stages: Stages) -> None:
    mark = run / "match" / "_done" / "cherry.json"
    mark.write_text("?" * mark.stat().st_size)  # as long as it was, so that only reading it tells
    with pytest.raises(IncompleteError, match=r"marks of cherry .*not whole"):
        stages.run(run, example.pool, seed=1, pictures=True)
    shutil.rmtree(run / "match")
    stages.run(run, example.pool)
    assert_same(run, example.results)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"frozen": 3}'])
def test_a_broken_record_is_said_by_status_and_mended_by_the_command(example: Example, run: Path, stages: Stages, content: str) -> None:
    (run / "run.json").write_text(content)
    assert "run.json: broken" in fails(2, "status", run)
    stages.run(run, example.pool)
    assert_same(run, example.results)
    assert json.loads((run / "run.json").read_text())["files"] == 5


# The folder itself.


def test_a_folder_with_other_files_is_left_alone(example: Example, tmp_path: Path) -> None:
    (tmp_path / "home" / "metadata").mkdir(parents=True)
    (tmp_path / "home" / "metadata" / "thesis.txt").write_text("mine")
    said = fails(2, *example.arguments, "--out", tmp_path / "home")
    assert f"{tmp_path}/home holds files but no run (metadata)" in said
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["home", "home/metadata", "home/metadata/thesis.txt"]


def test_two_hands_on_one_run_are_one_too_many(example: Example, run: Path, stages: Stages) -> None:
    with Workspace(RUN, run, stages.workers) as first:
        first.open()
        for command in ((*example.arguments, "--out", run), ("balance", run)):
            said = fails(2, *command)
            assert f"{run}: another process is working on this run" in said
            assert "Hint: wait for it, or stop it" in said
    assert_same(run, example.results)
    stages.run(run, example.pool)


def test_stages_out_of_turn_say_what_to_do_first(example: Example, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert "is not a run folder" in fails(2, "count", run)
    succeeds("match", *example.arguments[1:4], "--out", run)
    for command in ("balance", "plan", "card"):
        assert f"run 'tallyclip count {run}' first" in fails(1, command, run)
    succeeds("count", run)
    assert f"run 'tallyclip balance {run}' first" in fails(1, "card", run)
    assert not (run / "card").exists()
    succeeds("balance", run, "--t", 20)
    assert_same(run, example.results)


def test_what_another_version_read_is_read_again_and_not_gone_on_with(example: Example, run: Path) -> None:
    """The later stages read the pool once more: by other rules they would put uids and entries to other records."""
    path = run / "match" / "_manifest.json"
    of_before = json.loads(path.read_bytes())
    of_before["version"] -= 1
    path.write_text(json.dumps(of_before))
    for command in (("balance", run, "--t", 20), ("plan", run, "--t", 7), ("count", run)):
        said = fails(2, *command)
        assert "another version of tallyclip made the stage 'match'" in said
        assert "make it again: run 'tallyclip match POOL" in said
    before = modified(run, "match/_done")
    succeeds(*example.arguments, "--out", run)
    assert modified(run, "match/_done") != before
    assert_same(run, example.results)


# Pairs.


def test_equal_uids_share_a_fate_are_reported_and_stand_once_in_the_array(tmp_path: Path, stages: Stages) -> None:
    texts = captions(600, 7)
    columns = {"url": addresses(600, "twice") * 2, "caption": texts * 2}
    write_parquet(tmp_path / "twice.parquet", columns)
    stages.run(tmp_path / "run", tmp_path / "twice.parquet", pictures=True)
    curated = pq.read_table(tmp_path / "run" / "curated")["uid"].to_pylist()
    assert sorted(curated) == sorted([*set(curated), *set(curated)])
    uids = kept_uids(tmp_path / "run")
    assert [f"{high:016x}{low:016x}" for high, low in uids.tolist()] == sorted(set(curated))
    result = manifest(tmp_path / "run", "balance")["result"]
    assert (result["kept"], result["unique_uids"], result["repeated_uids"]) == (len(curated), len(uids), len(curated) - len(uids))
    assert json.loads((tmp_path / "run" / "card" / "card.json").read_text())["repeated_uids"] == len(uids)
    assert 0 < len(uids) < 600


@pytest.mark.parametrize("damage", ["of another length", "other bytes", "without checksums"])
def test_a_runs_damaged_matcher_is_made_again_and_what_was_matched_stays(tmp_path: Path, damage: str) -> None:
    pool = write_parquet(tmp_path / "pool.parquet", {"url": ["a", "b"], "caption": ["word1 dog", "word2"]})
    command = ("curate", pool, "--metadata", write_entries(tmp_path / "entries.json"), "--t", "inf", "--out", tmp_path / "run")
    succeeds(*command)
    matcher = tmp_path / "run" / "metadata" / "matcher"
    sound, before = (matcher / "words.npy").read_bytes(), modified(tmp_path / "run", "match", "counts", "balance", "curated")
    if damage == "without checksums":
        header = json.loads((matcher / "header.json").read_text())
        del header["checksum"]
        (matcher / "header.json").write_text(json.dumps(header))
    else:
        (matcher / "words.npy").write_bytes(sound[:-8] if damage == "of another length" else sound[:-8] + b"\xff" * 8)
    succeeds(*command)
    assert (matcher / "words.npy").read_bytes() == sound
    assert len(tc.Matcher.open(matcher)) == len(ENTRIES)
    assert modified(tmp_path / "run", "match", "counts", "balance", "curated") == before
