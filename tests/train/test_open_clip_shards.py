"""open_clip's own training command takes exported shards as they are."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shards import read_shards, unpack_downloads
from tests.tools import succeeds

ROOT = Path(__file__).parents[2]
BATCH = 16


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The shards of a curated set of what img2dataset downloaded, and the flags for open_clip that are printed with them."""
    folder = unpack_downloads(tmp_path_factory.mktemp("downloads"))
    succeeds("curate", folder / "pool.parquet", "--t", 20, "--out", folder / "run")
    said = succeeds("export", "webdataset", folder / "run", "--images", folder / "images", "--out", folder / "out", "--shard-size", 50)
    (line,) = (line for line in said.splitlines() if "open_clip: " in line)
    return folder / "out" / "shards", shlex.split(line.partition("open_clip: ")[2])


@pytest.fixture(scope="module")
def training(exported: tuple[Path, list[str]]) -> tuple[Path, str]:
    """The folder that training writes, and what it says: an epoch, then an evaluation of all pairs."""
    shards, flags = exported
    logs = shards.parent / "logs"
    own = ["--model", "tiny", "--device", "cpu", "--precision", "fp32", "--epochs", "1", "--warmup", "1", "--workers", "2"]
    own += ["--batch-size", str(BATCH), "--log-every-n-steps", "1", "--logs", str(logs), "--name", "run"]
    command = [sys.executable, "-m", "tests.train.open_clip_main", *own, *flags, "--val-data", flags[flags.index("--train-data") + 1]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return logs / "run", done.stdout + done.stderr


def test_training_takes_all_steps_of_an_epoch_and_writes_a_checkpoint(exported: tuple[Path, list[str]], training: tuple[Path, str]) -> None:
    samples = sum(json.loads((exported[0] / "sizes.json").read_text()).values())
    folder, said = training
    losses = [float(loss) for loss in re.findall(r"Train Epoch: 0 .* Loss: (\S+) \(", said)]
    assert len(losses) == 2 * math.ceil(math.ceil(samples / BATCH) / 2)  # the same number for each of two workers
    assert all(map(math.isfinite, losses))
    assert (folder / "checkpoints" / "epoch_1.pt").stat().st_size > 0


def test_open_clip_reads_every_sample(exported: tuple[Path, list[str]], training: tuple[Path, str]) -> None:
    folder, said = training
    (measured,) = map(json.loads, (folder / "checkpoints" / "results.jsonl").read_text().splitlines())
    assert measured["num_samples"] == len(read_shards(exported[0]))
    assert "Handling webdataset error" not in said
