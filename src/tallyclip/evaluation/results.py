"""What an evaluation found, as CLIP_benchmark writes it, with more beside it under a key of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tallyclip.errors import ArtifactError
from tallyclip.io.files import read_json, write_json


class Details(msgspec.Struct, frozen=True):
    """What CLIP_benchmark's results have no place for.

    Attributes:
        metric: the name of the one that counts in averages.
        images: that were used.
        captions: that were, in retrieval.
        form: how the set was stored.
        precision: of the model.
        dropped: images that could not be used, by reason.
        dropped_names: the first of these by reason.
        notes: what people should know.
        per_class: of each class its name as ``class``, its ``images``, ``acc1`` and number of ``prompts``.
    """

    metric: str
    images: int
    form: str
    precision: str
    captions: int | None = None
    dropped: dict[str, int] = {}
    dropped_names: dict[str, list[str]] = {}
    notes: list[str] = []
    per_class: list[dict[str, Any]] | None = None


class Evaluation(msgspec.Struct, frozen=True):
    """The numbers of a model on a set: ``tallyclip eval`` writes them, in CLIP_benchmark's schema.

    Attributes:
        dataset: the name of the task.
        model: the architecture.
        pretrained: the file or name of its weights.
        task: "zeroshot_classification" or "zeroshot_retrieval".
        metrics: from 0 to 1, by name; None where one says nothing, as ``acc5`` of fewer than five classes.
        language: of prompts or captions.
        tallyclip: more about it; None in files that CLIP_benchmark wrote.
    """

    dataset: str
    model: str
    pretrained: str
    task: str
    metrics: dict[str, float | None]
    language: str = "en"
    tallyclip: Details | None = None

    def write(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            OutputError: the file cannot be written.
        """
        write_json(path, msgspec.to_builtins(self))


def read_evaluation(path: Path) -> Evaluation:
    """Read results of ``tallyclip eval`` or of CLIP_benchmark, whose NaN becomes None.

    Raises:
        ArtifactError: the file is missing, broken or of another kind.
    """
    values = read_json(path)
    metrics = values.get("metrics")
    if isinstance(metrics, dict):
        values["metrics"] = {name: None if value != value else value for name, value in metrics.items()}
    try:
        return msgspec.convert(values, Evaluation)
    except msgspec.ValidationError as error:
        raise ArtifactError(f"{path}: not the results of an evaluation: {error}", "they are what 'tallyclip eval --out' writes") from error
