"""Import torchvision where its compiled part does not fit the torch at hand.

torchvision's wheels are built for CUDA; beside torch's CPU wheels their compiled operators do not load, and the import fails because the
schemas of two of them are missing. Declared by hand, all but those two (and decoders of its own) work. Where the import works as it is,
nothing is done.
"""

from __future__ import annotations

import sys
from types import ModuleType

import torch

KEPT: list[torch.library.Library] = []  # a library's schemas go when it is collected


def import_torchvision() -> ModuleType:
    """torchvision, also where only its Python part works."""
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return torchvision
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    KEPT.append(library)
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    return torchvision
