"""A training that is stopped, however, goes on as if it had not been; and says what it did."""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import torch

from tallyclip.errors import ArtifactError, DivergedError, OptionError, OutputError, StaleError
from tallyclip.train.checkpoints import checkpoints_in, load_checkpoint
from tallyclip.train.command import Trained, train
from tallyclip.train.loading import batches
from tallyclip.train.loop import Trainer
from tallyclip.train.models import create_model
from tallyclip.train.ranks import Ranks
from tallyclip.train.weights import architecture_of, import_open_clip
from tests.tools import assert_gone, family
from tests.train.tools import Shards, write_shards
from tests.train.training_tools import SETTINGS, TINY, end, environments_of, forked, log_of, write_model, write_preset

STEPS = 16
PAIRS = (50, 46)  # of each shard: six batches an epoch


class Example(NamedTuple):
    """Shards and a tiny model, and the training that was not interrupted."""

    folder: Path
    shards: Shards
    losses: list[float]

    def options(self, out: Path, **others: Any) -> dict[str, Any]:
        given = {"data": str(self.shards.tars[0].parent), "out": out, "model": str(self.folder / "tiny-of-tests.json")}
        given |= {"preset": str(self.folder / "preset.toml"), "run": "run", "online": True, "index": self.shards.index_folder}
        return given | {"workers": 0, "device": "cpu", "log_every": 1, "save_every": 4, "batch_size": 8} | others

    def train(self, out: Path, **others: Any) -> Trained:
        return train(**self.options(out, **others))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    folder = tmp_path_factory.mktemp("training")
    write_model(folder)
    write_preset(folder, seen_pairs=STEPS * SETTINGS.global_batch)
    made = Example(folder, write_shards(folder / "tars", PAIRS, keep=(1.0,)), [])
    made.train(folder / "whole")
    return made._replace(losses=[step["loss"] for step in log_of(folder / "whole")])


@contextmanager
def files_of_at_most(size: int) -> Generator[None]:
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, allowed[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)


def test_a_training_writes_its_log_checkpoints_and_weights(example: Example) -> None:
    out = example.folder / "whole"
    steps = log_of(out)
    assert [step["step"] for step in steps] == list(range(1, STEPS + 1))
    assert [step["seen"] for step in steps] == [SETTINGS.global_batch * step for step in range(1, STEPS + 1)]
    assert [step["epoch"] for step in steps] == [0] * 6 + [1] * 6 + [2] * 4
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert [step["learning_rate"] for step in steps[:6]] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 1e-3])
    assert all(step["images_per_second"] > 0 and step["seconds"] > 0 and step["mfu"] is None for step in steps)
    assert [path.name for path in checkpoints_in(out / "checkpoints")] == ["step-0000000012.pt", "step-0000000016.pt"]
    assert json.loads((out / "training.json").read_text())["settings"]["precision"] == "fp32"


def test_open_clip_loads_checkpoints_and_weights(example: Example) -> None:
    out, open_clip = example.folder / "whole", import_open_clip()
    last = checkpoints_in(out / "checkpoints")[-1]
    states = [open_clip.create_model("tiny-of-tests", pretrained=str(path)).state_dict() for path in (last, out / "model.pt")]
    for name, weight in load_checkpoint(last)["state_dict"].items():
        assert all(torch.equal(state[name], weight) for state in states), name


def test_saving_memory_changes_nothing_and_half_precision_little(example: Example, tmp_path: Path) -> None:
    example.train(tmp_path / "saving", checkpoint_activations=True, workers=1)
    assert [step["loss"] for step in log_of(tmp_path / "saving")] == example.losses
    example.train(tmp_path / "half", precision="bf16")
    losses = [step["loss"] for step in log_of(tmp_path / "half")]
    assert losses != example.losses
    assert losses == pytest.approx(example.losses, abs=0.05)


def test_a_finished_training_has_nothing_to_do(example: Example) -> None:
    before = (example.folder / "whole" / "log.jsonl").read_bytes()
    again = example.train(example.folder / "whole")
    assert (again.step, again.loss) == (STEPS, None)
    assert (example.folder / "whole" / "log.jsonl").read_bytes() == before


