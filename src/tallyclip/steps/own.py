"""Steps of the user's own: functions that decide which pairs are kept.

A function takes a batch, a ``pyarrow.Table`` of N pairs with the columns ``url`` and ``text``, and returns which are kept: N bools, as a
NumPy or Arrow array or a list. Or it returns these and the reasons: one string for all that it drops, or N. It may have two attributes:

    columns     names of other columns of the pool that it reads, such as ["similarity"]
    version     any number or string; with another, or with another source of its module, the pairs are judged again. What the module
                imports does not count: raise the version if that changes

A batch is up to 65,536 records of one file, the same whatever the number of workers. A decision must depend on the pair alone.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib import import_module, reload
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from tallyclip.errors import OptionError, StepError, shows_tracebacks
from tallyclip.readers.content import is_utf8
from tallyclip.readers.ledger import OWN_STEP
from tallyclip.readers.records import Drop
from tallyclip.steps.base import Verdict
from tallyclip.wording import plural

COLUMN = "column "  # before the names of a step's own columns, which may be called as one of ours
LONGEST_REASON = 60
MOST_REASONS = 50  # of a step in one file: they are kinds of drops, and each is counted and sampled
LONGEST_SAID = 300  # characters of an exception; it may hold the whole batch
KIND_OF_DROP = "a reason says what kind of pair is dropped; the card shows samples of each"
ALWAYS = ("url", "text")  # the columns that every step is given
_IMPORTED: dict[str, str] = {}  # modules of steps in this process, and the hash of the file that each was made from
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
    name = given if isinstance(given, str) else _name_of(given)
    function, path = _import(name, str(Path.cwd()))
    inner = name.split(":")[0].count(".") + (path.name == "__init__.py")
    folder = str(path.resolve().parents[inner])
    columns: Any = getattr(function, "columns", [])
    if isinstance(columns, str) or not isinstance(columns, Sequence) or not all(isinstance(column, str) for column in columns):
        what = f"step {name!r}: its columns are {columns!r}, not a list of names"
        raise OptionError(what, f'{name.partition(":")[2]}.columns = ["similarity"]')
    more = dict.fromkeys(column for column in columns if column not in ALWAYS)
    return OwnStep(name, folder, _hash_of(path), str(getattr(function, "version", "")), tuple(more))


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", None)
    if not callable(function) or name is None:
        what = f"step: {function!r:.80} is not a function with a name, nor the name of one"
        raise OptionError(what, 'such as step="mysteps:keep", step=mysteps.keep, or a list of them')
    if function.__module__ == "__main__" or "<" in name:
        what = f"step: workers cannot import {name} of {function.__module__}"
        raise OptionError(what, "put the function into a file, such as mysteps.py, and import it from there")
    return f"{function.__module__}:{name}"


def _import(name: str, folder: str) -> tuple[Callable[..., Any], Path]:
    """A function, and the file of its module."""
    module_name, _, function_name = name.partition(":")
    if module_name.endswith(".py"):
        hint = f"leave out .py: {module_name[:-3]}:{function_name}"
        raise OptionError(f"step {name!r}: {module_name} is a file, not the name of a module", hint)
    if not function_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise OptionError(f"step {name!r}: not the name of a module and a function", EXAMPLE)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = _module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise OptionError(f"step {name!r}: there is no module {error.name}, in {folder} or where Python looks", EXAMPLE) from None
        raise OptionError(f"step {name!r}: its module needs {error.name}, which is not installed", f"pip install {error.name}") from error
    except SystemExit:
        what = f"step {name!r}: its module ends the program when it is imported"
        raise OptionError(what, "put what is to be run under: if __name__ == '__main__'") from None
    except Exception as error:
        raise OptionError(f"step {name!r}: its module cannot be imported: {_said(error)}") from error
    function: Any = module
    for part in function_name.split("."):
        function = getattr(function, part, None)
    path = getattr(module, "__file__", None)
    if not callable(function) or path is None:
        functions = [key for key, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == module_name]
        shown = ", ".join(key for key in functions if not key.startswith("_")) or "none"
        raise OptionError(f"step {name!r}: {path or 'the module'} has no function {function_name}", f"it has {shown}")
    return function, Path(path)


def _module(name: str) -> ModuleType:
    """A module as its file is now: in a session it may have been edited since it was imported."""
    module = import_module(name)
    path = getattr(module, "__file__", None)
    if path is not None:
        now = _hash_of(Path(path))
        if _IMPORTED.setdefault(name, now) != now:
            _IMPORTED[name] = now
            return reload(module)
    return module


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _said(error: BaseException, name: str = "") -> str:
    """An exception in a few words, with the last line of a module that it came through."""
    try:
        words = f"{type(error).__name__}: {error}"
    except Exception:  # its own __str__ may raise
        words = type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if name and Path(frame.filename).stem == name.rpartition(".")[2]]
    return words[:LONGEST_SAID] + (f", in line {frames[-1].lineno} of {frames[-1].filename}" if frames else "")


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


def judges_of(steps: Sequence[OwnStep]) -> list[OwnJudge]:
    """The steps at work on the pairs of one file. In reasons a step is called by its function, or, if others are called so too, by all of
    its name."""
    functions = [step.name.partition(":")[2] for step in steps]
    return [
        OwnJudge(step, step.name if functions.count(function) > 1 else function) for step, function in zip(steps, functions, strict=True)
    ]


class OwnJudge:
    """A step of the user's own at work on the pairs of one file; ``label`` is what reasons call it."""

    def __init__(self, step: OwnStep, label: str) -> None:
        self._step = step
        self._reasons: set[str] = set()
        self._label = f"{OWN_STEP}{label}"

    def judge(self, pairs: pa.Table) -> Verdict:
        """Decide which of N pairs are kept.

        Raises:
            StepError: the function raises, or returns something else than it should.
        """
        if len(pairs) == 0:
            return Verdict(np.ones(0, np.bool_))
        try:
            return self._judged(pairs)
        except StepError:
            raise
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # whatever it is, no other shard would fare better
            if shows_tracebacks():
                traceback.print_exc()
            raise StepError(f"step {self._step.name} raised {_said(error, self._step.name.partition(':')[0])}") from error

    def _judged(self, pairs: pa.Table) -> Verdict:
        names = [*ALWAYS, *self._step.columns]
        table = pa.table([pairs[COLUMN + name if COLUMN + name in pairs.column_names else name] for name in names], names)
        found = _open(self._step)(table)
        mask, reasons = found if isinstance(found, tuple) and len(found) == 2 else (found, "")
        keep = self._mask(mask, len(pairs))
        dropped = np.flatnonzero(~keep).tolist()
        texts = pairs["text"].take(pa.array(dropped, pa.int64())).to_pylist()
        return Verdict(keep, [Drop(reason, i, text) for reason, i, text in zip(self._named(reasons, keep), dropped, texts, strict=True)])

    def _mask(self, mask: Any, count: int) -> Bool[np.ndarray, " N"]:
        nulls = 0
        if isinstance(mask, pa.Array | pa.ChunkedArray):
            nulls, mask = mask.null_count, np.array(mask.to_pylist()) if mask.null_count else np.asarray(mask)
        try:
            keep = np.asarray(mask)
        except ValueError:  # of lists in lists
            keep = np.zeros(())
        if keep.shape != (count,) or keep.dtype != np.bool_ or isinstance(mask, np.ma.MaskedArray):
            shape = f"{keep.dtype}{list(keep.shape)}" if keep.shape else type(mask).__name__
            masked = "masked " if isinstance(mask, np.ma.MaskedArray) else ""
            hint = f"{nulls:,} of them are null: fill these with true or false" if nulls else None
            raise StepError(
                f"step {self._step.name} returned {masked}{shape} for {plural(count, 'pair')}, not {plural(count, 'bool')}", hint
            )
        return keep

    def _named(self, reasons: Any, keep: Bool[np.ndarray, " N"]) -> list[str]:
        """The reason of each dropped pair, with the step's name before it."""
        each = [reasons] * len(keep) if isinstance(reasons, str) else list(reasons) if isinstance(reasons, Iterable) else []
        if len(each) != len(keep):
            raise StepError(f"step {self._step.name} returned reasons that are neither a string nor one for each of {len(keep):,} pairs")
        some = [self._reason(each[i]) for i in np.flatnonzero(~keep).tolist()]
        self._reasons.update(some)
        if len(self._reasons) > MOST_REASONS:
            what = f"step {self._step.name} gave more than {MOST_REASONS} reasons, such as {', '.join(sorted(self._reasons)[:3])}"
            raise StepError(what, KIND_OF_DROP)
        return [f"{self._label}: {reason}" if reason else self._label for reason in some]

    def _reason(self, reason: Any) -> str:
        if isinstance(reason, pa.Scalar):
            reason = reason.as_py()
        if not isinstance(reason, str) or len(reason) > LONGEST_REASON or not is_utf8(reason.encode("utf-8", "surrogatepass")):
            what = f"step {self._step.name} gave the reason {reason!r:.80}, not a string of up to {LONGEST_REASON} characters"
            raise StepError(what, KIND_OF_DROP)
        return str(reason)
