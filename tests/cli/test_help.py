"""The help of every command, whatever the width, and what shells complete."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from rich.cells import cell_len

from tallyclip.cli.app import app
from tallyclip.cli.help import HelpfulCommand, HelpfulGroup
from tests.tools import COMMAND, PATIENCE, environment, succeeds


def commands(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands and groups, by the words that call them."""
    yield names, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, *names, name)


ALL = dict(commands(typer.main.get_command(app)))
WITH_OPTIONS = {names: command for names, command in ALL.items() if not isinstance(command, HelpfulGroup) or names == ("eval",)}


def helped(names: tuple[str, ...], columns: int) -> list[str]:
    return succeeds(*names, "--help", env=environment(COLUMNS=str(columns))).splitlines()


def examples_of(command: Any) -> list[str]:
    return [line.strip() for line in (command.help or "").split("Example", 1)[-1].splitlines() if line.strip().startswith("tallyclip ")]


def test_the_commands_are_found() -> None:
    assert len(ALL) > 25
    assert {("curate",), ("metadata", "build"), ("export", "index"), ("eval",), ("eval", "table"), ("train",)} <= ALL.keys()
    assert all(isinstance(command, HelpfulCommand | HelpfulGroup) for command in ALL.values())


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_every_option_says_what_its_value_is_and_what_it_does(names: tuple[str, ...]) -> None:
    for parameter in ALL[names].params:
        assert parameter.help, parameter.name
        assert parameter.is_flag if parameter.param_type_name == "option" and parameter.metavar is None else parameter.metavar


@pytest.mark.parametrize("names", WITH_OPTIONS, ids=" ".join)
def test_a_command_has_an_example_whose_options_it_has(names: tuple[str, ...]) -> None:
    found = examples_of(WITH_OPTIONS[names])
    own = [line for line in found if line.startswith(f"tallyclip {' '.join(names)}")]
    assert own, found
    known = {name for parameter in WITH_OPTIONS[names].params for name in (*parameter.opts, *parameter.secondary_opts)}
    for line in own:
        words = shlex.split(line.split(" -- ")[0])  # behind it are the options of another command
        assert {word.split("=")[0] for word in words if word.startswith("-")} <= known, line


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("names", [(), ("curate",), ("eval",), ("metadata", "build")], ids=" ".join)
def test_help_fits_the_terminal_and_names_every_option_whole(names: tuple[str, ...], columns: int) -> None:
    lines = helped(names, columns)
    assert max(map(cell_len, lines)) <= min(columns, 100)
    assert all(line == line.rstrip() and "\x1b" not in line and "<" not in line for line in lines)
    for parameter in ALL[names].params:
        if parameter.param_type_name == "option":
            assert any(line.strip().startswith(", ".join(sorted(parameter.opts, key=len))) for line in lines), parameter.opts
    for inner in getattr(ALL[names], "commands", {}):
        assert any(line.startswith(f"  {inner}") for line in lines)


def completions(*words: str) -> list[str]:
    """What bash is told to complete the last word with."""
    script = succeeds(env=environment(_TALLYCLIP_COMPLETE="source_bash"))
    assert "complete -o default" in script  # where no word is known, names of files are completed
    given = " ".join(map(shlex.quote, ("tallyclip", *words)))
    program = (
        f'{script}\nCOMP_WORDS=({given}); COMP_CWORD={len(words)}; _tallyclip_completion {COMMAND}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE)
    return done.stdout.split()


def test_bash_completes_commands_options_and_values() -> None:
    assert completions("cu") == ["curate"]
    assert {"curate", "plan", "export"} <= set(completions(""))
    assert completions("curate", "--tail") == ["--tail-share"]
    assert completions("curate", "--mode", "sp") == ["spaced-entries"]
    assert completions("metadata", "build", "--recipe", "w") == ["worldwide"]
    assert completions("curate", "--out", "") == []
