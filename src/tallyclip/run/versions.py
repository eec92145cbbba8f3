"""The versions that results may depend on."""

from __future__ import annotations

import platform

import numba
import numpy
import pyarrow

import tallyclip


def versions() -> dict[str, str]:
    """What computes: the library versions that the bytes of a result may depend on."""
    return {
        "tallyclip": tallyclip.__version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "numba": numba.__version__,
        "pyarrow": pyarrow.__version__,
    }
