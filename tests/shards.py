"""What is in tars of images, read without any code of the package."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

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


def read_shards(folder: Path) -> list[TarSample]:
    """The samples of a folder's tars, in order."""
    return [sample for tar in sorted(folder.glob("*.tar")) for sample in read_tar(tar)]


def read_tar(path: Path) -> list[TarSample]:
    """The samples of a tar, in order; the members of one must be adjacent."""
    samples: dict[str, dict[str, bytes]] = {}
    last = None
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, suffix = member.name.partition(".")
            assert key == last or key not in samples, f"{path}: members of {key} lie apart"
            last = key
            opened = tar.extractfile(member)
            assert opened is not None
            samples.setdefault(key, {})[suffix] = opened.read()
    return [_sample(key, members) for key, members in samples.items()]


def _sample(key: str, members: dict[str, bytes]) -> TarSample:
    (suffix,) = (name for name in members if name in IMAGE_SUFFIXES)
    return TarSample(key, members[suffix], suffix, members["txt"].decode(), json.loads(members["json"]))


def digest(samples: Iterable[TarSample]) -> str:
    """A fingerprint of the uids, texts and image bytes of samples, in whatever order they are."""
    lines = sorted(f"{s.uid} {hashlib.sha256(s.text.encode()).hexdigest()} {hashlib.sha256(s.image).hexdigest()}" for s in samples)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
