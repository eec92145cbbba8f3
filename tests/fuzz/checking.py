"""What must hold for a reader on any input: it reads, or raises an error of ours, in bounded time and memory."""

from __future__ import annotations

import re
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tallyclip.errors import TallyclipError

from .readers import Reader

SECONDS = 20  # for an input of at most 64 KiB, on a busy machine
MEMORY = 1 << 30  # bytes more than before


class TooSlowError(AssertionError):
    """A reader took too long."""


def check(reader: Reader, content: bytes, folder: Path) -> bool:
    """Read a file with this content; returns whether it could be read.

    Raises:
        Exception: the reader broke a promise.
    """
    path = folder / f"fuzzed{reader.suffix}"
    path.write_bytes(reader.pack(content))
    with at_most(SECONDS), no_more_memory(MEMORY):
        try:
            reader.read(path)
        except TallyclipError as error:
            assert error.what, "an error that says nothing"
            assert len(str(error)) < 10_000, "an error without end"
            return False
    return True


@contextmanager
def no_more_memory(most: int) -> Generator[None]:
    """Check that the memory peak of this process in a block is bounded; only on Linux."""
    forget, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not forget.exists():
        yield
        return
    before = psutil.Process().memory_info().rss
    forget.write_text("5")  # the peak so far
    yield
    peak = re.search(r"VmHWM:\s+(\d+)", status.read_text())
    assert peak is not None
    assert int(peak[1]) * 1024 - before < most, f"{(int(peak[1]) * 1024 - before) >> 20} MiB more than before"


@contextmanager
def at_most(seconds: float) -> Generator[None]:
    """Raise TooSlowError in a block that takes longer, once Python has its turn."""

    def ring(*_: object) -> None:
        raise TooSlowError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
