"""Training as a function: ``tallyclip train`` calls it. As the functions of ``api.py``, it prints nothing unless it is asked to.

It imports no heavy libraries before it is called.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from tallyclip.api import check_types, progress_if
from tallyclip.errors import OptionError
from tallyclip.flows.names import run_folder

if TYPE_CHECKING:
    from typing import Literal

    Names = str | PathLike[str] | Sequence[str | PathLike[str]]


@dataclass(frozen=True)
class Trained:
    """A training that is done.

    Attributes:
        path: its folder.
        weights: ``model.pt``, which ``open_clip.create_model(NAME, pretrained=...)`` loads.
        step: the last.
        loss: of the last step; None if this call had nothing to do.
        is_first: of several processes that torchrun started, is this the first? It alone has written files.
    """

    path: Path
    weights: Path
    step: int
    loss: float | None
    is_first: bool


def train(
    data: Names,
    *,
    out: str | PathLike[str],
    model: str = "ViT-B-32-quickgelu",
    preset: str = "paper",
    run: str | PathLike[str] | None = None,
    online: bool = False,
    index: str | PathLike[str] | None = None,
    seen_pairs: int | None = None,
    global_batch: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    warmup_steps: int | None = None,
    precision: Literal["fp32", "bf16", "fp16"] | None = None,
    clip_norm: float | None = None,
    pretrained: str | PathLike[str] | None = None,
    seed: int = 0,
    workers: int = 4,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    compile: bool = False,  # noqa: A002 - named as the option
    checkpoint_activations: bool | None = None,
    log_every: int = 10,
    save_every: int = 1000,
    keep: int = 2,
    track: Sequence[Literal["tensorboard", "wandb", "trackio"]] | None = None,
    progress: bool = False,
) -> Trained:
    """Train a model of open_clip's on image shards, as ``tallyclip train``.

    Called again with the same ``out``, it goes on after the last checkpoint, as if it had not been interrupted. In processes that torchrun
    started, each computes its part of every batch.

    Args:
        data: tars of images: paths, URLs, globs, or folders of them. Without a run, an epoch has each of their images once.
        out: the folder of the training: new, empty, or one to go on with.
        model: a name of open_clip's, or a JSON file of an architecture as open_clip has them.
        preset: "paper", or a TOML file with the same keys as ``tallyclip/train/presets.toml``.
        run: a balanced run: an epoch has the images of its curated pairs.
        online: an epoch has other pairs of the run each time, drawn by their keep probabilities.
        index: the folder of the shards' index, as ``tallyclip export index`` makes it; by default it is made, in
            the run or, without one, in ``OUT/index``.
        seen_pairs, global_batch, learning_rate, warmup_steps, precision, clip_norm: in place of what the preset says. Without a GPU, the
            precision is "fp32" if it is not given.
        batch_size: pairs that a process computes at a time. The gradients of a batch that is larger than that times the number of
            processes are the same. By default it is computed at once.
        pretrained: a checkpoint of this model to begin with.
        seed: of the first weights and of the order of pairs.
        workers: processes that load and decode images, for each process that trains; 0 for none.
        device: "cpu", "cuda", or "auto": a GPU if there is one.
        compile: compile the model with ``torch.compile``, which takes minutes and makes steps on GPUs shorter.
        checkpoint_activations: save memory by computing activations twice; by default as the preset says of the model.
        log_every: steps from one line in ``OUT/log.jsonl`` to the next.
        save_every: steps from one checkpoint to the next.
        keep: how many of the last checkpoints stay.
        track: other tools to log to. TensorBoard's files are written in any case, if it is installed.
        progress: show on standard error what the command shows.

    Raises:
        OptionError: what is given does not go together, or is not what the folder was begun with.
        ArtifactError: the index, a checkpoint or the preset is broken or of something else.
        DivergedError: the loss is no finite number any more.
        OutputError: a checkpoint or a log cannot be written; the checkpoints before are as they were.
        MissingExtraError: torch, torchvision, open_clip or a tracker is not installed.
    """
    check_types(train, locals())
    if online and run is None:
        raise OptionError("online=True draws by the probabilities of a run", "give the run that the shards' pairs are of: --run RUN")
    for name, number, least in (("log_every", log_every, 1), ("save_every", save_every, 1), ("keep", keep, 1), ("workers", workers, 0)):
        if number < least:
            raise OptionError(f"{name} is {number:,}", f"give a whole number from {least} on")
    from tallyclip.extras import load

    load("torch", "torch", "train")
    load("PIL", "pillow", "train")
    from tallyclip.flows.asked import names_of
    from tallyclip.train.session import Asked, Data, train_model

    is_first = os.environ.get("RANK", "0") == "0"
    instead = {
        "seen_pairs": seen_pairs,
        "global_batch": global_batch,
        "learning_rate": learning_rate,
        "warmup_steps": warmup_steps,
        "precision": precision,
        "clip_norm": clip_norm,
    }
    of = Data(names_of(data, "data"), None if run is None else os.fspath(run), online, None if index is None else os.fspath(index))
    path = run_folder(os.fspath(out))
    asked = Asked(
        out=path,
        pretrained=None if pretrained is None else os.fspath(pretrained),
        batch_size=batch_size,
        seed=seed,
        workers=workers,
        device=device,
        compiled=compile,
        checkpoint_activations=checkpoint_activations,
        log_every=log_every,
        save_every=save_every,
        keep=keep,
        trackers=track or (),
    )
    with progress_if(progress and is_first) as bar:
        ended = train_model(model, preset, instead, of, asked, bar)
    return Trained(path, ended.weights, ended.step, ended.loss, is_first)
