"""Shared by the tests of training: a tiny model, a settings for it, and processes that train."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallyclip.train.presets import Settings

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


def run_ranks(arguments: Sequence[str], ranks: int = 1, *, timeout: float = 250) -> list[subprocess.CompletedProcess[str]]:
    """Run ``python ARGUMENTS`` once for each rank, as torchrun does, to the end of all."""
    address = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())} if ranks > 1 else {}
    processes = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=ENVIRONMENT | address | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    try:
        return [
            subprocess.CompletedProcess(process.args, process.returncode, *said)
            for process, said in [(process, process.communicate(timeout=timeout)) for process in processes]
        ]
    finally:
        for process in processes:
            process.kill()


def log_of(out: Path) -> list[dict[str, Any]]:
    """What a training wrote down of its steps."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
