"""What the tests of runs share: a small pool, the real command in a process of its own, and what there is to compare."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

COMMAND = Path(sys.executable).with_name("tallyclip")
PATIENCE = 120.0  # seconds; far more than anything here takes
RESULTS = ("curated", "probabilities", "uids.npy", "entry_counts.json", "entry_counts_curated.json")
ENTRIES = [*(f"word{i}" for i in range(200)), "New York", "hot dog", "stand on", "St. Louis"]


def captions(count: int, seed: int) -> list[str]:
    """Captions in which a few entries are named all the time and most hardly ever; some name none."""
    draw = random.Random(seed)

    def entry() -> str:
        return ENTRIES[min(int(draw.paretovariate(0.6)) - 1, len(ENTRIES) - 1)]

    return [" ".join([*(entry() for _ in range(draw.randint(0, 5))), f"n{draw.randint(0, 99)}"]) for _ in range(count)]


def addresses(count: int, name: str) -> list[str]:
    return [f"https://{name}.example/{i}.jpg" for i in range(count)]


def write_entries(path: Path, entries: Sequence[str] = ENTRIES) -> Path:
    path.write_text(json.dumps(list(entries)))
    return path


def write_parquet(path: Path, columns: dict[str, Any], rows_per_group: int = 300) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows_per_group, write_page_checksum=True)
    return path


def write_pool(folder: Path) -> Path:
    """Two Parquet files, JSON lines, TSV and a tar, with 2,400 pairs of an address, a caption and more."""
    folder.mkdir()
    for seed, name in enumerate(("apple", "berry")):
        columns = {"url": addresses(800, name), "caption": captions(800, seed), "width": list(range(800))}
        write_parquet(folder / f"{name}.parquet", columns)
    rows = zip(addresses(400, "cherry"), captions(400, 2), strict=True)
    lines = [json.dumps({"url": url, "caption": caption, "license": "CC0"}) for url, caption in rows]
    with gzip.open(folder / "cherry.jsonl.gz", "wt", compresslevel=1) as packed:
        packed.write("\n".join(lines) + "\n")
    rows = zip(addresses(300, "date"), captions(300, 3), strict=True)
    (folder / "date.tsv").write_text("".join(f"{caption}\t{url}\n" for url, caption in rows))
    with tarfile.open(folder / "elder.tar", "w") as tar:
        for i, caption in enumerate(captions(100, 4)):
            member = tarfile.TarInfo(f"{i:05d}.txt")
            member.size = len(caption)
            tar.addfile(member, BytesIO(caption.encode()))
    return folder


def tallyclip(*arguments: object, timeout: float = PATIENCE, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False, **options)


def started(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start the command as the leader of a process group of its own."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True} | options
    return subprocess.Popen([COMMAND, *map(str, arguments)], **options)


def succeeds(*arguments: object, **options: Any) -> str:
    """Run the command, see that all is well and nothing untoward is said, and return what it prints."""
    done = tallyclip(*arguments, **options)
    assert done.returncode == 0, done.stderr
    assert_calm(done.stderr)
    return done.stdout


def fails(code: int, *arguments: object, **options: Any) -> str:
    """Run the command, see that it fails as it should, and return what it says: what is wrong and what would help."""
    done = tallyclip(*arguments, **options)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert_calm(done.stderr)
    return done.stderr


def assert_calm(said: str) -> None:
    for word in ("Traceback", "Exception ignored", "Warning", "leaked"):
        assert word not in said, said


def eventually(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"still not so after {PATIENCE} s: {what}"
        time.sleep(0.01)


def family(pid: int) -> list[psutil.Process]:
    """The processes that a process has started, and those that they have."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def assert_gone(processes: Sequence[psutil.Process]) -> None:
    """All of these processes end, by themselves and soon."""

    def left() -> list[psutil.Process]:
        return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

    eventually(lambda: not left(), f"processes gone: {left()}")


def results(run: Path) -> dict[str, bytes]:
    """The bytes of all that must be the same whenever it is made again."""
    files = [file for name in RESULTS for file in ([run / name] if (run / name).is_file() else sorted((run / name).rglob("*")))]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def assert_same(run: Path, clean: dict[str, bytes]) -> None:
    """A run has exactly these results, and nothing is left of how it came to them."""
    found = results(run)
    assert found.keys() == clean.keys()
    assert [name for name in clean if found[name] != clean[name]] == []
    assert leftovers(run) == []


def leftovers(run: Path) -> list[str]:
    """Half-written files, and stages under way."""
    return [str(path.relative_to(run)) for path in run.rglob("*") if ".part-" in path.name or path.parent.name == ".work"]


def modified(run: Path, *names: str) -> dict[str, int]:
    """When the files of some stages and results were last written."""
    files = [file for name in names for file in [run / name, *(run / name).rglob("*")] if file.is_file()]
    assert files
    return {str(file): file.stat().st_mtime_ns for file in files}


def manifest(run: Path, stage: str) -> dict[str, Any]:
    return json.loads((run / stage / "_manifest.json").read_text())


def kept_uids(run: Path) -> np.ndarray:
    return np.load(run / "uids.npy")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, **more}
