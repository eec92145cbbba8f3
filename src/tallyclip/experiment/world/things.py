"""The things of the world: their names, which of them are classes, and how many images each class has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from importlib import resources

import msgspec
import numpy as np
import zstandard
from jaxtyping import Int64

from tallyclip.core.data import Metadata
from tallyclip.errors import OptionError
from tallyclip.experiment.world.settings import WorldSettings
from tallyclip.wording import plural

WORDS = "words.tsv.zst"
ENGLISH = "en"
WARES = {"Activities", "Animals & Nature", "Food & Drink", "Objects"}  # groups; the others are people, faces and places
MOST_SHARED = 3  # things that a keyword may be of, to be a synonym: "animal" is no name of a dog
SHORTEST_SYNONYM = 3  # letters
MOST_OTHERS = 30  # things beside and behind others; few, so that none of their names is a rare entry in a pool of some size
# What numbers of a world are drawn for; with the seed they begin a generator's key, so that none has the numbers of another.
CLASSES, ORDER, POOL, TEST, RETRIEVAL, OTHERS = range(6)


class Thing(msgspec.Struct, frozen=True):
    """A thing that can be drawn.

    Attributes:
        cell: its number in an atlas.
        code: its code points, by which it is known in any order of things.
        is_ware: may captions offer it for sale, or say one of its keywords for it? Not of people, faces and places.
        names: by language.
        synonyms: keywords in English that few other things have.
    """

    cell: int
    code: str
    is_ware: bool
    names: Mapping[str, str]
    synonyms: Sequence[str]

    @property
    def name(self) -> str:
        """In English."""
        return self.names[ENGLISH]


@cache
def all_things() -> list[Thing]:
    """All things, in the order of their cells."""
    content = (resources.files("tallyclip") / "experiment" / "world" / "data" / WORDS).read_bytes()
    header, *lines = zstandard.ZstdDecompressor().decompress(content).decode("utf-8").splitlines()
    languages = header.split("\t")[3:]
    rows = [line.split("\t") for line in lines]
    names = [dict(zip(languages, row[3:], strict=True)) for row in rows]
    taken = {of_thing[ENGLISH] for of_thing in names}
    keywords = [row[2].split(" | ") for row in rows]
    shared = Counter(keyword for some in keywords for keyword in some)
    good = {word for word, things in shared.items() if things <= MOST_SHARED and len(word) >= SHORTEST_SYNONYM and word.isalpha()} - taken
    things: list[Thing] = []
    for cell, (code, group, *_) in enumerate(rows):
        is_ware = group in WARES
        things.append(Thing(cell, code, is_ware, names[cell], [word for word in keywords[cell] if is_ware and word in good]))
    return things


@cache
def halves() -> dict[str, list[Thing]]:
    """The things whose English name is an entry of the bundled list, in two halves by a hash of their code points; and all."""
    entries = set(Metadata.wordnet().entries)
    named = [thing for thing in all_things() if thing.name in entries]
    named.sort(key=lambda thing: blake2b(thing.code.encode()).digest())
    half = len(named) // 2
    return {"development": named[:half], "report": named[half:], "all": all_things()}


def classes_of(settings: WorldSettings, seed: int) -> list[Thing]:
    """The things that are classes, the most frequent first. Choice and order follow from the seed.

    Raises:
        OptionError: there are not as many things.
    """
    things = halves()[settings.things]
    if settings.classes > len(things):
        what = f"[world] classes = {settings.classes}: there are {plural(len(things), 'thing')} in {settings.things!r}"
        raise OptionError(what, f"give at most {len(things)}" + ("" if settings.things == "all" else ', or things = "all"'))
    order = np.random.default_rng([seed, CLASSES]).permutation(len(things))
    return [things[i] for i in order[: settings.classes]]


def others_of(settings: WorldSettings, seed: int) -> list[Thing]:
    """The things that are beside and behind others: some that are no classes, if there are any."""
    classes = {thing.cell for thing in classes_of(settings, seed)}
    others = [thing for thing in all_things() if thing.cell not in classes]
    return [others[i] for i in np.random.default_rng([seed, OTHERS]).permutation(len(others))[:MOST_OTHERS]]


def counts_of(settings: WorldSettings) -> Int64[np.ndarray, " C"]:
    """How many of the pool's images each class has, the most frequent first: a power law over ranks, at least 1.

    Rounded by the largest remainder, so that they add up to the pool's images.
    """
    ranks = np.arange(1, settings.classes + 1)
    weights = ranks ** -(settings.decades / math.log10(settings.classes))
    rare = np.zeros(settings.classes, np.bool_)
    while True:  # those that have less than one image get one, of what the others have
        quotas = np.where(rare, 1.0, weights * (settings.pairs - rare.sum()) / weights[~rare].sum())
        if quotas.min() >= 1:
            break
        rare |= quotas < 1
    counts = np.floor(quotas).astype(np.int64)
    missing = settings.pairs - int(counts.sum())
    counts[np.argsort(counts - quotas, kind="stable")[:missing]] += 1
    return counts


def classes_of_images(settings: WorldSettings, seed: int) -> Int64[np.ndarray, " N"]:
    """For each of the pool's images the number of its class."""
    labels = np.repeat(np.arange(settings.classes), counts_of(settings))
    return np.random.default_rng([seed, ORDER]).permutation(labels)
