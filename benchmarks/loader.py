"""Samples a second of the loader beside webdataset and open_clip's own pipeline, in one run; and the time it takes to draw an epoch.

    python benchmarks/loader.py --pairs 6000 --photographs coco-mini-ccby.tar
    python benchmarks/loader.py --draw 10_000_000

Shards are written as img2dataset writes them: JPEGs of quality 95 whose shorter side has 256 to 512 pixels, of the photographs in a tar, or
generated if none is given. All loaders decode, apply open_clip's transform for training at 224 pixels, tokenize, shuffle and make batches,
with the same number of worker processes. At keep rates below 1, each pair has that rate as its keep probability. Ours reads what it has
drawn; the others read all, and drop samples before they decode them. Loaders take turns, after a round that is not counted; figures are
medians. time_of_tallyclip is its time for a sample as a share of the other's in the same turn. Prints a line of JSON for each loader and
rate.

--draw writes an index of so many pairs, 10,000 a shard, and measures how long a process takes until it knows its epoch, and its memory.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import os
import random
import statistics
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
import webdataset as wds
from PIL import Image, ImageFilter

from curate import PeakMemory
from record import record
from tallyclip.core.uids import make_uids, uid_column
from tallyclip.train import OnlineBalanced, batches, import_torchvision
from tallyclip.train.open_clip import FirstRow

import_torchvision()
import open_clip  # noqa: E402 - it imports torchvision
import open_clip_train.data as theirs  # noqa: E402

RATES = (1.0, 0.5, 0.1)
BATCH = 64
SHARD = 1000
DISTINCT = 200  # pictures
BUFFER = 1000
CAPTION = "a photograph with the number {}, taken on a day like any other"


def photographs(path: Path | None) -> list[bytes]:
    """JPEGs as img2dataset leaves them."""
    draw = random.Random(0)
    if path is None:
        noise = np.random.default_rng(0).integers(0, 256, (DISTINCT, 40, 54, 3), dtype=np.uint8)
        found = [Image.fromarray(picture).resize((640, 480)).filter(ImageFilter.GaussianBlur(2)) for picture in noise]
    else:
        with tarfile.open(path) as tar:
            found = [
                Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB") for member in tar if member.name.endswith(".jpg")
            ]  # type: ignore[union-attr]
    made: list[bytes] = []
    for i in range(DISTINCT):
        image = found[i % len(found)]
        factor = draw.randint(256, 512) / min(image.size)
        with io.BytesIO() as file:
            image.resize((round(image.width * factor), round(image.height * factor))).save(file, "JPEG", quality=95)
            made.append(file.getvalue())
    return made


def write_index(folder: Path, shards: Iterable[tuple[str, pa.Table]]) -> None:
    (folder / "index").mkdir(parents=True)
    listed: list[dict[str, Any]] = []
    for number, (path, table) in enumerate(shards):
        with pa.ipc.new_file(str(folder / "index" / f"{number:05d}.arrow"), table.schema) as writer:
            writer.write_table(table)
        listed.append({"path": path, "key": f"{number:05d}", "pairs": len(table), "samples": len(table)})
    run = {"t": 1.0, "fingerprint": ""}
    (folder / "index" / "shards.json").write_text(json.dumps({"run": run, "shards": listed, "drops": {}}))


def table_of(first: int, keep: Any, at: Any, size: Any) -> pa.Table:
    """The index of a shard whose samples have the numbers from one on."""
    numbers = range(first, first + len(at))
    texts = [CAPTION.format(number) for number in numbers]
    uids = make_uids([str(number) for number in numbers], texts)
    columns = {"keep": np.broadcast_to(keep, len(at)), "curated": np.zeros(len(at), bool), "sample": np.arange(len(at)), "image_at": at}
    return pa.table({"uid": uid_column(uids), **columns, "image_size": size, "text": texts})


def write_shards(folder: Path, pairs: int, pictures: list[bytes]) -> list[Path]:
    """Tars, and an index of them for each keep rate."""
    places: list[tuple[str, int, list[int], list[int]]] = []
    for first in range(0, pairs, SHARD):
        path = folder / f"{first // SHARD:05d}.tar"
        at: list[int] = []
        size: list[int] = []
        with tarfile.open(path, "w") as tar:
            for number in range(first, min(first + SHARD, pairs)):
                text = CAPTION.format(number)
                content = pictures[number % len(pictures)]
                for suffix, data in (
                    ("jpg", content),
                    ("json", json.dumps({"caption": text, "url": str(number)}).encode()),
                    ("txt", text.encode()),
                ):
                    member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                    member.size = len(data)
                    if suffix == "jpg":
                        at.append(tar.offset + 512)
                        size.append(len(data))
                    tar.addfile(member, io.BytesIO(data))
        places.append((str(path), first, at, size))
    for rate in RATES:
        write_index(folder / f"index-{rate}", ((path, table_of(first, rate, at, size)) for path, first, at, size in places))
    return [Path(path) for path, *_ in places]


class Dropping:
    """Which samples the others keep, before they are decoded: they know each by its key."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def __call__(self, sample: dict[str, Any]) -> bool:
        return zlib.crc32(sample["__key__"].encode()) % 1000 < self._rate * 1000


