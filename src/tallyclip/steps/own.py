"""Steps of the user's own: functions that decide which pairs are kept.

A function takes a batch, a ``pyarrow.Table`` of N pairs with the columns ``url`` and ``text``, and returns which are kept: N bools, as a
NumPy or Arrow array or a list. Or it returns these and the reasons: one string for all that it drops, or N. It may have two attributes:

    columns     names of other columns of the pool that it reads, such as ["similarity"]
    version     any number or string; with another, or with another source of its module, the pairs are judged again

A batch is up to 65,536 records of one file, the same whatever the number of workers. A decision must depend on the pair alone.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from tallyclip.errors import OptionError, StepError
from tallyclip.readers.ledger import OWN_STEP
from tallyclip.readers.records import Drop
from tallyclip.steps.base import Verdict

COLUMN = "column "  # before the names of a step's own columns, which may be called as one of ours
LONGEST_REASON = 60
MOST_REASONS = 50  # of a step in one file: they are kinds of drops, and each is counted and sampled
EXAMPLE = "such as --step mysteps:keep, for the function keep of mysteps.py in this folder"


class OwnStep(msgspec.Struct, frozen=True):
    """A function that drops pairs.

    Attributes:
        name: its module and its name in it, "module:function".
        folder: where the module is found.
        source: a hash of the module's file.
        version: that the function declares.
        columns: other columns that it reads.
    """

    name: str
    folder: str
    source: str
    version: str
    columns: tuple[str, ...]

    @property
    def asked(self) -> dict[str, Any]:
        """What of it a result depends on."""
        return {"name": self.name, "source": self.source, "version": self.version, "columns": list(self.columns)}


def own_step(given: str | Callable[..., Any]) -> OwnStep:
    """A step by its name, or by the function itself.

    Raises:
        OptionError: it cannot be imported, is not a function, or declares something else than names of columns.
    """
    if not isinstance(given, str):
        given = _name_of(given)
    function, path = _import(given, str(Path.cwd()))
    inner = given.split(":")[0].count(".") + (path.name == "__init__.py")
    folder = str(path.resolve().parents[inner])
    columns: Any = getattr(function, "columns", [])
    if isinstance(columns, str) or not isinstance(columns, Sequence) or not all(isinstance(name, str) for name in columns):
        raise OptionError(
            f"--step {given}: its columns are {columns!r}, not a list of names", f'{given.split(":")[1]}.columns = ["similarity"]'
        )
    return OwnStep(given, folder, _hash_of(path), str(getattr(function, "version", "")), tuple(columns))


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", None)
    if not callable(function) or name is None:
        raise OptionError(f"step: {function!r:.80} is not a function, nor the name of one", 'such as step="mysteps:keep"')
    if function.__module__ == "__main__" or "<" in name:
        what = f"step: workers cannot import {name} of {function.__module__}"
        raise OptionError(what, "put the function into a file, such as mysteps.py, and import it from there")
    return f"{function.__module__}:{name}"


def _import(name: str, folder: str) -> tuple[Callable[..., Any], Path]:
    """A function, and the file of its module."""
    module_name, colon, function_name = name.partition(":")
    if not (colon and module_name and function_name):
        raise OptionError(f"--step {name}: not the name of a module and a function", EXAMPLE)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise OptionError(f"--step {name}: there is no module {error.name}, in {folder} or where Python looks", EXAMPLE) from None
        raise OptionError(f"--step {name}: its module needs {error.name}, which is not installed", f"pip install {error.name}") from error
    except Exception as error:
        raise OptionError(f"--step {name}: its module cannot be imported: {type(error).__name__}: {error}") from error
    function: Any = module
    for part in function_name.split("."):
        function = getattr(function, part, None)
    path = getattr(module, "__file__", None)
    if not callable(function) or path is None:
        functions = [key for key, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == module_name]
        raise OptionError(f"--step {name}: the module has no function {function_name}", f"it has {', '.join(functions) or 'none'}")
    return function, Path(path)


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=32)
def _open(step: OwnStep) -> Callable[[pa.Table], Any]:
    """The function in a worker, which imports it once."""
    try:
        function, path = _import(step.name, step.folder)
    except OptionError as error:
        raise StepError(error.what, error.hint) from error
    if _hash_of(path) != step.source:
        raise StepError(f"step {step.name}: {path} changed since the command began", "run the same command again")
    return function


class OwnJudge:
    """A step of the user's own at work on the pairs of one file."""

    def __init__(self, step: OwnStep) -> None:
        self._step = step
        self._reasons: set[str] = set()
        self._label = f"{OWN_STEP}{step.name.split(':')[1]}"

    def judge(self, pairs: pa.Table) -> Verdict:
        """Decide which of N pairs are kept.

        Raises:
            StepError: the function raises, or returns something else than it should.
        """
        step = self._step
        if len(pairs) == 0:
            return Verdict(np.ones(0, np.bool_))
        names = ["url", "text", *step.columns]
        table = pa.table([pairs[COLUMN + name if COLUMN + name in pairs.column_names else name] for name in names], names)
        try:
            found = _open(step)(table)
        except StepError:
            raise
        except Exception as error:
            raise StepError(f"step {step.name} raised {type(error).__name__}: {error}") from error
        mask, reasons = found if isinstance(found, tuple) and len(found) == 2 else (found, "")
        keep = self._mask(mask, len(pairs))
        dropped = np.flatnonzero(~keep).tolist()
        texts = pairs["text"].take(pa.array(dropped, pa.int64())).to_pylist()
        return Verdict(keep, [Drop(reason, i, text) for reason, i, text in zip(self._named(reasons, keep), dropped, texts, strict=True)])

    def _mask(self, mask: Any, count: int) -> Bool[np.ndarray, " N"]:
        if isinstance(mask, pa.Array | pa.ChunkedArray):
            mask = mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else mask.to_numpy()
        try:
            keep = np.asarray(mask)
        except ValueError:  # of lists in lists
            keep = np.zeros(())
        if keep.shape != (count,) or keep.dtype != np.bool_:
            shape = f"{keep.dtype}{list(keep.shape)}" if keep.shape else type(mask).__name__
            hint = "an Arrow mask with nulls has dtype object: fill them" if keep.dtype == object else None
            raise StepError(f"step {self._step.name} returned {shape} for {count:,} pairs, not {count:,} bools", hint)
        return keep

    def _named(self, reasons: Any, keep: Bool[np.ndarray, " N"]) -> list[str]:
        """The reason of each dropped pair, with the step's name before it."""
        if isinstance(reasons, pa.Array | pa.ChunkedArray):
            reasons = reasons.to_pylist()
        if isinstance(reasons, str):
            reasons = [reasons] * len(keep)
        if not isinstance(reasons, Sequence | np.ndarray) or len(reasons) != len(keep):
            raise StepError(f"step {self._step.name} returned reasons that are neither a string nor one for each of {len(keep):,} pairs")
        some: list[Any] = [reasons[i] for i in np.flatnonzero(~keep).tolist()]
        self._reasons.update(map(str, some))
        long = next((reason for reason in some if not isinstance(reason, str) or len(reason) > LONGEST_REASON), None)
        if long is not None:
            what = f"step {self._step.name} gave the reason {long!r:.80}, not a string of up to {LONGEST_REASON} characters"
            raise StepError(what, "a reason says what kind of pair is dropped; the card shows samples of each")
        if len(self._reasons) > MOST_REASONS:
            what = f"step {self._step.name} gave more than {MOST_REASONS} reasons, such as {', '.join(sorted(self._reasons)[:3])}"
            raise StepError(what, "a reason says what kind of pair is dropped; the card shows samples of each")
        return [f"{self._label}: {reason}" if reason else self._label for reason in some]
