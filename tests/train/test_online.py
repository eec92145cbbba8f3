"""The samples of an epoch: which, how often, shared out over ranks and workers, resumed in the middle, and what is said of bad ones."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import distributed
from torch.utils.data import DataLoader

from tallyclip.errors import ArgumentTypeError, ArtifactError, OptionError, SourceError, StaleError
from tallyclip.extras import install_line
from tallyclip.train import online
from tallyclip.train.loading import batches
from tallyclip.train.online import OnlineBalanced
from tallyclip.train.tars import read_images
from tests.train.tools import PACK, TAIL, Shards, colour, encoded, noise, picture, uids_of, within, write_list, write_shards
from tests.train.training_tools import end, forked

BAD = {
    3: b"",
    17: b"<html>404 not found</html>",
    43: picture(43)[:-40],
    64: encoded(noise((400, 300))),
    61: b"\0" * 300,
    90: encoded(noise((64, 64)))[:2000],
}
OPTIONS: dict[str, Any] = {"max_pixels": 100_000, "shuffle": 20}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return write_shards(tmp_path_factory.mktemp("shards") / "tars", (40, 0, 31, 3, 160, 200))


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """Some images cannot be decoded."""
    return write_shards(tmp_path_factory.mktemp("bad") / "tars", (40, 0, 31, 3, 60), bad=BAD, keep=(TAIL, TAIL, 0.5))


def test_samples_are_pictures_with_their_own_texts_and_uids(shards: Shards) -> None:
    found = list(shards.data())
    assert found
    for image, text, uid in found:
        assert shards.texts[uid] == text
        assert np.abs(np.asarray(image).astype(int) - colour(shards.images[uid])).max() < 12


def test_transform_and_tokenizer_make_what_is_given(shards: Shards) -> None:
    data = shards.data(transform=lambda image: image.size, tokenizer=len)
    assert {sample[:2] for sample in data} == {((12, 8), len(shards.texts[uid])) for uid in uids_of(data)}


def test_two_epochs_share_the_whole_tail_and_have_other_samples_of_the_head(shards: Shards) -> None:
    data = shards.data(seed=5)
    epochs: list[set[str]] = []
    for epoch in range(2):
        data.set_epoch(epoch)
        found = uids_of(data)
        assert len(set(found)) == len(found)
        assert shards.tail <= set(found)
        assert within(len(set(found) - shards.tail), [keep for keep in shards.keep.values() if keep < TAIL])
        epochs.append(set(found))
        assert uids_of(data) == found
    assert epochs[0] - shards.tail != epochs[1] - shards.tail
    assert uids_of(shards.data(seed=6)) != uids_of(shards.data(seed=5))
    assert abs(np.mean([len(epoch) for epoch in epochs]) - data.expected_length) < 40


def test_the_curated_set_is_in_every_epoch_and_nothing_else(shards: Shards) -> None:
    data = shards.data(select="curated")
    epochs: list[list[str]] = []
    for epoch in range(2):
        data.set_epoch(epoch)
        epochs.append(uids_of(data))
        assert set(epochs[-1]) == shards.curated
    assert epochs[0] != epochs[1]
    assert data.expected_length == len(epochs[0]) == len(shards.curated)


@pytest.mark.parametrize("select", ["online", "curated"])
def test_of_an_image_with_several_texts_another_comes_in_other_epochs(tmp_path: Path, select: Any) -> None:
    many = write_shards(tmp_path / "tars", (20, 10), texts=lambda image: image % 4)
    data = many.data(select=select)
    seen: set[str] = set()
    for epoch in range(40):
        data.set_epoch(epoch)
        found = uids_of(data)
        assert len({many.images[uid] for uid in found}) == len(found)
        seen |= set(found)
    assert seen == (set(many.texts) if select == "online" else many.curated)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_tars_may_be_compressed_and_lie_behind_urls(tmp_path: Path, suffix: str) -> None:
    made = write_shards(tmp_path / "tars", suffix=suffix, pack=PACK[suffix], bad=BAD)
    local = made.data(**OPTIONS)
    found = uids_of(local)
    assert sum(local.errors.values()) > 0
    remote = OnlineBalanced(f"local://{tmp_path}/tars/*.tar{suffix}", "run", index=made.index_folder, **OPTIONS)
    assert remote.index.shards[0].path == f"local://{made.tars[0]}"
    assert uids_of(remote) == found
    assert remote.errors == local.errors


def test_a_part_of_one_sample_is_read_again_and_again_from_a_compressed_tar(tmp_path: Path) -> None:
    made = write_shards(tmp_path / "tars", (3,), keep=(TAIL,), suffix=".gz", pack=PACK[".gz"])
    found = [uids_of(made.data(rank=rank, world_size=3, batch_size=4)) for rank in range(3)]
    assert [len(part) for part in found] == [4] * 3
    assert [len(set(part)) for part in found] == [1] * 3
    assert len({part[0] for part in found}) == 3


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize(("ranks", "workers"), [(1, 1), (3, 1), (2, 4), (5, 2)])
def test_every_drawn_pair_comes_once_but_for_the_repeats(shards: Shards, ranks: int, workers: int, batch_size: int) -> None:
    whole = Counter(uids_of(shards.data()))
    parts = [shards.data(rank=rank, world_size=ranks, batch_size=batch_size) for rank in range(ranks)]
    found = [uids_of(data.samples(number, workers)) for data in parts for number in range(workers)]
    assert len({len(part) for part in found}) == 1
    assert len(found[0]) % batch_size == 0
    times = Counter(uid for part in found for uid in part)
    assert times.keys() == whole.keys()
    assert times.total() - len(whole) == parts[0].split(workers).repeats
    for part in found:
        repeated = Counter(part).values()
        assert max(repeated) - min(repeated) <= 1  # a part repeats its own samples, all as often


def test_repeats_are_logged(shards: Shards, caplog: pytest.LogCaptureFixture) -> None:
    data = shards.data(batch_size=100)
    with caplog.at_level(logging.INFO, "tallyclip.train"):
        found = uids_of(data)
    assert len(found) % 100 == 0
    assert data.repeats == len(found) - len(set(found))
    assert f"{len(found)} for each of 1 workers of all ranks; {data.repeats} of them come a second time" in caplog.text


def test_a_plain_data_loader_shares_out_a_rank_over_its_workers(shards: Shards) -> None:
    data = shards.data(batch_size=5, rank=1, world_size=2)
    expected = Counter(uids_of(data.samples(0, 2)) + uids_of(data.samples(1, 2)))
    loader = DataLoader(data, batch_size=5, num_workers=2, persistent_workers=True, collate_fn=uids_of)
    batches = list(loader)
    assert {len(batch) for batch in batches} == {5}
    assert Counter(uid for batch in batches for uid in batch) == expected
    assert data.repeats == data.split(2).repeats
    data.set_epoch(1)
    assert (
        Counter(uid for batch in loader for uid in batch) == Counter(uids_of(data.samples(0, 2)) + uids_of(data.samples(1, 2))) != expected
    )


def load_as_rank(shards: Shards, rank: int, meeting: Path, out: Path) -> None:
    """What one of two processes does, the first of which writes what both have seen."""
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    data = shards.data(batch_size=8)
    found: list[list[str]] = []
    for epoch in range(2):
        data.set_epoch(epoch)
        loader = batches(data, num_workers=2)
        found.append(uids_of(loader))
        assert len(found[-1]) == 8 * len(loader)
    together: list[Any] = [None, None]
    distributed.all_gather_object(together, (data.rank, found, data.repeats))
    if rank == 0:
        out.write_text(json.dumps(together))
    distributed.destroy_process_group()


def test_two_processes_over_gloo_see_every_drawn_pair_once_but_for_the_repeats(shards: Shards, tmp_path: Path) -> None:
    meeting, out = tmp_path / "meeting", tmp_path / "together.json"
    end([forked(load_as_rank, shards=shards, rank=rank, meeting=meeting, out=out) for rank in range(2)])
    together = json.loads(out.read_text())
    assert [rank for rank, _, _ in together] == [0, 1]
    data, times = shards.data(), Counter[str]()
    for epoch in range(2):
        data.set_epoch(epoch)
        times = Counter(uid for _, found, _ in together for uid in found[epoch])
        assert times.keys() == set(uids_of(data))
        assert max(times.values()) <= 2
    assert {repeats for _, _, repeats in together} == {times.total() - len(times)}


# Bad images


def test_what_cannot_be_decoded_is_counted_and_another_comes_in_its_place(bad: Shards, caplog: pytest.LogCaptureFixture) -> None:
    data = bad.data(**OPTIONS, select="curated")
    curated = {bad.images[uid] for uid in bad.curated}
    with caplog.at_level(logging.DEBUG, "tallyclip.train"):
        found = uids_of(data)
    assert len(found) == data.split().samples
    assert {bad.images[uid] for uid in found} == curated - BAD.keys()
    assert data.errors == {"empty": 1, "not an image": 1, "too many pixels": 1, "cut short": 1}
    assert len(found) == len(curated)
    assert data.repeats == 0
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 4
    for reason in data.errors:
        assert sum(reason in message for message in warned) == 1
    uids_of(data)
    assert sum(data.errors.values()) == 8
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 4


def test_what_comes_in_place_of_a_bad_image_is_in_another_batch(tmp_path: Path) -> None:
    made = write_shards(tmp_path / "tars", (200,), bad=dict.fromkeys(range(0, 200, 7), b"x"), keep=(TAIL,))
    found = uids_of(made.data(batch_size=20, shuffle=5))
    assert len(found) == 200
    for first in range(0, 200, 20):
        assert len(set(found[first : first + 20])) == 20


def test_where_no_image_can_be_decoded_there_is_an_end(tmp_path: Path) -> None:
    made = write_shards(tmp_path / "tars", (5, 4), bad={number: b"" if number % 2 else b"x" for number in range(9)}, keep=(TAIL,))
    with pytest.raises(SourceError, match="none of the 9 images") as caught:
        list(made.data())
    assert "not an image" in str(caught.value)


def test_a_tar_that_was_changed_is_refused_and_a_missing_one_named(tmp_path: Path) -> None:
    made = write_shards(tmp_path / "tars", (50, 40))
    made.tars[0].write_bytes(made.tars[0].read_bytes()[:30_000])
    with pytest.raises(StaleError, match=r"(?s)00000\.tar: no image of .* make the index again"):
        list(made.data())
    data = made.data()
    made.tars[0].unlink()
    with pytest.raises(SourceError, match=r"00000\.tar"):
        list(data)
    with pytest.raises(OptionError, match="no tars"):
        OnlineBalanced(str(tmp_path / "nothing"), "run", index=made.index_folder)


# Resumption


@pytest.mark.parametrize("options", [{}, {"shuffle": 0}, {"batch_size": 9}, {"rank": 1, "world_size": 3}])
def test_an_epoch_that_is_resumed_gives_what_remained(bad: Shards, options: dict[str, Any]) -> None:
    options = {**OPTIONS, **options}
    data = bad.data(**options, epoch=3)
    whole = uids_of(data)
    for taken in (0, 1, 2, len(whole) // 2, len(whole) - 1, len(whole)):
        interrupted = bad.data(**options, epoch=3)
        iterator = iter(interrupted)
        begun = [uid for _, _, uid in (next(iterator) for _ in range(taken))]
        state = json.loads(json.dumps(interrupted.state_dict()))
        resumed = bad.data(**options)
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        resumed.set_epoch(3)
        assert begun + uids_of(resumed) == whole
        assert resumed.state_dict()["samples"] == len(whole)
        assert uids_of(resumed) == whole  # the next time from the beginning


def test_what_came_before_is_not_read_again(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def watched(*places: Any) -> Iterator[bytes]:
        for content in read_images(*places):
            read.append(content)
            yield content

    monkeypatch.setattr(online, "read_images", watched)
    length = len(uids_of(shards.data(shuffle=50)))
    for taken in (0, 10, 150):
        data = shards.data(shuffle=50)
        data.load_state_dict({**data.state_dict(), "samples": taken})
        read.clear()
        assert len(uids_of(data)) == length - taken
        assert len(read) == length - taken


def test_an_epoch_that_was_resumed_can_be_interrupted_again(bad: Shards) -> None:
    whole = uids_of(bad.data(**OPTIONS))
    found: list[str] = []
    state = bad.data(**OPTIONS).state_dict()
    while len(found) < len(whole):
        data = bad.data(**OPTIONS)
        data.load_state_dict(state)
        iterator = iter(data)
        found += [next(iterator)[2] for _ in range(min(13, len(whole) - len(found)))]
        state = data.state_dict()
    assert found == whole


def test_a_state_is_left_when_another_epoch_is_chosen(shards: Shards) -> None:
    data = shards.data(epoch=1)
    iterator = iter(data)
    next(iterator)
    state = data.state_dict()
    assert (state["epoch"], state["samples"]) == (1, 1)
    data.set_epoch(2)
    assert data.state_dict()["samples"] == 0
    data.load_state_dict(state)
    data.set_epoch(2)
    assert uids_of(data) == uids_of(shards.data(epoch=2))


def test_a_state_of_anything_else_is_refused(shards: Shards, bad: Shards, tmp_path: Path) -> None:
    state = shards.data().state_dict()
    for option, other in [("seed", 1), ("batch_size", 2), ("shuffle", 3), ("max_pixels", 4), ("select", "curated")]:
        with pytest.raises(OptionError, match=f"this state was made with {option} ") as caught:
            shards.data(**cast(Any, {option: other})).load_state_dict(state)
        assert repr(other) in str(caught.value)
    with pytest.raises(OptionError, match="world_size 1, not 2"):
        shards.data(rank=0, world_size=2).load_state_dict(state)
    with pytest.raises(StaleError, match="other shards"):
        bad.data().load_state_dict(state)
    with pytest.raises(StaleError, match="other shards"):
        OnlineBalanced(shards.tars[-1], "run", index=shards.index_folder).load_state_dict(state)
    listed = json.loads((shards.index_folder / "index" / "shards.json").read_text())["shards"]
    write_list(shutil.copytree(shards.index_folder, tmp_path / "other"), listed, "another run")
    with pytest.raises(StaleError, match="another run"):
        OnlineBalanced(shards.tars[0].parent, "run", index=tmp_path / "other").load_state_dict(state)
    with pytest.raises(OptionError, match="no samples, epoch"):
        shards.data().load_state_dict({"model": 1})
    with pytest.raises(ArgumentTypeError, match="a state is a dict"):
        shards.data().load_state_dict(None)  # type: ignore[arg-type]


def test_a_state_of_another_number_of_workers_is_refused(shards: Shards) -> None:
    data = shards.data()
    data.load_state_dict({**data.state_dict(), "workers": 4})
    with pytest.raises(OptionError, match="workers 4, not 1"):
        iter(data)


class Peeking:
    """The protocol of torchdata's StatefulDataLoader: the state of the data in a worker, after each batch."""

    def __init__(self, data: OnlineBalanced) -> None:
        self.data = data

    def __call__(self, samples: list[Any]) -> tuple[list[str], dict[str, Any]]:
        return uids_of(samples), self.data.state_dict()


