"""The uids of a set, sorted and, unless repeats are wanted, unique: DataComp's format of a subset, which its resharder reads.

Uids are written in sorted runs, which are merged range by range, so no step holds more than a fixed number of uids in memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt64

from tallyclip.core.duplicates import first_of_each
from tallyclip.core.sorting import sample_of_run, sort_rows
from tallyclip.core.uids import SUBSET
from tallyclip.io.arrays import map_array
from tallyclip.io.files import replacing
from tallyclip.io.mirror import fetch_all, is_there

HELD = 1 << 22  # uids in memory, 64 MB
SAMPLED = 1 << 16  # uids by which ranges are chosen


class Merged(NamedTuple):
    """The number of unique uids that were written, and the number of all uids."""

    unique: int
    total: int


class RunWriter:
    """Collects uids and writes them as sorted runs, with duplicates, to ``FOLDER/NAME.0.npy``, ``FOLDER/NAME.1.npy`` and so on.

    With more than two columns, what follows a uid in its row goes with it.
    """

    def __init__(self, folder: Path, name: str, columns: int = 2) -> None:
        self._folder = folder
        self._name = name
        self._columns = columns
        self._held: list[UInt64[np.ndarray, "_ K"]] = []
        self._size = 0
        self.paths: list[Path] = []

    def add(self, uids: UInt64[np.ndarray, "N K"]) -> None:
        self._held.append(uids)
        self._size += len(uids)
        if self._size >= HELD:
            self._flush()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._flush()

    def _flush(self) -> None:
        path = self._folder / f"{self._name}.{len(self.paths)}.npy"
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, sort_rows(np.concatenate(self._held or [np.zeros((0, self._columns), np.uint64)])))
        self.paths.append(path)
        self._held, self._size = [], 0


def runs_of(folder: Path, name: str) -> list[Path]:
    """The sorted runs that were written under a name, in order."""
    paths = (folder / f"{name}.{number}.npy" for number in itertools.count())
    return list(itertools.takewhile(is_there, paths))


def merge_runs(paths: Sequence[Path], out: Path, *, columns: int = 2, repeats: bool = False) -> Merged:
    """Merge sorted runs into one ``.npy``, sorted and with each uid once.

    Args:
        paths: of runs, uint64[n, columns]; the first two columns are uids. Of rows with the same uid the smallest is kept.
        out: of dtype ``u8,u8`` if it has uids alone, else uint64[N, columns].
        columns: of a row.
        repeats: keep all rows.
    """
    fetch_all(paths)
    runs = [map_array(path) for path in paths]
    total = sum(map(len, runs))
    unique = 0

    def chosen() -> Iterator[UInt64[np.ndarray, "_ K"]]:
        nonlocal unique
        for rows in merged_ranges(runs, bounds_of(runs, -(-total // HELD)), columns):
            is_first = first_of_each(rows)
            unique += int(np.count_nonzero(is_first))
            yield rows if repeats else rows[is_first]

    write_rows(out, chosen(), columns)
    return Merged(unique, total)


def merged_ranges(
    runs: Sequence[UInt64[np.ndarray, "_ K"]], bounds: Sequence[tuple[int, int]], columns: int
) -> Iterator[UInt64[np.ndarray, "_ K"]]:
    """The rows of sorted runs in ascending order, range by range. Equal uids are always in the same range."""
    for low, high in zip([None, *bounds], [*bounds, None], strict=True):
        slices = [run[_position(run, low) : _position(run, high)] for run in runs]
        yield sort_rows(np.concatenate([np.zeros((0, columns), np.uint64), *slices]))


def bounds_of(runs: Sequence[UInt64[np.ndarray, "_ K"]], ranges: int) -> list[tuple[int, int]]:
    """The ends of so many ranges of about equally many uids, but for the last, from a sample of the runs."""
    if ranges <= 1:
        return []
    step = max(1, sum(map(len, runs)) // SAMPLED)
    sample = sort_rows(np.concatenate([sample_of_run(run, number, step) for number, run in enumerate(runs)]))
    if len(sample) == 0:
        return []
    chosen = sample[np.linspace(0, len(sample), ranges + 1).astype(int)[1:-1]]
    return sorted({(int(row[0]), int(row[1])) for row in chosen})


def _position(run: UInt64[np.ndarray, "n K"], bound: tuple[int, int] | None) -> int | None:
    """The position in a sorted run of the first uid that is not below a bound."""
    if bound is None:
        return None
    high, low = bound
    first = int(np.searchsorted(run[:, 0], np.uint64(high)))
    last = int(np.searchsorted(run[:, 0], np.uint64(high), side="right"))
    return first + int(np.searchsorted(run[first:last, 1], np.uint64(low)))


def write_rows(out: Path, parts: Iterable[UInt64[np.ndarray, "_ K"]], columns: int) -> None:
    """Write rows as ``.npy``, part by part: uids alone as ``u8,u8``, other rows as they are."""
    written = 0
    with replacing(out) as part, part.open("wb") as file:
        _write_header(file, 0, columns)
        for rows in parts:
            file.write(np.ascontiguousarray(rows).data)
            written += len(rows)
        file.seek(0)
        _write_header(file, written, columns)


def _write_header(file: object, size: int, columns: int) -> None:
    """Write a header of ``.npy``. It has the same length for any size, because numpy reserves room for the digits."""
    kind, shape = (SUBSET, (size,)) if columns == 2 else (np.dtype(np.uint64), (size, columns))
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]
