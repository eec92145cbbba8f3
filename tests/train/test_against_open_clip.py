"""Training gives the losses of open_clip's own program, which has its own loop, optimizer, schedule, loss and transforms."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tallyclip.train.command import train
from tallyclip.train.models import adamw, create_model
from tallyclip.train.presets import load_preset
from tallyclip.train.weights import architecture_of, import_open_clip
from tests.train.tools import write_shards
from tests.train.training_tools import ENVIRONMENT, SETTINGS, log_of, write_model, write_preset

EPOCHS, STEPS = 5, 50
THEIRS = """
import json, sys
from types import SimpleNamespace
from tallyclip.train import data_for_open_clip, import_torchvision

import_torchvision()
import open_clip
import open_clip_train.main as trainer

shards, index, config, *flags = sys.argv[1:]
open_clip.add_model_config(config)
trainer.get_data = data_for_open_clip(shards, "run", index=index)
train_one_epoch = trainer.train_one_epoch
losses = []

def add_scalar(name, value, step):
    if name == "train/loss":
        losses.append(value)

trainer.train_one_epoch = lambda *given, **more: train_one_epoch(*given, **more | {"tb_writer": SimpleNamespace(add_scalar=add_scalar)})
trainer.main(flags)
print(json.dumps(losses))
"""


def test_fifty_losses_are_those_of_open_clip(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "tars", (90, 70), keep=(1.0,))
    config, preset = write_model(tmp_path), write_preset(tmp_path, seen_pairs=STEPS * SETTINGS.global_batch)
    first = tmp_path / "first.pt"
    torch.save(create_model(name := architecture_of(str(config)), SETTINGS, seed=3).model.state_dict(), first)

    flags = ["--model", name, "--pretrained", str(first), "--train-data", "the shards", "--device", "cpu", "--precision", "fp32"]
    flags += ["--epochs", str(EPOCHS), "--batch-size", str(SETTINGS.global_batch), "--workers", "0", "--seed", "7"]
    flags += [
        "--lr",
        str(SETTINGS.learning_rate),
        "--beta2",
        str(SETTINGS.beta2),
        "--eps",
        str(SETTINGS.eps),
        "--wd",
        str(SETTINGS.weight_decay),
    ]
    flags += ["--warmup", str(SETTINGS.warmup_steps), "--log-every-n-steps", "1", "--logs", str(tmp_path / "logs"), "--save-frequency", "0"]
    command = [sys.executable, "-c", THEIRS, str(tmp_path / "tars"), str(shards.index_folder), str(config), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=250)
    assert done.returncode == 0, done.stderr
    expected: list[float] = json.loads(done.stdout.splitlines()[-1])
    assert len(expected) == STEPS

    train(
        str(tmp_path / "tars"),
        out=tmp_path / "out",
        model=str(config),
        preset=str(preset),
        run="run",
        online=True,
        index=shards.index_folder,
        pretrained=first,
        seed=7,
        workers=0,
        log_every=1,
    )
    found = [step["loss"] for step in log_of(tmp_path / "out")]
    assert found == pytest.approx(expected, abs=1e-4)
    assert expected[-1] < expected[0] - 0.1  # it did learn: other losses than at the beginning are compared


@pytest.mark.parametrize("model", ["ViT-B-32-quickgelu", "ViT-L-14-quickgelu"])
def test_the_weights_that_decay_are_those_of_open_clip(model: str) -> None:
    settings = load_preset("paper", model).settings
    with torch.device("meta"):
        built = import_open_clip().create_model(model, device="meta")
    no_decay, decay = adamw(built, settings).param_groups
    # open_clip_train.main: these do not decay
    others = [p for n, p in built.named_parameters() if p.ndim < 2 or "bn" in n or "ln" in n or "bias" in n or "logit_scale" in n]
    assert {id(p) for p in no_decay["params"]} == {id(p) for p in others}
    assert len(no_decay["params"]) + len(decay["params"]) == len(list(built.parameters()))
    assert (no_decay["weight_decay"], decay["weight_decay"]) == (0.0, 0.2)
