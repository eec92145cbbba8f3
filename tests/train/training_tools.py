"""Shared by the tests of training: a tiny model, a settings for it, and processes that train."""

from __future__ import annotations

import json
import os
import socket
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from tallyclip.train.presets import Settings
from tests.tools import PATIENCE

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
SETTINGS = Settings(
    seen_pairs=640,
    global_batch=16,
    learning_rate=1e-3,
    warmup_steps=5,
    beta1=0.9,
    beta2=0.98,
    eps=1e-6,
    weight_decay=0.2,
    max_logit_scale=100.0,
    crop_scale=(0.9, 1.0),
    precision="fp32",
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}


def write_model(folder: Path, config: dict[str, Any] = TINY, name: str = "tiny-of-tests") -> Path:
    """A file of a model's architecture."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(config))
    return path


def write_preset(folder: Path, **instead: Any) -> Path:
    """A preset's file with the settings above."""
    path = folder / "preset.toml"
    values = {name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__ if name != "clip_norm"} | instead
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    return path


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def environments_of(ranks: int) -> list[dict[str, str]]:
    """What torchrun tells each of its processes."""
    address = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())} if ranks > 1 else {}
    return [address | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]


def forked(function: Callable[..., object], environment: Mapping[str, str] | None = None, **given: Any) -> ForkProcess:
    """A process that calls a function: a copy of this one, so that importing torch and open_clip again does not take most of its time."""
    process = get_context("fork").Process(target=_call, args=(function, environment or {}, given))
    with warnings.catch_warnings():  # from Python 3.12 on it warns of xdist's thread, which the copy lacks
        warnings.filterwarnings("ignore", r".*use of fork\(\)", DeprecationWarning)
        process.start()
    return process


def _call(function: Callable[..., object], environment: Mapping[str, str], given: Mapping[str, Any]) -> None:
    os.environ.update(environment)
    function(**given)


def end(processes: Sequence[ForkProcess]) -> None:
    """Let processes come to their end, which is a good one."""
    try:
        for process in processes:
            process.join(PATIENCE)
            assert process.exitcode == 0  # what it said is in pytest's report
    finally:
        for process in processes:
            process.kill()


def log_of(out: Path) -> list[dict[str, Any]]:
    """What a training wrote down of its steps."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
