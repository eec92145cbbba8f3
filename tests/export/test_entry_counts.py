"""Entry counts in the form that the authors of the paper publish."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tallyclip.export.entry_counts import write_entry_counts

ENTRIES = ["dog", 'a "quoted" one', "back\\slash", "Zürich", "東京", "tab\there", "\ud800 alone", "zero"]


def test_every_entry_is_written_with_its_count_in_the_order_of_the_list(tmp_path: Path) -> None:
    counts = [3, 1, 4, 1 << 50, 5, 9, 2, 0]
    write_entry_counts(tmp_path / "counts.json", ENTRIES, np.array(counts, np.int64))
    content = (tmp_path / "counts.json").read_bytes()
    found = json.loads(content)
    assert list(found.items()) == list(zip(ENTRIES, counts, strict=True))
    assert content.isascii()
    assert len(content.splitlines()) == len(ENTRIES) + 2