class Stopped(NamedTuple):
    """A trainer's state after each step; the losses of all steps, and the weights in the end."""

    new: Callable[[], Trainer]
    states: list[Path]
    losses: list[float]
    weights: list[torch.Tensor]


@pytest.fixture(scope="module")
def stopped(example: Example) -> Stopped:
    """With random features, and two chunks a step, so that epochs end within the trainings and their chunks are of different epochs."""
    config = TINY | {"vision_cfg": TINY["vision_cfg"] | {"patch_dropout": 0.5}}
    name = architecture_of(str(write_model(example.folder, config, "tiny-with-dropout")))
    settings = msgspec.structs.replace(SETTINGS, seen_pairs=STEPS * SETTINGS.global_batch, clip_norm=1.0)

    def new() -> Trainer:
        created = create_model(name, settings)
        data = example.shards.data(batch_size=8, shuffle=20, transform=created.transform, tokenizer=created.tokenizer)
        return Trainer(created.model, batches(data), settings, Ranks(0, 1, torch.device("cpu")), chunks=2)

    whole = new()
    states: list[Path] = []
    losses: list[float] = []
    for step in whole.run((1,)):
        losses.append(step.loss)
        states.append(example.folder / f"state-{len(losses)}.pt")
        torch.save(whole.state_dict(), states[-1])
    return Stopped(new, states, losses, list(whole.weights.parameters()))


@pytest.mark.parametrize("first", range(1, STEPS))
def test_stopped_after_any_step_the_rest_is_the_same(stopped: Stopped, first: int) -> None:
    resumed = stopped.new()
    resumed.load_state_dict(torch.load(stopped.states[first - 1]))
    assert [step.loss for step in resumed.run((1,))] == stopped.losses[first:]
    for one, other in zip(stopped.weights, resumed.weights.parameters(), strict=True):
        assert torch.equal(one, other)


def start(example: Example, out: Path, environment: dict[str, str] | None = None, **others: Any) -> ForkProcess:
    """A process that trains."""
    return forked(train, environment, **example.options(out, **others))


def kill_when(is_time: Callable[[], bool], *processes: ForkProcess) -> None:
    """Kill processes and the workers of each, which would stay a while longer, when something is so, which must be before they end."""
    try:
        while not is_time():
            assert processes[0].exitcode is None
            time.sleep(0.002)
    finally:
        for process in processes:
            workers = family(process.pid or 0)
            process.kill()
            process.join()
            for worker in workers:
                worker.kill()
            assert_gone(workers)


def steps_in(out: Path) -> int:
    return len((out / "log.jsonl").read_text().splitlines()) if (out / "log.jsonl").exists() else 0


def is_writing(out: Path) -> bool:
    return any(path.name.startswith(".step") for path in (out / "checkpoints").glob(".*"))


@pytest.fixture(scope="module")
def killed(example: Example) -> Path:
    """The folder of a training with its first checkpoint."""
    out = example.folder / "killed"
    kill_when(lambda: steps_in(out) >= 5, start(example, out))
    return out


@pytest.fixture
def interrupted(killed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(killed, tmp_path / "interrupted"))


def test_killed_at_a_step_and_while_it_writes_a_checkpoint_it_ends_with_the_same_losses(example: Example, tmp_path: Path) -> None:
    out = tmp_path / "out"
    kill_when(lambda: steps_in(out) >= 6, start(example, out, workers=1))
    kill_when(lambda: steps_in(out) >= 7 and is_writing(out), start(example, out, workers=1))
    last = load_checkpoint(checkpoints_in(out / "checkpoints")[-1])["step"]
    assert 4 <= last < STEPS
    example.train(out, workers=1)
    assert [step["loss"] for step in log_of(out)] == example.losses
    assert [step["step"] for step in log_of(out)] == list(range(1, STEPS + 1))
    assert not is_writing(out)


def test_two_ranks_that_are_killed_end_with_the_same_losses(example: Example, tmp_path: Path) -> None:
    def both(out: Path) -> list[ForkProcess]:
        return [start(example, out, of_rank, batch_size=4, save_every=5) for of_rank in environments_of(2)]

    end(both(tmp_path / "whole"))
    out = tmp_path / "out"
    kill_when(lambda: steps_in(out) >= 7, *both(out))
    end(both(out))
    assert len(log_of(out)) == STEPS
    assert [step["loss"] for step in log_of(out)] == [step["loss"] for step in log_of(tmp_path / "whole")]


