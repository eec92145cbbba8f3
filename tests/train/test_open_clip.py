"""open_clip's own training script trains on image shards as they are drawn, by the lines of the page on loading."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.tools import Shards, picture, write_shards

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
PAGE = Path(__file__).parents[2] / "docs" / "loading.md"
# Before the script of the page: a tiny model, the index that the tests have written, and what each batch is
PRELUDE = """
import functools
import tallyclip.train

tallyclip.train.import_torchvision()
import open_clip
import open_clip_train.main

tallyclip.train.data_for_open_clip = functools.partial(tallyclip.train.data_for_open_clip, index="shards/INDEX", shuffle=10)
open_clip.add_model_config("tiny.json")
train_one_epoch = open_clip_train.main.train_one_epoch

def watched(model, data, loss, epoch, *others, **more):
    seen = []
    loader = data["train"].dataloader
    hook = model.register_forward_pre_hook(lambda _, inputs: seen.append([list(part.shape) for part in inputs]))
    train_one_epoch(model, data, loss, epoch, *others, **more)
    hook.remove()
    print("SEEN", [epoch, loader.num_batches, loader.num_samples, loader.data.epoch, seen])

open_clip_train.main.train_one_epoch = watched
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return write_shards(tmp_path_factory.mktemp("shards") / "tars", (20, 15))


@pytest.mark.parametrize("workers", [0, 2])
def test_open_clip_trains_on_every_batch_of_two_epochs(shards: Shards, tmp_path: Path, workers: int) -> None:
    (script,) = re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "train.py").write_text(PRELUDE + script)
    (tmp_path / "shards").symlink_to(shards.tars[0].parent)
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    (tmp_path / "image.jpg").write_bytes(picture(1, (40, 40)))
    (tmp_path / "validation.tsv").write_text("filepath\ttitle\n" + "image.jpg\ta picture\n" * 6)
    flags = ["--model", "tiny", "--train-data", "shards", "--device", "cpu", "--epochs", "2", "--workers", str(workers)]
    flags += ["--val-data", "validation.tsv", "--dataset-type", "csv", "--csv-separator", "\t"]
    flags += ["--batch-size", "4", "--warmup", "1", "--logs", "logs", "--name", "tiny", "--seed", "7"]
    command = [sys.executable, "train.py", *flags]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr
    epochs = [json.loads(line.removeprefix("SEEN ")) for line in done.stdout.splitlines() if line.startswith("SEEN ")]
    assert [epoch for epoch, *_ in epochs] == [0, 1]
    data = shards.data(seed=7, batch_size=4)
    for epoch, num_batches, num_samples, epoch_of_data, seen in epochs:
        data.set_epoch(epoch)
        split = data.split(max(1, workers))
        assert epoch_of_data == epoch
        assert num_samples == 4 * num_batches == split.samples * split.ranges
        assert seen == [[[4, 3, 32, 32], [4, 77]]] * num_batches
    checkpoints = tmp_path / "logs" / "tiny" / "checkpoints"
    assert (checkpoints / "epoch_2.pt").exists()
    validated = [json.loads(line) for line in (checkpoints / "results.jsonl").read_text().splitlines()]
    assert [(row["epoch"], row["num_samples"]) for row in validated] == [(1, 6), (2, 6)]
