"""What cannot be read, named or written is said in a few lines with what would help, whatever it is, and never with a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.stages.conftest import Example
from tests.tools import (
    PATIENCE,
    assert_calm,
    assert_same,
    environment,
    fails,
    results,
    succeeds,
    tallyclip,
    write_entries,
    write_parquet,
)

NOT_UTF8 = os.fsdecode(b"caf\xe9")
WITH_RUN = [("count",), ("plan",), ("balance",), ("card",), ("status",), ("match", "--text", "dog", "--counts")]


def said_by(code: int, *arguments: object, **options: object) -> str:
    """What a command that fails says, in one line."""
    error = fails(code, *arguments, **options)
    assert "Hint: " in error
    return " ".join(error.split())


# names


@pytest.mark.parametrize("command", [("curate", "pool.parquet", "--out"), ("match", "a.txt", "--out"), ("demo", "--out"), *WITH_RUN])
@pytest.mark.parametrize("folder", ["hf://run", "https://host/run"])
def test_a_run_folder_is_on_this_machine_or_on_an_object_store(tmp_path: Path, command: tuple[str, ...], folder: str) -> None:
    where = "this folder must be on this machine" if command[0] == "demo" else "a run folder cannot be there"
    assert f"{folder}: {where}" in said_by(2, *command, folder, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "what"),
    [(("curate", "", "--out", "run"), "input"), (("match", "", "--out", "run"), "input"), (("status", ""), "run folder")],
)
def test_nothing_is_not_the_name_of_the_current_folder(tmp_path: Path, arguments: tuple[str, ...], what: str) -> None:
    (tmp_path / "a.txt").write_text("a dog\n")
    assert f"the {what} is an empty string" in said_by(2, *arguments, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_names_that_are_not_utf8_are_refused_before_anything_is_written(example: Example, tmp_path: Path) -> None:
    more = ("--metadata", example.entries, "--dry-run")
    for arguments in (("curate", NOT_UTF8, "--out", "run"), ("curate", example.pool, "--out", NOT_UTF8)):
        assert r"not UTF-8: 'caf\udce9'" in said_by(2, *arguments, *more[:2], cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / f"{NOT_UTF8}.txt").write_text("a dog\n")
    assert r"caf\udce9.txt': the name of this file is not UTF-8" in said_by(2, "curate", "pool", *more[:2], "--out", "run", cwd=tmp_path)
    (tmp_path / NOT_UTF8).mkdir()
    assert "not UTF-8" in said_by(2, "curate", example.pool, *more, "--out", "run", cwd=tmp_path / NOT_UTF8)
    assert not (tmp_path / "run").exists()


# entry lists


def test_json_nested_too_deeply_is_no_entry_list(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    assert f"{path}: not a JSON list of strings: it is nested too deeply" in fails(2, "metadata", "info", path)


def test_an_entry_list_behind_an_address_that_needs_a_key_says_so(tmp_path: Path) -> None:
    nothing = {"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    env = {name: value for name, value in environment(**nothing).items() if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"  # where nobody listens
    said = said_by(2, "metadata", "info", "s3://bucket/entries.json", env=env)
    assert "s3://bucket/entries.json: not readable as an entry list: NoCredentialsError" in said
    assert "your access to it" in said


def test_an_entry_list_that_says_of_some_entries_where_they_are_from_is_described(tmp_path: Path) -> None:
    pq.write_table(pa.table({"entry": ["dog", "cat", "bird"], "source": ["wordnet", None, "wordnet"]}), tmp_path / "a.parquet")
    assert "not given 1, wordnet 2" in succeeds("metadata", "info", tmp_path / "a.parquet")


def test_the_hint_of_an_unclean_list_helps_wherever_it_is_given(tmp_path: Path) -> None:
    path = write_entries(tmp_path / "a.json", ["dog", "", "dog"])
    assert "--clean-metadata" in said_by(2, "metadata", "info", path)
    assert "entries      1\n" in succeeds("metadata", "info", path, "--clean-metadata")


# our own files


def spoil(path: Path, content: bytes) -> None:
    """Write something over the beginning of a file; its size stays."""
    before = path.read_bytes()
    path.write_bytes((content + before[len(content) :])[: len(before)])


DAMAGES = [
    ("counts/counts.npy", b"broken", ("plan", "--t", "3"), "counts"),
    ("counts/counts.npy", b"broken", ("match", "--text", "word0", "--counts"), "counts"),
    ("counts/counts.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<i4'", ("balance", "--t", "3"), "counts"),
    ("plan/plan.json", b"[[[", ("plan", "--t", "20"), "plan"),
    ("plan/plan.json", b"[[[", ("plan", "--t", "20", "--json"), "plan"),
    ("plan/plan.json", b'{"n"', ("plan", "--t", "20", "--json"), "plan"),
    ("card/_manifest.json", b"[[[", ("card",), "card"),
    ("balance/counts_curated.npy", b"broken", ("card",), "balance"),
]


@pytest.mark.parametrize(("name", "content", "command", "stage"), DAMAGES, ids=[f"{name} {command[0]}" for name, _, command, _ in DAMAGES])
def test_a_damaged_file_of_a_run_is_named_with_what_to_delete_and_then_all_is_well(
    example: Example, tmp_path: Path, name: str, content: bytes, command: tuple[str, ...], stage: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(example.run, run)
    spoil(run / name, content)
    if name.startswith("balance"):
        shutil.rmtree(run / "card")
    arguments = [*command, run] if command[-1] == "--counts" else [command[0], run, *command[1:]]
    said = said_by(2, *arguments)
    assert f"{run / name}: broken" in said
    delete = said.split("delete ")[1].split(" and ")[0]
    assert Path(delete) in (run / stage, run / name)
    shutil.rmtree(delete) if Path(delete).is_dir() else Path(delete).unlink()
    succeeds(*example.arguments, "--out", run)
    succeeds(*arguments)
    succeeds(*example.arguments, "--out", run)
    assert_same(run, example.results)


# a machine that is not as usual


def test_what_an_output_cannot_show_is_shown_in_other_signs(example: Example, tmp_path: Path) -> None:
    done = tallyclip(*example.arguments, "--out", tmp_path / "run", env=environment(PYTHONIOENCODING="ascii"))
    assert done.returncode == 0, done.stderr
    assert_calm(done.stderr)
    assert r"\u2192" in done.stdout
    assert results(tmp_path / "run") == example.results


INTERRUPTED_AT = """
import os, signal, sys

