"""The commands in processes of their own: what they print, what they write, and how they end."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer.main

import tallyclip as tc
from tallyclip.cli.app import app
from tallyclip.extras import install_line
from tests.evaluation import made
from tests.tools import PATIENCE, fails, started, succeeds, tallyclip

Files = tuple[Path, Path]


def test_a_model_is_evaluated_and_stands_in_the_table(tiny: Files, tmp_path: Path) -> None:
    data = made.write_classification(tmp_path / "wds_vtab-cifar10", 60)
    (data / "test" / "0.tar").write_bytes((data / "test" / "0.tar").read_bytes().replace(b"\x89PNG", b"\x89PNX", 1))
    options = ("--pretrained", tiny[1], "--data", data, "--device", "cpu", "--workers", "1")
    done = tallyclip("eval", "--model", tiny[0], *options, "--out", tmp_path / "cifar10.json")
    assert done.returncode == 0, done.stderr
    assert "59 images, 1 cannot be used" in done.stderr
    result = json.loads((tmp_path / "cifar10.json").read_text())
    assert ["acc1", f"{100 * result['metrics']['acc1']:.1f}"] in [line.split() for line in done.stdout.splitlines()]
    assert "unusable     1: not an image; such as" in done.stdout
    assert "classes      12, prompts 36" in done.stdout
    said = json.loads(succeeds("eval", "--model", tiny[0], *options, "--json"))
    assert said == result
    (tmp_path / "theirs.json").write_text(json.dumps(result | {"model": "ViT-B-32", "dataset": "wds/vtab/cifar10"}))
    table = succeeds("eval", "table", tmp_path / "cifar10.json", tmp_path / "theirs.json")
    assert "CIFAR10" in table
    assert "MetaCLIP" in table
    assert "1 of 26 tasks" in table.replace("\n", " ")
    values = json.loads(succeeds("eval", "table", "--json", "--suite", "datacomp-38", tmp_path / "theirs.json"))
    assert [model["model"] for model in values["models"]] == ["ViT-B-32", "MetaCLIP", "MetaCLIP", "MetaCLIP"]


def test_an_interruption_is_said_and_leaves_nothing(tiny: Files, tmp_path: Path) -> None:
    data = made.write_classification(tmp_path / "set", 300)
    options = (
        "--pretrained",
        tiny[1],
        "--data",
        data,
        "--device",
        "cpu",
        "--workers",
        "1",
        "--batch-size",
        "1",
        "--out",
        tmp_path / "out.json",
    )
    process = started("eval", "--model", tiny[0], *options)
    assert process.stderr is not None
    while not process.stderr.readline().startswith("images:"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert said.endswith("\nInterrupted. Nothing was written.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_where_nothing_can_be_written_the_model_is_not_run(tiny: Files, tmp_path: Path) -> None:
    data = made.write_classification(tmp_path / "set", 5)
    (tmp_path / "file").write_text("")
    said = fails(1, "eval", "--model", tiny[0], "--pretrained", tiny[1], "--data", data, "--out", tmp_path / "file" / "out.json")
    assert "cannot be written" in said
    assert "images:" not in said


def test_the_function_has_the_options_of_the_command_with_their_defaults() -> None:
    group: Any = typer.main.get_command(app)
    options = {option.name: option.default for option in group.commands["eval"].params if option.name not in ("as_json", "quiet")}
    parameters = inspect.signature(tc.evaluate).parameters
    assert options.keys() == parameters.keys() - {"progress"}
    assert [parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in options] == [name != "data" for name in options]
    empty = inspect.Parameter.empty
    assert all(parameters[name].default in (empty, getattr(value, "value", value)) for name, value in options.items())


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    assert "--model and --data are needed" in fails(2, "eval", "--model", "ViT-B-32")
    assert "no such file or folder" in fails(2, "eval", "--model", "ViT-B-32", "--pretrained", "openai", "--data", tmp_path / "nowhere")
    assert "not readable" in fails(2, "eval", "table", tmp_path / "nowhere.json")


def test_without_an_extra_the_error_says_what_to_install() -> None:
    for module, package in (("torch", "torch"), ("PIL", "pillow"), ("open_clip", "open_clip_torch"), ("torchvision", "torchvision")):
        code = f"import sys; sys.modules[{module!r}] = None\nimport tallyclip\ntallyclip.evaluate('.', model='ViT-B-32')"
        folder = Path(__file__).parent
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ, timeout=100, cwd=folder
        )
        assert f"needs the package {package}" in done.stderr, done.stderr
        assert install_line("train") in done.stderr


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, tallyclip.evaluation.table, tallyclip; tallyclip.evaluate; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
