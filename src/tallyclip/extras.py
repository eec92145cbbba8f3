"""The packages that only some features need; importing tallyclip does not ask for them."""

from __future__ import annotations

import importlib
from typing import Any

from tallyclip.errors import MissingExtraError

PURPOSES = {"crawl": "reading crawl files", "metadata": "this part of building entry lists"}


def load(module: str, package: str, extra: str) -> Any:
    """A module of a package that an extra of tallyclip installs.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(f"{PURPOSES[extra]} needs {package}", f"pip install 'tallyclip[{extra}]'") from None
