"""What a world is made of."""

from __future__ import annotations

from typing import Literal

import msgspec

from tallyclip.errors import OptionError

SMALLEST, LARGEST = 16, 512  # pixels of a picture's side
SHARES = ("junk", "wrong", "foreign")
AT_LEAST = {"classes": 2, "pairs": 1, "tests_per_class": 1, "retrieval": 1, "pairs_per_shard": 1}


class WorldSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[world] of a recipe.

    Attributes:
        classes: how many things are classes.
        things: where classes are taken from: of the things whose English name is an entry of the bundled list one half, "development", to
            choose settings on, or the other, "report", to report results on; or "all" things.
        pairs: images in the pool.
        decades: log10 of the ratio of the most frequent class's images to the rarest's.
        size: pixels of a picture's side.
        junk: share of the images whose captions say nothing of them, such as file names.
        wrong: share of those with the caption of another image's thing.
        foreign: share of those with a caption in another language than English.
        styles: names of bundled atlases, or paths of others, in which the pool and the test set "seen" are drawn.
        unseen: the same for the test set "unseen".
        tests_per_class: pictures of each class in a test set.
        retrieval: pictures of the retrieval set.
        pairs_per_shard: images in a tar of the pool.

    Raises:
        OptionError: a value is out of its range.
    """

    classes: int = 240
    things: Literal["development", "report", "all"] = "report"
    pairs: int = 40_000
    decades: float = 3.0
    size: int = 36
    junk: float = 0.3
    wrong: float = 0.05
    foreign: float = 0.1
    styles: list[str] = msgspec.field(default_factory=lambda: ["noto", "fluent-3d"])
    unseen: str = "twemoji"
    tests_per_class: int = 20
    retrieval: int = 500
    pairs_per_shard: int = 2_000

    def __post_init__(self) -> None:
        for name, least in AT_LEAST.items():
            if getattr(self, name) < least:
                raise OptionError(f"[world] {name} = {getattr(self, name)}: too few", f"give {least} or more")
        if self.pairs < self.classes:
            what = f"[world] pairs = {self.pairs}: fewer than the {self.classes} classes, each of which has an image"
            raise OptionError(what, "give more pairs or fewer classes")
        if not 0 <= self.decades <= 9:
            raise OptionError(f"[world] decades = {self.decades}: not in the range 0 to 9", "with 0 all classes are equally frequent")
        if not SMALLEST <= self.size <= LARGEST:
            raise OptionError(f"[world] size = {self.size}: not in the range {SMALLEST} to {LARGEST}", "pictures are made of 64 pixels")
        shares = {name: getattr(self, name) for name in SHARES}
        if not (min(shares.values()) >= 0 and sum(shares.values()) <= 1):
            said = ", ".join(f"{name} = {share}" for name, share in shares.items())
            raise OptionError(f"[world] {said}: not shares of the pool's images", "give shares from 0, at most 1 together")
        if not self.styles:
            raise OptionError("[world] styles is empty", 'give at least one, such as ["noto"]')
        if self.unseen in self.styles:
            raise OptionError(f"[world] unseen = {self.unseen!r} is one of the styles of the pool", "give another atlas, or take it out")
