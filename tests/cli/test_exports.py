"""The commands that export a curated set: the options of their functions, the same files, and what they print."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer.main

import tallyclip as tc
from tallyclip.cli.app import app
from tests.pictures import picture, sample, write_samples
from tests.stages.conftest import Example
from tests.tools import fails, manifest, succeeds, tallyclip

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "downloads": tc.export_downloads,
    "subset": tc.export_subset,
    "uids": tc.export_uids,
}
OF_IMAGES: dict[str, Callable[..., Any]] = {
    "export webdataset": tc.export_webdataset,
    "export index": tc.export_index,
    "survivors": tc.survivors,
}


OF_OUTPUT = ("help", "as_json", "quiet", "verbose")  # options of what a command prints
FLAGS = ("images",)  # of commands; functions take them by their place


@pytest.mark.parametrize("name", [*(f"export {name}" for name in FUNCTIONS), *OF_IMAGES])
def test_a_function_has_the_options_of_its_command_with_their_defaults(name: str) -> None:
    command: Any = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]
    options = {
        option.name: option.default for option in command.params if option.param_type_name == "option" and option.name not in OF_OUTPUT
    }
    arguments = [option.name for option in command.params if option.param_type_name == "argument"]
    parameters = dict(inspect.signature(OF_IMAGES.get(name) or FUNCTIONS[name.split()[-1]]).parameters)
    assert parameters.pop("progress").default is False
    by_place = [key for key, value in parameters.items() if value.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert by_place == [*arguments, *(flag for flag in FLAGS if flag in parameters)]
    keywords = {key: value.default for key, value in parameters.items() if key not in arguments}
    assert {key: None if value is inspect.Parameter.empty else value for key, value in keywords.items()} == {
        key: value if isinstance(value, str | int | float | bool) else None for key, value in options.items()
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_command_says_what_its_function_says_and_is_recorded_as_it(example: Example, tmp_path: Path, name: str) -> None:
    said = succeeds("export", name, example.run, "--out", tmp_path / "out", "--workers", 2)
    made = FUNCTIONS[name](example.run, out=tmp_path / "out", workers=2)  # there already
    assert said == made.summary + "\n"
    assert made.path == tmp_path / "out"
    recorded = json.loads((tmp_path / "out" / "export.json").read_text())["command"]
    assert recorded == ["export", name, str(example.run), "--out", str(tmp_path / "out"), "--workers", "2"]
    help_ = succeeds("export", name, "--help")
    assert "--out" in help_
    assert f"tallyclip export {name} run" in " ".join(help_.replace("│", " ").split())


def test_tables_are_named_after_the_run(example: Example, tmp_path: Path) -> None:
    said = succeeds("export", "subset", example.run, example.pool / "apple.parquet", "--out", tmp_path / "out", "--workers", 1)
    assert "of 800 rows, in 1 file" in said


def test_what_is_wrong_is_said_before_anything_is_made(example: Example, tmp_path: Path) -> None:
    assert "is not a run folder" in fails(2, "export", "uids", example.pool, "--out", tmp_path / "out")
    assert "no such file" in fails(2, "export", "subset", example.run, tmp_path / "none", "--out", tmp_path / "out")
    assert tallyclip("export", "downloads", example.run).returncode == 2
    assert "must be on this machine" in fails(2, "export", "uids", example.run, "--out", "s3://bucket/out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(tc.ArgumentTypeError, match="repeats is bool"):
        tc.export_uids(example.run, out=tmp_path / "out", repeats="yes")  # type: ignore[arg-type]


def test_a_command_over_images_is_recorded_with_all_of_their_names(example: Example, tmp_path: Path) -> None:
    rows = pq.read_table(example.run / "curated" / "apple.parquet").to_pylist()
    samples = [sample(f"{i:05d}", row["url"], row["caption"], picture(i)) for i, row in enumerate(rows[:9])]
    for name in ("a", "b"):
        write_samples(tmp_path / f"{name}.tar", samples)
    words = [str(example.run), "--images", str(tmp_path / "a.tar"), "--images", str(tmp_path / "b.tar"), "--out", str(tmp_path / "out")]
    tc.export_webdataset(example.run, [tmp_path / "a.tar", tmp_path / "b.tar"], out=tmp_path / "out", workers=1)
    recorded = json.loads((tmp_path / "out" / "export.json").read_text())["command"]
    assert recorded == ["export", "webdataset", *words, "--workers", "1"]
    before = manifest(tmp_path / "out", "webdataset")
    succeeds(*recorded)
    assert manifest(tmp_path / "out", "webdataset") == before
