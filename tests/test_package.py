"""The package as it is imported: light, and with every public name."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import tallyclip as tc

HEAVY = ("fsspec", "jinja2", "jaxtyping", "matplotlib", "numba", "numpy", "pyarrow", "rich", "typer")


def modules_after(*lines: str) -> set[str]:
    """What a process of its own has imported after some lines."""
    code = "\n".join([*lines, "import sys", "print(*sys.modules)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    return set(done.stdout.split())


def test_importing_the_package_loads_none_of_the_heavy_libraries() -> None:
    assert not modules_after("import tallyclip", "tallyclip.__version__", "dir(tallyclip)") & set(HEAVY)


@pytest.mark.parametrize("name", [name for name in tc.__all__ if name != "__version__"])
def test_every_public_name_is_there_however_it_is_imported(name: str) -> None:
    value = getattr(tc, name)
    assert getattr(import_module(value.__module__), name) is value
    assert vars(tc)[name] is value  # found at once the next time
    assert name in dir(tc)
    scope: dict[str, object] = {}
    exec(f"from tallyclip import {name}", scope)
    assert scope[name] is value


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = tc.nothing
    assert not hasattr(tc, "__path_to_nothing__")


def test_a_star_import_brings_what_is_public() -> None:
    scope: dict[str, object] = {}
    exec("from tallyclip import *", scope)
    assert set(tc.__all__) <= scope.keys()


def test_what_is_listed_is_public_whatever_was_imported_before() -> None:
    assert import_module("tallyclip.core.data").Metadata is tc.Metadata
    assert dir(tc) == sorted(tc.__all__)
