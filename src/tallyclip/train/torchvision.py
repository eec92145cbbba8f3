"""torchvision beside a torch that its compiled part does not fit.

Torch for the processor alone and a torchvision built for CUDA are such a pair: importing torchvision, and with it open_clip, fails. What
training needs of it, its transforms, is plain Python.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

from tallyclip.extras import load

OPERATORS = ("nms", "qnms")  # that torchvision registers Python functions for when it is imported
_declared: list[Any] = []  # a library's declarations last as long as it does


def import_torchvision() -> Any:
    """Import torchvision; where its compiled part cannot be loaded, without ``torchvision.ops.nms`` and ``torchvision.io``.

    To be called before open_clip, open_clip_train or timm is imported. Where torchvision can be imported, this does nothing else.

    Raises:
        MissingExtraError: torchvision is not installed.
        RuntimeError: it cannot be imported, for another reason.
    """
    try:
        return load("torchvision", "torchvision", "train")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return importlib.import_module("torchvision")
