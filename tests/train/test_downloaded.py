"""From what the real img2dataset downloaded to training: the figures are those that scripts/peers found on the same way.

They stand beside DataComp's resharder there, which wrote the same samples.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.shards import PEERS, digest, read_shards, unpack_downloads
from tests.tools import succeeds

ROOT = Path(__file__).parents[2]
BATCH = 32
FOUND = json.loads(PEERS.read_text(encoding="utf-8"))
TAIL_SHARE, SHARD_SIZE = FOUND["asked"]["tail_share"], FOUND["asked"]["shard_size"]
BOTH = ("--images", "images", "--images", "again")


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what was downloaded, and the run that it was downloaded for."""
    folder = unpack_downloads(tmp_path_factory.mktemp("downloads"))
    succeeds("curate", "pool.parquet", "--metadata", "wordnet", "--t", "inf", "--out", "run", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def survivors(downloads: Path) -> Path:
    """The run over what was downloaded the first or the second time."""
    succeeds("survivors", "run", *BOTH, "--tail-share", TAIL_SHARE, "--out", "survivors", cwd=downloads)
    return downloads / "survivors"


@pytest.fixture(scope="module")
def shards(downloads: Path, survivors: Path) -> tuple[Path, list[str]]:
    """Its shards, and the flags for open_clip that are printed with them."""
    said = succeeds("export", "webdataset", survivors, *BOTH, "--out", "export", "--shard-size", SHARD_SIZE, cwd=downloads)
    (line,) = (line for line in said.splitlines() if "open_clip: " in line)
    return downloads / "export" / "shards", shlex.split(line.partition("open_clip: ")[2])


@pytest.fixture(scope="module")
def training(downloads: Path, shards: tuple[Path, list[str]]) -> tuple[Path, str]:
    """The folder that training writes, and what it says: an epoch, and an evaluation of all pairs."""
    flags = shards[1]
    options = {"--model": "tiny", "--device": "cpu", "--precision": "fp32", "--epochs": "1", "--warmup": "1", "--workers": "2"}
    options |= {"--batch-size": str(BATCH), "--log-every-n-steps": "1", "--logs": str(downloads / "logs"), "--name": "tiny"}
    options["--val-data"] = flags[flags.index("--train-data") + 1]
    command = [sys.executable, "-m", "tests.train.open_clip_main", *flags, *(word for option in options.items() for word in option)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path))}
    done = subprocess.run(command, cwd=downloads, env=variables, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return downloads / "logs" / "tiny", done.stdout + done.stderr


def figures(run: Path) -> dict[str, Any]:
    t = json.loads((run / "plan" / "plan.json").read_text())["t"]
    samples = json.loads((run / "samples" / "_manifest.json").read_text())["result"]
    drawn = hashlib.sha256((run / "uids.npy").read_bytes()).hexdigest()
    uids = len(set(pq.read_table(run / "curated", columns=["uid"])["uid"].to_pylist()))
    return {"survived": samples["unique_uids"], "t": t, "uids": uids, "digest": drawn}


def test_each_curated_pair_is_to_be_downloaded(downloads: Path) -> None:
    succeeds("export", "downloads", "run", "--out", "rows", cwd=downloads)
    assert (
        pq.read_table(downloads / "rows" / "downloads").num_rows
        == FOUND["pool"]["downloads"]
        == sum(FOUND["img2dataset"]["images"].values())
    )


def test_the_first_download_gives_the_figures_that_were_found(downloads: Path) -> None:
    succeeds("survivors", "run", "--images", "images", "--tail-share", TAIL_SHARE, "--out", "once", cwd=downloads)
    assert figures(downloads / "once") == FOUND["survivors"]["images"]
    retried = pq.read_table(downloads / "once" / "retry").num_rows
    assert retried == sum(FOUND["img2dataset"]["again"].values())


def test_both_downloads_give_the_figures_that_were_found(survivors: Path) -> None:
    assert figures(survivors) == FOUND["survivors"]["images and again"]


def test_the_reasons_of_pairs_without_an_image_are_those_of_img2dataset(survivors: Path) -> None:
    """Apart from numbers, what follows a line's end, and what is specific to a library."""
    theirs: Counter[str] = Counter()
    for reason, count in FOUND["img2dataset"]["again"].items():
        shortened = re.sub(r"\(N bytes.*", "", reason.partition("\n")[0])
        theirs["Image decoding error" if shortened.startswith("OpenCV") else shortened] += count
    del theirs["success"]
    assert Counter(pq.read_table(survivors / "retry")["reason"].to_pylist()) == theirs


def test_shards_have_the_samples_of_datacomps_resharder(shards: tuple[Path, list[str]]) -> None:
    samples = read_shards(shards[0])
    assert {"samples": len(samples), "digest": digest(samples)} == FOUND["shards"]
    assert digest(samples) == FOUND["resharder"]["digest"]
    assert len(samples) == FOUND["resharder"]["samples"] - FOUND["resharder"]["repeats"]
    sizes = json.loads((shards[0] / "sizes.json").read_text())
    assert sizes == {tar.name: len(read_shards(tar)) for tar in sorted(shards[0].glob("*.tar"))}


def test_open_clip_trains_on_the_shards_as_they_are(shards: tuple[Path, list[str]], training: tuple[Path, str]) -> None:
    """It takes as many steps as the sizes give, the same for each of its two workers, and writes a checkpoint."""
    folder, said = training
    losses = [float(loss) for loss in re.findall(r"Train Epoch: 0 .* Loss: (\S+) \(", said)]
    assert len(losses) == 2 * math.ceil(math.ceil(len(read_shards(shards[0])) / BATCH) / 2)
    assert all(map(math.isfinite, losses))
    assert (folder / "checkpoints" / "epoch_1.pt").stat().st_size > 0


def test_open_clip_reads_every_sample(shards: tuple[Path, list[str]], training: tuple[Path, str]) -> None:
    folder, said = training
    (measured,) = map(json.loads, (folder / "checkpoints" / "results.jsonl").read_text().splitlines())
    assert measured["num_samples"] == len(read_shards(shards[0]))
    assert "Handling webdataset error" not in said
