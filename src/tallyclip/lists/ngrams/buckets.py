"""Counts that are merged: files of words and of pairs of words, by ranges of their keys."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tallyclip.lists.texts import TextCounts


class Buckets:
    """The files of merged counts in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def words(self, bucket: int) -> Path:
        return self.path / "words" / f"{bucket:05d}.arrow"

    def pairs(self, bucket: int) -> Path:
        return self.path / "pairs" / f"{bucket:05d}.arrow"


class NgramCounts(msgspec.Struct):
    """What was counted; the numbers of words and pairs are those of each bucket.

    Attributes:
        total: words, of repeats each, or views.
        texts: of texts, what they were in.
        drops: records that could not be used, by reason.
    """

    words: list[int]
    pairs: list[int]
    total: int
    texts: TextCounts
    drops: dict[str, int]
