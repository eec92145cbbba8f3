"""The commands as functions: the same options, the same bytes, from wherever Python runs, and errors in Python's terms."""

from __future__ import annotations

import inspect
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer.main

import tallyclip as tc
from tallyclip import api
from tallyclip.cli.app import app
from tests.stages.conftest import Example
from tests.tools import PATIENCE, assert_calm, assert_same, manifest, results, succeeds, tallyclip, write_parquet

NO_KEYWORDS = {"json", "dry_run", "config", "help", "quiet", "verbose"}  # options that choose what a command prints, or give others
OF_ONE_TEXT = {"text", "counts"}  # the other use of the command match, which Matcher.match has
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "curate": tc.curate,
    "match": tc.match_pool,
    "pool": tc.make_pool,
    "count": tc.count,
    "plan": tc.plan,
    "balance": tc.balance,
    "card": tc.card,
    "status": tc.status,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_options_of_its_command_with_their_defaults(name: str) -> None:
    command: Any = typer.main.get_command(app)
    options, positional = {}, []
    for option in command.commands[name].params:
        if option.param_type_name == "argument":
            positional.append(option)
        else:
            options[max(option.opts, key=len).removeprefix("--").replace("-", "_")] = option.default
    for left in NO_KEYWORDS | (OF_ONE_TEXT if name == "match" else set()):
        options.pop(left, None)
    parameters = dict(inspect.signature(FUNCTIONS[name]).parameters)
    assert len(positional) == 1
    assert parameters.pop(next(iter(parameters))).kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert name == "status" or parameters.pop("progress").default is False
    assert parameters.keys() == options.keys()
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters.values())
    without = {key: None if value.default is inspect.Parameter.empty else value.default for key, value in parameters.items()}
    asked = {key: value if isinstance(value, str | int | float | bool) else None for key, value in options.items()}
    assert without == {key: str(value.value) if hasattr(value, "value") else value for key, value in asked.items()}