def test_in_a_worker_the_state_is_that_of_its_own_part(bad: Shards) -> None:
    data = bad.data(**OPTIONS, batch_size=4)
    whole = [uids_of(data.samples(number, 2)) for number in range(2)]
    for number, (uids, state) in enumerate(DataLoader(data, batch_size=4, num_workers=2, collate_fn=Peeking(data))):
        taken = 4 * (number // 2 + 1)
        assert (state["samples"], state["workers"]) == (taken, 2)
        assert uids == whole[number % 2][taken - 4 : taken]
        resumed = bad.data(**OPTIONS, batch_size=4)
        resumed.load_state_dict(state)
        assert uids_of(resumed.samples(number % 2, 2, state["samples"])) == whole[number % 2][taken:]


def test_with_workers_the_main_process_does_not_say_where_it_is(shards: Shards) -> None:
    data = shards.data()
    assert data.state_dict()["samples"] == 0
    for _ in DataLoader(data, batch_size=None, num_workers=1):
        pass
    with pytest.raises(OptionError, match=r"worker processes read these samples.*\n\n.*tallyclip\.train\.batches"):
        data.state_dict()
    next(iter(data))
    assert data.state_dict()["samples"] == 1


# Options


def test_fewer_samples_than_workers_of_all_ranks_are_refused(tmp_path: Path) -> None:
    few = write_shards(tmp_path / "tars", (2, 0, 1), keep=(TAIL,))
    assert len(uids_of(few.data(rank=2, world_size=3, batch_size=4))) == 4
    with pytest.raises(OptionError, match="3 samples for 4 workers of all ranks"):
        iter(few.data(rank=0, world_size=4))
    none = write_shards(tmp_path / "none", (0,))
    assert none.data().expected_length == 0
    with pytest.raises(OptionError, match="0 samples for 1"):
        iter(none.data())


def test_options_out_of_range_are_refused(shards: Shards) -> None:
    for name, value in [("seed", -1), ("epoch", -1), ("batch_size", 0), ("shuffle", -1), ("max_pixels", 0), ("select", "all")]:
        with pytest.raises(OptionError, match=name):
            shards.data(**{name: value})
    for name, value in [("epoch", "1"), ("batch_size", None), ("shuffle", 1.5)]:
        with pytest.raises(ArgumentTypeError, match=f"{name} is a whole number"):
            shards.data(**{name: value})
    for place in [{"rank": 0}, {"world_size": 2}, {"rank": 2, "world_size": 2}, {"rank": -1, "world_size": 2}]:
        with pytest.raises(OptionError, match="rank"):
            shards.data(**place)
    with pytest.raises(ArtifactError, match="is not a run folder"):
        OnlineBalanced(shards.tars, "run")


def test_the_rank_is_that_of_the_environment(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert (shards.data().rank, shards.data().world_size) == (1, 3)
    assert (shards.data(rank=0, world_size=2).rank, shards.data(rank=0, world_size=2).world_size) == (0, 2)


def test_data_can_be_copied_and_pickled(shards: Shards) -> None:
    data = shards.data(epoch=2)
    assert uids_of(pickle.loads(pickle.dumps(data))) == uids_of(copy.deepcopy(data)) == uids_of(data)


def test_without_torch_or_pillow_the_error_says_what_to_install() -> None:
    for module, package in [("torch", "torch"), ("PIL", "pillow")]:
        code = f"import sys; sys.modules[{module!r}] = None\nimport tallyclip.train\ntallyclip.train.OnlineBalanced"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ, timeout=100)
        assert f"loading images for training needs the package {package}" in done.stderr
        assert install_line("train") in done.stderr


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, tallyclip.train; print(dir(tallyclip.train)); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert "OnlineBalanced" in done.stdout


def test_what_a_transform_draws_follows_from_seed_epoch_and_uid(tmp_path: Path) -> None:
    """So a crop is the same after resuming, and with other numbers of workers; and the process's own random numbers are untouched."""
    shards = write_shards(tmp_path / "tars", (20,), keep=(1.0,))

    def drawn(workers: int = 0, **options: Any) -> dict[str, tuple[float, float]]:
        data = shards.data(transform=lambda _: torch.tensor([random.random(), float(torch.rand(1))]), batch_size=4, **options)
        return {uid: tuple(row) for numbers, _, uids in batches(data, workers) for uid, row in zip(uids, numbers.tolist(), strict=True)}

    torch.manual_seed(1)
    random.seed(1)
    first = drawn()
    samples = iter(shards.data(transform=lambda _: (random.random(), torch.rand(1))))
    before = random.getstate(), torch.get_rng_state()
    assert len(list(samples)) == 20
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    torch.manual_seed(2)
    random.seed(2)
    assert drawn() == first
    assert drawn(workers=2, shuffle=0) == first
    assert len({number for pair in first.values() for number in pair}) == 2 * len(first)
    for others in ({"seed": 1}, {"epoch": 1}):
        found = drawn(**others)
        assert all(found[uid] != numbers for uid, numbers in first.items())
