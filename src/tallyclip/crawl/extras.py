"""The packages that only those who read crawl files need; importing tallyclip does not ask for them."""

from __future__ import annotations

import importlib
from typing import Any

from tallyclip.errors import MissingExtraError

INSTALL = "pip install 'tallyclip[crawl]'"


def load(module: str, package: str) -> Any:
    """A module of one of these packages.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(f"reading crawl files needs {package}", INSTALL) from None
