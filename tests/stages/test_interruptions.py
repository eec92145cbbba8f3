"""A run that is killed goes on from what it left, to the bytes of a run that was not.

Two ways of showing it. A command is killed at random moments, as the system would, and run again. And a copy of the run folder is taken
before every rename that a command makes, which is what a kill at that moment leaves behind; then the command goes on from each copy.
Between two renames nothing that counts changes: all else is written under names that are cleared or written again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tallyclip.match.reference import Mode
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN
from tests.stages.conftest import Example, Stages
from tests.tools import (
    PATIENCE,
    assert_calm,
    assert_gone,
    assert_same,
    captions,
    environment,
    family,
    leftovers,
    manifest,
    results,
    started,
    succeeds,
    write_parquet,
)

KILLS = int(os.environ.get("TALLYCLIP_KILLS", "10"))
KILLED_AT = [pytest.param(kill, marks=pytest.mark.matrix) if kill % 2 else kill for kill in range(KILLS)]  # every other, evenly spread
HOOKS = Path(__file__).parent / "hooks"
STAGES = [stage.name for stage in RUN.stages if not stage.optional]


def seconds_of(example: Example, folder: Path) -> float:
    begun = time.monotonic()
    succeeds(*example.arguments, "--out", folder / "timed")
    return time.monotonic() - begun


@pytest.fixture(scope="module")
def duration(example: Example, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the example takes, with all compiled code in the cache."""
    return seconds_of(example, tmp_path_factory.mktemp("duration"))


@pytest.mark.parametrize("kill", KILLED_AT)
def test_killed_at_any_moment_and_run_again_it_gives_the_same_bytes(example: Example, tmp_path: Path, duration: float, kill: int) -> None:
    command = (*example.arguments, "--out", tmp_path / "run")
    driver = started(*command)
    time.sleep((kill + random.Random(kill).random()) / KILLS * duration * 1.1)
    processes = family(driver.pid)
    driver.kill()
    _, said = driver.communicate(timeout=PATIENCE)
    assert_gone(processes)
    assert_calm(said)
    assert_coherent(tmp_path / "run")
    succeeds(*command)
    assert_same(tmp_path / "run", example.results)


def photographed(folder: Path, *command: object) -> list[Path]:
    """Run a command on ``folder/run``, taking a picture of the run before every rename."""
    (folder / "pictures").mkdir()
    path = os.pathsep.join([str(HOOKS), *filter(None, [os.environ.get("PYTHONPATH")])])
    pictures = environment(PYTHONPATH=path, RUN_FOLDER=str(folder / "run"), SNAPSHOTS=str(folder / "pictures"))
    succeeds(*command, "--workers", 1, "--out", folder / "run", env=pictures)
    return sorted((folder / "pictures").iterdir())


def was_drawing(run: Path) -> bool:
    return any((run / ".work").glob("plan-*")) or any((run / ".work").glob("card-*"))


def test_from_every_rename_of_a_run_the_same_command_goes_on_to_the_same_bytes(example: Example, tmp_path: Path, stages: Stages) -> None:
    pictures = photographed(tmp_path, *example.arguments)
    assert_same(tmp_path / "run", example.results)
    whole = [tuple(stage for stage in STAGES if (picture / stage / "_manifest.json").exists()) for picture in pictures]
    assert whole == sorted(whole, key=len)  # the pictures are in order
    assert set(whole) == {tuple(STAGES[:n]) for n in range(6)}  # and of every stage
    assert sum(any(".part-" in name for name in leftovers(picture)) for picture in pictures) > 40
    for picture in pictures:
        assert_coherent(picture)
        stages.run(picture, example.pool, pictures=was_drawing(picture))
        assert_same(picture, example.results)


@pytest.mark.parametrize(
    ("options", "aim", "mode", "seed"),
    [
        (["--t", 20, "--seed", 7], Aim(t=20.0), "exact", 7),
        (["--size", 300], Aim(size=300.0), "exact", 0),
        (["--t", 20, "--mode", "spaced-entries"], Aim(t=20.0), "spaced-entries", 0),
    ],
    ids=["another seed", "another threshold", "another mode"],
)
def test_from_every_rename_under_other_options_both_the_new_and_the_old_command_go_on(
    example: Example, tmp_path: Path, stages: Stages, options: list[object], aim: Aim, mode: Mode, seed: int
) -> None:
    """And at every rename what stands there belongs together."""
    shutil.copytree(example.run, tmp_path / "run")
    pictures = photographed(tmp_path, "curate", example.pool, "--metadata", example.entries, *options)
    new = results(tmp_path / "run")
    assert new["curated/apple.parquet"] != example.results["curated/apple.parquet"]
    for number, picture in enumerate(pictures):
        assert_coherent(picture)
        if was_drawing(picture):
            continue  # which takes its time, and was shown above
        if number % 2:
            stages.run(picture, example.pool, aim=aim, mode=mode, seed=seed)
            assert_same(picture, new)
        else:
            stages.run(picture, example.pool)
            assert_same(picture, example.results)


