"""What is written down of steps, and the speeds that it is measured by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tallyclip.errors import OptionError
from tallyclip.train.logs import JsonLines, TrainStep, open_logs, peak_of
from tallyclip.train.models import operations_of_pair
from tallyclip.train.weights import import_open_clip


def step(number: int) -> TrainStep:
    return TrainStep(
        step=number,
        epoch=0,
        seen=16 * number,
        loss=2.5,
        learning_rate=1e-3,
        logit_scale=14.3,
        gradient_norm=None,
        images_per_second=100.0,
        mfu=0.25,
        seconds=1.0,
    )


def test_steps_that_are_done_again_and_a_line_that_was_not_finished_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = JsonLines(path, 0)
    for number in range(1, 6):
        log.write(step(number))
    with path.open("a") as file:
        file.write('{"step": 6, "lo')
    again = JsonLines(path, 3)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]
    again.write(step(4))
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]


def test_an_unknown_tracker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no tracker mlflow"):
        open_logs(tmp_path, 0, ["mlflow"], {})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10G", 70),
        ("NVIDIA A10", 125),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("Tesla V100-SXM2-32GB", 125),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_the_peak_of_a_gpu_is_known_by_its_name(name: str, teraflops: float | None) -> None:
    assert peak_of(name) == (None if teraflops is None else teraflops * 1e12)


def test_operations_are_three_times_those_that_open_clip_says_of_a_forward_pass() -> None:
    """docs/model_profile.csv of open_clip: 14.78 GFLOPs for ViT-B-32, whose text has 77 tokens."""
    model = import_open_clip().create_model("ViT-B-32-quickgelu", device="meta", output_dict=True)
    assert operations_of_pair(model, torch.device("meta")) == pytest.approx(3 * 14.78e9, rel=0.01)
