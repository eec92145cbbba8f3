"""From image shards to batches for training."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallyclip.extras import load

if TYPE_CHECKING:
    from tallyclip.train.command import train
    from tallyclip.train.loading import BatchLoader, batches
    from tallyclip.train.online import OnlineBalanced
    from tallyclip.train.open_clip import data_for_open_clip
    from tallyclip.train.torchvision import import_torchvision

__all__ = ["BatchLoader", "OnlineBalanced", "batches", "data_for_open_clip", "import_torchvision", "train"]

_HOME_OF = {
    "BatchLoader": "tallyclip.train.loading",
    "OnlineBalanced": "tallyclip.train.online",
    "batches": "tallyclip.train.loading",
    "data_for_open_clip": "tallyclip.train.open_clip",
    "import_torchvision": "tallyclip.train.torchvision",
    "train": "tallyclip.train.command",
}


def __getattr__(name: str) -> Any:
    """A name, imported when it is first asked for: torch takes seconds.

    Raises:
        MissingExtraError: torch or Pillow is not installed.
    """
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    load("torch", "torch", "train")
    load("PIL", "pillow", "train")
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
