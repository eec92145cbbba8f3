"""Presets are the paper's numbers, fit their models, and can be set otherwise within reason."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.train.loop import learning_rate
from tallyclip.train.models import import_open_clip
from tallyclip.train.presets import load_preset
from tests.train.training_tools import SETTINGS, write_preset

MODELS = {"B-32": 5e-4, "B-16": 5e-4, "L-14": 4e-4, "H-14": 4e-4, "bigG-14": 4e-4}


@pytest.mark.parametrize("size", MODELS)
def test_the_paper_has_these_numbers_and_open_clip_these_models(size: str) -> None:
    name = f"ViT-{size}-quickgelu"
    preset = load_preset("paper", name)
    settings = preset.settings
    assert (settings.seen_pairs, settings.global_batch, settings.warmup_steps, settings.steps) == (12_800_000_000, 32_768, 2000, 390_625)
    assert (settings.beta1, settings.beta2, settings.eps, settings.weight_decay) == (0.9, 0.98, 1e-6, 0.2)
    assert (settings.learning_rate, settings.max_logit_scale, settings.crop_scale) == (MODELS[size], 100.0, (0.9, 1.0))
    assert (settings.precision, settings.clip_norm) == ("fp16", None)
    assert preset.checkpoint_activations == (size != "B-32")
    assert import_open_clip().get_model_config(name)["quick_gelu"]


def test_a_preset_does_not_fit_other_models() -> None:
    with pytest.raises(OptionError, match=r"(?s)paper has no settings for the model ViT-B-32\n.*give --model ViT-B-32-quickgelu, ViT-B-16"):
        load_preset("paper", "ViT-B-32")


def test_flags_come_before_what_the_preset_says() -> None:
    settings = load_preset("paper", "ViT-B-32-quickgelu", learning_rate=1e-3, clip_norm=1.0, seen_pairs=None).settings
    assert (settings.learning_rate, settings.clip_norm, settings.seen_pairs) == (1e-3, 1.0, 12_800_000_000)


def test_a_file_is_a_preset_for_any_model_or_for_those_that_it_names(tmp_path: Path) -> None:
    path = write_preset(tmp_path)
    assert load_preset(str(path), "any").settings == SETTINGS
    path.write_text(path.read_text() + "[models]\none = { learning_rate = 0.5, checkpoint_activations = true }\n")
    assert load_preset(str(path), "one").settings.learning_rate == 0.5
    assert load_preset(str(path), "one").checkpoint_activations
    with pytest.raises(OptionError, match="no settings for the model any"):
        load_preset(str(path), "any")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("seen_pairs = ", "no TOML"),
        ("seen_pairs = 10", "missing required field `global_batch`"),
        ("a = 1\n", "unknown field `a`"),
        ('precision = "fp8"\n', "fp8"),
        ("[models]\nany = { momentum = 1 }\n", "momentum"),
    ],
)
def test_files_that_are_no_presets_are_refused(tmp_path: Path, content: str, said: str) -> None:
    path = write_preset(tmp_path)
    whole = "\n".join(line for line in path.read_text().splitlines() if not content.startswith(line.split(" = ")[0])) + "\n"
    path.write_text(content if content.startswith("seen") else whole + content)
    with pytest.raises(ArtifactError, match=said):
        load_preset(str(path), "any")
    with pytest.raises(OptionError, match="no preset nothing"):
        load_preset("nothing", "any")


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ({"global_batch": 1}, "global_batch is at least 2"),
        ({"seen_pairs": 100, "global_batch": 200}, "seen_pairs is at least global_batch"),
        ({"learning_rate": 0.0}, "learning_rate is above 0"),
        ({"warmup_steps": -1}, "warmup_steps is not negative"),
        ({"beta2": 1.0}, "beta1 and beta2"),
        ({"eps": 0.0}, "eps"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"max_logit_scale": 0.5}, "max_logit_scale"),
        ({"crop_scale": [0.9, 0.1]}, "crop_scale"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"warmup_steps": 40}, "the learning rate would still rise at the end: 40 warm-up steps of 40 in all"),
    ],
)
def test_numbers_with_which_nothing_is_learnt_are_refused(tmp_path: Path, instead: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        load_preset(str(write_preset(tmp_path)), "any", **instead)


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    rates = [learning_rate(SETTINGS, step) for step in range(SETTINGS.steps)]
    assert rates[:5] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3])
    assert rates[5] == max(rates) == SETTINGS.learning_rate
    assert all(before > after for before, after in pairwise(rates[5:]))
    assert 0 < rates[-1] < 1e-5
    assert learning_rate(SETTINGS, 5 + 35 // 2) == pytest.approx(5e-4, rel=0.06)
