"""``tallyclip train``: from shards to weights in one command, and what is asked for in vain."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tallyclip as tc
from tallyclip.train import OnlineBalanced, batches
from tallyclip.train.command import train
from tallyclip.train.index import ShardIndex
from tests.train.tools import Shards, write_shards
from tests.train.training_tools import ENVIRONMENT, TINY, log_of, write_model, write_preset


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return write_shards(tmp_path_factory.mktemp("shards") / "tars", (40, 0, 24))


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tallyclip", "train", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=250)


def test_shards_without_a_run_are_indexed_and_each_image_comes_once_an_epoch(shards: Shards, tmp_path: Path) -> None:
    options = ["--data", shards.tars[0].parent, "--out", tmp_path / "out", "--model", write_model(tmp_path)]
    options += ["--preset", write_preset(tmp_path, seen_pairs=128), "--global-batch", 32, "--warmup-steps", 1, "--workers", 2]
    done = run(*options, "--log-every", 1)
    assert done.returncode == 0, done.stderr
    assert f"weights     {tmp_path / 'out' / 'model.pt'}" in done.stdout
    assert "4 steps, loss " in done.stderr
    assert [(step["step"], step["epoch"], step["seen"]) for step in log_of(tmp_path / "out")] == [
        (1, 0, 32),
        (2, 0, 64),
        (3, 1, 96),
        (4, 1, 128),
    ]
    index = ShardIndex.open(tmp_path / "out" / "index")
    assert index.run.t == np.inf
    assert sum(shard.pairs for shard in index.shards) == len(shards.texts)
    data = OnlineBalanced(shards.tars[0].parent, None, index=index.folder, select="curated", batch_size=8)
    uids = [uid for _, _, some in batches(data) for uid in some]
    assert len(set(uids)) == len(uids) == 64
    again = run(*options, "--log-every", 1)
    assert again.returncode == 0, again.stderr


def test_an_index_of_all_is_made_anew_for_other_shards(shards: Shards, tmp_path: Path) -> None:
    made = tc.export_index(None, [str(shards.tars[0])], out=tmp_path / "index", workers=1)
    assert made.result["pairs"] == made.result["curated"] == 40
    before = ShardIndex.open(tmp_path / "index").run.fingerprint
    more = tc.export_index(None, list(map(str, shards.tars)), out=tmp_path / "more", workers=1)
    assert more.result["pairs"] == 64
    assert ShardIndex.open(tmp_path / "more").run.fingerprint != before


def test_what_does_not_go_together_is_refused_with_a_hint(shards: Shards, tmp_path: Path) -> None:
    model, preset, out = write_model(tmp_path), write_preset(tmp_path), tmp_path / "out"
    given = {"data": str(shards.tars[0].parent), "index": shards.index_folder, "model": str(model), "preset": str(preset), "workers": 0}

    def refused(said: str, **others: object) -> None:
        with pytest.raises(tc.OptionError, match=said):
            train(**given | others, out=out)  # pyright: ignore[reportArgumentType] - what is wrong is the point
        assert not (out / "training.json").exists() or "epoch has" in said or "cut" in said

    refused(r"(?s)online=True draws by the probabilities of a run\n.*--run RUN", online=True)
    refused(r"(?s)this machine has no GPU that torch can use\n.*--device cpu", device="cuda")
    refused(r"(?s)open_clip has no model ViT-B-33\n.*ViT-B-32", model="ViT-B-33")
    refused(r"(?s)the preset paper has no settings for the model tiny-of-tests\n.*a TOML file as --preset", preset="paper")
    refused(r"(?s)fp16 needs a GPU\n.*bf16", precision="fp16")
    refused(r"(?s)a batch of 16 pairs cannot be cut into 5 at a time on each of 1 processes\n.*--batch-size", batch_size=5)
    refused("log_every is 0", log_every=0)
    refused("workers is -1", workers=-1)
    refused(r"(?s)an epoch has \d+ pairs, and a batch 100\n.*a smaller --global-batch", global_batch=100, seen_pairs=2000)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not readable"),
        (json.dumps({"embed_dim": 3}), "not a model's configuration: it has no vision_cfg, text_cfg"),
        ("[]", "not a JSON object"),
    ],
)
def test_files_that_are_no_models_are_refused(shards: Shards, tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(tc.ArtifactError, match=said):
        train("shards", out=tmp_path / "out", model=str(tmp_path / "broken.json"), preset=str(write_preset(tmp_path)))


def test_weights_of_another_model_and_other_losses_are_refused(shards: Shards, tmp_path: Path) -> None:
    preset, folder = str(write_preset(tmp_path)), str(shards.tars[0].parent)
    (tmp_path / "weights.pt").write_bytes(b"no weights")
    with pytest.raises(tc.ArtifactError, match="no checkpoint, or one that holds more than weights and numbers"):
        train(folder, out=tmp_path / "out", model=str(write_model(tmp_path)), preset=preset, pretrained=tmp_path / "weights.pt")
    with_bias = write_model(tmp_path, TINY | {"init_logit_bias": -10.0}, "tiny-with-bias")
    with pytest.raises(tc.OptionError, match="tiny-with-bias is not trained with the loss of CLIP"):
        train(folder, out=tmp_path / "out", model=str(with_bias), preset=preset)


def test_another_tool_that_is_not_installed_is_named(shards: Shards, tmp_path: Path) -> None:
    with pytest.raises(tc.MissingExtraError, match="logging to trackio needs the package trackio"):
        train(
            str(shards.tars[0].parent),
            out=tmp_path / "out",
            model=str(write_model(tmp_path)),
            preset=str(write_preset(tmp_path)),
            index=shards.index_folder,
            workers=0,
            track=["trackio"],
        )


def test_images_that_cannot_be_decoded_are_counted_at_the_end(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "tars", (40,), bad={3: b"", 17: b"<html>"})
    options = ["--data", shards.tars[0], "--index", shards.index_folder, "--out", tmp_path / "out", "--model", write_model(tmp_path)]
    done = run(*options, "--run", "run", "--online", "--preset", write_preset(tmp_path, seen_pairs=200, warmup_steps=1), "--workers", 0)
    assert done.returncode == 0, done.stderr
    assert "images that could not be decoded, in whose place others came: " in done.stderr
    assert " empty" in done.stderr
