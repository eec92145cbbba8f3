"""Folders that tallyclip wrote, given as a pool."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from tallyclip.lists.inputs import CHECKSUMS
from tallyclip.readers.record_names import EXPORT_RECORD, INDEX_RECORD
from tallyclip.readers.run_folders import LIST, LIST_MANIFEST, LOCK, STAGE_MANIFEST
from tallyclip.readers.sources import find_files
from tallyclip.run.items import StageFolder
from tallyclip.stages.builds import BUILD
from tallyclip.stages.gather import GatherFolder
from tallyclip.stages.match import MatchFolder
from tallyclip.stages.metadata import MetadataFolder
from tallyclip.stages.remaining import RemainingFolder
from tallyclip.stages.runs import RUN
from tests.readers.test_sources import CAPTIONS, refused, write_text
from tests.readers.tools import read, write_table


def write_run(root: Path, *, pool: bool, curated: bool) -> None:
    """A run folder as its files are: of crawl files, balanced, both, or neither."""
    for path in (root / RUN.record, root / LOCK, MetadataFolder(root / "metadata").manifest):
        write_text(path, "{}")
    write_table(MetadataFolder(root / "metadata").entries, {"entry": ["dog"]})
    for folder in (GatherFolder(root / "gather"), RemainingFolder(root / "pool")) if pool else ():
        write_text(folder.manifest, "{}")
        write_table(folder.pairs("a"), {"url": ["u"], "text": [f"from {folder.path.name}"]})
    for name in ("curated", "probabilities", "card", "new-stage") if curated else ():
        (root / name).mkdir()
        write_table(root / name / "a.parquet", {"caption": [f"from {name}"]})
    if curated:
        write_text(root / "entry_counts.json", "{}")
        write_text(MatchFolder(root / "match").matches("a"), "")
        for stage in ("match", "card", "new-stage"):
            write_text(StageFolder(root / stage).manifest, "{}")


@pytest.mark.parametrize("which", ["pool", "curated"])
def test_of_a_run_folder_the_one_pool_that_it_has_is_read(tmp_path: Path, which: str) -> None:
    write_run(tmp_path / "run", pool=which == "pool", curated=which == "curated")
    assert read(tmp_path / "run").texts == [f"from {which}"]
    skipped = find_files([str(tmp_path / "run")])[1]
    assert f"other files of the folder (only {which}/ is read)" in skipped
    assert read(tmp_path / "run" / which).texts == [f"from {which}"]


def test_of_a_run_folder_with_two_pools_one_is_to_be_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run", pool=True, curated=True)
    hint = str(refused(tmp_path / "run", "is a run folder").hint)
    assert f"{tmp_path}/run/pool" in hint
    assert f"{tmp_path}/run/curated" in hint
    assert read(tmp_path / "run" / "pool").texts == ["from pool"]
    assert read(tmp_path / "run" / "curated").texts == ["from curated"]


def test_a_run_folder_that_has_no_pool_yet_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run", pool=False, curated=False)
    refused(tmp_path / "run", "is a run folder without pool/ or curated/")


@pytest.mark.parametrize("name", ["", "*"])
def test_folders_with_run_folders_in_them_are_refused_with_a_few_names(tmp_path: Path, name: str) -> None:
    for number in range(9):
        write_run(tmp_path / "runs" / f"run{number}", pool=False, curated=True)
    error = refused(tmp_path / "runs" / name, "9 run folders", "run0, ", "and 6 more")
    assert len(str(error)) < 800
    assert sorted(read(tmp_path / "runs" / "*" / "curated").texts) == ["from curated"] * 9


def test_a_run_folder_among_other_files_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", CAPTIONS)
    write_run(tmp_path / "run", pool=False, curated=True)
    refused(tmp_path, f"is a run folder in it: {tmp_path}/run", f"{tmp_path}/run/curated")


@pytest.mark.parametrize("stage", ["gather", "metadata", "probabilities", "card", "match", "new-stage"])
def test_a_stage_that_is_not_a_pool_is_refused(tmp_path: Path, stage: str) -> None:
    write_run(tmp_path / "run", pool=True, curated=True)
    refused(tmp_path / "run" / stage, f"{tmp_path}/run/{stage} is a part of a run", f"{tmp_path}/run/curated")


@pytest.mark.parametrize("stage", ["gather", "metadata", "probabilities", "card", "match"])
def test_a_folder_with_the_name_of_a_stage_is_read_outside_of_a_run(tmp_path: Path, stage: str) -> None:
    write_text(tmp_path / stage / "a.txt", "a dog\n")
    write_text(tmp_path / "run.json", '{"caption": "a cat"}\n')
    assert sorted(read(tmp_path).texts) == ["a cat", "a dog"]


def test_a_folder_of_ones_own_that_was_put_into_a_run_folder_is_read(tmp_path: Path) -> None:
    write_run(tmp_path / "run", pool=True, curated=True)
    write_text(tmp_path / "run" / "mine" / "a.txt", "a dog\n")
    assert read(tmp_path / "run" / "mine").texts == ["a dog"]


def test_files_of_an_archive_in_a_folder_with_the_name_of_a_stage_are_read(tmp_path: Path) -> None:
    (tmp_path / "match").mkdir()
    with zipfile.ZipFile(tmp_path / "match" / "a.zip", "w") as archive:
        archive.writestr("b.txt", "a dog\n")
    assert read(f"zip://*.txt::{tmp_path}/match/a.zip").texts == ["a dog"]


@pytest.mark.parametrize("sign", [LOCK, f"list/{STAGE_MANIFEST}"])
def test_a_folder_of_a_build_is_refused_with_the_option_that_takes_it(tmp_path: Path, sign: str) -> None:
    for name in (LIST_MANIFEST, BUILD.record, CHECKSUMS, sign):
        write_text(tmp_path / "list" / name, "{}")
    path = tmp_path / "list" / LIST
    write_table(path, {"entry": ["dog"]})
    refused(tmp_path / "list", "metadata build", f"--metadata {path}")
    (tmp_path / "list" / CHECKSUMS).unlink()
    refused(tmp_path, "metadata build", f"--metadata {path}")


def test_a_run_folder_in_a_bucket_is_one(bucket: str, tmp_path: Path) -> None:
    import s3fs

    write_run(tmp_path / "run", pool=True, curated=True)
    s3fs.S3FileSystem().put(str(tmp_path / "run"), f"{bucket}/run", recursive=True)
    refused(f"{bucket}/run", f"{bucket}/run/pool", f"{bucket}/run/curated")
    refused(f"{bucket}/run/gather", "is a part of a run")
    shutil.rmtree(tmp_path / "run" / "curated")
    s3fs.S3FileSystem().rm(f"{bucket}/run/curated", recursive=True)
    assert read(f"{bucket}/run").texts == ["from pool"]


def write_exports(root: Path, *names: str) -> None:
    """A folder of exports as its files are."""
    for path in (root / EXPORT_RECORD, root / LOCK):
        write_text(path, "{}")
    write_text(StageFolder(root / "samples").manifest, "{}")
    write_text(root / "samples" / "a.arrow", "")
    for name in names:
        write_text(StageFolder(root / name).manifest, "{}")
        write_table(root / name / "a.parquet", {"caption": [f"from {name}"]})


@pytest.mark.parametrize("name", ["shards", "subset", "downloads"])
def test_of_a_folder_of_exports_the_one_that_is_a_pool_is_read(tmp_path: Path, name: str) -> None:
    write_exports(tmp_path / "out", name)
    assert read(tmp_path / "out").texts == [f"from {name}"]
    assert read(tmp_path / "out" / name).texts == [f"from {name}"]


def test_of_a_folder_of_exports_with_two_pools_or_none_one_is_to_be_named(tmp_path: Path) -> None:
    write_exports(tmp_path / "out")
    refused(tmp_path / "out", "is a folder of exports without shards/ or subset/ or downloads/", "name what the run was made from")
    write_exports(tmp_path / "out", "shards", "downloads")
    refused(tmp_path / "out", "with shards/ and downloads/", f"{tmp_path}/out/shards, its tars", f"{tmp_path}/out/downloads, URLs")
    refused(tmp_path / "out" / "samples", "is a part of a folder of exports, not a pool", f"{tmp_path}/out/shards")
    write_exports(tmp_path / "other", "shards")
    refused(tmp_path, "there are 2 folders of exports in it")


def test_an_index_of_shards_is_no_pool(tmp_path: Path) -> None:
    for path in (tmp_path / "index" / INDEX_RECORD, tmp_path / "index" / LOCK, StageFolder(tmp_path / "index" / "samples").manifest):
        write_text(path, "{}")
    write_table(tmp_path / "index" / "samples" / "a.parquet", {"text": ["a dog"]})
    refused(tmp_path / "index", "is a folder of an index of shards, not a pool", "name the shards")
    refused(tmp_path / "index" / "samples", "is a part of a folder of an index of shards, not a pool", "name the shards")
