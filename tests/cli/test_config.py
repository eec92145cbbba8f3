"""A run described by a file: the same bytes as with flags, flags win, and what the file cannot say is refused before any work."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

import tallyclip as tc
from tests.readers.crawl.tools import image, page, write_wat
from tests.stages.conftest import Example
from tests.tools import assert_same, fails, results, succeeds


def write(folder: Path, content: str, name: str = "run.toml") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def recorded(run: Path) -> list[str]:
    return json.loads((run / "run.json").read_text())["command"]


def described(example: Example) -> str:
    return f'pool = "{example.pool}"\nmetadata = "{example.entries}"\nt = 20\nworkers = 2\n'


def settings(shown: str) -> dict[str, tuple[str, str]]:
    """What ``config show`` prints: by key, the value and where it is from."""
    lines = [line.split("  # ") for line in shown.splitlines() if not line.startswith("#")]
    return {line.split(" = ")[0]: (line.split(" = ")[1].strip(), origin) for line, origin in lines}


def test_a_file_makes_what_flags_make_and_the_command_that_is_recorded_needs_no_file(example: Example, tmp_path: Path) -> None:
    file = write(tmp_path, described(example) + 'out = "run"\n')
    succeeds("curate", "--config", file)
    assert_same(tmp_path / "run", example.results)
    flags = ["curate", str(example.pool), "--out", str(tmp_path / "run"), "--metadata", str(example.entries), "--t", "20", "--workers", "2"]
    assert recorded(tmp_path / "run") == flags


def test_python_takes_the_file_as_it_is(example: Example, tmp_path: Path) -> None:
    file = write(tmp_path, f'{described(example)}out = "{tmp_path / "run"}"\nheader = false\nexclude_pool = []\n')
    tc.curate(**tomllib.loads(file.read_text()))
    assert_same(tmp_path / "run", example.results)


def test_what_is_shown_gives_the_same_run_from_wherever_it_is_read(example: Example, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    pool, entries = (os.path.relpath(path, tmp_path / "here") for path in (example.pool, example.entries))
    flags = (pool, "--metadata", entries, "--out", "../run", "--t", 20, "--workers", 2, "--no-header")
    shown = succeeds("config", "show", *flags, cwd=tmp_path / "here")
    file = write(tmp_path / "there", shown)
    again = succeeds("config", "show", "--config", file)
    assert {key: value for key, (value, _) in settings(again).items()} == {key: value for key, (value, _) in settings(shown).items()}
    succeeds("curate", "--config", file)
    assert_same(tmp_path / "run", example.results)


def test_it_is_said_of_every_option_where_it_is_from(tmp_path: Path) -> None:
    text = 'pool = ["a.parquet", "s3://bucket/*.parquet", "~/b"]\nsize = 1_000_000\nheader = false\n'
    file = write(tmp_path, f'{text}exclude_pool = ["x", "y"]\nstep = "mine:keep"\nlanguages = "en"\nblocked_domains = "odd\\u007f.txt"\n')
    shown = succeeds("config", "show", "--config", file, "--seed", 7, "--languages", "de", "--no-header", cwd=tmp_path)
    found = settings(shown)
    pool = [str(tmp_path / "a.parquet"), "s3://bucket/*.parquet", str(Path.home() / "b")]
    assert tomllib.loads(shown)["pool"] == pool
    assert tomllib.loads(shown)["blocked_domains"] == str(tmp_path / "odd\x7f.txt")
    assert [found[key] for key in ("size", "seed", "languages", "header", "mode", "clean_metadata")] == [
        ('"1000000"', "run.toml"),
        ("7", "flag"),
        ('"de"', "flag"),
        ("false", "flag"),
        ('"exact"', "default"),
        ("false", "default"),
    ]
    assert found["exclude_pool"] == (f'["{tmp_path / "x"}", "{tmp_path / "y"}"]', "run.toml")
    assert found["step"] == ('["mine:keep"]', "run.toml")
    unset = " ".join(line.removeprefix("#") for line in shown.splitlines() if line.startswith("#"))
    assert {"t", "tail_share", "workers", "out"} <= set(unset.replace(",", "").split())


@pytest.mark.parametrize(
    ("content", "flags", "left", "gone"),
    [
        ("size = 5", ["--t", "inf"], {"t": "inf"}, ["size", "tail_share"]),
        ("t = inf", ["--tail-share", "0.1"], {"tail_share": "0.1"}, ["t"]),
        ("t = 1e20", [], {"t": "1e+20"}, ["size"]),
        ('crawl = "a"\nsample = "1/2"', ["b.parquet"], {}, ["crawl", "sample"]),
        ('pool = "b.parquet"\nseed = 3', ["--crawl", "a"], {"crawl": '"a"', "seed": "3"}, ["pool"]),
        ('crawl = "a"\nsample = "1/2"', ["--sample", "1/4"], {"crawl": '"a"', "sample": '"1/4"'}, ["pool"]),
    ],
)
def test_a_flag_replaces_whatever_in_the_file_chooses_the_same(
    tmp_path: Path, content: str, flags: list[str], left: dict[str, str], gone: list[str]
) -> None:
    found = settings(succeeds("config", "show", "--config", write(tmp_path, content), *flags))
    assert {key: found[key][0] for key in left} == left
    assert not found.keys() & set(gone)


def test_names_are_relative_to_the_file_even_where_its_folder_looks_like_a_pattern(example: Example, tmp_path: Path) -> None:
    folder = tmp_path / "a[b]"
    folder.mkdir()
    shutil.copytree(example.pool, folder / "pool")
    shutil.copy(example.entries, folder / "entries.json")
    file = write(folder, 'pool = ["pool/*.parquet", "pool/[cde]*"]\nmetadata = "entries.json"\nout = "run"\nt = 20\nworkers = 2')
    succeeds("curate", "--config", file)
    assert {name: content for name, content in results(folder / "run").items() if not name.startswith("probabilities")} == {
        name: content
        for name, content in example.results.items()
        if not name.startswith("probabilities")  # which name the files
    }


def test_one_file_describes_the_commands_of_a_run(example: Example, tmp_path: Path) -> None:
    write_wat(tmp_path / "crawl.warc.wat.gz", [page("https://a.example/", [image("a.jpg", alt="word1 word2")])])
    file = write(
        tmp_path, f'pool = "crawl.warc.wat.gz"\nout = "pool"\nmetadata = "{example.entries}"\nt = 20\nworkers = 1\nmin_text_length = 3\n'
    )
    succeeds("pool", "--config", file)
    command = f"pool {tmp_path}/crawl.warc.wat.gz --out {tmp_path}/pool --min-text-length 3 --workers 1"
    assert recorded(tmp_path / "pool") == command.split()
    succeeds("match", tmp_path / "pool" / "pool", "--config", file, "--out", tmp_path / "run")
    assert "--t" not in recorded(tmp_path / "run")
    assert recorded(tmp_path / "run")[:2] == ["match", str(tmp_path / "pool" / "pool")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("seed = 1\nt = \n", "not TOML: Invalid value (at line 2, column 5)"),
        ("tail-share = 0.1", "unknown key 'tail-share'\n\nHint: did you mean tail_share? the known keys are pool, out, metadata"),
        ("progress = true", "unknown key 'progress'"),
        ("dry_run = true", "unknown key 'dry_run'"),
        ("[curate]\nt = 5", "unknown key 'curate'"),
        ("t = 20\nsize = 5", "t and size each choose the threshold\n\nHint: give only one of"),
        ('t = "20"', 't cannot be "20"\n\nHint: give a number\n'),
        ("t = true", "t cannot be true\n\nHint: give a number\n"),
        ("size = [5]", "size cannot be [5]\n\nHint: give a number or text in quotes"),
        ("seed = 0.5", "seed cannot be 0.5\n\nHint: give a whole number"),
        ("workers = 0", "workers cannot be 0\n\nHint: "),
        ('header = "false"', 'header cannot be "false"\n\nHint: give true or false'),
        ('mode = "fuzzy"', 'mode cannot be "fuzzy"\n\nHint: give "exact" or "spaced-entries" or "casefold"'),
        ('kind = "html"', 'kind cannot be "html"\n\nHint: give "wat" or "warc"'),
        ("pool = 5", "pool cannot be 5\n\nHint: give text in quotes, or a list of text in quotes"),
        ("exclude_pool = [5]", "exclude_pool cannot be [5]"),
        ("step = 5", "step cannot be 5\n\nHint: give text in quotes, or a list of text in quotes"),
        ('pool = ""', "pool: the input is an empty string"),
        ('out = "hf://a/b"', "out: hf://a/b: a run folder cannot be there"),
        ("metadata = 1979-05-27", "metadata cannot be datetime.date"),
    ],
)
def test_what_a_file_cannot_say_is_refused_before_any_work(example: Example, tmp_path: Path, content: str, said: str) -> None:
    file = write(tmp_path, content)
    for command in ("curate", "match", "pool"):
        assert f"Error: {file}: {said}" in fails(2, command, example.pool, "--out", tmp_path / "run", "--config", file)
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    said = fails(2, "curate", "--config", tmp_path / "none.toml")
    assert "none.toml: cannot read options: No such file or directory\n\nHint: give a TOML file" in said


def test_a_file_without_out_still_needs_it(tmp_path: Path) -> None:
    assert "--out" in fails(2, "curate", "--config", write(tmp_path, 'pool = "a"'))


def test_steps_are_the_same_by_flags_by_file_and_in_python(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "def short(pairs):\n    return [len(text) < 40 for text in pairs['text'].to_pylist()]\n", "my_step_of_config.py")
    steps: dict[str, Any] = {"duplicates": "report", "step": ["my_step_of_config:short"], "write_dropped": True}
    flags = ("--duplicates", "report", "--step", "my_step_of_config:short", "--write-dropped")
    succeeds("curate", example.pool, "--metadata", example.entries, "--t", 20, *flags, "--out", tmp_path / "flags", cwd=tmp_path)
    expected = results(tmp_path / "flags")
    text = described(example) + "".join(f"{key} = {json.dumps(value)}\n" for key, value in steps.items())
    succeeds("curate", "--config", write(tmp_path, text), "--out", tmp_path / "file", cwd=tmp_path)
    assert_same(tmp_path / "file", expected)
    run = tc.curate(example.pool, metadata=example.entries, t=20, out=tmp_path / "python", **steps)
    assert_same(tmp_path / "python", expected)
    assert (run.dropped / "step-short").is_dir()
    assert recorded(tmp_path / "python")[-5:] == list(flags)