module = sys.argv[1]

class Finder:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from tallyclip.cli import main
sys.argv[:2] = ["tallyclip"]
main()
"""


@pytest.mark.parametrize("module", ["typer", "tallyclip.cli.options", "numba", "tallyclip.match.kernel"])
def test_ctrl_c_while_libraries_are_loaded_is_answered_in_a_line(module: str) -> None:
    arguments = [sys.executable, "-c", INTERRUPTED_AT, module, "match", "--text", "a dog"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False, start_new_session=True)
    assert done.returncode == 130, done.stderr
    assert_calm(done.stderr)
    assert "Interrupted." in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


UNEXPECTED = """
from tallyclip.cli.app import app, main, reports_errors

@app.command()
@reports_errors
def fail() -> None:
    raise ZeroDivisionError("a bug")

main()
"""


def test_a_bug_is_reported_as_one_and_its_traceback_can_be_printed() -> None:
    arguments = [sys.executable, "-c", UNEXPECTED, "fail"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert_calm(done.stderr)
    assert "unexpected error: ZeroDivisionError: a bug" in done.stderr
    assert "TALLYCLIP_TRACEBACK=1" in done.stderr
    env = environment(TALLYCLIP_TRACEBACK="1")
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False, env=env)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.strip().endswith("ZeroDivisionError: a bug")


# what is not read


def test_a_dry_run_names_the_files_that_it_cannot_read(example: Example, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    for name in ("a", "b", "c"):
        write_parquet(pool / f"{name}.parquet", {"caption": ["word0 word1"] * 100})
    command = ("curate", pool, "--metadata", example.entries, "--dry-run", "--out", tmp_path / "run")
    assert "unreadable" not in succeeds(*command)
    (pool / "b.parquet").write_bytes(b"PAR1 and no more")
    assert f"unreadable  {pool / 'b.parquet'}: " in succeeds(*command)
    for name in ("a", "c"):
        (pool / f"{name}.parquet").write_bytes(b"")
    said = fails(2, *command)
    assert all(str(pool / f"{name}.parquet") in said for name in ("a", "b", "c"))
    for name in ("a", "b", "c"):
        write_parquet(pool / f"{name}.parquet", {"caption": pa.array([], pa.string())})
    assert "have no records" in said_by(2, *command)


def test_the_last_lines_say_how_many_shards_were_given_up(example: Example, tmp_path: Path) -> None:
    shutil.copytree(example.pool, tmp_path / "pool")
    (tmp_path / "pool" / "berry.parquet").write_bytes(b"PAR1 and no more")
    said = succeeds("curate", tmp_path / "pool", *example.arguments[2:], "--allow-failed-shards", "--out", tmp_path / "run")
    assert "dropped: 1 of 5 shards not read" in said
    assert len(said.splitlines()) == 11
    assert json.loads((tmp_path / "run" / "card" / "card.json").read_text())["shards"] == 4


def test_an_empty_list_among_the_pools_files_is_a_file_of_no_records(example: Example, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    (pool / "a.json").write_text("[]\n")
    write_parquet(pool / "b.parquet", {"caption": ["word0 word1"] * 100})
    said = succeeds("curate", pool, "--metadata", example.entries, "--t", "inf", "--out", tmp_path / "run")
    assert "100 records" in said
    (pool / "b.parquet").unlink()
    assert "the pool has no records" in said_by(1, "curate", pool, "--metadata", example.entries, "--out", tmp_path / "empty")
