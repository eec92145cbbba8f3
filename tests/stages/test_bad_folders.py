"""Folders of ours that are not as they should be: of an older version, damaged, moved, or where nothing can be written.

Each is named, with what would help, and what a hint says works.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallyclip.errors import ArtifactError, IncompleteError, OptionError
from tallyclip.run.engine import make
from tallyclip.run.items import Piece, do_piece
from tallyclip.run.status import read_status
from tallyclip.run.workspace import Workspace
from tallyclip.stages.counts import COUNTS
from tallyclip.stages.runs import RUN
from tests.readers.crawl.tools import image, page, write_wat
from tests.run.driver import WITH_CROWDED, Inline
from tests.run.toy_stage import CROWDED, CrowdedFolder, CrowdedOptions, find_crowded
from tests.stages.conftest import Example, Stages
from tests.stages.lists.conftest import write_inputs
from tests.stages.lists.tools import built, list_bytes
from tests.tools import RESULTS, assert_same, captions, fails, leftovers, manifest, modified, results, succeeds, write_entries

STAGES = [stage.name for stage in RUN.stages if not stage.optional]
OLD_RECORD = {"command": ["curate", "pool"], "versions": {"tallyclip": "0.2.0"}, "pool": ["pool"], "files": 5, "frozen": True}


@pytest.fixture
def run(example: Example, tmp_path: Path) -> Path:
    """A copy of the example's run, whole."""
    shutil.copytree(example.run, tmp_path / "run")
    return tmp_path / "run"


def commands(example: Example, run: Path) -> list[tuple[object, ...]]:
    """All that open a run."""
    match = ("match", *example.arguments[1:4], "--out", run)
    return [
        (*example.arguments, "--out", run),
        match,
        *((name, run) for name in ("count", "plan", "balance", "card", "status")),
        ("match", "--text", "a dog", "--counts", run),
    ]


# Of an older version.


@pytest.mark.parametrize("layout", [{}, {"layout": 1}], ids=["none", "1"])
def test_every_command_refuses_a_run_of_another_layout_and_leaves_it_alone(example: Example, run: Path, layout: dict[str, int]) -> None:
    (run / "run.json").write_text(json.dumps(OLD_RECORD | layout))
    before = modified(run, "run.json", *STAGES, *RESULTS)
    for command in commands(example, run):
        said = " ".join(fails(2, *command).split())
        assert f"{run}: made by another version of tallyclip (0.2.0), whose run folders have another layout" in said, command
        assert (
            "Hint: give a new --out, or use the version that made it (pip install tallyclip==0.2.0); its results stay as they are" in said
        )
    assert modified(run, "run.json", *STAGES, *RESULTS) == before


def test_a_list_of_another_layout_is_refused_and_left_alone(tmp_path: Path) -> None:
    recipe, out = write_inputs(tmp_path), tmp_path / "out"
    built(recipe, out)
    record, before = json.loads((out / "build.json").read_text()), list_bytes(out)
    (out / "build.json").write_text(json.dumps(record | {"layout": 1}))
    with pytest.raises(
        OptionError, match=r"made by another version of tallyclip .*, whose list folders have another layout\n\nHint: give a new --out"
    ):
        built(recipe, out)
    (out / "build.json").unlink()  # of the first versions, which wrote none
    with pytest.raises(OptionError, match=rf"{out}: a list folder without its build.json: an earlier version of tallyclip made it"):
        built(recipe, out)
    assert list_bytes(out) == before


def test_an_earlier_pool_of_another_layout_cannot_be_excluded(tmp_path: Path) -> None:
    crawl = write_crawl(tmp_path / "crawl")
    succeeds("pool", crawl, "--out", tmp_path / "old")
    (tmp_path / "old" / "run.json").write_text(json.dumps(OLD_RECORD))
    (tmp_path / "old" / "pool" / "_manifest.json").write_text('{"of": "before"}')
    said = " ".join(fails(2, "pool", crawl, "--exclude-pool", tmp_path / "old", "--out", tmp_path / "new").split())
    assert f"--exclude-pool {tmp_path}/old: made by another version of tallyclip (0.2.0)" in said
    assert "Hint: make that pool again with this version" in said


# Damaged.


@pytest.mark.parametrize("content", ["{", '{"versions": {}, "layout": 2}'], ids=["truncated", "of another form"])
def test_a_damaged_record_is_named_and_what_the_hint_says_works(example: Example, run: Path, content: str) -> None:
    (run / "run.json").write_text(content)
    said = " ".join(fails(2, "status", run).split())
    assert f"{run}/run.json: broken" in said
    assert "Hint: run 'tallyclip curate POOL... --out RUN' as before: it writes the file anew and keeps the rest" in said
    if content == "{":
        assert "run.json: broken" in fails(2, "count", run)
    before = modified(run, *STAGES, *RESULTS)
    succeeds(*example.arguments, "--out", run)
    assert modified(run, *STAGES, *RESULTS) == before
    succeeds("status", run)


