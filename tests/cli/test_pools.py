"""What commands say and write of pools that are more than files of pairs."""

from __future__ import annotations

import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.forms import FORMS
from tests.readers.tools import hashed
from tests.tools import fails, succeeds, tallyclip, write_entries, write_parquet


@pytest.fixture
def entries(tmp_path: Path) -> Path:
    return write_entries(tmp_path / "entries.json", ["dog", "cat", "bird"])


def test_columns_of_folders_come_to_the_curated_set_and_others_files_have_nulls_there(tmp_path: Path, entries: Path) -> None:
    pool = tmp_path / "pool"
    for name, caption in {"lang=en": "a dog", "lang=__HIVE_DEFAULT_PARTITION__": "a cat", "none": "a bird"}.items():
        (pool / name).mkdir(parents=True)
        write_parquet(pool / name / "a.parquet", {"caption": [caption]})
    (pool / "lang=fr").mkdir()
    (pool / "lang=fr" / "b.txt").write_text("a dog, un chien\n")
    arguments = (pool, "--metadata", entries, "--t", "inf")
    done = tallyclip("curate", *arguments, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "columns from folders: lang" in done.stderr
    rows = [row for file in sorted((tmp_path / "run" / "curated").iterdir()) for row in pq.read_table(file, partitioning=None).to_pylist()]
    assert {row["caption"]: row["lang"] for row in rows} == {"a dog": "en", "a cat": None, "a bird": None, "a dog, un chien": "fr"}
    assert pq.read_schema(next((tmp_path / "run" / "curated").glob("none*.parquet"))).field("lang").type == pa.string()
    said = succeeds("curate", pool / "lang=en", *arguments[1:], "--caption-column", "lang", "--dry-run", "--out", tmp_path / "other")
    assert "columns from folders: lang" in said


def test_what_is_skipped_is_said_before_what_goes_wrong(tmp_path: Path, entries: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    write_parquet(pool / "a.parquet", {"width": [5]})
    for name in ("sizes.json", "LICENSE.txt", "b.arrow.gz"):
        (pool / name).write_text("{}")
    arguments = ("curate", pool, "--metadata", entries, "--t", "inf", "--out", tmp_path / "run")
    said = fails(2, *arguments)
    assert "unpack them or convert them to Parquet first): 1 .arrow.gz" in said
    assert "skipped: 1 LICENSE.txt, 1 sizes.json" in said
    write_parquet(pool / "a.parquet", {"caption": ["a dog"]})
    assert "skipped: 1 LICENSE.txt, 1 sizes.json" in succeeds(*arguments, "--dry-run")


def test_a_curated_set_is_a_pool_by_the_name_of_its_run(tmp_path: Path, entries: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"caption": ["a dog", "a cat", "nothing"]})
    succeeds("curate", tmp_path / "a.parquet", "--metadata", entries, "--t", "inf", "--out", tmp_path / "run")
    done = tallyclip("curate", tmp_path / "run", "--metadata", entries, "--t", "inf", "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert "other files of the folder (only curated/ is read)" in done.stderr
    assert "2 records" in done.stdout
    assert "is a part of a run folder, not a pool" in fails(
        2, "match", tmp_path / "run" / "match", "--metadata", entries, "--out", tmp_path / "no"
    )


def test_a_file_url_of_a_folder_that_holds_the_run_is_refused_too(tmp_path: Path, entries: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"caption": ["a dog"]})
    said = fails(2, "match", f"file://{tmp_path}", "--metadata", entries, "--out", tmp_path / "run")
    assert "overlap" in said


def test_the_folder_of_a_build_is_an_entry_list(tmp_path: Path) -> None:
    (tmp_path / "list").mkdir()
    pq.write_table(pa.table({"entry": ["dog", "cat"]}), tmp_path / "list" / "metadata.parquet")
    assert "entries      2\n" in succeeds("metadata", "info", tmp_path / "list")


def test_every_form_that_people_have_captions_in_is_curated_without_a_flag(tmp_path: Path, entries: Path) -> None:
    for name, form in FORMS.items():
        folder = tmp_path / "pool" / name
        folder.mkdir(parents=True)
        (folder / form.name).write_bytes(form.content)
        for beside in ("dataset_info.json", "state.json"):  # as `save_to_disk` of `datasets` writes
            (folder / beside).write_text("{}")
    succeeds("curate", tmp_path / "pool", "--metadata", entries, "--t", "inf", "--out", tmp_path / "run")
    curated = [pq.read_table(file) for file in sorted((tmp_path / "run" / "curated").iterdir())]
    found = sorted(sorted(table["uid"].to_pylist()) for table in curated)
    matched = [(form, [i for i, caption in enumerate(form.captions) if " dogs" not in caption]) for form in FORMS.values()]
    expected = [hashed([form.images[i] for i in some], [form.captions[i] for i in some], form.image_kind) for form, some in matched]
    assert found == sorted(sorted(uids) for uids in expected)


def test_another_format_is_another_pool(tmp_path: Path, entries: Path) -> None:
    form = FORMS["flickr8k"]
    (tmp_path / form.name).write_bytes(form.content)
    arguments = ("curate", tmp_path / form.name, "--metadata", entries, "--t", "inf", "--out", tmp_path / "run")
    succeeds(*arguments)
    (first,) = [pq.read_table(file) for file in (tmp_path / "run" / "curated").iterdir()]
    succeeds(*arguments, "--format", "text")
    (second,) = [pq.read_table(file) for file in (tmp_path / "run" / "curated").iterdir()]
    assert first["caption"][0].as_py() == "a dog on a bench"
    assert second["caption"][0].as_py() == form.content.decode().splitlines()[0]
    assert "--format 'cocoa' is not known" in fails(2, *arguments, "--format", "cocoa")


def test_the_command_in_the_refusal_of_unknown_columns_works(tmp_path: Path, entries: Path) -> None:
    pool = write_parquet(tmp_path / "a table.parquet", {"link": ["http://a.example/1"], "words": ["a dog on a bench"]})
    refusal = fails(2, "curate", pool, "--metadata", entries, "--t", "inf", "--out", tmp_path / "run")
    command = shlex.split(" ".join(refusal.partition("if words holds the captions: ")[2].split()))
    assert command[0] == "tallyclip"
    command[command.index("RUN")] = str(tmp_path / "run")
    succeeds(*command[1:], "--metadata", entries, "--t", "inf")
    (table,) = [pq.read_table(file) for file in (tmp_path / "run" / "curated").iterdir()]
    assert table["uid"].to_pylist() == hashed(["http://a.example/1"], ["a dog on a bench"])
