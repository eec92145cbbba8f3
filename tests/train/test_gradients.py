"""The gradients of a step do not depend on how its batch is cut into chunks, or shared out to ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tallyclip.errors import OptionError
from tallyclip.train.gradients import add_gradients, check_chunks
from tallyclip.train.weights import import_open_clip
from tests.train.take_step import Given, take_steps
from tests.train.tools import write_shards
from tests.train.training_tools import SETTINGS, TINY, end, environments_of, forked, write_model

STEPS = 2  # the learning rate of the first is that of warming up, and the second begins with other weights
CLIP_NORM = 0.05  # below that of any step, so that all are clipped


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left of steps of one process and of two, whose batches are all pairs that there are."""
    folder = tmp_path_factory.mktemp("steps")
    shards = write_shards(folder / "tars", (SETTINGS.global_batch,), keep=(1.0,))
    given = Given(str(write_model(folder)), str(shards.tars[0]), shards.index_folder, STEPS)
    for ranks, chunks in ((1, (1, 4)), (2, (1, 2))):
        options = {"given": given, "out": folder, "clip_norms": (None, CLIP_NORM), "chunks": chunks}
        end([forked(take_steps, environment, **options) for environment in environments_of(ranks)])
    return folder


def end_of(folder: Path, ranks: int, chunks: int, clip_norm: float | None, rank: int = 0) -> dict[str, Any]:
    return torch.load(folder / f"{ranks}-{chunks}-{clip_norm}-{rank}.pt")


def is_close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Are they the same but for the order in which 32-bit numbers were added up? That is a few millionths of the largest."""
    largest = float(expected.abs().max())
    return largest > 0 and float((found - expected).abs().max()) <= 2e-5 * largest


@pytest.mark.parametrize("clip_norm", [None, CLIP_NORM], ids=["not clipped", "clipped"])
@pytest.mark.parametrize(("ranks", "chunks"), [(1, 4), (2, 1), (2, 2)])
def test_gradients_and_weights_are_those_of_one_process(ends: Path, ranks: int, chunks: int, clip_norm: float | None) -> None:
    expected = end_of(ends, 1, 1, clip_norm)
    for rank in range(ranks):
        found = end_of(ends, ranks, chunks, clip_norm, rank)
        assert found["losses"] == pytest.approx(expected["losses"], abs=1e-5)
        assert found["gradients"].keys() == expected["gradients"].keys()
        assert "logit_scale" in found["gradients"]
        for name, gradient in expected["gradients"].items():
            assert is_close(found["gradients"][name], gradient), name
            assert is_close(found["weights"][name], expected["weights"][name]), name


def test_gradients_are_clipped_to_the_norm_and_only_if_asked(ends: Path) -> None:
    norms = {
        clip_norm: float(torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in found["gradients"].values()])))
        for clip_norm in (None, CLIP_NORM)
        for found in [end_of(ends, 1, 1, clip_norm)]
    }
    assert norms[None] > 2 * CLIP_NORM
    assert norms[CLIP_NORM] == pytest.approx(CLIP_NORM, rel=1e-4)


def with_dropout(seed: int = 0) -> torch.nn.Module:
    """A model whose features are random: some patches of pictures are left out."""
    open_clip = import_open_clip()
    torch.manual_seed(seed)
    model = open_clip.CLIP(**TINY | {"vision_cfg": TINY["vision_cfg"] | {"patch_dropout": 0.5}}, output_dict=True)
    return model.train()


def chunks_of(pairs: int, number: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(7)
    images, texts = torch.randn(pairs, 3, 32, 32), torch.randint(1, 49000, (pairs, 16))
    return list(zip(images.chunk(number), texts.chunk(number), strict=True))


def test_random_features_are_the_same_the_second_time() -> None:
    chunks, loss = chunks_of(12, 3), import_open_clip().ClipLoss()
    model = with_dropout()
    value, _ = add_gradients(model, loss, chunks, seed=5)
    at_once = with_dropout()
    made: list[dict[str, torch.Tensor]] = []
    for number, chunk in enumerate(chunks):  # the same random numbers, and all activations kept
        torch.manual_seed(5 + number)
        made.append(at_once(*chunk))
    features = {name: torch.cat([one[name] for one in made]) for name in ("image_features", "text_features")}
    expected = loss(**features, logit_scale=made[0]["logit_scale"])
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), abs=1e-6)
    for (name, one), other in zip(model.named_parameters(), at_once.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert is_close(one.grad, other.grad), name


def test_random_features_differ_between_chunks_and_seeds() -> None:
    (chunk,), model, loss = chunks_of(4, 1), with_dropout(), import_open_clip().ClipLoss()
    losses = {seed: float(add_gradients(model, loss, [chunk], seed=seed)[0]) for seed in (1, 2)}
    assert losses[1] != losses[2]
    assert losses[1] == float(add_gradients(model, loss, [chunk], seed=1)[0])


def test_a_scale_of_the_loss_scales_gradients_of_chunks_once() -> None:
    loss = import_open_clip().ClipLoss()
    plain, scaled = with_dropout(), with_dropout()
    add_gradients(plain, loss, chunks_of(12, 3), seed=5)
    add_gradients(scaled, loss, chunks_of(12, 3), seed=5, scale=lambda value: 64 * value)
    for (name, one), other in zip(plain.named_parameters(), scaled.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert is_close(other.grad, 64 * one.grad), name


def test_batch_normalisation_is_refused_in_chunks() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    check_chunks(model, 1)
    with pytest.raises(OptionError, match=r"batch normalisation \(1, \.\.\.\), so a batch in 2 chunks is not the same as one"):
        check_chunks(model, 2)
