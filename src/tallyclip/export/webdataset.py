"""Shards in WebDataset's form: samples of members with one key, whose bytes do not depend on when, where and by whom they are written."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

MODE = 0o644
_json = msgspec.json.Encoder()


class TarShardWriter:
    """Writes the samples of a shard, in the order given: the image and whatever else belongs to a sample, its json and its txt."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed on exit

    def write(self, key: str, members: Mapping[str, bytes], fields: Mapping[str, Any], text: str | None) -> None:
        """Write a sample.

        Args:
            key: of its members' names.
            members: by their suffixes.
            fields: of its json.
            text: of its txt; None if it has none.
        """
        texts = {"json": _json.encode(fields)} | ({} if text is None else {"txt": text.encode("utf-8")})
        self.add(key, {**members, **texts})

    def add(self, key: str, members: Mapping[str, bytes]) -> None:
        """Write a sample of these members alone, by their suffixes."""
        for suffix, content in members.items():
            member = tarfile.TarInfo(f"{key}.{suffix}")  # of no time and nobody
            member.size, member.mode = len(content), MODE
            self._tar.addfile(member, io.BytesIO(content))

    def __enter__(self) -> TarShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._tar.close()
