"""From a model and a folder to results in a file."""

from __future__ import annotations

import os
from pathlib import Path

from tallyclip.errors import OptionError
from tallyclip.evaluation.model import load_model
from tallyclip.evaluation.results import Evaluation
from tallyclip.evaluation.sets import open_set
from tallyclip.evaluation.tasks import task_of
from tallyclip.evaluation.zero_shot import evaluate_set
from tallyclip.io.files import writing
from tallyclip.run.progress import Progress
from tallyclip.train.weights import import_open_clip


def evaluate(
    data: str,
    *,
    model: str,
    pretrained: str | None,
    task: str | None,
    out: Path | None,
    batch_size: int,
    device: str | None,
    precision: str,
    workers: int | None,
    progress: Progress,
) -> Evaluation:
    """Evaluate a model on a set; the arguments are those of ``tallyclip.evaluate``.

    What can be refused is, before the model is loaded.

    Raises:
        TallyclipError: as ``tallyclip.evaluate``.
    """
    if batch_size < 1 or (workers is not None and workers < 1):
        raise OptionError("--batch-size and --workers are 1 or more")
    if out is not None and out.is_dir():
        raise OptionError(f"{out}: a folder", "--out is the file for the results, such as results.json")
    package = import_open_clip()
    found = open_set(data)
    asked = task_of(data, found, task, package)
    loaded = load_model(model, pretrained, device, precision)
    if out is not None:
        with writing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
    for note in (*found.notes, *asked.notes):
        progress.note(note)
    result = evaluate_set(loaded, found, asked, batch_size, workers or os.cpu_count() or 1, progress)
    if out is not None:
        result.write(out)
    return result
