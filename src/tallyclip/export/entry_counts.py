"""Entry counts in the format of the paper's authors: one JSON object, entry → count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from tallyclip.io.files import replacing


def write_entry_counts(path: Path, entries: Sequence[str], counts: Int64[np.ndarray, " V"]) -> None:
    """Write every entry with its count, zeros included, one per line in the order of the list."""
    lines = json.dumps(dict(zip(entries, counts.tolist(), strict=True)), separators=(",\n", ": "))
    with replacing(path) as part:
        part.write_text(f"{{\n{lines[1:-1]}\n}}\n", encoding="ascii")
