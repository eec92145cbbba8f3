"""What is in tars of images, read without any code of the package."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

# Written by scripts/peers/run: what the real img2dataset downloaded, and what was found in going the whole way
DOWNLOADS = Path(__file__).parent / "data" / "img2dataset.tar.zst"
PEERS = Path(__file__).parents[1] / "scripts" / "peers" / "results.json"
IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")


class TarSample(NamedTuple):
    """A sample of a tar."""

    key: str
    image: bytes
    suffix: str
    text: str
    fields: dict[str, Any]  # of its json

    @property
    def uid(self) -> str:
        return self.fields["uid"]


def read_shards(place: Path) -> list[TarSample]:
    """The samples of a tar, or of all tars of a folder, in order."""
    return [sample for tar in ([place] if place.is_file() else sorted(place.glob("*.tar"))) for sample in read_tar(tar)]


def read_tar(path: Path) -> list[TarSample]:
    """The samples of a tar, in order: members of one key that lie beside each other."""
    samples: list[tuple[str, dict[str, bytes]]] = []
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, suffix = member.name.partition(".")
            content = tar.extractfile(member)
            assert content is not None
            if not samples or samples[-1][0] != key or suffix in samples[-1][1]:
                samples.append((key, {}))
            samples[-1][1][suffix] = content.read()
    return [_sample(key, members) for key, members in samples]


def _sample(key: str, members: dict[str, bytes]) -> TarSample:
    (suffix,) = (name for name in members if name in IMAGE_SUFFIXES)
    return TarSample(key, members[suffix], suffix, members["txt"].decode(), json.loads(members["json"]))


def digest(samples: Iterable[TarSample]) -> str:
    """A fingerprint of the uids, texts and image bytes of samples, in whatever order and however often they are there."""
    lines = sorted({f"{s.uid} {hashlib.sha256(s.text.encode()).hexdigest()} {hashlib.sha256(s.image).hexdigest()}" for s in samples})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def unpack_downloads(folder: Path) -> Path:
    """What the real img2dataset downloaded once: pool.parquet, and the folders of downloads."""
    packed = DOWNLOADS.read_bytes()
    with zstandard.ZstdDecompressor().stream_reader(packed) as reader, tarfile.open(fileobj=reader, mode="r|") as tar:
        tar.extractall(folder, filter="data")
    return folder