def test_curate_makes_what_the_command_makes_and_says_nothing(example: Example, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = tc.curate(example.pool, out=tmp_path / "run", metadata=example.entries, t=20, workers=2)
    assert_same(tmp_path / "run", example.results)
    assert capfd.readouterr() == ("", "")
    for stage in ("metadata", "match", "counts", "plan", "balance"):
        assert manifest(run.path, stage)["fingerprint"] == manifest(example.run, stage)["fingerprint"]


def test_the_command_goes_on_with_a_run_that_python_made(example: Example, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = tc.match_pool(str(example.pool), out=folder, metadata=example.entries, workers=2)
    assert run.status.stages[1].state == "done"
    before = manifest(folder, "match")["finished"]
    succeeds(*example.arguments, "--out", folder)
    assert_same(folder, example.results)
    assert manifest(folder, "match")["finished"] == before
    again = tc.curate([example.pool], out=folder, metadata=example.entries, t=20.0, workers=1)
    assert manifest(folder, "balance") == manifest(again.path, "balance")


def test_the_steps_one_by_one_come_to_what_curate_does(example: Example, tmp_path: Path) -> None:
    run = tc.match_pool(example.pool, out=tmp_path / "run", metadata=tc.Metadata.load(example.entries), workers=2)
    with pytest.raises(tc.IncompleteError, match="'counts' is not whole"):
        _ = run.counts
    assert tc.count(run) == run
    assert tc.plan(run, t=20).plan.t == 20
    assert tc.balance(run, t=20, workers=1) == run
    assert tc.card(str(run.path)).card.read_text().startswith("<!")
    assert_same(tmp_path / "run", example.results)
    assert [stage.state for stage in tc.status(run).stages] == ["done"] * 7


def test_what_a_run_holds_is_at_hand(example: Example) -> None:
    run = tc.Run(str(example.run))
    before = json.loads(run.entry_counts.read_text())
    assert dict(zip(run.metadata.entries, run.counts.tolist(), strict=True)) | before == before
    assert run.counts.dtype == np.int64
    assert run.counts_curated.sum() == sum(json.loads(run.entry_counts_curated.read_text()).values()) < run.counts.sum()
    kept = pq.read_table(run.curated)
    assert len(np.load(run.uids)) == len(set(kept["uid"].to_pylist()))
    assert len(pd.read_parquet(run.probabilities)) > len(kept) == len(pd.read_parquet(run.curated))
    assert run.summary + "\n" == succeeds("card", run.path)
    shown = json.loads(succeeds("plan", run.path, "--t", 20, "--json"))
    assert (run.plan.t, [row.expected_size for row in run.plan.rows]) == (20, [row["expected_size"] for row in shown["rows"]])
    assert os.fspath(run) == str(run.path)


def test_the_same_command_is_recorded_whichever_way_it_was_asked(example: Example, tmp_path: Path) -> None:
    def recorded() -> list[str]:
        return json.loads((tmp_path / "run" / "run.json").read_text())["command"]

    tc.curate([example.pool], out=tmp_path / "run", metadata=example.entries, t=20.0, drop_no_letters=False, header=None, workers=2)
    words = recorded()
    assert words == shlex.split(f"curate {example.pool} --out {tmp_path / 'run'} --metadata {example.entries} --t 20 --workers 2")
    succeeds(*words)
    assert recorded() == words
    assert_same(tmp_path / "run", example.results)


def test_arguments_are_written_as_options() -> None:
    given = {name: parameter.default for name, parameter in inspect.signature(tc.curate).parameters.items()}
    given |= {"pool": ["a", Path("b c")], "out": Path("run"), "t": float("inf"), "header": False, "drop_no_letters": True}
    given |= {"exclude_pool": ["x", tc.Run("y")], "size": "1_000", "language_threshold": 0.25, "progress": True, "seed": 0}
    words = "curate a 'b c' --out run --t inf --size 1_000 --exclude-pool x --exclude-pool y --language-threshold 0.25"
    assert api.command_of("curate", tc.curate, given) == shlex.split(f"{words} --drop-no-letters --no-header")


def test_progress_is_what_the_command_shows(example: Example, tmp_path: Path) -> None:
    code = f"import tallyclip as tc; tc.curate({str(example.pool)!r}, out='run', metadata={str(example.entries)!r}, t=20, progress=True)"
    done = python("-c", code, cwd=tmp_path)
    assert done.stdout == ""
    shown = tallyclip(*example.arguments, "--out", tmp_path / "other")

    def steps(said: str) -> list[str]:
        return [line.split("(")[0] for line in said.splitlines() if "✓" in line and "card" not in line]

    assert len(steps(done.stderr)) == 6
    assert steps(done.stderr) == steps(shown.stderr)


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False, **options)
    assert done.returncode == 0, done.stderr
    assert_calm(done.stderr)
    return done


UNGUARDED = (
    "import tallyclip as tc\nprint('once')\nrun = tc.curate({pool!r}, out='run', metadata={entries!r}, t=20, workers=2)\nprint(run)\n"
)
NOTEBOOK = "import code, sys\nconsole = code.InteractiveConsole({{'__name__': '__main__'}})\nconsole.runsource({script!r}, symbol='exec')\n"


@pytest.mark.parametrize("way", ["a script", "-c", "standard input", "a console", "a thread"])
def test_it_works_wherever_python_runs_and_the_caller_is_not_run_again(example: Example, tmp_path: Path, way: str) -> None:
    script = UNGUARDED.format(pool=str(example.pool), entries=str(example.entries))
    match way:
        case "a script":
            (tmp_path / "script.py").write_text(script)
            done = python("script.py", cwd=tmp_path)
        case "-c":
            done = python("-c", script, cwd=tmp_path)
        case "standard input":
            done = python(cwd=tmp_path, input=script)
        case "a console":
            done = python("-c", NOTEBOOK.format(script=script), cwd=tmp_path)
        case _:
            done = python(
                "-c", f"import threading\none = threading.Thread(target=exec, args=({script!r},))\none.start()\none.join()", cwd=tmp_path
            )
    assert done.stdout == "once\nRun(path=PosixPath('run'))\n"
    assert done.stderr == ""
    assert_same(tmp_path / "run", example.results)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"metadata": ["dog"]},
        TypeError,
        r"metadata is 'wordnet', a path, or Metadata, not a list: \['dog'\](.|\n)*tc\.Metadata\(\[\.\.\.\]\)",
    ),
    ({"pool": pd.DataFrame({"caption": ["a"]})}, TypeError, r"pool is a path or URL, or a list of them, not a DataFrame(.|\n)*to_parquet"),
    ({"pool": [5]}, TypeError, r"pool is a path or URL, or a list of them, not a list: \[5\]"),
    ({"pool": ""}, ValueError, "the input is an empty string"),
    ({"pool": None}, ValueError, "give either files or --crawl"),
    ({"out": 5}, TypeError, "out is str or PathLike"),
    ({"out": "hf://a/b"}, ValueError, "a run folder cannot be there"),
    ({"t": "20"}, TypeError, r"t is float or None, not a str: '20'(.|\n)*help\(tc\.curate\)"),
    ({"t": -1}, ValueError, "t must be a number above 0"),
    ({"t": 5, "size": 5}, ValueError, "--t and --size each choose the threshold"),
    ({"size": "many"}, ValueError, "--size many is not a number of pairs"),
    ({"tail_share": 2}, ValueError, "a tail share of 2"),
    ({"seed": 0.5}, TypeError, "seed is int, not a float"),
    ({"seed": -1}, ValueError, "a seed of -1 is out of range"),
    ({"mode": "fuzzy"}, ValueError, r"unknown matching mode 'fuzzy'(.|\n)*spaced-entries"),
    ({"texts": "all"}, ValueError, r"unknown texts 'all'(.|\n)*one-per-image"),
    ({"duplicates": "none"}, ValueError, r"unknown duplicates 'none'(.|\n)*pair, url, report, estimate, off"),
    ({"kind": "html", "pool": None, "crawl": "CC-MAIN-2024-22"}, ValueError, r"unknown kind 'html'(.|\n)*wat, warc"),
    ({"languages": ["en"]}, TypeError, r"languages is str or None, not a list: \['en'\]"),
    ({"exclude_pool": 5}, TypeError, "exclude_pool is a path or URL"),
    ({"drop_no_letters": "no"}, TypeError, "drop_no_letters is bool, not a str: 'no'"),
    ({"workers": 0}, ValueError, "--workers 0"),
    ({"workers": "2"}, TypeError, "workers is int or None"),
    ({"max_download": 5}, TypeError, "max_download is str"),
]


