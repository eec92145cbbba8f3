"""Images a second of a training step beside open_clip's own loop, in one run, and on a GPU the share of its peak and the largest batch.

    python benchmarks/train.py --model ViT-B-32-quickgelu --batch 16
    python benchmarks/train.py --model ViT-B-32-quickgelu --batch 512 --precision fp16 --largest     # with a GPU; not tried so far

Both loops train the same model, from the same weights, on the same batches, which are made before: what is measured is the step alone.
They take turns, after a round that is not counted; figures are medians of the turns. Prints a line of JSON for each loop: seconds of a
step, images a second, and mfu, the share of the GPU's highest speed that served the model, where that is known. time_of_tallyclip is its
time as a share of the other's in the same turn. --largest finds the largest batch whose step fits into the GPU's memory, to one part in
eight.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch

from record import record
from tallyclip.train.gradients import add_gradients
from tallyclip.train.logs import peak_of
from tallyclip.train.loop import Trainer
from tallyclip.train.models import create_model, operations_of_pair
from tallyclip.train.presets import Settings, load_preset
from tallyclip.train.ranks import Ranks
from tallyclip.train.weights import import_open_clip

open_clip = import_open_clip()
import open_clip_train.train as theirs  # noqa: E402 - it imports torchvision

STEPS = 4  # in a turn
SEED = 0


class Fixed:
    """Batches that are there already, over and over; of both loops' loaders what they ask for."""

    def __init__(self, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.batches = batches
        self.data = SimpleNamespace(seed=SEED, epoch=0, set_epoch=lambda _: None)
        self.num_batches, self.num_samples = STEPS * len(batches), STEPS * sum(len(texts) for _, texts in batches)

    def __iter__(self) -> Iterator[Any]:
        for images, texts in self.batches:
            yield images, texts, None


class Theirs(Fixed):
    """The same for open_clip's loop, which takes an epoch."""

    def __iter__(self) -> Iterator[Any]:
        for _ in range(STEPS):
            yield from self.batches


def ours(model: Any, settings: Settings, batches: list[Any], device: torch.device) -> Callable[[], object]:
    trainer = Trainer(model, Fixed(batches), settings, Ranks(0, 1, device), chunks=len(batches))  # type: ignore[arg-type]
    running = trainer.run((STEPS,))
    return lambda: next(running)


def open_clips(model: Any, settings: Settings, batches: list[Any], device: torch.device) -> Callable[[], object]:
    optimizer = Trainer(model, Fixed(batches), settings, Ranks(0, 1, device), chunks=1).optimizer  # type: ignore[arg-type]
    scaler = torch.amp.GradScaler(device.type) if settings.precision == "fp16" else None
    precision = {"fp32": "fp32", "fp16": "amp", "bf16": "amp_bf16"}[settings.precision]
    args = SimpleNamespace(
        device=str(device),
        precision=precision,
        distill=False,
        accum_freq=len(batches),
        skip_scheduler=True,
        horovod=False,
        grad_clip_norm=None,
        rank=0,
        local_rank=0,
        world_size=1,
        log_local=False,
        log_every_n_steps=STEPS,
        batch_size=len(batches[0][0]),
        wandb=False,
    )
    data = {"train": SimpleNamespace(set_epoch=lambda _: None, dataloader=Theirs(batches))}
    loss = open_clip.ClipLoss()
    return lambda: theirs.train_one_epoch(model, data, loss, 0, optimizer, scaler, None, None, args)


def batches_of(model: Any, pairs: int, chunks: int, device: torch.device) -> list[Any]:
    torch.manual_seed(SEED)
    size = model.visual.image_size
    height, width = size if isinstance(size, tuple) else (size, size)
    images, texts = torch.randn(pairs, 3, height, width), torch.randint(1, 49_000, (pairs, model.context_length))
    return list(zip(images.to(device).chunk(chunks), texts.to(device).chunk(chunks), strict=True))


def seconds_of(turn: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    turn()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / STEPS


def largest_batch(model: Any, settings: Settings, device: torch.device) -> int:
    """The largest batch whose gradients fit into memory, computed at once."""
    trainer = Trainer(model, Fixed([]), settings, Ranks(0, 1, device), chunks=1)  # type: ignore[arg-type]
    fits, too_large, batch = 0, None, 64
    while too_large is None or too_large - fits > max(8, fits // 8):
        try:
            autocast = trainer._autocast
            add_gradients(
                model, trainer.loss, batches_of(model, batch, 1, device), seed=SEED, autocast=autocast, scale=trainer.scaler.scale
            )
            fits = batch
        except torch.OutOfMemoryError:
            too_large = batch
        model.zero_grad()
        torch.cuda.empty_cache()
        batch = 2 * fits if too_large is None else (fits + too_large) // 2
    return fits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32-quickgelu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--chunks", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32")
    parser.add_argument("--largest", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = load_preset("paper", given.model, global_batch=given.batch, precision=given.precision).settings
    loops: dict[str, Callable[[], object]] = {}
    for name, loop in {"tallyclip": ours, "open_clip": open_clips}.items():
        model: Any = create_model(given.model, settings, seed=SEED).model.to(device)
        loops[name] = loop(model, settings, batches_of(model, given.batch, given.chunks, device), device)
    for turn in loops.values():
        turn()
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(given.turns):
        for name, turn in loops.items():
            seconds[name].append(seconds_of(turn, device))

    about = {"model": given.model, "batch": given.batch, "chunks": given.chunks, "precision": given.precision, "threads": given.threads}
    model = create_model(given.model, settings, seed=SEED).model.to(device)
    operations, gpu = operations_of_pair(model, device), torch.cuda.get_device_name() if device.type == "cuda" else None
    peak = peak_of(gpu) if gpu is not None and given.precision != "fp32" else None
    share = statistics.median(mine / other for mine, other in zip(seconds["tallyclip"], seconds["open_clip"], strict=True))
    for name, found in seconds.items():
        step = statistics.median(found)
        speed = given.batch / step
        figures: dict[str, Any] = {"seconds": round(step, 4), "images_per_second": round(speed, 2)}
        figures |= {"mfu": None if peak is None else round(speed * operations / peak, 4), "teraflops": round(speed * operations / 1e12, 4)}
        figures |= {"time_of_tallyclip": round(share, 4)} if name == "open_clip" else {}
        record("train", libraries=("torch", "open_clip_torch"), loop=name, device=gpu or "cpu", **about, **figures)
    if given.largest and gpu is not None:
        largest = largest_batch(model, settings, device)
        record("train: largest batch", libraries=("torch", "open_clip_torch"), device=gpu, **about | {"batch": largest})


if __name__ == "__main__":
    main()
