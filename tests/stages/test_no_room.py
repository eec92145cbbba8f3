"""A disk that is full, or that cannot be written: said in words, nothing that looks whole, and with room the same command goes on."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tallyclip.errors import OutputError
from tests.stages.conftest import Example, Stages
from tests.tools import assert_same, fails, manifest, results, succeeds

KILOBYTE = 1 << 10
ENOUGH = 4096 * KILOBYTE


@pytest.mark.parametrize(
    ("largest", "file"),
    [(5_000, ".work/metadata-"), (10_000, ".arrow"), (33_000, "plan.svg"), (100_000, "card.html")],
    ids=["metadata", "match", "plan", "card"],
)
def test_files_that_may_not_grow_large_enough_are_named_and_with_room_it_goes_on(
    example: Example, tmp_path: Path, largest: int, file: str
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))

    run = tmp_path / "run"
    said = fails(1, *example.arguments, "--out", run, preexec_fn=limit)
    what, hint = said.split("Error: ")[1].split("\n\nHint: ")
    assert what.startswith(str(run))
    assert file in what
    assert ": no room to write: " in what
    assert "free some space and run the same command again: finished work is kept" in hint
    assert (run / "curated").exists() == (file == "card.html")
    succeeds(*example.arguments, "--out", run)
    assert_same(run, example.results)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A disk that can be made larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder], capture_output=True, check=False).returncode
    ):
        pytest.skip("only root can mount a small disk, and not everywhere")

    def of_size(size: int) -> Path:
        subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
        return folder

    yield of_size
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_on_a_disk_that_is_too_small_nothing_looks_whole_and_as_it_grows_the_run_goes_on(
    example: Example, disk: Callable[[int], Path], stages: Stages
) -> None:
    """A little larger each time, so that every stage is the one that finds no room."""
    places: set[str] = set()
    for size in range(8 * KILOBYTE, ENOUGH, 16 * KILOBYTE):
        run = disk(size) / "run"
        try:
            stages.run(run, example.pool, pictures=size > 200 * KILOBYTE)
        except OutputError as error:
            assert ": no room to write: " in error.what, error.what
            places.add(error.what.split("/.work/")[1].split("-")[0] if "/.work/" in error.what else "run")
            assert not (run / "curated").exists() or manifest(run, "counts")
            continue
        break
    assert places >= {"metadata", "match", "plan", "balance", "card"}
    assert_same(run, example.results)


@pytest.mark.parametrize("size", [60 * KILOBYTE, 300 * KILOBYTE])
def test_the_command_says_that_the_disk_is_full(example: Example, disk: Callable[[int], Path], size: int) -> None:
    run = disk(size) / "run"
    said = fails(1, *example.arguments, "--out", run)
    assert "no room to write" in said
    assert "Hint: free some space" in said
    assert not (run / "curated").exists()
    disk(ENOUGH)
    succeeds(*example.arguments, "--out", run)
    assert_same(run, example.results)


def test_a_whole_run_on_a_full_disk_stays_whole_when_other_options_find_no_room(
    example: Example, disk: Callable[[int], Path], stages: Stages
) -> None:
    run = disk(ENOUGH) / "run"
    stages.run(run, example.pool)
    filling = run.parent / "filling"
    with pytest.raises(OSError, match="No space"), filling.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(OutputError, match="no room to write"):
        stages.run(run, example.pool, seed=1)
    assert results(run) == example.results
    filling.unlink()
    assert stages.run(run, example.pool, seed=1) != example.results
    stages.run(run, example.pool)
    assert_same(run, example.results)


def test_a_disk_that_cannot_be_written_is_no_place_for_a_run(example: Example, disk: Callable[[int], Path]) -> None:
    folder = disk(ENOUGH)
    succeeds("match", *example.arguments[1:4], "--out", folder / "run")
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    for arguments in (
        (*example.arguments, "--out", folder / "run"),
        (*example.arguments, "--out", folder / "other"),
        ("count", folder / "run"),
    ):
        said = fails(2, *arguments)
        assert "Read-only file system" in said
        assert "give another --out" in said
    assert "match" in succeeds("status", folder / "run")


def test_a_folder_that_may_not_be_written_is_no_place_for_a_run(example: Example, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere but on the disk of the test above")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    said = fails(2, *example.arguments, "--out", closed / "run")
    assert f"{closed}/run: cannot be a run folder: Permission denied" in said
    assert list(closed.iterdir()) == []


@pytest.mark.parametrize("below", ["file", "file/run"])
def test_a_file_is_no_place_for_a_run(example: Example, tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    said = fails(2, *example.arguments, "--out", tmp_path / below)
    assert f"{tmp_path / below}: cannot be a run folder" in said
    assert "Hint: give another --out" in said
    assert (tmp_path / "file").read_text() == "mine"