def test_two_commands_do_not_train_in_one_folder(example: Example, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(example, out, save_every=1)
    kill_when(lambda: steps_in(out) >= 1 and refuses(example, out), process)


def refuses(example: Example, out: Path) -> bool:
    with pytest.raises(StaleError, match="another process is working on this training"):
        example.train(out, save_every=1)
    return True


def test_a_full_disk_leaves_the_checkpoint_before_and_with_room_it_goes_on(example: Example, interrupted: Path) -> None:
    out = interrupted
    (last,) = checkpoints_in(out / "checkpoints")
    with files_of_at_most(last.stat().st_size - 10_000), pytest.raises(OutputError, match=r"step-0000000008\.pt: no room to write"):
        example.train(out)
    assert checkpoints_in(out / "checkpoints") == [last]
    assert not is_writing(out)
    example.train(out)
    assert [step["loss"] for step in log_of(out)] == example.losses


def test_a_loss_that_is_no_number_ends_the_training_and_leaves_the_checkpoint_before(example: Example, interrupted: Path) -> None:
    """With weights that are no numbers after the first checkpoint."""
    out = interrupted
    (last,) = checkpoints_in(out / "checkpoints")
    content = torch.load(last)
    content["state_dict"]["text_projection"] = torch.full_like(content["state_dict"]["text_projection"], torch.nan)
    torch.save(content, last)
    written = last.read_bytes()
    with pytest.raises(DivergedError, match="the loss of step 5 is nan: training has diverged"):
        example.train(out)
    assert checkpoints_in(out / "checkpoints") == [last]
    assert last.read_bytes() == written
    assert steps_in(out) == 4


def test_a_training_does_not_go_on_with_other_settings(example: Example, tmp_path: Path) -> None:
    whole = example.folder / "whole"
    for others, said in (
        ({"learning_rate": 2e-3}, "learning_rate 0.001, not 0.002"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"precision": "bf16"}, "precision 'fp32', not 'bf16'"),
        ({"online": False}, "select 'online', not 'curated'"),
    ):
        with pytest.raises(OptionError, match=f"was begun with {said}"):
            example.train(whole, **others)
    with pytest.raises(OptionError, match="this state was made with batch_size 8, not 16"):
        example.train(whole, batch_size=16)
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match=r"holds files but no training \(file\)"):
        example.train(tmp_path)


@pytest.mark.parametrize("damage", ["cut short", "no checkpoint", "runs code", "another model"])
def test_checkpoints_that_cannot_be_trusted_are_refused(example: Example, interrupted: Path, damage: str) -> None:
    out = interrupted
    (path,) = checkpoints_in(out / "checkpoints")
    content = torch.load(path)
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-1000])
    elif damage == "no checkpoint":
        torch.save({"state_dict": content["state_dict"]}, path)
    elif damage == "runs code":
        torch.save({**content, "more": Path}, path)
    else:
        torch.save({**content, "state_dict": {"weight": torch.zeros(2)}}, path)
    said = {
        "cut short": "no checkpoint that can be loaded",
        "no checkpoint": "no checkpoint of a training that can go on",
        "runs code": "no checkpoint that can be loaded",
        "another model": "not of this model",
    }
    with pytest.raises(ArtifactError, match=said[damage]):
        example.train(out)


def test_the_logit_scale_is_clamped_after_each_step(example: Example) -> None:
    name = architecture_of(str(example.folder / "tiny-of-tests.json"))
    settings = msgspec.structs.replace(SETTINGS, seen_pairs=6 * SETTINGS.global_batch, max_logit_scale=10.0)
    created = create_model(name, settings)
    data = example.shards.data(batch_size=16, transform=created.transform, tokenizer=created.tokenizer)
    trainer = Trainer(created.model, batches(data), settings, Ranks(0, 1, torch.device("cpu")), chunks=1)
    scales = [step.logit_scale for step in trainer.run((1,))]
    assert scales[0] == pytest.approx(1 / 0.07)
    assert scales[1:] == pytest.approx([10.0] * 5, abs=0.05)
    assert all(scale <= 10.0 + 1e-4 for scale in scales[1:])
