"""The pool of a world: tars of pictures with captions, as img2dataset writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from numpy.random import Generator

from tallyclip.experiment.world.atlas import open_atlas
from tallyclip.experiment.world.captions import english, foreign, junk
from tallyclip.experiment.world.pictures import Picture, draw
from tallyclip.experiment.world.settings import WorldSettings
from tallyclip.experiment.world.things import POOL, Thing, classes_of, classes_of_images, others_of
from tallyclip.export.webdataset import TarShardWriter
from tallyclip.io.files import replacing

TWO_CAPTIONS = 0.1  # share of images that have two: an alt text and a title
SECOND_IS_JUNK = 0.3  # share of these, of what is no junk
DIGITS = 4  # of a sample's number in its tar, as img2dataset has them


def shards_of(settings: WorldSettings) -> int:
    """How many tars the pool has."""
    return -(-settings.pairs // settings.pairs_per_shard)


def write_shard(settings: WorldSettings, seed: int, number: int, path: Path) -> None:
    """Write one of the pool's tars. Its bytes follow from the settings, the seed and its number.

    An image with two captions has a list of them in its json, and no txt.

    Raises:
        OptionError: there are not as many classes, or no such style.
        ArtifactError: the atlas of a style cannot be used.
        OutputError: the tar cannot be written.
    """
    classes = classes_of(settings, seed)
    labelled = _Labelled(classes, classes_of_images(settings, seed))
    others = others_of(settings, seed)
    atlases = [open_atlas(style) for style in settings.styles]
    start = number * settings.pairs_per_shard
    digits = max(DIGITS, len(str(settings.pairs_per_shard - 1)))
    with replacing(path) as part, TarShardWriter(part) as writer:
        for place, image in enumerate(range(start, min(start + settings.pairs_per_shard, settings.pairs))):
            random = np.random.default_rng([seed, POOL, image])
            thing = labelled.thing(image)
            picture = draw(random, thing, others, atlases, settings.size)
            captions = _captions(random, settings, thing, picture, labelled)
            key = f"{number:05d}{place:0{digits}d}"
            fields = {
                "url": f"http://world.example/{seed}/{image}.jpg",
                "caption": captions[0] if len(captions) == 1 else captions,
                "key": key,
                "status": "success",
                "width": settings.size,
                "height": settings.size,
            }
            writer.write(key, {"jpg": picture.content}, fields, captions[0] if len(captions) == 1 else None)


class _Labelled(NamedTuple):
    """What is on the pool's images."""

    classes: Sequence[Thing]
    labels: Int64[np.ndarray, " N"]

    def thing(self, image: int) -> Thing:
        """The thing on an image."""
        return self.classes[self.labels[image]]

    def another(self, random: Generator, thing: Thing) -> Thing:
        """The thing on another image, which is not this one."""
        while True:
            other = self.thing(int(random.random() * len(self.labels)))
            if other is not thing:
                return other


def _captions(random: Generator, settings: WorldSettings, thing: Thing, picture: Picture, labelled: _Labelled) -> list[str]:
    """The captions of a picture: one, or two different ones."""
    chance, two = random.random(2).tolist()
    count = 2 if two < TWO_CAPTIONS else 1
    if chance < settings.junk:
        found = [junk(random) for _ in range(count)]
    elif chance < settings.junk + settings.wrong:
        other = labelled.another(random, thing)
        found = [english(random, other) for _ in range(count)]
    elif chance < settings.junk + settings.wrong + settings.foreign:
        found = [foreign(random, thing) for _ in range(count)]
    else:
        found = [english(random, thing, picture) for _ in range(count)]
        if count == 2 and random.random() < SECOND_IS_JUNK:
            found[1] = junk(random)
    return list(dict.fromkeys(found))
