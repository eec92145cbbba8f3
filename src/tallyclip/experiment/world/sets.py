"""The evaluation sets of a world, as CLIP_benchmark has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tallyclip.experiment.world.atlas import Atlas, open_atlas
from tallyclip.experiment.world.captions import clean
from tallyclip.experiment.world.pictures import draw
from tallyclip.experiment.world.settings import WorldSettings
from tallyclip.experiment.world.things import RETRIEVAL, TEST, Thing, classes_of, others_of
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
MOST_DRAWN = 10  # pictures of a thing, to find one of which the retrieval set has no caption yet


def write_tests(settings: WorldSettings, seed: int, folder: Path) -> None:
    """Write the evaluation sets ``seen``, ``unseen`` and ``retrieval`` into a folder.

    The pictures of ``unseen`` are those of ``seen`` in another style: nothing else differs.

    Args:
        settings: of the world.
        seed: of the world.
        folder: to write to.

    Raises:
        OptionError: there are not as many classes, or no such style.
        ArtifactError: the atlas of a style cannot be used.
        OutputError: a file cannot be written.
    """
    classes = classes_of(settings, seed)
    styles = [open_atlas(style) for style in settings.styles]
    others = [open_atlas(settings.unseen)]
    texts: dict[str, Sequence[str]] = {
        "classnames.txt": [thing.name for thing in classes],
        "zeroshot_classification_templates.txt": TEMPLATES,
        "dataset_type.txt": ["classification"],
    }
    _write_set(folder / "seen", _labelled(settings, seed, classes, styles), texts)
    _write_set(folder / "unseen", _labelled(settings, seed, classes, others), texts)
    _write_set(folder / "retrieval", _captioned(settings, seed, classes, styles), {"dataset_type.txt": ["retrieval"]})


def _labelled(settings: WorldSettings, seed: int, classes: Sequence[Thing], atlases: Sequence[Atlas]) -> Iterator[Mapping[str, bytes]]:
    others = others_of(settings, seed)
    for number in range(len(classes) * settings.tests_per_class):
        label = number // settings.tests_per_class
        picture = draw(np.random.default_rng([seed, TEST, number]), classes[label], others, atlases, settings.size)
        yield {"jpg": picture.content, "cls": str(label).encode()}


def _captioned(settings: WorldSettings, seed: int, classes: Sequence[Thing], atlases: Sequence[Atlas]) -> Iterator[Mapping[str, bytes]]:
    """Pictures of all classes in turn, whose captions differ as far as possible in the thing, the background, or the other thing."""
    others = others_of(settings, seed)
    taken = set[tuple[str, str, str | None]]()
    for number in range(settings.retrieval):
        thing = classes[number % len(classes)]
        attempt = 0
        while True:
            random = np.random.default_rng([seed, RETRIEVAL, number, attempt])
            picture = draw(random, thing, others, atlases, settings.size)
            said = (thing.code, picture.background, picture.beside and picture.beside.code)
            attempt += 1
            if said not in taken or attempt == MOST_DRAWN:
                break
        taken.add(said)
        yield {"jpg": picture.content, "txt": clean(random, thing, picture).encode("utf-8")}


def _write_set(folder: Path, samples: Iterable[Mapping[str, bytes]], texts: Mapping[str, Sequence[str]]) -> None:
    with replacing(folder / "test" / "0.tar") as part, TarShardWriter(part) as writer:
        for number, members in enumerate(samples):
            writer.add(f"s{number:07d}", members)
    for name, lines in {**texts, "test/nshards.txt": ["1"]}.items():
        with replacing(folder / name) as part:
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
