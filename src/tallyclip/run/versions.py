"""The versions that results may depend on."""

from __future__ import annotations

import platform
from importlib.metadata import version

import tallyclip


def versions() -> dict[str, str]:
    """What computes: the library versions that the bytes of a result may depend on."""
    return {
        "tallyclip": tallyclip.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba", "pyarrow")},  # asked of the installation: nothing has to be imported
    }
