"""Entry counts in the format of the paper's authors: one JSON object, entry → count."""

from __future__ import annotations

from collections.abc import Sequence
from json.encoder import encode_basestring_ascii
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from tallyclip.io.files import replacing


def write_entry_counts(path: Path, entries: Sequence[str], counts: Int64[np.ndarray, " V"]) -> None:
    """Write every entry with its count, zeros included, one per line in the order of the list."""
    names = map(encode_basestring_ascii, entries)  # line by line it takes a third of the time of json.dumps
    lines = ",\n".join([f"{name}: {count}" for name, count in zip(names, counts.tolist(), strict=True)])
    with replacing(path) as part:
        part.write_text(f"{{\n{lines}\n}}\n", encoding="ascii")
