"""Models of these tests are trained in workers, which compute in one thread; nothing is to be looked for on the Hub."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tallyclip.experiment.command import Experimented, run

os.environ["HF_HUB_OFFLINE"] = "1"

SMALL = """
[world]
classes = 6
things = "development"
pairs = 600
decades = 0.5
tests_per_class = 4
retrieval = 10
pairs_per_shard = 200

[model]
embed_dim = 16
[model.vision_cfg]
image_size = 16
patch_size = 8
layers = 1
width = 16
head_width = 16
[model.text_cfg]
context_length = 12
vocab_size = 49408
width = 8
heads = 1
layers = 1

[train]
seen_pairs = 320
global_batch = 32
learning_rate = 1e-3
warmup_steps = 2

[arms]
raw = {}
balanced = { t = 20 }
"""


def write_recipe(folder: Path, text: str = SMALL, name: str = "small.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Experimented:
    """A small experiment that was run without interruption."""
    folder = tmp_path_factory.mktemp("experiment")
    return run(write_recipe(folder), out=folder / "out", seeds=2)
