"""A build that is killed goes on from what it left, to the bytes of one that was not, and leaves nothing behind.

As with runs (``tests/stages/test_interruptions.py``): a picture is taken before every rename, which is what a kill at that moment leaves,
and from each the build goes on; and builds are killed at random moments, as the system would.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from tallyclip.flows.build_list import build_list
from tallyclip.lists.languages import language
from tallyclip.lists.recipe import read_recipe
from tallyclip.run.manifest import read_manifest
from tallyclip.run.workspace import Workspace
from tallyclip.stages.builds import BUILD
from tests.run.driver import Inline
from tests.stages.lists.conftest import write_inputs
from tests.stages.lists.tools import MEMORY
from tests.stages.test_interruptions import photographed
from tests.tools import PATIENCE, assert_calm, assert_gone, family, leftovers, started, succeeds

KILLS = int(os.environ.get("TALLYCLIP_KILLS", "6"))
STAGES = [stage.name for stage in BUILD.stages]


def build(recipe: Path, out: Path) -> list[str]:
    """Build a list in this process, or go on with it; returns the pieces of work that were done."""
    made_of, folder = read_recipe(str(recipe))
    runner = Inline()
    with Workspace(BUILD, out, runner) as run:
        build_list(run, made_of, language(made_of.language), folder, MEMORY)
    return runner.done


def content(out: Path) -> dict[str, bytes]:
    """The list, and the counts that are kept for other lists; not what says when and how they were made."""
    files = [out / "metadata.parquet", *(path for name in ("counts", "views") for path in sorted((out / name).rglob("*.arrow")))]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def assert_same(out: Path, clean: dict[str, bytes]) -> None:
    found = content(out)
    assert found.keys() == clean.keys()
    assert [name for name in clean if found[name] != clean[name]] == []
    assert leftovers(out) == []
    others = {"metadata.parquet", "manifest.json", "build.json", "inputs.json", ".lock", "log.txt", "events.jsonl"}
    assert {path.name for path in out.iterdir()} == {*STAGES, *others}


def assert_coherent(out: Path) -> None:
    """Every stage in place belongs to those beside it, and so does the list."""
    manifests = {stage.name: manifest for stage in BUILD.stages if (manifest := read_manifest(stage.folder(out / stage.name))) is not None}
    for manifest in manifests.values():
        for name, fingerprint in manifest.inputs.items():
            assert name not in manifests or manifests[name].fingerprint == fingerprint
    if "list" in manifests:
        assert (out / "metadata.parquet").exists()
        assert (out / "manifest.json").exists()


@pytest.fixture(scope="module")
def clean(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("list") / "out"
    assert len(build(recipe, out)) > 15
    assert_same(out, content(out))
    return content(out)


def test_from_every_rename_of_a_build_the_same_command_goes_on_to_the_same_bytes(
    recipe: Path, clean: dict[str, bytes], tmp_path: Path
) -> None:
    pictures = photographed(tmp_path, "metadata", "build", "--recipe", recipe)
    assert_same(tmp_path / "run", clean)
    whole = [tuple(stage for stage in STAGES if (picture / stage / "_manifest.json").exists()) for picture in pictures]
    assert whole == sorted(whole, key=len)  # the pictures are in order
    assert set(whole) == {tuple(STAGES[:n]) for n in range(3)}  # and of every stage
    assert sum(any(".part-" in name for name in leftovers(picture)) for picture in pictures) > 40
    done: list[int] = []
    for picture in pictures:
        assert_coherent(picture)
        done.append(len(build(recipe, picture)))
        assert_same(picture, clean)
    assert done == sorted(done, reverse=True)  # what was done is not done again


def test_from_every_rename_under_another_recipe_both_the_new_and_the_old_go_on(clean: dict[str, bytes], tmp_path: Path) -> None:
    old = write_inputs(tmp_path)
    new = tmp_path / "new.toml"
    new.write_text(old.read_text().replace(', "plain.txt"', "").replace("limit = 100", "limit = 90"))
    build(old, tmp_path / "run")
    assert_same(tmp_path / "run", clean)
    pictures = photographed(tmp_path, "metadata", "build", "--recipe", new)
    other = content(tmp_path / "run")
    assert other["metadata.parquet"] != clean["metadata.parquet"]
    build(new, tmp_path / "afresh")
    assert content(tmp_path / "afresh") == other
    for number, picture in enumerate(pictures):
        assert_coherent(picture)
        build(new if number % 2 else old, picture)
        assert_same(picture, other if number % 2 else clean)


def test_killed_at_any_moment_and_run_again_the_list_is_the_same(recipe: Path, clean: dict[str, bytes], tmp_path: Path) -> None:
    begun = time.monotonic()
    succeeds("metadata", "build", "--recipe", recipe, "--out", tmp_path / "timed")
    duration = time.monotonic() - begun
    draw = random.Random(0)
    out, command = tmp_path / "out", ("metadata", "build", "--recipe", recipe, "--out", tmp_path / "out")
    for kill in range(KILLS):
        if kill % 2 == 0:  # every other time it is killed again on its way on
            shutil.rmtree(out, ignore_errors=True)
        driver = started(*command)
        time.sleep((kill + draw.random()) / KILLS * duration)
        processes = family(driver.pid)
        driver.kill()
        _, said = driver.communicate(timeout=PATIENCE)
        assert_gone(processes)
        assert_calm(said)
        if out.exists():
            assert_coherent(out)
        if kill % 2:
            succeeds(*command)
            assert_same(out, clean)
