"""The uids of a set, sorted and, unless repeats are wanted, unique: DataComp's format of a subset, which its resharder reads.

Uids are written in sorted runs, which are merged range by range, so no step holds more than a fixed number of uids in memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt64

from tallyclip.core.duplicates import first_of_each
from tallyclip.core.sorting import sample_of_run, sort_rows
from tallyclip.core.uids import SUBSET, as_columns
from tallyclip.io.arrays import map_array
from tallyclip.io.files import replacing
from tallyclip.io.mirror import fetch_all, is_there

HELD = 1 << 22  # uids in memory, 64 MB
SAMPLED = 1 << 16  # uids by which ranges are chosen
RUNS_AT_ONCE = 64  # files open at the same time


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

    While there are more than ``RUNS_AT_ONCE`` runs, that many are merged into a longer run beside them, because the number of open files
    of a process is limited.
    """
    fetch_all(paths)
    total = sum(len(map_array(path)) for path in paths)
    runs, longer = list(paths), 0
    while len(runs) > RUNS_AT_ONCE:
        target = runs[0].with_name(f"_merged.{longer}.npy")  # no shard's name: their keys do not begin with an underscore
        _merge(runs[:RUNS_AT_ONCE], target, columns, repeats=repeats)
        runs, longer = [*runs[RUNS_AT_ONCE:], target], longer + 1
    return Merged(_merge(runs, out, columns, repeats=repeats), total)


def _merge(paths: Sequence[Path], out: Path, columns: int, *, repeats: bool) -> int:
    """Merge a few runs, range by range, and return the number of unique uids. Equal uids are always in the same range."""
    loaded = [map_array(path) for path in paths]
    runs = [as_columns(run) if columns == 2 else run for run in loaded]  # a longer run of uids is u8,u8
    bounds = _bounds(runs)
    unique = written = 0
    with replacing(out) as part, part.open("wb") as file:
        _write_header(file, 0, columns)
        for low, high in zip([None, *bounds], [*bounds, None], strict=True):
            slices = [run[_position(run, low) : _position(run, high)] for run in runs]
            merged = sort_rows(np.concatenate([np.zeros((0, columns), np.uint64), *slices]))
            is_first = first_of_each(merged)
            chosen = merged if repeats else merged[is_first]
            chosen.tofile(file)
            unique, written = unique + int(np.count_nonzero(is_first)), written + len(chosen)
        file.seek(0)
        _write_header(file, written, columns)
    return unique


def _bounds(runs: Sequence[UInt64[np.ndarray, "_ K"]]) -> list[tuple[int, int]]:
    """The ends of ranges of about HELD uids, from a sample of the runs."""
    total = sum(map(len, runs))
    ranges = -(-total // HELD)
    if ranges <= 1:
        return []
    step = max(1, total // SAMPLED)
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


def _write_header(file: object, size: int, columns: int) -> None:
    """Write a header of ``.npy``. It has the same length for any size, because numpy reserves room for the digits."""
    kind, shape = (SUBSET, (size,)) if columns == 2 else (np.dtype(np.uint64), (size, columns))
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]
