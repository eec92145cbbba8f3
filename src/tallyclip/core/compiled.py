"""The one place where Numba's options are chosen.

``nogil`` lets threads run side by side, ``cache`` keeps the machine code between processes, and ``fastmath`` stays off: a float64
product must give the same bits on every machine. ``_nrt=False`` turns off Numba's reference counting, which made the matcher's inner
loops three times slower; so compiled code creates no arrays, and is passed those it works in. The option is Numba's own and may go or
change in any version: where it is unknown, compiled code counts references, and gives the same results more slowly.

Code is written with ``np.uint64`` throughout, since Numba turns an int64 mixed with a uint64 into a float64, and guards every signed index.

Numba would compile another version of a function for any other types of arguments, and that version may compute something else: a Python
int is an int64, and a float64 where it meets a uint64. So a compiled function takes what its annotations declare and refuses the rest.
Arrays are contiguous, as `machine.py` reads them; one that may not be written to, such as a mapped file, makes the only other version.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar, get_type_hints

import numba
import numpy as np
from numba.core import types
from numba.core.caching import NullCache
from numba.core.compiler import Flags
from numba.np.numpy_support import from_dtype

F = TypeVar("F", bound=Callable[..., object])

u64 = np.uint64
ZERO = np.uint64(0)
ONE = np.uint64(1)

_numba: Any = numba  # the types of its decorators do not know all options
_OWN_IMPORT = re.compile(r"^from (tallyclip[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


def _without_counting() -> dict[str, bool]:
    """The option that turns reference counting off; none if the installed Numba refuses it.

    Numba reads options when a function is first compiled, so this reads them in the same way, but compiles nothing.
    """
    option = {"_nrt": False}
    try:
        probe = _numba.njit(**option)(_without_counting)
        probe.targetdescr.options.parse_as_flags(Flags(), probe.targetoptions)
    except Exception:  # today a KeyError; but neither the option nor the way to read it is promised
        return {}
    return option


OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": False, "error_model": "numpy", **_without_counting()}
_njit = partial(_numba.njit, **OPTIONS)


def compiled(function: F) -> F:
    """Compile a function of arrays at its first call; the type checker sees the plain function.

    The function is unwrapped first, since a checker of shapes may have wrapped it, as in the tests.

    Raises:
        TypeError: when called: an argument is not of the type that its annotation declares.
    """
    plain = inspect.unwrap(function)
    try:
        dispatcher: Any = _njit(cache=True)(plain)
        _stamp(dispatcher, plain.__module__)
    except RuntimeError:  # no folder for the cache can be written: every process compiles the function anew
        dispatcher = _njit()(plain)
    compile_version = dispatcher.compile

    def compile_declared(signature: tuple[types.Type, ...]) -> object:
        if signature not in dispatcher.overloads:
            _refuse_undeclared(plain, signature)
        return compile_version(signature)

    dispatcher.compile = compile_declared  # Numba calls it once for each version, so calls are as fast as before
    return dispatcher


def inlined(function: F) -> F:
    """A small compiled function that is copied into its callers."""
    return _njit(inline="always")(inspect.unwrap(function))


def is_compiled(function: Any) -> bool:
    """Is there machine code of a compiled function for some types of arguments, in this process or in the cache on disk?

    If another version of Numba keeps its cache elsewhere, this says yes.
    """
    if function.overloads or isinstance(function._cache, NullCache):
        return bool(function.overloads)
    index = getattr(getattr(function._cache, "_cache_file", None), "_load_index", None)
    return index is None or bool(index())


def as_compiled_takes(array: np.ndarray, kind: type[np.generic]) -> np.ndarray:
    """An array from outside in the form that compiled code takes: itself, or a copy if it has gaps or another dtype."""
    return np.require(array, kind, ("C_CONTIGUOUS", "ALIGNED"))


def read_only(array: np.ndarray) -> np.ndarray:
    """A read-only view, so that compiled code sees one type, whether an array was made here or is mapped from a file."""
    view = array.view()
    view.flags.writeable = False
    return view


def _stamp(dispatcher: Any, module: str) -> None:
    """Make what is on disk depend on all that a function is compiled from: Numba itself looks only at the file that defines it.

    Helpers and constants of other files are copied into machine code, and so are options. If the cache keeps its stamp elsewhere in
    another version of Numba, its own remains, and after an edit of a helper ``*.nbi`` must be deleted; a test shows whether it is so.
    """
    file: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(file, "_source_stamp"):
        file._source_stamp = (file._source_stamp, _digest(module), sorted(OPTIONS.items()))


@cache
def _digest(module: str) -> str:
    """SHA-256 of the source of a module, and of all of tallyclip that it imports, directly or not."""
    sources: dict[str, str] = {}
    left = [module]
    while left:
        name = left.pop()
        if name in sources or name not in sys.modules:  # an import that is no module, but a name in one
            continue
        source = sources[name] = _source(name)
        for parent, names in _OWN_IMPORT.findall(source):
            left += [parent, *(f"{parent}.{imported}" for imported in re.findall(r"\w+", names))]
    return hashlib.sha256("".join(f"{name}\0{sources[name]}\0" for name in sorted(sources)).encode()).hexdigest()


@cache
def _source(module: str) -> str:
    try:
        return inspect.getsource(sys.modules[module])
    except (OSError, TypeError):  # an empty file, or a prompt
        return ""


def _refuse_undeclared(function: Callable[..., object], signature: tuple[types.Type, ...]) -> None:
    hints = get_type_hints(function)
    for name, found in zip(inspect.signature(function).parameters, signature, strict=True):
        if not _is_declared(hints[name], found):
            raise TypeError(f"{function.__module__}.{function.__name__} was given {found} for {name}, which must be a {hints[name]}")


def _is_declared(hint: Any, found: types.Type) -> bool:
    """Whether an annotation declares this type of Numba."""
    if isinstance(found, types.Array):
        is_array = getattr(hint, "array_type", None) is np.ndarray
        return is_array and str(found.dtype) in hint.dtypes and found.ndim == len(hint.dims) and found.layout == "C"
    if isinstance(found, types.NamedTuple):
        kinds = zip(found.fields, found, strict=True)
        return found.instance_class is hint and all(_is_declared(get_type_hints(hint)[name], kind) for name, kind in kinds)
    return isinstance(hint, type) and issubclass(hint, (np.generic, bool)) and found == from_dtype(np.dtype(hint))
