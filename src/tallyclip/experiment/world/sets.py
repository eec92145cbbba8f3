"""The evaluation sets of a world, as CLIP_benchmark has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tallyclip.experiment.world.atlas import Atlas, open_atlas
from tallyclip.experiment.world.captions import clean
from tallyclip.experiment.world.pictures import draw
from tallyclip.experiment.world.pool import others_than
from tallyclip.experiment.world.settings import WorldSettings
from tallyclip.experiment.world.things import RETRIEVAL, TEST, Thing, classes_of
from tallyclip.export.webdataset import TarShardWriter
from tallyclip.io.files import replacing

TEMPLATES = (
    "a photo of a {c}.",
    "a picture of a {c}.",
    "an image of a {c}.",
    "a drawing of a {c}.",
    "a small {c}.",
    "a big {c}.",
    "{c}",
)


def write_tests(settings: WorldSettings, seed: int, folder: Path, unseen: str | None) -> None:
    """Write the evaluation sets ``seen``, ``unseen`` and ``retrieval`` into a folder.

    The pictures of ``unseen`` are those of ``seen`` in another style: what else differs from the pool is the same in both.

    Args:
        settings: of the world.
        seed: of the world.
        folder: to write to.
        unseen: an atlas to draw ``unseen`` with, in place of the settings'.

    Raises:
        OptionError: there are not as many classes, or no such style.
        ArtifactError: the atlas of a style cannot be used.
        OutputError: a file cannot be written.
    """
    classes = classes_of(settings, seed)
    others = others_than(classes)
    styles = [open_atlas(style) for style in settings.styles]
    texts = {
        "classnames.txt": [thing.name for thing in classes],
        "zeroshot_classification_templates.txt": list(TEMPLATES),
        "dataset_type.txt": ["classification"],
    }
    for name, atlases in (("seen", styles), ("unseen", [open_atlas(unseen or settings.unseen)])):
        _write_set(folder / name, _labelled(settings, seed, classes, others, atlases), texts)
    _write_set(folder / "retrieval", _captioned(settings, seed, classes, others, styles), {"dataset_type.txt": ["retrieval"]})


def _labelled(
    settings: WorldSettings, seed: int, classes: list[Thing], others: list[Thing], atlases: list[Atlas]
) -> Iterable[Mapping[str, bytes]]:
    for number in range(len(classes) * settings.tests_per_class):
        label = number // settings.tests_per_class
        picture = draw(np.random.default_rng([seed, TEST, number]), classes[label], others, atlases, settings.size)
        yield {"jpg": picture.content, "cls": str(label).encode()}


def _captioned(
    settings: WorldSettings, seed: int, classes: list[Thing], others: list[Thing], atlases: list[Atlas]
) -> Iterable[Mapping[str, bytes]]:
    seen = set[str]()
    for number in range(settings.retrieval):
        random = np.random.default_rng([seed, RETRIEVAL, number])
        thing = classes[number % len(classes)]
        picture = draw(random, thing, others, atlases, settings.size)
        caption = clean(random, thing, picture)
        seen.add(caption)
        yield {"jpg": picture.content, "txt": caption.encode("utf-8")}


def _write_set(folder: Path, samples: Iterable[Mapping[str, bytes]], texts: Mapping[str, list[str]]) -> None:
    with replacing(folder / "test" / "0.tar") as part, TarShardWriter(part) as writer:
        for number, members in enumerate(samples):
            writer.add(f"s{number:07d}", members)
    for name, lines in (texts | {"test/nshards.txt": ["1"]}).items():
        with replacing(folder / name) as part:
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
