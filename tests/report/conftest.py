"""A small run whose pool tries to break out of the card."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tallyclip as tc
from tallyclip.flows.curate import curate
from tallyclip.readers.columns import ColumnChoice
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages.plan import Aim
from tallyclip.stages.runs import RUN

HOSTILE = ["<script>alert(1)</script>", "x | y *z*", "</table></html>", "& &amp; {{ card }}", "line\nbreak", "‮txet"]
ENTRIES = ["photo", "dog", "cat", "<b>", "a|b", "`", "St. Louis", "never named", "</script>", "tapir"]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random.seed(0)
    captions: list[str | None] = [random.choice(["photo of a dog", "a cat", "photo"]) for _ in range(2000)]
    captions += [*HOSTILE, *(f"{text} dog" for text in HOSTILE), "a|b", "a ` b", "a <b> tag", "</script> tapir", None, ""]
    folder = tmp_path_factory.mktemp("card")
    pool = folder / "pool.parquet"
    pq.write_table(pa.table({"url": [f"http://x.example/{i}" for i in range(len(captions))], "caption": captions}), pool)
    with Workers(1) as workers, Workspace(RUN, folder / "run", workers, command=["curate", str(pool)]) as run:
        curate(run, [str(pool)], ColumnChoice(), tc.Metadata(ENTRIES), Aim(t=50))
    return folder / "run"
