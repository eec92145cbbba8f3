"""The pool of the demo: real captions, and synthetic ones that resemble alt texts of the web."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tallyclip.core.data import Metadata
from tallyclip.demo.weblike import weblike_captions
from tallyclip.io.files import replacing

WEBLIKE = 75_000
COCO = "coco-captions.parquet"


def demo_pool(folder: Path) -> Path:
    """Write the pool of the demo: the captions of COCO val2017 (CC BY 4.0, see NOTICE), and synthetic web-like captions.

    The files are the same every time. Existing files are not written again, so that a run on them can continue.
    """
    coco, weblike = folder / COCO, folder / "weblike.parquet"
    if not coco.exists():
        with resources.as_file(resources.files("tallyclip") / "demo" / COCO) as bundled, replacing(coco) as part:
            shutil.copyfile(bundled, part)
    if not weblike.exists():
        rows = list(weblike_captions(Metadata.wordnet().entries, WEBLIKE, seed=0))
        table = pa.table({"url": [url for url, _ in rows], "caption": [caption for _, caption in rows]})
        with replacing(weblike) as part:
            pq.write_table(table, part, compression="zstd")
    return folder