def test_from_every_rename_of_taking_in_another_file_the_command_goes_on_to_what_a_clean_run_gives(
    example: Example, tmp_path: Path, stages: Stages
) -> None:
    shutil.copytree(example.pool, tmp_path / "pool")
    succeeds("curate", tmp_path / "pool", *example.arguments[2:], "--out", tmp_path / "run")
    write_parquet(tmp_path / "pool" / "fig.parquet", {"caption": captions(200, 9), "price": [0.5] * 200})
    pictures = photographed(tmp_path, "curate", tmp_path / "pool", *example.arguments[2:-2])
    clean = stages.run(tmp_path / "clean", tmp_path / "pool")
    assert_same(tmp_path / "run", clean)
    for picture in pictures:
        assert_coherent(picture)
        if not was_drawing(picture):
            stages.run(picture, tmp_path / "pool")
            assert_same(picture, clean)


def test_killed_again_and_again_it_still_comes_to_the_same_bytes(example: Example, tmp_path: Path, duration: float) -> None:
    command = (*example.arguments, "--out", tmp_path / "run")
    draw = random.Random(0)
    for _ in range(3):
        driver = started(*command)
        time.sleep(draw.uniform(0.3, 0.7) * duration)
        driver.kill()
        driver.communicate(timeout=PATIENCE)
        assert_coherent(tmp_path / "run")
    succeeds(*command)
    assert_same(tmp_path / "run", example.results)


def test_a_half_written_file_of_a_worker_that_was_killed_is_cleared(example: Example, tmp_path: Path) -> None:
    shutil.copytree(example.run, tmp_path / "run")
    attempt = tmp_path / "run" / ".work" / "balance-0123456789abcdef" / "curated"
    attempt.mkdir(parents=True)
    for path in (attempt / ".apple.parquet.part-99", tmp_path / "run" / ".run.json.part-98"):
        path.touch()
    (tmp_path / "run" / ".work" / "trash").mkdir()
    (tmp_path / "run" / ".work" / "trash" / "curated-97-0").mkdir()
    assert len(leftovers(tmp_path / "run")) > 2
    succeeds(*example.arguments, "--out", tmp_path / "run")
    assert_same(tmp_path / "run", example.results)


def assert_coherent(run: Path) -> None:
    """Every stage in place was made from the stages beside it, and the curated set, if it is there, from all that is beside it."""
    whole = [stage for stage in STAGES if (run / stage / "_manifest.json").exists()]
    manifests = {stage: manifest(run, stage) for stage in whole}
    for stage in whole:
        for earlier in set(manifests[stage]["inputs"]) & set(whole):
            assert manifests[stage]["inputs"][earlier] == manifests[earlier]["fingerprint"], (run, stage, earlier)
    assert "counts" in whole or "balance" not in whole
    assert "balance" in whole or "card" not in whole
    if not (run / "curated").exists():
        return
    assert (run / "entry_counts.json").exists()
    curated = pq.read_table(run / "curated", columns=["uid", "entry_ids", "keep_probability"])
    uids = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in curated["uid"].to_pylist()]
    assert sorted(set(uids)) == np.load(run / "uids.npy").tolist()
    entries = list(json.loads((run / "entry_counts_curated.json").read_text()).items())
    counts = np.bincount(curated["entry_ids"].combine_chunks().flatten(), minlength=len(entries))
    assert [count for _, count in entries] == counts.tolist()
    probabilities = pq.read_table(run / "probabilities")
    known = zip(probabilities["uid_high"].to_pylist(), probabilities["uid_low"].to_pylist(), strict=True)
    keep = dict(zip(known, probabilities["keep_probability"].to_pylist(), strict=True))
    assert [keep[uid] for uid in uids] == curated["keep_probability"].to_pylist()
    if "balance" in manifests:
        before = np.array(list(json.loads((run / "entry_counts.json").read_text()).values()))
        p = np.minimum(1.0, manifests["balance"]["options"]["t"] / np.maximum(before, 1))
        for ids, probability in zip(curated["entry_ids"].to_pylist(), curated["keep_probability"].to_pylist(), strict=True):
            miss = 1.0
            for entry in ids:
                miss *= 1.0 - p[entry]
            assert probability == 1.0 - miss