def with_webdataset(tars: list[Path], rate: float, workers: int, transform: Any, tokenizer: Any) -> Iterable[Any]:
    data = (
        wds.WebDataset([str(tar) for tar in tars], shardshuffle=100)
        .select(Dropping(rate))
        .shuffle(BUFFER)
        .decode("pilrgb")
        .to_tuple("jpg", "txt")
        .map_tuple(transform, FirstRow(tokenizer))
        .batched(BATCH, partial=False)
    )
    return wds.WebLoader(data, batch_size=None, shuffle=False, num_workers=workers)


def with_open_clip(tars: list[Path], rate: float, workers: int, transform: Any, tokenizer: Any) -> Iterable[Any]:
    keeps, has_both = Dropping(rate), theirs.filter_no_caption_or_no_image
    pairs = int(len(tars) * SHARD * rate)
    arguments = {"train_data": f"{tars[0].parent}/{{{tars[0].stem}..{tars[-1].stem}}}.tar", "train_num_samples": pairs, "batch_size": BATCH}
    arguments |= {"workers": workers, "world_size": 1, "seed": 0, "train_data_upsampling_factors": None, "dataset_resampled": False}
    theirs.filter_no_caption_or_no_image = lambda sample: has_both(sample) and keeps(sample)
    try:
        made = theirs.get_wds_dataset(SimpleNamespace(**arguments), transform, is_train=True, tokenizer=tokenizer, floor=True)
    finally:
        theirs.filter_no_caption_or_no_image = has_both
    return made.dataloader


def with_ours(tars: list[Path], rate: float, workers: int, transform: Any, tokenizer: Any) -> Iterable[Any]:
    index = tars[0].parent / f"index-{rate}"
    tokenize = FirstRow(tokenizer)
    data = OnlineBalanced(tars, "run", index=index, batch_size=BATCH, shuffle=BUFFER, transform=transform, tokenizer=tokenize)
    return batches(data, workers)


LOADERS: dict[str, Callable[..., Iterable[Any]]] = {"tallyclip": with_ours, "webdataset": with_webdataset, "open_clip": with_open_clip}


class Measured(NamedTuple):
    """An epoch of a loader: its samples, how long it took, and how much work it was for all its processes."""

    samples: int
    seconds: float
    processor_seconds: float


def processor_seconds() -> float:
    """Of this process and those that it has waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def measured(make: Callable[[], Iterable[Any]]) -> Measured:
    started, work = time.perf_counter(), processor_seconds()
    samples = sum(len(batch[0]) for batch in make())
    seconds = time.perf_counter() - started
    gc.collect()  # ends the loader's processes
    return Measured(samples, seconds, processor_seconds() - work)


def seconds_each(run: Measured) -> float:
    return run.seconds / run.samples


def compare(options: argparse.Namespace) -> None:
    transform: Any = open_clip.image_transform(224, is_train=True)
    tokenizer: Any = open_clip.get_tokenizer("ViT-B-32")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        tars = write_shards(Path(name), options.pairs, photographs(options.photographs))
        for number, rate in enumerate((RATES[-1], *RATES)):
            rounds: dict[str, list[Measured]] = {loader: [] for loader in LOADERS}
            for _ in range(options.rounds if number else 1):
                for loader, make in LOADERS.items():
                    rounds[loader].append(measured(lambda make=make: make(tars, rate, options.workers, transform, tokenizer)))  # noqa: B023
            if not number:
                continue
            ours = rounds["tallyclip"]
            for loader, found in rounds.items():
                record(
                    "loader",
                    libraries=("torch", "pillow", "webdataset", "open_clip_torch"),
                    loader=loader,
                    keep_rate=rate,
                    pairs=options.pairs,
                    image_bytes=round(sum(tar.stat().st_size for tar in tars) / options.pairs),
                    workers=options.workers,
                    samples=[run.samples for run in found],
                    seconds=[round(run.seconds, 2) for run in found],
                    samples_per_second=round(statistics.median(run.samples / run.seconds for run in found)),
                    samples_per_processor_second=round(statistics.median(run.samples / run.processor_seconds for run in found)),
                    time_of_tallyclip=round(
                        statistics.median(seconds_each(our) / seconds_each(run) for our, run in zip(ours, found, strict=True)), 2
                    ),
                )


def draw(pairs: int) -> None:
    """How long a process takes to know an epoch."""
    keep = np.random.default_rng(0).choice([1.0, 0.5, 0.1], 10_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [f"/shards/{number:05d}.tar" for number in range(-(-pairs // 10_000))]
        at = np.arange(10_000) * 60_000 + 512
        write_index(folder, ((path, table_of(number * 10_000, keep, at, at)) for number, path in enumerate(paths)))
        data = OnlineBalanced(paths, "run", index=folder)
        memory = PeakMemory(os.getpid())
        seconds: list[float] = []
        for epoch in range(4):
            data.set_epoch(epoch)
            started = time.perf_counter()
            split = data.split(8)
            seconds.append(round(time.perf_counter() - started, 2))
        peak = memory.stop() >> 20
        record("draw an epoch", pairs=len(paths) * 10_000, shards=len(paths), drawn=split.drawn, seconds=seconds, peak_pss_megabytes=peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=6000, help="a multiple of 1,000")
    parser.add_argument("--photographs", type=Path, help="a tar of JPEGs")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--draw", type=int, metavar="PAIRS", help="only measure how long an epoch of so many pairs is drawn")
    options = parser.parse_args()
    if options.draw:
        draw(options.draw)
    else:
        compare(options)


if __name__ == "__main__":
    main()
