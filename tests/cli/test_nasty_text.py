"""Names and values from data reach the terminal as text, whatever they hold."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from tests.nasties import NASTIES, acts
from tests.tools import COMMAND, PATIENCE, tallyclip, write_entries, write_parquet

OURS = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]")  # colours, and moves of the progress bar
NAMES = [text for text in NASTIES if "\x00" not in text and "\ud800" not in text]
FILES = [name.replace("/", ":") for name in NAMES]


def on_a_terminal(arguments: Sequence[object], cwd: Path) -> str:
    """What a command shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env={**os.environ, "TERM": "xterm-256color"}
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 1 << 16)
        except OSError:  # Linux says so when the other side is closed
            break
    process.wait(PATIENCE)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def said(*arguments: object, cwd: Path) -> str:
    done = tallyclip(*arguments, cwd=cwd)
    said = done.stdout + done.stderr
    assert not acts(said), said
    assert not re.search(r"^Error: (a line|nothing)", said, re.MULTILINE), said
    assert "unexpected" not in said
    return said


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pool and an entry list of such names and values."""
    folder = tmp_path_factory.mktemp("nasty")
    write_entries(folder / "entries.json", [*NAMES[:-1], "dog"])
    pool = folder / "pool"
    pool.mkdir()
    for i, name in enumerate(FILES):
        columns = {"url": ["http://x.example/1", "x"], "caption": ["a dog", f"{NAMES[i]}"], "key": NAMES[i : i + 2][:1] * 2}
        columns |= {"status": ["success", NAMES[i]], NAMES[i]: ["1", NAMES[i]]}
        write_parquet(pool / f"{name[:40]}{i}.parquet", columns)
    (pool / f"broken {FILES[0]}.parquet").write_bytes(b"PAR1 broken")
    (pool / f"other {FILES[4]}.{FILES[0]}").write_bytes(b"?")
    (pool / f"objects {FILES[5]}.jsonl").write_text("".join(json.dumps({name: name}) + "\n" for name in NAMES))
    return folder


def test_messages_of_a_run_are_text(nasty: Path) -> None:
    more = ("--metadata", "entries.json", "--t", "inf", "--workers", "1")
    out = f"run {FILES[0]}"
    assert re.search(
        r"2 of [0-9]+ shards failed:\n  \w+.*: .*\n  \w+.*: .*\n\nHint", said("curate", "pool", *more, "--out", out, cwd=nasty)
    )
    assert "matched" in said("curate", "pool", *more, "--out", out, "--allow-failed-shards", cwd=nasty)
    for arguments in (("status", out), ("status", out, "--json"), ("plan", out), ("plan", out, "--json"), ("card", out)):
        said(*arguments, cwd=nasty)
    said("match", "--text", " ".join(NAMES), "--counts", out, cwd=nasty)
    said("curate", "pool", *more, "--out", "other", "--dry-run", cwd=nasty)
    for name in ("card.md", "card.html", "card.json"):
        text = (nasty / out / "card" / name).read_text()
        assert not acts(text), name
    json.loads((nasty / out / "card" / "card.json").read_text())


def test_a_terminal_is_moved_by_nothing_but_us(nasty: Path) -> None:
    arguments = (
        "curate",
        "pool",
        "--metadata",
        "entries.json",
        "--t",
        "inf",
        "--workers",
        "1",
        "--out",
        "terminal",
        "--allow-failed-shards",
    )
    shown = on_a_terminal(arguments, nasty)
    assert "terminal/card/card.html" in shown
    assert "failed" in shown
    assert not acts(OURS.sub("", shown).replace("\r", ""))
    assert "\x1b[31mred" not in shown
    assert not acts(OURS.sub("", on_a_terminal(("status", "terminal"), nasty)))


@pytest.mark.parametrize("name", FILES[:8:2], ids=ascii)
def test_messages_about_files_are_text(nasty: Path, tmp_path: Path, name: str) -> None:
    said("curate", name, "--out", "run", cwd=tmp_path)
    said("status", name, cwd=tmp_path)


def test_other_peoples_escapes_are_text(shared_data: Path, tmp_path: Path) -> None:
    shown = said("curate", shared_data / "cases" / "34-escapes-in-data" / "a.jsonl", "--out", "run", cwd=tmp_path)
    assert "no caption column found" in shown
    assert r"\x1b[31m" in shown


def test_reports_on_entry_lists_are_text(nasty: Path) -> None:
    for arguments in (
        ("info", "entries.json"),
        ("check", "entries.json"),
        ("check", "entries.json", "--json"),
        ("diff", "entries.json", "wordnet"),
        ("merge", "entries.json", "--out", f"{FILES[0]}.json"),
    ):
        said("metadata", *arguments, cwd=nasty)
    (nasty / "odd.parquet").unlink(missing_ok=True)
    write_parquet(nasty / "odd.parquet", {name: pa.array([name]) for name in NAMES})
    assert "no column 'entry'" in said("metadata", "info", "odd.parquet", cwd=nasty)
