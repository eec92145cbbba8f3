"""For tests: small pools are treated as ones of very many files."""

from __future__ import annotations

import pytest

from tallyclip.stages import duplicates, key_groups, repeats


def merge_keys_of(patch: pytest.MonkeyPatch, files: int, rows_per_bucket: int) -> None:
    """Have the keys of so many files at a time merged, and cut into buckets of so many rows."""
    for module in (duplicates, repeats):
        patch.setattr(module, "ROWS_PER_BUCKET", rows_per_bucket)
    for module in (duplicates, key_groups):
        patch.setattr(module, "FILES_OF_A_GROUP", files)
    patch.setattr(key_groups, "MOST_SLICES", 0)
    patch.setattr(key_groups, "ROWS_OF_A_SLICE", 1 << 40)
