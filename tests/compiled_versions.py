"""Which versions Numba has made of each compiled function, as far as this process knows."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from typing import Any

from numba.core.registry import CPUDispatcher

import tallyclip

# The only ones that compute with floats; elsewhere a float64 comes of an int64 that met a uint64.
WITH_FLOATS = {
    "tallyclip.core.balance._draw",
    "tallyclip.core.balance._keep",
    "tallyclip.core.exact._find",
    "tallyclip.core.plan._sum_parts",
}
# Large, so a second version would cost every user seconds: what they read is always read-only.
ONE_VERSION = "tallyclip.match.kernel."


def import_all() -> None:
    for module in pkgutil.walk_packages(tallyclip.__path__, "tallyclip."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def compiled_functions() -> dict[str, Any]:
    """The compiled functions of the modules that are imported, those that are copied into their callers left out."""
    modules = [(name, module) for name, module in sys.modules.items() if name.startswith("tallyclip.")]
    return {
        f"{name}.{value.py_func.__name__}": value
        for name, module in modules
        for value in vars(module).values()
        if isinstance(value, CPUDispatcher) and value.py_func.__module__ == name and value.targetoptions.get("inline") != "always"
    }


def complaints() -> list[str]:
    """What is wrong with the versions that there are: more than one that differ in more than what may be written to, or floats."""
    found: list[str] = []
    for name, function in compiled_functions().items():
        signatures = {str(signature) for signature in function.overloads}
        alike = (
            signatures
            if name.startswith(ONE_VERSION) and name.split(".")[-1] not in ("_match_each", "_match_long")
            else {_without_mutability(s) for s in signatures}
        )
        if len(alike) > 1:
            found.append(f"{name} has {len(alike)} versions: {' | '.join(sorted(alike))}")
        if name not in WITH_FLOATS:
            typed = [line.strip() for version in function.overloads.values() for line in str(version.type_annotation).split("\n")]
            found += [f"{name} computes with floats: {line}" for line in typed if re.search(r":: float|\bfloat64\b", line)]
    return found


def _without_mutability(signature: str) -> str:
    return re.sub(r"('[CFA]'), (True|False)", r"\1", signature.replace("readonly ", ""))