def test_a_run_without_its_record_is_told_from_a_folder_of_somebody_else(example: Example, run: Path) -> None:
    (run / "run.json").unlink()
    said = " ".join(fails(2, *example.arguments, "--out", run).split())
    assert f"{run}: a run folder without its run.json: an earlier version of tallyclip made it, or the file was deleted" in said
    assert "Hint: give a new or empty --out; what is there stays as it is" in said


def with_a_failure(run: Path) -> tuple[CrowdedFolder, Callable[[], Any]]:
    """A stage under way, of whose pieces one failed, and what makes it in full."""
    path = run / "match" / "cherry.arrow"
    whole = path.read_bytes()
    path.write_bytes(b"?" * len(whole))

    def finish() -> list[str]:
        runner = Inline()
        with Workspace(WITH_CROWDED, run, runner) as opened:
            opened.open()
            make(opened, CROWDED, CrowdedOptions(3))
        return runner.done

    with pytest.raises(IncompleteError):
        finish()
    path.write_bytes(whole)
    return CrowdedFolder(next(run.glob(".work/crowded-*"))), finish


@pytest.mark.parametrize(
    ("content", "item"),
    [
        *((content, {"key": "apple", "matches": "", "least": 3}) for content in ("", "{", "[]", '{"barrier": ""}', '{"job": null}')),
        ('{"barrier": "", "job": null}', {"key": 3}),
    ],
)
def test_a_damaged_work_file_is_named_by_who_does_a_piece_and_written_anew(run: Path, content: str, item: dict[str, Any]) -> None:
    folder, finish = with_a_failure(run)
    whole = folder.work("items").read_text()
    folder.job("items").write_text(content)
    folder.work("items").write_text(content)
    with pytest.raises(ArtifactError) as raised:
        do_piece(Piece(find_crowded, CrowdedFolder, str(folder.path), "items", "apple", item), lambda _: None)
    assert f"{folder.job('items')}: the piece of work 'apple' cannot be read" in raised.value.what
    assert raised.value.hint == "run the same command again"
    assert folder.at_work() == {}
    assert read_status(WITH_CROWDED.outline, run).stages[-2].state == "under way"
    folder.work("items").write_text(whole.replace("cherry", "other"))  # and so is one of other pieces
    assert finish() == ["cherry"]
    assert leftovers(run) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"outputs": 3}'])
def test_a_piece_whose_mark_cannot_be_read_is_done_again(run: Path, content: str) -> None:
    folder, finish = with_a_failure(run)
    folder.done("apple").write_text(content)
    folder.failed("cherry").write_text(content)
    assert [each.shard for each in read_status(WITH_CROWDED.outline, run).stages[-2].failures] == []
    assert sorted(finish()) == ["apple", "cherry"]


def test_a_report_of_another_version_is_named_and_what_the_hint_says_works(example: Example, run: Path, stages: Stages) -> None:
    for stage in ("match", "balance"):
        path = run / stage / "_done" / "apple.json"
        mark = json.loads(path.read_text())
        size = path.stat().st_size
        mark["report"] = {"rows": "many", "more": ""}
        mark["report"]["more"] = "x" * (size - len(json.dumps(mark)))
        path.write_text(json.dumps(mark))
        assert path.stat().st_size == size
        shutil.rmtree(run / "card")
        with pytest.raises(ArtifactError) as raised:
            stages.run(run, example.pool, pictures=True)
        assert f"{run / stage / '_done'}: not of this version" in raised.value.what
        assert raised.value.hint == f"delete {run / stage} and run the same command again"
        shutil.rmtree(run / stage)
        stages.run(run, example.pool, pictures=True)
        assert_same(run, example.results)


@pytest.mark.parametrize("content", ["{", "[]", '{"stage": "crowded"}'])
def test_a_damaged_manifest_of_a_stage_under_way_is_named_and_without_it_the_stage_is_made(run: Path, content: str) -> None:
    folder, finish = with_a_failure(run)
    folder.manifest.write_text(content)
    with pytest.raises(ArtifactError) as raised:
        finish()
    assert raised.value.what.startswith(f"{folder.manifest}: broken, or written by another version")
    assert str(raised.value.hint).startswith(f"delete {folder.path} and run the same command again")
    shutil.rmtree(folder.path)
    assert len(finish()) == 5


