"""Pieces of work that are shards of a pool."""

from __future__ import annotations

import msgspec

from tallyclip.readers.sources import Shard
from tallyclip.run.items import Source


class ShardItem(msgspec.Struct, frozen=True):
    """A shard that a stage reads from outside."""

    shard: Shard

    @property
    def source(self) -> Source:
        """The file, and its state when the shards were listed."""
        return Source(self.shard.file.path, self.shard.file.fingerprint)
