"""Records what clip-benchmark's own command finds on the sets of tests/evaluation/made.py, in its own environment: see README.md here."""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tallyclip.train.torchvision import import_torchvision

import_torchvision()

import open_clip  # noqa: E402 - torchvision has to be there first
from clip_benchmark import cli  # noqa: E402
from tests.evaluation import made  # noqa: E402

PACKAGES = ("clip-benchmark", "open_clip_torch", "torch", "torchvision", "webdataset", "scikit-learn", "pillow", "numpy")


def found(data: Path, checkpoint: Path, task: str) -> dict[str, Any]:
    """The results of ``clip_benchmark eval`` on a folder."""
    out = data.with_suffix(".json")
    sys.argv = ["clip_benchmark", "eval", "--dataset", f"wds/{data.name}", "--dataset_root", str(data), "--task", task]
    sys.argv += ["--model", "tiny", "--pretrained", str(checkpoint), "--no_amp", "--batch_size", "32", "--num_workers", "0"]
    sys.argv += ["--recall_k", "1", "5", "10", "--quiet", "--output", str(out)]
    cli.main()
    metrics = json.loads(out.read_text())["metrics"]
    return {name: None if value != value else value for name, value in metrics.items()}


def main(out: Path) -> None:
    """Write what is found on all sets."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, checkpoint = made.write_model(open_clip, folder)
        sets = {
            "classification": found(made.write_classification(folder / "classification"), checkpoint, "zeroshot_classification"),
            "two classes": found(made.write_classification(folder / "two", 120, 2), checkpoint, "zeroshot_classification"),
            "retrieval": found(made.write_retrieval(folder / "retrieval"), checkpoint, "zeroshot_retrieval"),
        }
    recorded = {"packages": {package: version(package) for package in PACKAGES}, "metrics": sets}
    out.write_text(json.dumps(recorded, indent=1) + "\n")
    print(out.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