@pytest.mark.parametrize(
    ("wrong", "error", "said"), WRONG, ids=[str(next(iter(wrong.items()))[:1]) + str(i) for i, (wrong, _, _) in enumerate(WRONG)]
)
def test_what_cannot_be_is_refused_before_anything_starts(
    example: Example, tmp_path: Path, wrong: dict[str, Any], error: type[Exception], said: str
) -> None:
    given = {"pool": example.pool, "out": tmp_path / "run", "metadata": example.entries, "workers": 1} | wrong
    with pytest.raises(error, match=said) as caught:
        tc.curate(given.pop("pool"), **given)
    assert isinstance(caught.value, tc.OptionError)
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_run_it_is_said(tmp_path: Path) -> None:
    for ask in (
        tc.count,
        tc.plan,
        tc.balance,
        tc.card,
        tc.status,
        lambda folder: tc.Run(folder).counts,
        lambda folder: tc.Run(folder).summary,
    ):
        with pytest.raises(tc.ArtifactError, match="is not a run folder"):
            ask(tmp_path / "nowhere")
    with pytest.raises(TypeError, match="run is str or PathLike"):
        tc.count(5)
    assert not (tmp_path / "nowhere").exists()


def test_failed_shards_are_errors_until_they_are_allowed(example: Example, tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    write_parquet(broken, {"url": ["a"], "caption": ["word0"]})
    broken.write_bytes(broken.read_bytes()[:20] + bytes(30) + broken.read_bytes()[50:])
    given = {"out": tmp_path / "run", "metadata": example.entries, "t": 20, "workers": 2}
    with pytest.raises(tc.IncompleteError):
        tc.curate([example.pool, broken], **given)
    run = tc.curate([example.pool, broken], allow_failed_shards=True, **given)
    assert results(run.path)["uids.npy"] == example.results["uids.npy"]
