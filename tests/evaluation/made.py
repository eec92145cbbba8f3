"""A small model and evaluation sets, made from seeds: the same here and in clip-benchmark's environment, so it imports nothing of ours."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

TINY = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
NAMES = [
    "red fox",
    "blue whale",
    "tench",
    "crane",
    "traffic light",
    "St. Bernard",
    "pirate ship",
    "hook",
    "acorn",
    "daisy",
    "volcano",
    "pi",
]
TEMPLATES = ["a photo of a {c}.", "itap of the {c}.", "a drawing of many {c}, in a {c}."]
WORDS = [
    "a",
    "dog",
    "cat",
    "on",
    "the",
    "roof",
    "of",
    "red",
    "house",
    "boats",
    "with",
    "two",
    "small",
    "cups",
    "über",
    "ß",
    "grass",
    "at",
    "night",
]
MODES = ("RGB", "L", "RGBA", "P", "LA", "1", "CMYK")


def write_model(open_clip: Any, folder: Path, config: Mapping[str, Any] | None = None, name: str = "tiny") -> tuple[Path, Path]:
    """A configuration and a checkpoint as open_clip_train writes one; weights are of NumPy's, so any torch has the same."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(config or TINY))
    open_clip.add_model_config(folder / f"{name}.json")
    model = open_clip.create_model(name)
    draw = np.random.default_rng(0)
    weights = {key: _weight(draw, key, tuple(value.shape)) for key, value in model.state_dict().items()}
    torch.save(
        {"epoch": 1, "name": "tiny", "state_dict": {f"module.{key}": value for key, value in weights.items()}}, folder / f"{name}.pt"
    )
    return folder / f"{name}.json", folder / f"{name}.pt"


def _weight(draw: np.random.Generator, key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Such that embeddings differ much between images and between texts: what all have in common is small."""
    if key.endswith("bias") or not shape:
        return torch.zeros(shape)
    if "ln_" in key:
        return torch.ones(shape)
    size = 1.0 if key == "token_embedding.weight" else 0.1 if len(shape) == 1 or "positional" in key else 1.5 / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(draw.normal(0, size, shape).astype(np.float32))


@cache
def picture(number: int, kind: int = 0) -> bytes:
    """An image file: stripes and noise by their kind and number, in any mode and size."""
    draw = np.random.default_rng([number, kind])
    width, height = draw.integers(20, 90, 2).tolist()
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    base = np.stack([np.sin(x * (kind % 4 + 1) / 5 + c) + np.cos(y * (kind // 4 + 1) / 6 + c * kind) for c in range(3)], axis=-1)
    pixels = np.clip(base * 60 + 128 + draw.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    mode = MODES[number % len(MODES)]
    if mode in ("RGBA", "LA"):
        alpha = Image.fromarray(draw.integers(0, 256, (height, width), dtype=np.uint8))
        image = image.convert(mode[:-1])
        image.putalpha(alpha)
    else:
        image = image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 1 + number % 8
    options: dict[str, Any] = {"exif": exif.tobytes()} if number % 3 == 0 else {}
    with io.BytesIO() as file:
        if mode == "CMYK":
            image.save(file, "JPEG", quality=95, **options)
        elif mode in ("RGB", "RGBA") and number % 2:
            image.save(file, "WEBP", lossless=True, **options)
        else:
            image.save(file, "PNG", **options)
        return file.getvalue()


def suffix_of(content: bytes) -> str:
    return "jpg" if content.startswith(b"\xff\xd8") else "webp" if content.startswith(b"RIFF") else "png"


def write_shards(folder: Path, samples: Sequence[Mapping[str, bytes]], per_shard: int, texts: Mapping[str, str]) -> Path:
    """Shards in CLIP_benchmark's layout, of samples by suffix, with text files beside them."""
    (folder / "test").mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    starts = range(0, len(samples), per_shard)
    for shard, start in enumerate(starts):
        with tarfile.open(folder / "test" / f"{shard}.tar", "w") as tar:
            for number, sample in enumerate(samples[start : start + per_shard], start):
                for suffix, content in sorted(sample.items()):
                    member = tarfile.TarInfo(f"s{number:07d}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    (folder / "test" / "nshards.txt").write_text(f"{len(starts)}\n")
    return folder


def labelled(count: int, classes: int) -> list[tuple[bytes, int]]:
    """Image files and their labels, unevenly many of each class."""
    labels = (np.random.default_rng(1).random(count) ** 1.5 * classes).astype(int).tolist()
    return [(picture(number, label), label) for number, label in enumerate(labels)]


def write_classification(folder: Path, count: int = 300, classes: int = len(NAMES)) -> Path:
    samples = [{suffix_of(content): content, "cls": str(label).encode()} for content, label in labelled(count, classes)]
    texts = {"classnames.txt": "\n".join(NAMES[:classes]) + "\n", "zeroshot_classification_templates.txt": "\n".join(TEMPLATES) + "\n"}
    return write_shards(folder, samples, 110, texts)


def captioned(count: int) -> list[tuple[bytes, list[str]]]:
    """Image files and their captions: one to five."""
    draw = np.random.default_rng(2)
    return [
        (
            picture(number, number % 12),
            [" ".join(draw.choice(WORDS, draw.integers(2, 9))) + f" {number}" for _ in range(draw.integers(1, 6))],
        )
        for number in range(count)
    ]


def write_retrieval(folder: Path, count: int = 90) -> Path:
    samples = [{suffix_of(content): content, "txt": "\n".join(captions).encode()} for content, captions in captioned(count)]
    return write_shards(folder, samples, 40, {"dataset_type.txt": "retrieval\n"})
