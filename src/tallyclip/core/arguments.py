"""Arguments of the public functions, checked where they enter: an error names what was expected and what would work."""

from __future__ import annotations

import math
import operator
import reprlib
from typing import Any

import numpy as np
import numpy.typing as npt

from tallyclip.errors import ArgumentTypeError


def wrong_type(expected: str, value: object, hint: str) -> ArgumentTypeError:
    """The error for an argument of the wrong type, or an array of the wrong dtype or shape."""
    if isinstance(value, np.ndarray):
        return ArgumentTypeError(f"{expected}, not {value.dtype}{list(value.shape)}", hint)
    name = type(value).__name__
    return ArgumentTypeError(f"{expected}, not {'an' if name[0].lower() in 'aeiou' else 'a'} {name}: {reprlib.repr(value)}", hint)


def is_array(value: object, kind: npt.DTypeLike, dimensions: int = 1) -> bool:
    """Is this an array of exactly this dtype and number of dimensions?"""
    return isinstance(value, np.ndarray) and value.dtype == kind and value.ndim == dimensions


def checked_array(value: object, expected: str, kinds: str, hint: str) -> np.ndarray:
    """An array of one dimension whose dtype is of one of these kinds (``np.dtype.kind``).

    Raises:
        ArgumentTypeError: it is anything else.
    """
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind not in kinds:
        raise wrong_type(expected, value, hint)
    return value


def checked_whole(value: Any, expected: str, hint: str) -> int:
    """A whole number, of Python or NumPy.

    Raises:
        ArgumentTypeError: it is anything else.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise wrong_type(expected, value, hint) from None


def as_number(value: Any) -> float:
    """A number as a float; what is none becomes not-a-number, which no range contains."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
