"""Batches from worker processes: all full, each once, and the same after resuming."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tallyclip.errors import OptionError, StaleError
from tallyclip.train.loading import BatchLoader, batches
from tests.train.tools import TAIL, Shards, encoded, noise, picture, uids_of, write_shards

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on machines with few cores
BAD = {5: b"", 17: b"no image", 60: picture(60)[:-40], 61: encoded(noise((400, 300))), 77: b"x", 111: b"x", 112: b"x"}
BATCH = 4
OPTIONS: dict[str, Any] = {"batch_size": BATCH, "shuffle": 20, "max_pixels": 100_000}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """Some images cannot be decoded."""
    return write_shards(tmp_path_factory.mktemp("shards") / "tars", (40, 0, 31, 3, 60), bad=BAD, keep=(TAIL, TAIL, 0.5))


def loader(shards: Shards, workers: int, epoch: int = 0, **options: Any) -> BatchLoader:
    return batches(shards.data(**OPTIONS, epoch=epoch), workers, **options)


def uids(batches: Any) -> list[list[str]]:
    return [batch[2] for batch in batches]


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_an_epoch_is_full_batches_of_every_sample_that_can_be_decoded(
    shards: Shards, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    made = loader(shards, workers)
    with caplog.at_level(logging.INFO, "tallyclip.train"):
        found = uids(made)
    assert len(found) == len(made)
    assert {len(batch) for batch in found} == {BATCH}
    times = Counter(uid for batch in found for uid in batch)
    assert times.keys() == set(uids_of(shards.data(max_pixels=100_000)))
    assert not {shards.images[uid] for uid in times} & BAD.keys()
    split = made.data.split(max(1, workers))
    assert times.total() == split.drawn + split.repeats
    assert sum(made.errors.values()) >= split.drawn - len(times) > 0
    assert f"{split.repeats} of them come a second time" in caplog.text
    assert set(made.errors) <= {"empty", "not an image", "cut short", "too many pixels"}


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_resumed_in_the_middle_of_an_epoch_the_remaining_batches_are_the_same(shards: Shards, workers: int) -> None:
    whole = uids(loader(shards, workers, epoch=2))
    assert whole != uids(loader(shards, workers, epoch=1))
    for taken in [0, 1, 5, len(whole) // 2, len(whole) - 1, len(whole)] if workers < 4 else [1, 6, len(whole) - 3]:
        interrupted = loader(shards, workers, epoch=2)
        iterator = iter(interrupted)
        begun = [next(iterator)[2] for _ in range(taken)]
        state = json.loads(json.dumps(interrupted.state_dict()))
        assert (state["epoch"], state["batches"]) == (2, taken)
        del iterator
        resumed = loader(shards, workers)
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        resumed.data.set_epoch(2)
        assert len(resumed) == len(whole)
        assert begun + uids(resumed) == whole
        assert resumed.state_dict()["batches"] == len(whole)


def test_an_epoch_may_be_interrupted_again_and_again(shards: Shards) -> None:
    whole = uids(loader(shards, 3))
    found: list[list[str]] = []
    state = loader(shards, 3).state_dict()
    while len(found) < len(whole):
        made = loader(shards, 3)
        made.load_state_dict(state)
        iterator = iter(made)
        found += [next(iterator)[2] for _ in range(min(8, len(whole) - len(found)))]
        state = made.state_dict()
    assert found == whole


def test_after_a_resumed_epoch_the_next_are_whole_and_workers_that_live_on_learn_of_them(shards: Shards) -> None:
    epochs = [uids(loader(shards, 2, epoch)) for epoch in range(3)]
    made = loader(shards, 2, persistent_workers=True)
    iterator = iter(made)
    for _ in range(3):
        next(iterator)
    state = made.state_dict()
    resumed = loader(shards, 2, persistent_workers=True)
    resumed.load_state_dict(state)
    assert uids(resumed) == epochs[0][3:]
    for epoch in (1, 2):
        resumed.data.set_epoch(epoch)
        assert resumed.state_dict()["batches"] == 0
        assert uids(resumed) == epochs[epoch]
    assert uids(resumed) == epochs[2]
    resumed.load_state_dict(state)
    resumed.data.set_epoch(1)
    assert uids(resumed) == epochs[1]


def test_the_state_of_one_rank_is_that_of_all(shards: Shards) -> None:
    def rank(number: int) -> BatchLoader:
        return batches(shards.data(**OPTIONS, rank=number, world_size=2), 2)

    whole = uids(rank(1))
    iterator = iter(first := rank(0))
    for _ in range(3):
        next(iterator)
    second = rank(1)
    second.load_state_dict(first.state_dict())
    assert uids(second) == whole[3:]


def test_a_state_of_anything_else_is_refused(shards: Shards, tmp_path: Path) -> None:
    state = loader(shards, 2).state_dict()
    with pytest.raises(OptionError, match="workers 2, not 4"):
        loader(shards, 4).load_state_dict(state)
    with pytest.raises(OptionError, match="world_size 1, not 2"):
        batches(shards.data(**OPTIONS, rank=0, world_size=2), 2).load_state_dict(state)
    with pytest.raises(OptionError, match="batch_size 4, not 5"):
        batches(shards.data(**{**OPTIONS, "batch_size": 5}), 2).load_state_dict(state)
    with pytest.raises(StaleError, match="other shards"):
        loader(write_shards(tmp_path / "tars"), 2).load_state_dict(state)
    with pytest.raises(OptionError, match="no batches"):
        loader(shards, 2).load_state_dict(shards.data().state_dict())


def test_with_workers_the_data_refers_to_the_loader(shards: Shards) -> None:
    made = loader(shards, 1)
    next(iter(made))
    with pytest.raises(OptionError, match=r"tallyclip\.train\.batches"):
        made.data.state_dict()


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_workers_are_as_clear_as_others(tmp_path: Path, workers: int) -> None:
    made = write_shards(tmp_path / "tars", (50,))
    made.tars[0].write_bytes(made.tars[0].read_bytes()[:30_000])
    with pytest.raises(StaleError) as caught:
        list(loader(made, workers))
    assert caught.value.what.startswith(f"{made.tars[0]}: no image of")
    assert caught.value.hint is not None
    assert "make the index again" in caught.value.hint


def test_options_that_the_data_decides_on_are_refused(shards: Shards) -> None:
    for option in ("batch_size", "shuffle", "sampler", "drop_last", "in_order"):
        with pytest.raises(OptionError, match=option):
            batches(shards.data(), **{option: None})  # pyright: ignore[reportArgumentType]


def as_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image))


def as_length(text: str) -> torch.Tensor:
    return torch.tensor(len(text))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_tensors_are_stacked_whichever_way_workers_are_started(shards: Shards, start: str) -> None:
    data = shards.data(**OPTIONS, transform=as_tensor, tokenizer=as_length)
    made = batches(data, 1, multiprocessing_context=start)
    number = 0
    for images, texts, found in made:
        assert images.shape == (BATCH, 8, 12, 3)
        assert texts.tolist() == [len(shards.texts[uid]) for uid in found]
        number += 1
    assert number == len(made)
    assert uids(made) == uids(loader(shards, 1))


def test_a_collate_function_of_the_users_makes_the_batches(shards: Shards) -> None:
    assert list(loader(shards, 0, collate_fn=uids_of)) == uids(loader(shards, 0))
