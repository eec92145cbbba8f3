"""Fuzz readers for a while, each in its own process, and keep the shortest file for each way in which one breaks."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
import traceback
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from .checking import SECONDS, check
from .mutations import mutated
from .readers import all_readers

BATCH = 200  # files between two looks at the clock
GRACE = 60  # seconds to wait for a reader that no signal stops, and for the compiler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = list(all_readers(Path(tempfile.mkdtemp())))
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"all by default: {', '.join(names)}")
    parser.add_argument("--seconds", type=float, default=60, help="for each reader")
    parser.add_argument("--seed", type=int, default=0, help="another one tries other files")
    parser.add_argument("--out", type=Path, default=Path("fuzz-found"), help="where files that break a reader are kept")
    arguments = parser.parse_args()
    unknown = set(arguments.readers) - set(names)
    if unknown:
        parser.error(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    broken = 0
    for name in arguments.readers or names:
        broken += fuzz(name, arguments.seconds, arguments.seed, arguments.out)
    sys.exit(1 if broken else 0)


def fuzz(name: str, seconds: float, first_seed: int, out: Path) -> int:
    """Fuzz one reader; returns in how many ways it broke."""
    with tempfile.TemporaryDirectory() as scratch:
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_fuzz, args=(name, seconds, first_seed, Path(scratch)), daemon=True)
        process.start()
        process.join(seconds + SECONDS + GRACE)
        hangs = process.is_alive()
        if hangs:
            process.kill()
            process.join()
        found = sorted(Path(scratch).glob("found/*"))
        if process.exitcode != 0:  # its last input did it
            last = Path(scratch, "last")
            last.rename(Path(scratch, "hangs" if hangs else f"dies with {process.exitcode}"))
            found.append(next(path for path in Path(scratch).iterdir() if path.name.startswith(("hangs", "dies"))))
        for path in found:
            target = out / f"{name}: {path.name}".replace(" ", "_").replace("/", "_")
            out.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
            print(f"  {target}, {path.stat().st_size:,} bytes")
    return len(found)


def _fuzz(name: str, seconds: float, first_seed: int, scratch: Path) -> None:
    folder, found = scratch / "work", scratch / "found"
    folder.mkdir()
    found.mkdir()
    reader = all_readers(folder)[name]
    check(reader, reader.seeds[0], folder)  # compiles the kernels
    tried = read = 0
    started = time.monotonic()

    for batch in count(first_seed):
        if time.monotonic() - started > seconds:
            break

        @seed(batch)
        @settings(max_examples=BATCH, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(mutated(reader.seeds, reader.words, reader.fields))
        def some_files(content: bytes) -> None:
            nonlocal tried, read
            (scratch / "last").write_bytes(content)
            tried += 1
            try:
                read += check(reader, content, folder)
            except Exception as error:
                path = found / f"{type(error).__name__} at {_place(error)}"
                if not path.exists() or path.stat().st_size > len(content):
                    path.write_bytes(content)

        some_files()
    taken = time.monotonic() - started
    print(
        f"{name}: {tried:,} files, {tried / taken:.0f} a second, {read:,} of them read; broke in {len(list(found.iterdir()))} ways",
        flush=True,
    )


def _place(error: Exception) -> str:
    """The last line of our code in an error's traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "tallyclip" in frame.filename]
    return f"{Path(frames[-1].filename).name} {frames[-1].lineno}" if frames else "a check"


if __name__ == "__main__":
    main()