@pytest.mark.parametrize("stage", ["counts", "views", "list"])
def test_a_damaged_manifest_of_a_build_is_named_and_without_the_stage_the_list_is_the_same(tmp_path: Path, stage: str) -> None:
    recipe, out = write_inputs(tmp_path), tmp_path / "out"
    built(recipe, out)
    before = list_bytes(out)
    (out / stage / "_manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=rf"{out}/{stage}/_manifest.json: broken.*\n\nHint: delete {out}/{stage} "):
        built(recipe, out)
    shutil.rmtree(out / stage)
    built(recipe, out)
    assert list_bytes(out) == before
    assert leftovers(out) == []


# Moved and copied.


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_whole_run_elsewhere_is_taken_up_as_it_is(example: Example, run: Path, tmp_path: Path, how: str) -> None:
    before = {path.removeprefix(str(run)): time for path, time in modified(run, *STAGES, *RESULTS).items()}
    elsewhere = tmp_path / "a" / "b" / "elsewhere"
    elsewhere.parent.mkdir(parents=True)
    (run.rename if how == "moved" else lambda target: shutil.copytree(run, target))(elsewhere)
    succeeds(*example.arguments, "--out", elsewhere)
    assert {path.removeprefix(str(elsewhere)): time for path, time in modified(elsewhere, *STAGES, *RESULTS).items()} == before
    succeeds("balance", elsewhere, "--t", 20, "--seed", 1)
    succeeds("balance", elsewhere, "--t", 20)
    assert_same(elsewhere, example.results)


def test_a_stage_under_way_goes_on_elsewhere(example: Example, run: Path, tmp_path: Path) -> None:
    folder, _ = with_a_failure(run)
    assert len(list(folder.path.glob("_done/*"))) == 4
    run.rename(tmp_path / "elsewhere")
    runner = Inline()
    with Workspace(WITH_CROWDED, tmp_path / "elsewhere", runner) as opened:
        opened.open()
        make(opened, CROWDED, CrowdedOptions(3))
    assert runner.done == ["cherry"]
    assert_same(tmp_path / "elsewhere", example.results)


def write_crawl(folder: Path) -> Path:
    folder.mkdir()
    for number in range(2):
        pages = [page(f"http://{n}.example/", [image("a.jpg", alt=text)]) for n, text in enumerate(captions(200, number))]
        write_wat(folder / f"{number}.warc.wat.gz", pages)
    return folder


def test_a_run_over_crawl_files_goes_on_elsewhere_with_the_pool_it_made(tmp_path: Path) -> None:
    crawl, entries = write_crawl(tmp_path / "crawl"), write_entries(tmp_path / "entries.json")
    command = ("curate", crawl, "--metadata", entries, "--t", 20, "--workers", 1)
    succeeds(*command, "--out", tmp_path / "run")
    before = results(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    run = tmp_path / "elsewhere"
    succeeds("balance", run, "--t", 20, "--seed", 1)
    assert results(run)["uids.npy"] != before["uids.npy"]
    succeeds(*command, "--out", run)
    assert results(run)["uids.npy"] == before["uids.npy"]
    assert results(run)["entry_counts_curated.json"] == before["entry_counts_curated.json"]
    assert leftovers(run) == []


# Where nothing can be written, and where another is at work.


@pytest.mark.parametrize("place", ["/proc/tallyclip", "FILE", "FILE/run"])
def test_a_place_where_no_folder_can_be_made_is_named(example: Example, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    out = place.replace("FILE", str(tmp_path / "file"))
    said = " ".join(fails(2, *example.arguments, "--out", out).split())
    assert f"{out}: cannot be a run folder: " in said
    assert "Hint: give another --out" in said
    with pytest.raises(OptionError, match=rf"{out}: cannot be a list folder: .*\n\nHint: give another --out"):
        built(write_inputs(tmp_path), Path(out))


def test_a_run_that_may_not_be_written_is_named(example: Example, run: Path) -> None:
    (run / ".lock").unlink()
    run.chmod(0o555)
    if os.access(run, os.W_OK):
        pytest.skip("this user may write anywhere: run the test as another, or with 'setpriv --bounding-set -dac_override'")
    for command in (*commands(example, run)[:6],):
        said = " ".join(fails(2, *command).split())
        assert f"{run}: cannot be written: Permission denied" in said
        assert "Hint: check its permissions, or give another --out" in said
    run.chmod(0o755)


def test_every_command_that_writes_waits_for_none_and_says_who_is_there(example: Example, run: Path) -> None:
    with Workspace(RUN, run, Inline()) as first:
        first.open()
        for command in commands(example, run)[:6]:
            said = fails(2, *command)
            assert f"{run}: another process is working on this run" in said
            assert "Hint: wait for it, or stop it" in said
        for command in commands(example, run)[6:]:  # which only read
            succeeds(*command)
        assert make(first, COUNTS).stage == manifest(run, "counts")["stage"]
    assert_same(run, example.results)
