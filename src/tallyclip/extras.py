"""Packages that only some features need; importing tallyclip does not import them."""

from __future__ import annotations

import importlib
from typing import Any

from tallyclip.errors import MissingExtraError

PURPOSES = {"crawl": "reading crawl files", "metadata": "this part of building entry lists", "train": "loading images for training"}


def load(module: str, package: str, extra: str, purpose: str | None = None) -> Any:
    """A module of a package that an extra of tallyclip installs.

    Args:
        module: to import.
        package: that has it.
        extra: that installs the package.
        purpose: what needs the package, if not what the extra is for.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise missing(package, extra, purpose) from None


def missing(package: str, extra: str, purpose: str | None = None) -> MissingExtraError:
    """The error for a package that is not installed."""
    return MissingExtraError(f"{purpose or PURPOSES[extra]} needs the package {package}", f"pip install 'tallyclip[{extra}]'")
