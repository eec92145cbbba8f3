"""Zero-shot classification and retrieval: from a model and a set to numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch.nn.functional import normalize

from tallyclip.errors import ArtifactError, IncompleteError
from tallyclip.evaluation.classifier import build_classifier, embed_texts
from tallyclip.evaluation.images import EvalImage, EvalSet
from tallyclip.evaluation.metrics import GROUP_METRICS, METRICS, MIXED_METRIC, recall_of_classes, worst_group
from tallyclip.evaluation.model import ZeroShotModel
from tallyclip.evaluation.results import Details, Evaluation
from tallyclip.evaluation.retrieval import retrieval
from tallyclip.evaluation.tasks import EvalTask
from tallyclip.run.progress import Progress
from tallyclip.train.pictures import PictureError, decode
from tallyclip.wording import plural

RECALL_AT = (1, 5, 10)
ALWAYS = ("acc1", "acc5", "mean_per_class_recall")  # as CLIP_benchmark
FIVE = 5  # with fewer classes, the first five say nothing
REMEMBERED = 10  # names of images that cannot be used, for each reason
AHEAD = 2  # batches that are decoded while the model computes


class Used(NamedTuple):
    """What was read of a set: N images.

    Attributes:
        embeddings: of length 1, by the model.
        images: as read, but without content.
        dropped: how many cannot be used, by reason.
        names: of the first of these, by reason.
    """

    embeddings: Float32[np.ndarray, "N D"]
    images: list[EvalImage]
    dropped: dict[str, int]
    names: dict[str, list[str]]


def evaluate_set(model: ZeroShotModel, found: EvalSet, task: EvalTask, batch_size: int, workers: int, progress: Progress) -> Evaluation:
    """The numbers of a model on a set.

    Args:
        model: with its weights.
        found: the set.
        task: what is asked.
        batch_size: images or prompts at once.
        workers: threads that decode images.
        progress: is told of prompts and images.

    Raises:
        ArtifactError: a label is no class of the task, or groups are missing.
        IncompleteError: no image can be used.
        SourceError: the set cannot be read.
    """
    measure = _retrieve if found.is_retrieval else _classify
    return measure(model, found, task, batch_size, workers, progress)


def _classify(model: ZeroShotModel, found: EvalSet, task: EvalTask, batch_size: int, workers: int, progress: Progress) -> Evaluation:
    prompts = sum(map(len, task.prompts))
    progress.start("prompts", 0, 0, prompts, "prompts")
    with model.autocast():
        classifier = build_classifier(model.model, model.tokenizer, task.prompts, model.device, batch_size, progress.advance).numpy()
    progress.finish(f"{plural(prompts, 'prompt')} of {plural(len(task.classes), 'class', 'classes')}")
    used = embed_images(model, found, batch_size, workers, progress, _checks_labels(task))
    labels = np.array([image.label for image in used.images], np.int64)
    scores = used.embeddings @ classifier.T
    metrics: dict[str, float | None] = {name: METRICS[name](scores, labels) for name in ALWAYS}
    if len(task.classes) < FIVE:
        metrics["acc5"] = None
    if task.metric in GROUP_METRICS:
        metrics[task.metric] = worst_group(scores, labels, _groups(used.images, task), GROUP_METRICS[task.metric])
    elif task.metric not in metrics:
        value = METRICS[task.metric](scores, labels)
        metrics[task.metric] = None if np.isnan(value) else value
    of_classes = recall_of_classes(scores, labels)
    images = np.bincount(labels, minlength=len(task.classes))
    per_class = [
        {"class": name, "images": int(count), "acc1": float(right) if count else None, "prompts": len(texts)}
        for name, count, right, texts in zip(task.classes, images, of_classes, task.prompts, strict=True)
    ]
    notes = list(task.notes)
    empty = [name for name, count in zip(task.classes, images, strict=True) if not count]
    if empty:
        without = f"{len(empty):,} of {plural(len(task.classes), 'class', 'classes')} have no image, such as {empty[0]}"
        notes.append(f"{without}: mean_per_class_recall is without them")
    return _evaluation(model, found, task, metrics, used, notes, per_class)


def _retrieve(model: ZeroShotModel, found: EvalSet, task: EvalTask, batch_size: int, workers: int, progress: Progress) -> Evaluation:
    used = embed_images(model, found, batch_size, workers, progress, lambda _: None)
    texts = [text for image in used.images for text in image.captions]
    image_of_text = np.repeat(np.arange(len(used.images)), [len(image.captions) for image in used.images])
    progress.start("captions", 0, 0, len(texts), "captions")
    with model.autocast():
        embedded = embed_texts(model.model, model.tokenizer, texts, model.device, batch_size, progress.advance).numpy()
    progress.finish(f"{plural(len(texts), 'caption')} of {plural(len(used.images), 'image')}")
    found_at = retrieval(used.embeddings, embedded, image_of_text, RECALL_AT)
    mixed = (found_at["image_retrieval_recall@1"] + found_at["text_retrieval_recall@1"]) / 2
    metrics: dict[str, float | None] = {**found_at, MIXED_METRIC: mixed}
    return _evaluation(model, found, task, metrics, used, task.notes, None, len(texts))


def embed_images(
    model: ZeroShotModel, found: EvalSet, batch_size: int, workers: int, progress: Progress, check: Callable[[EvalImage], None]
) -> Used:
    """Embed the images of a set. Those that cannot be used are counted by reason.

    Args:
        model: that embeds them.
        found: the set.
        batch_size: images at once.
        workers: threads that decode them.
        progress: is told of them.
        check: raises if the set is not what it should be.

    Raises:
        IncompleteError: no image can be used.
    """
    dropped, names = Counter[str](), dict[str, list[str]]()
    kept: list[EvalImage] = []
    embeddings: list[torch.Tensor] = []
    progress.start("images", 0, 0, found.images, "images")

    def prepare(image: EvalImage) -> tuple[EvalImage, torch.Tensor | None]:
        if image.problem is not None:
            return image, None
        try:
            return image._replace(content=b""), model.preprocess(decode(image.content, plain=True))
        except PictureError as error:
            return image._replace(content=b"", problem=error.reason), None

    with ThreadPoolExecutor(workers) as threads, torch.no_grad(), model.autocast():
        for batch in _batched(_ahead(threads, prepare, found.read(), batch_size * AHEAD), batch_size):
            for image, _ in batch:
                if image.problem is None:
                    check(image)
                else:
                    dropped[image.problem] += 1
                    if dropped[image.problem] <= REMEMBERED:
                        names.setdefault(image.problem, []).append(image.name)
            good = [(image, picture) for image, picture in batch if picture is not None]
            if good:
                pictures = torch.stack([picture for _, picture in good]).to(model.device)
                embeddings.append(normalize(model.model.encode_image(pictures).float(), dim=-1).cpu())
                kept += [image for image, _ in good]
            progress.advance(len(batch))
    if not kept:
        why = ", ".join(f"{reason} ({count:,})" for reason, count in dropped.items())
        raise IncompleteError(f"no image can be used: {why}" if why else "there are no images in it")
    lost = f", {sum(dropped.values()):,} cannot be used" if dropped else ""
    progress.finish(f"{plural(len(kept), 'image')}{lost}")
    return Used(torch.cat(embeddings).numpy(), kept, dict(dropped), names)


def _ahead(threads: ThreadPoolExecutor, function: Callable[[Any], Any], items: Iterable[Any], most: int) -> Iterator[Any]:
    """The results in order; at most so many are waiting."""
    source = iter(items)
    waiting = [threads.submit(function, item) for item in islice(source, most)]
    while waiting:
        yield waiting.pop(0).result()
        waiting += [threads.submit(function, item) for item in islice(source, 1)]


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _checks_labels(task: EvalTask) -> Callable[[EvalImage], None]:
    def check(image: EvalImage) -> None:
        if image.label is not None and not 0 <= image.label < len(task.classes):
            what = f"{image.name}: its label is {image.label}, and there are {plural(len(task.classes), 'class', 'classes')}, from 0 on"
            hidden = "the labels of this split may be hidden: try another split"
            raise ArtifactError(what, hidden if image.label < 0 else "are the class names those of this set?")

    return check


def _groups(images: Sequence[EvalImage], task: EvalTask) -> Int64[np.ndarray, " N"]:
    assert task.group is not None
    without = next((image.name for image in images if len(image.groups) <= task.group), None)
    if without is not None:
        raise ArtifactError(f"{without}: no group {task.group} in its npy", f"{task.metric} is the accuracy of the worst group")
    return np.array([image.groups[task.group] for image in images], np.int64)


def _evaluation(
    model: ZeroShotModel,
    found: EvalSet,
    task: EvalTask,
    metrics: dict[str, float | None],
    used: Used,
    notes: Sequence[str],
    per_class: list[dict[str, Any]] | None,
    captions: int | None = None,
) -> Evaluation:
    details = Details(
        metric=task.metric,
        images=len(used.images),
        captions=captions,
        form=found.form,
        precision=model.precision,
        dropped=used.dropped,
        dropped_names=used.names,
        notes=[*found.notes, *notes],
        per_class=per_class,
    )
    kind = "zeroshot_retrieval" if found.is_retrieval else "zeroshot_classification"
    return Evaluation(dataset=task.name, model=model.name, pretrained=model.pretrained, task=kind, metrics=metrics, tallyclip=details)
