"""The one place where Numba's options are chosen.

``nogil`` lets threads run side by side, ``cache`` keeps the machine code between processes, and ``fastmath`` stays off: a float64
product must give the same bits on every machine. ``_nrt=False`` leaves out Numba's reference counting, which made the matcher's inner
loops three times slower; so compiled code makes no arrays, and is given those it works in. It is written with ``np.uint64`` throughout,
since Numba turns an int64 mixed with a uint64 into a float64, and guards every signed index.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., object])

u64 = np.uint64
ZERO = np.uint64(0)
ONE = np.uint64(1)

_numba: Any = numba  # whose decorators come with types that say less than they take
_njit = partial(_numba.njit, nogil=True, fastmath=False, error_model="numpy", _nrt=False)


def compiled(function: F) -> F:
    """Compile a function of arrays at its first call; the type checker sees the plain function.

    Unwrapped, because a checker of shapes may have wrapped it, as in the tests.
    """
    plain = inspect.unwrap(function)
    try:
        return _njit(cache=True)(plain)
    except RuntimeError:  # no folder for the cache can be written: it is compiled anew by every process
        return _njit()(plain)


def inlined(function: F) -> F:
    """A small compiled function that is copied into its callers."""
    return _njit(inline="always")(inspect.unwrap(function))
