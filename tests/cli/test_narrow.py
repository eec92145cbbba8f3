"""What is printed can be read at a narrow terminal: nothing is cut, no number is broken, and no line is longer than the terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tallyclip.cli.tables import GAP, NARROWEST, ScreenTable
from tests.stages.conftest import Example
from tests.tools import environment, started, succeeds

COLUMNS = 40
NAME = re.compile(r"^\S+(?: \S+)? {2,}")
STYLE = re.compile(r"\x1b\[[0-9;]*m")
WORD = st.text("abcdé犬", min_size=1, max_size=30)
NUMBER = st.integers(0, 10**12).map("{:,}".format)


def printed(table: ScreenTable, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(table)
    return out.getvalue().splitlines()


@st.composite
def tables(draw: st.DrawFn) -> tuple[ScreenTable, list[list[str]], list[list[str]]]:
    table = ScreenTable()
    texts, numbers = draw(st.integers(0, 2)), draw(st.integers(0, 6))
    titles = draw(st.lists(st.sampled_from(["", "t", "expected pairs", "never in\nthis mode"]), min_size=numbers, max_size=numbers))
    table.add_texts("entry", *["examples"] * texts)
    table.add_numbers(*titles)
    words = draw(st.lists(st.lists(WORD, min_size=1 + texts, max_size=1 + texts), min_size=1, max_size=4))
    values = [draw(st.lists(NUMBER, min_size=numbers, max_size=numbers)) for _ in words]
    for some, more in zip(words, values, strict=True):
        table.add_row(*map(Text, some), *more)
    return table, words, values


@given(tables(), st.integers(24, 120))
def test_a_table_has_all_its_values_whole_at_any_width(made: tuple[ScreenTable, list[list[str]], list[list[str]]], width: int) -> None:
    table, words, values = made
    lines = printed(table, width)
    assert max(map(cell_len, lines)) <= width
    said = "\n".join(lines)
    assert "…" not in said
    for number in {number for row in values for number in row}:
        assert re.search(rf"(^|\s){number}(\s|$)", said), number
    for word in {word for row in words for word in row}:
        assert word in said or cell_len(word) > min(NARROWEST, width - GAP)


def test_a_table_that_fits_is_one_and_another_has_a_line_for_each_value() -> None:
    table = ScreenTable()
    table.add_texts("entry")
    table.add_numbers("before", "after all")
    table.add_row("dog", "1,234", "[bold]56[/bold]")
    table.add_row("a", "7", "")
    assert [line.rstrip() for line in printed(table, 80)] == ["entry  before  after all", "dog     1,234         56", "a           7"]
    assert [line.rstrip() for line in printed(table, 20)][:2] == ["               after", "entry  before    all"]
    assert printed(table, 16) == ["entry      dog", "before     1,234", "after all  56", "", "entry      a", "before     7"]
    assert printed(table, 11) == ["entry", "  dog", "before", "  1,234", "after all", "  56", "", "entry", "  a", "before", "  7"]


def at_a_terminal(*arguments: object) -> str:
    """What a command prints at a terminal of 40 columns without colors."""
    ours, its = pty.openpty()
    environ = environment(COLUMNS=str(COLUMNS), NO_COLOR="1", TERM="xterm")
    with started(*arguments, stdout=its, stderr=its, env=environ) as process:
        os.close(its)
        said = b""
        try:
            while some := os.read(ours, 65536):
                said += some
        except OSError:  # Linux says so that the other side is closed
            pass
    os.close(ours)
    assert process.returncode == 0, said
    return STYLE.sub("", said.decode()).replace("\r", "")


def assert_narrow(said: str) -> None:
    """Lines are longer only if their value is one word, such as a path, or a command, to be copied."""
    assert "…" not in said
    long = [line for line in said.splitlines() if cell_len(line) > COLUMNS and not line.startswith("next  ")]
    assert [line for line in long if " " in NAME.sub("", line)] == []


@pytest.fixture(scope="module")
def other(example: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("other") / "run"
    succeeds("curate", example.pool, "--metadata", example.entries, "--t", 7, "--workers", 1, "--out", run)
    return run


def numbers_of(value: object) -> Iterator[str]:
    """Whole numbers in a result for programs, as people are shown them."""
    match value:
        case bool():
            return
        case int():
            yield f"{value:,}"
        case dict():
            for inner in value.values():
                yield from numbers_of(inner)
        case list():
            for inner in value:
                yield from numbers_of(inner)
        case _:
            return


@pytest.mark.parametrize(
    ("command", "part"),
    [
        (("plan", "RUN", "--quiet"), "rows"),
        (("card", "RUN", "--quiet"), None),
        (("status", "RUN"), None),
        (("match", "--text", "word1 word2 is a Word3", "--counts", "RUN"), "entries"),
        (("curate", "POOL", "--dry-run", "--out", "x"), None),
        (("diff", "RUN", "OTHER"), "pairs"),
        (("metadata", "info", "ENTRIES"), "words"),
        (("metadata", "check", "ENTRIES"), "stop_words"),
        (("metadata", "diff", "ENTRIES", "wordnet"), None),
        (("export", "uids", "RUN", "--out", "OUT", "--quiet"), "result"),
        (("export", "downloads", "RUN", "--out", "OUT", "--quiet"), None),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else value,
)
def test_a_narrow_terminal_shows_every_number(
    command: tuple[str, ...], part: str | None, example: Example, other: Path, tmp_path: Path
) -> None:
    names = {"RUN": example.run, "POOL": example.pool, "OTHER": other, "ENTRIES": example.entries, "OUT": tmp_path}
    words = [names.get(word, word) for word in command]
    said = at_a_terminal(*words)
    assert_narrow(said)
    if part is not None:
        numbers = set(numbers_of(json.loads(succeeds(*words, "--json"))[part]))
        assert numbers
        assert [number for number in numbers if number not in said] == []


def test_into_a_pipe_every_fact_is_one_line_whatever_the_width(example: Example) -> None:
    wide, narrow = (succeeds("card", example.run, "--quiet", env=environment(COLUMNS=columns)) for columns in ("400", "40"))
    assert narrow == wide
    assert "\x1b" not in narrow


def test_a_file_that_is_printed_keeps_its_lines_at_a_terminal(example: Example) -> None:
    words = ("config", "show", example.pool, "--out", "run")
    assert at_a_terminal(*words) == succeeds(*words)
    assert at_a_terminal("experiment", "recipe", "ladder") == succeeds("experiment", "recipe", "ladder")
