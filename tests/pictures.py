"""What the tests of images share: pictures, tars of samples as img2dataset writes them, and a run over their pairs."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MEMBERS = ("jpg", "json", "txt")


def picture(number: int, kind: str = "JPEG", size: tuple[int, int] = (24, 16)) -> bytes:
    """A picture of noise, another for each number."""
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(noise).save(out, kind)
    return out.getvalue()


def sample(key: str, url: str, text: str, image: bytes | None, **fields: Any) -> dict[str, bytes]:
    """The members of a sample, by their names; without an image if it is None."""
    said = {"url": url, "caption": text, "key": key, "status": "success", **fields}
    members = {f"{key}.jpg": image, f"{key}.json": json.dumps(said).encode(), f"{key}.txt": text.encode()}
    return {name: content for name, content in members.items() if content is not None}


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    return path


def write_samples(path: Path, samples: Iterable[Mapping[str, bytes]]) -> Path:
    return write_tar(path, (member for each in samples for member in each.items()))


def members_of(path: Path) -> dict[str, bytes]:
    """The members of a tar by their names, in order."""
    with tarfile.open(path) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member)) is not None}
