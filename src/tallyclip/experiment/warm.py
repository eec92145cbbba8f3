"""Imported by the process that an experiment's workers are forked from: torch and open_clip take each of them seconds otherwise."""

from __future__ import annotations

import tallyclip.experiment.arms  # noqa: F401 # pyright: ignore[reportUnusedImport]
from tallyclip.train.weights import import_open_clip

import_open_clip()
