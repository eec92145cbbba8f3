"""Packages that only some features need; importing tallyclip does not import them."""

from __future__ import annotations

import importlib
import json
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tallyclip.errors import MissingExtraError

PURPOSES = {
    "crawl": "reading crawl files",
    "metadata": "this part of building entry lists",
    "ray": "--runner ray",
    "train": "loading images for training",
}


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
    return MissingExtraError(f"{purpose or PURPOSES[extra]} needs the package {package}", install_line(extra))


def install_line(extra: str) -> str:
    """The line that installs an extra: of the checkout, if tallyclip is used from one or was installed from one."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").exists():
        return f"pip install --editable {shlex.quote(f'{checkout}[{extra}]')}"
    installed = _installed_from() or "tallyclip"
    return f"pip install {shlex.quote(f'{installed}[{extra}]')}"


def _installed_from() -> str | None:
    """The folder that pip installed tallyclip from, if it was one."""
    try:
        written = metadata.distribution("tallyclip").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    url = urlsplit(json.loads(written)["url"]) if written else None
    return unquote(url.path) if url is not None and url.scheme == "file" else None
