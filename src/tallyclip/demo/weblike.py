"""Synthetic captions like alt texts of the web: a head of frequent words, a long tail of things, and much junk."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

THINGS = 4_000  # that captions name
ZIPF_EXPONENT = 0.8  # of the frequency of things, by rank
JUNK = 0.35  # share of all captions
SIZES = ("150x150", "300x200", "1024x768", "small", "xl", "web", "final", "copy", "edited")
COMMON = (
    "photo", "dog", "house", "car", "cat", "flower", "kitchen", "beach", "shoe", "dress", "chair", "table", "garden", "lamp", "tree",
    "bag", "horse", "bird", "cake", "city", "watch", "sofa", "guitar", "bicycle", "mountain", "coffee", "shirt", "phone", "ring", "door",
)  # fmt: skip
MAKERS = ("Canon", "Ikea", "Nike", "Bosch", "Philips", "Makita", "Lenovo", "Adidas", "Siemens", "Braun")
QUALITIES = (
    "vintage",
    "modern",
    "black",
    "white",
    "red",
    "blue",
    "large",
    "small",
    "handmade",
    "wooden",
    "beautiful",
    "new",
    "old",
    "free",
)
PLACES = ("Paris", "London", "Tokyo", "New York", "Lisbon", "Rome", "Iceland", "Bali", "Berlin", "Cairo")
HOSTS = ("cdn.shop.example", "img.blog.example", "static.news.example", "media.stock.example", "pics.travel.example")

Template = Callable[[random.Random, Callable[[], str]], str]

CAPTIONS: list[tuple[int, Template]] = [
    (9, lambda draw, thing: f"{thing()} stock photo"),
    (6, lambda draw, thing: f"Photo of a {draw.choice(QUALITIES)} {thing()}"),
    (6, lambda draw, thing: f"Image of {thing()} and {thing()}"),
    (5, lambda draw, thing: f"{draw.choice(QUALITIES).capitalize()} {thing()} in the {thing()}"),
    (5, lambda draw, thing: f"How to draw a {thing()}, step {draw.randint(1, 12)}"),
    (5, lambda draw, thing: f"the {thing()} of {draw.choice(PLACES)}"),
    (4, lambda draw, thing: f"{draw.choice(MAKERS)} {thing()} {draw.randint(100, 9999)} - buy now!"),
    (4, lambda draw, thing: f"{thing()}, {thing()}, {thing()}: free vector"),
    (4, lambda draw, thing: f"{draw.choice(PLACES)}: {thing()} at the {thing()}"),
    (3, lambda draw, thing: f"Close up of {thing()} on a {draw.choice(QUALITIES)} background"),
    (3, lambda draw, thing: f"What is a {thing()}? A {thing()} for you"),
    (
        2,
        lambda draw, thing: f"{thing().capitalize()} by {draw.choice(MAKERS)} for {draw.randint(5, 99)}.{draw.randint(10, 99)} €",
    ),
    (1, lambda draw, thing: thing()),
]
JUNK_CAPTIONS: list[tuple[int, Template]] = [
    (6, lambda draw, thing: f"IMG_{draw.randint(1000, 9999)}.JPG"),
    (5, lambda draw, thing: f"DSC{draw.randint(10000, 99999)}"),
    (4, lambda draw, thing: f"product-img-{draw.randint(1, 400)}-{draw.choice(SIZES)}"),
    (4, lambda draw, thing: f"{draw.getrandbits(64):016x}"),
    (3, lambda draw, thing: f"{draw.randint(2009, 2026)}-{draw.randint(10, 12)}-{draw.randint(10, 28)}"),
    (2, lambda draw, thing: f"[{thing().replace(' ', '_')}]"),
    (2, lambda draw, thing: ""),
    (1, lambda draw, thing: f'"{draw.choice(PLACES)}"'),
]


def weblike_captions(things: Sequence[str], count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Make ``count`` (url, caption) pairs with words of ``things``, the same for the same seed.

    Frequencies follow Zipf's law: COMMON first, then a sample of the other things.
    """
    draw = random.Random(seed)
    order = [thing for thing in things if thing.replace(" ", "").isalpha()]
    order = [*COMMON, *draw.sample(order, THINGS - len(COMMON))]
    law = list(accumulate(rank**-ZIPF_EXPONENT for rank in range(1, len(order) + 1)))
    kinds = [*_weighted(CAPTIONS, 1 - JUNK), *_weighted(JUNK_CAPTIONS, JUNK)]
    bounds = list(accumulate(weight for weight, _ in kinds))

    def thing() -> str:
        return order[bisect(law, draw.random() * law[-1])]

    for _ in range(count):
        _, template = kinds[bisect(bounds, draw.random() * bounds[-1], hi=len(kinds) - 1)]
        yield f"https://{draw.choice(HOSTS)}/{draw.getrandbits(48):012x}.jpg", template(draw, thing)


def _weighted(kinds: Sequence[tuple[int, Template]], share: float) -> list[tuple[float, Template]]:
    total = sum(weight for weight, _ in kinds)
    return [(share * weight / total, template) for weight, template in kinds]
