"""Zero-shot evaluation of models of open_clip, and the paper's numbers beside it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallyclip.extras import load

if TYPE_CHECKING:
    from tallyclip.evaluation.flow import evaluate

__all__ = ["evaluate"]


def __getattr__(name: str) -> Any:
    """``evaluate``, imported when it is first asked for: torch takes seconds.

    Raises:
        MissingExtraError: a package that it needs is not installed.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module, package in (("torch", "torch"), ("PIL", "pillow")):
        load(module, package, "train", "evaluating models")
    value = globals()[name] = getattr(import_module("tallyclip.evaluation.flow"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
