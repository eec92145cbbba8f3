"""The command that trains a model, and its options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tallyclip.cli.console import choose_progress, reports_errors, show_result, show_text
from tallyclip.cli.options import HOW, AsJson, Quiet, checked, one_of
from tallyclip.flows.names import pool_name, run_folder
from tallyclip.train import command


class PrecisionName(StrEnum):
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class DeviceName(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class TrackerName(StrEnum):
    tensorboard = "tensorboard"
    wandb = "wandb"
    trackio = "trackio"


USE = "Use a curated set"  # commands that do
DATA, SETTINGS, OUTPUT = "Data", "In place of what the preset says", "Logs and checkpoints"

Shards = Annotated[
    list[str],
    typer.Option(
        "--data",
        parser=checked(pool_name),
        metavar="SHARDS",
        help="Tars of images, such as 'tallyclip export webdataset' writes: paths, globs, URLs or folders. May be given several times.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]
OfRun = Annotated[
    Path | None,
    typer.Option(
        "--run",
        parser=checked(run_folder),
        metavar="RUN",
        help="A balanced run: train on its curated pairs. Default: on all images of the shards.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]
Online = Annotated[
    bool,
    typer.Option("--online", help="With --run: draw pairs anew in each epoch, by their keep probabilities.", rich_help_panel=DATA),
]
IndexFolder = Annotated[
    Path | None,
    typer.Option(
        "--index",
        parser=checked(run_folder),
        metavar="INDEX",
        help="Index of the shards, from 'tallyclip export index'. Default: it is made, in RUN/index or DIR/index.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]
TrainOut = Annotated[
    Path,
    typer.Option(
        "--out",
        parser=checked(run_folder),
        metavar="DIR",
        help="Folder of the training: new, empty, or one to go on with.",
        show_default=False,
    ),
]
ModelName = Annotated[str, typer.Option("--model", metavar="NAME|FILE", help="A model of open_clip, or a .json of its form.")]
PresetName = Annotated[
    str, typer.Option("--preset", metavar="NAME|FILE", help="'paper': the settings of MetaCLIP's models. Or a TOML file of that form.")
]
Pretrained = Annotated[
    Path | None,
    typer.Option("--pretrained", metavar="FILE", help="A checkpoint of this model to begin with.", show_default=False),
]
SeenPairs = Annotated[
    int | None,
    typer.Option("--seen-pairs", metavar="N", help="Pairs to train on, of all epochs.", rich_help_panel=SETTINGS, show_default=False),
]
GlobalBatch = Annotated[
    int | None,
    typer.Option("--global-batch", metavar="N", help="Pairs in a step, of all processes.", rich_help_panel=SETTINGS, show_default=False),
]
LearningRate = Annotated[
    float | None,
    typer.Option("--learning-rate", metavar="NUMBER", help="The highest.", rich_help_panel=SETTINGS, show_default=False),
]
WarmupSteps = Annotated[
    int | None,
    typer.Option("--warmup-steps", metavar="N", help="Steps in which it is reached.", rich_help_panel=SETTINGS, show_default=False),
]
Precision = Annotated[
    PrecisionName | None,
    typer.Option(
        "--precision",
        metavar=one_of(PrecisionName),
        help="Of most operations. Without a GPU: fp32.",
        rich_help_panel=SETTINGS,
        show_default=False,
    ),
]
ClipNorm = Annotated[
    float | None,
    typer.Option("--clip-norm", metavar="NUMBER", help="Largest norm of gradients.", rich_help_panel=SETTINGS, show_default=False),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of the first weights and of the order of pairs.")]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="N",
        help="Pairs that a process computes at a time: what fits into memory. The result is the same. Default: all of its part of a batch.",
        rich_help_panel=HOW,
        show_default=False,
    ),
]
Loaders = Annotated[
    int,
    typer.Option("--workers", metavar="N", min=0, help="Processes that load and decode images, for each that trains.", rich_help_panel=HOW),
]
DeviceChoice = Annotated[
    DeviceName,
    typer.Option("--device", metavar=one_of(DeviceName), help="What to compute on; auto: a GPU if there is one.", rich_help_panel=HOW),
]
Compile = Annotated[bool, typer.Option("--compile", help="Compile the model: minutes once, then shorter steps.", rich_help_panel=HOW)]
Activations = Annotated[
    bool | None,
    typer.Option(
        "--checkpoint-activations/--no-checkpoint-activations",
        help="Save memory by computing activations twice. Default: from ViT-B-16 up.",
        rich_help_panel=HOW,
        show_default=False,
    ),
]
LogEvery = Annotated[
    int, typer.Option("--log-every", metavar="STEPS", min=1, help="Steps between lines of DIR/log.jsonl.", rich_help_panel=OUTPUT)
]
SaveEvery = Annotated[int, typer.Option("--save-every", metavar="STEPS", min=1, help="Steps between checkpoints.", rich_help_panel=OUTPUT)]
Keep = Annotated[int, typer.Option("--keep", metavar="N", min=1, help="Checkpoints that stay.", rich_help_panel=OUTPUT)]
Track = Annotated[
    list[TrackerName] | None,
    typer.Option(
        "--track",
        metavar=one_of(TrackerName),
        help="Log to another tool as well. May be given several times.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]


def train(
    *,
    data: Shards,
    run: OfRun = None,
    online: Online = False,
    index: IndexFolder = None,
    out: TrainOut,
    model: ModelName = "ViT-B-32-quickgelu",
    preset: PresetName = "paper",
    pretrained: Pretrained = None,
    seed: Seed = 0,
    log_every: LogEvery = 10,
    save_every: SaveEvery = 1000,
    keep: Keep = 2,
    track: Track = None,
    seen_pairs: SeenPairs = None,
    global_batch: GlobalBatch = None,
    learning_rate: LearningRate = None,
    warmup_steps: WarmupSteps = None,
    precision: Precision = None,
    clip_norm: ClipNorm = None,
    batch_size: BatchSize = None,
    workers: Loaders = 4,
    device: DeviceChoice = DeviceName.auto,
    compile: Compile = False,  # noqa: A002 - named as the option
    checkpoint_activations: Activations = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a CLIP model on a curated set, with the paper's settings.

    Writes `DIR/checkpoints/*.pt`, which open_clip loads, `DIR/log.jsonl`, and at the end `DIR/model.pt`. After an interruption, run the
    same command again: it goes on after the last checkpoint. On several GPUs, start it with torchrun: see docs/training.md.

    Needs: train

    Example:
        tallyclip train --data exports/shards --out training --seen-pairs 1_000_000 --global-batch 1024 --warmup-steps 100
    """
    given: dict[str, Any] = {name: value.value if isinstance(value, StrEnum) else value for name, value in locals().items()}
    del given["quiet"], given["as_json"]
    given["track"] = [tracker.value for tracker in track or ()]
    choose_progress(quiet=quiet)
    trained = command.train(**given, progress=True)
    if trained.is_first:
        log = trained.path / "log.jsonl"
        result = {"weights": trained.weights, "log": log, "step": trained.step, "loss": trained.loss}
        show_result(as_json, result, lambda: show_text(f"weights     {trained.weights}\nlog         {log}"))


def add_train(app: typer.Typer) -> None:
    """Give an application the command."""
    app.command(rich_help_panel=USE)(reports_errors(train))
