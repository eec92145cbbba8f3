"""Captions as alt texts of the web are: of things, in other languages, and of nothing."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float64
from numpy.random import Generator

from tallyclip.experiment.world.pictures import Picture
from tallyclip.experiment.world.things import ENGLISH, Thing

SYNONYM = 0.2  # share of English captions with a synonym in place of the name
NAMES_BOTH = 0.5  # share of those of a picture with another thing that name it too
# {n}: the name; {a}: with its article; {N}: capitalised; {s}: plural. Others are drawn. The first are the likeliest.
TEMPLATES = (
    "{n}",
    "{N}",
    "a photo of {a}",
    "{n} stock photo",
    "{N} | Free clipart",
    "{adjective} {n}",
    "picture of {a}",
    "{adjective} {n} on {background}",
    "{N} isolated on {background}",
    "{s}",
    "{n} {number}",
    "cute {n} sticker - buy now",
    "image of {a} in {place}",
    "{a} in the {where}",
    "vintage {n} on a wooden table",
    "my {adjective} {n}",
    "{n} icon, vector illustration",
    "{adjective} {n} for sale in {place}",
    "{N} - {adjective} - {size}",
    "{a}, {place}, {year}",
    "{n} drawing for kids, step {digit}",
    "how to draw {a}",
    "close up of {a}",
    "{a} with {background}",
    "{n} wallpaper {size}",
    "{N} by {maker}, {price} €",
    "{maker} {n}, {adjective}, free shipping",
    "the {n} of {place}",
    "the best {s} of {year}",
    "{s} and more at {maker}",
    "What is {a}? Facts and pictures",
    "{n} toy, {adjective}, {size}",
    "royalty free {n} image {number}",
    "{number} {N}",
    "{adjective} hand-drawn {n}",
    "{a} seen in {place}",
    "print of {a}, framed",
    "{N} T-shirt, {size}",
    "our {n} last {month}",
    "lot of {digit} {adjective} {s}",
)
BOTH = (
    "{n} and {other}",
    "{a} with {a_other}",
    "{N} and {other} clipart",
    "{adjective} {n} next to {a_other}",
    "{a} and {a_other} on {background}",
    "{other}, {n}",
)
CLEAN = (
    "{a} on {background}",
    "a photo of {a} on {background}",
    "{n} with {background}",
    "a picture of {a}, {background}",
)
CLEAN_BOTH = (
    "{a} and {a_other} on {background}",
    "a photo of {a} with {a_other} on {background}",
    "{a} next to {a_other}, {background}",
)
FOREIGN = ("{n}", "{n}", "{n}", "{n} {number}", "{n} ({digit})", "{number} {n}")
WORDS = {
    "adjective": (
        "cute", "vintage", "small", "big", "old", "new", "beautiful", "funny", "modern", "classic", "handmade", "simple", "lovely",
        "antique", "cheap", "colourful", "original", "rare", "traditional", "realistic",
    ),
    "place": (
        "Paris", "London", "Tokyo", "New York", "Lisbon", "Rome", "Iceland", "Bali", "Berlin", "Cairo", "Lima", "Oslo", "Kerala",
        "Kenya",
    ),
    "where": ("garden", "kitchen", "park", "street", "house", "office", "snow", "rain", "city", "village", "shop", "museum"),
    "maker": ("Lumo", "Hartwell", "Nordby", "Casa Verde", "Pixelhaus", "Okami", "Bluebarn", "Tiny Fox", "Marlow & Sons", "Zeta"),
    "size": ("150x150", "300x200", "1024x768", "4k", "small", "medium", "large", "XL", "10 cm", "12 x 12 in", "A4"),
    "month": ("January", "March", "April", "summer", "August", "October", "winter", "Sunday"),
}  # fmt: skip
# Texts that say nothing, of which the first are far more common: the k-th about 1 / k as often as the first.
GENERIC = (
    "image", "photo", "stock photo", "logo", "click to enlarge", "thumbnail", "picture", "untitled", "home", "banner", "icon",
    "avatar", "product image", "no description", "loading", "image may contain: 1 person", "cover", "default", "screenshot",
    "gallery image", "placeholder", "profile picture", "advertisement", "Sale!", "quick view",
    "We use cookies to improve your experience", "read more", "Pin on Pinterest", "share on Facebook", "buy now", "add to cart",
    "out of stock", "free shipping on orders over 50 €", "follow us", "featured image", "Download our app", "5 out of 5 stars",
    "new arrivals", "view larger image", "powered by WordPress", "site header", "back to top", "Photo by the author",
    "customer review", "menu", "Accept all cookies", "sign up for our newsletter", "all rights reserved",
)  # fmt: skip
JUNK = (
    "IMG_{four}.jpg", "DSC{five}.JPG", "IMG_{year}{two}{two}_{six}", "{hex}.png", "{hex}", "P{six}.JPG", "image{three}.jpeg",
    "product picture {digit} of {two}", "{year}-{month_number}-{two}", "Screenshot {year}-{month_number}-{two} at {two}.{two}",
    "SKU {six}", "item #{five}", "slide {two}", "photo {three}", "page {digit}", "img-{five}-{size}", "{five}", "untitled-{digit}",
    "scan{four}", "DCIM/{three}/{four}.jpg", "attachment {six}", "{two} of {two}", "WhatsApp Image {year}-{month_number}-{two}",
    "image_{size}",
)  # fmt: skip
GENERIC_SHARE = 0.55  # of junk; the others are JUNK
DIGITS = {"digit": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
# The languages of names, as common on the web as their place says.
LANGUAGES = (
    "es", "de", "ja", "fr", "ru", "pt", "it", "zh", "nl", "pl", "tr", "fa", "vi", "id", "cs", "ko", "ar", "uk", "el", "hu", "sv",
    "ro", "zh-Hant", "da", "th", "fi", "he", "bg", "hr", "lt", "sr", "no", "ca", "et", "lv", "hi", "ms", "bn", "ka", "ta", "ur",
    "te", "fil", "sw", "my", "km", "lo",
)  # fmt: skip


def english(random: Generator, thing: Thing, picture: Picture | None = None) -> str:
    """A caption of a thing in English; of the picture, if that is given, it may say the background and another thing."""
    beside = picture.beside if picture is not None else None
    templates = BOTH if beside is not None and random.random() < NAMES_BOTH else TEMPLATES
    while True:
        template = templates[_likely(random, len(templates), 0.5)]
        if picture is not None or "{background}" not in template:
            return _filled(random, template, thing, picture)


def clean(random: Generator, thing: Thing, picture: Picture) -> str:
    """A caption that says the thing by its name, the background, and another thing if there is one."""
    templates = CLEAN if picture.beside is None else CLEAN_BOTH
    return _filled(random, templates[int(random.random() * len(templates))], thing, picture, synonyms=False)


def foreign(random: Generator, thing: Thing) -> str:
    """The thing's name in another language than English, perhaps with a number."""
    name = thing.names[LANGUAGES[_likely(random, len(LANGUAGES), 1.0)]]
    return FOREIGN[int(random.random() * len(FOREIGN))].format_map(_Slots(random, {"n": name}))


def junk(random: Generator) -> str:
    """A caption that says nothing of its picture."""
    if random.random() < GENERIC_SHARE:
        return GENERIC[_likely(random, len(GENERIC), 1.0)]
    return JUNK[int(random.random() * len(JUNK))].format_map(_Slots(random, {}))


def with_article(name: str) -> str:
    """A name as a sentence has it.

    >>> with_article("owl"), with_article("fireworks"), with_article("dress"), with_article("Santa Claus")
    ('an owl', 'fireworks', 'a dress', 'Santa Claus')
    """
    if name[0].isupper() or (name.endswith("s") and not name.endswith(("ss", "us", "is"))):
        return name
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def plural(name: str) -> str:
    """The plural of a name.

    >>> [plural(name) for name in ("dog", "baby", "peach", "glasses")]
    ['dogs', 'babies', 'peaches', 'glasses']
    """
    if name.endswith("s") and not name.endswith(("ss", "us")):
        return name
    if name.endswith("y") and name[-2:-1] not in "aeou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("ss", "us", "x", "ch", "sh")) else f"{name}s"


def _filled(random: Generator, template: str, thing: Thing, picture: Picture | None, *, synonyms: bool = True) -> str:
    name = thing.names[ENGLISH]
    if synonyms and thing.synonyms and random.random() < SYNONYM:
        name = thing.synonyms[int(random.random() * len(thing.synonyms))]
    said = {"n": name, "a": with_article(name), "N": name[0].upper() + name[1:], "s": plural(name)}
    if picture is not None:
        said["background"] = picture.background
        if picture.beside is not None:
            said |= {"other": picture.beside.name, "a_other": with_article(picture.beside.name)}
    return template.format_map(_Slots(random, said))


class _Slots(dict[str, str]):
    """What stands for the names in a template; what is not given is drawn."""

    def __init__(self, random: Generator, said: dict[str, str]) -> None:
        super().__init__(said)
        self._random = random

    def __missing__(self, slot: str) -> str:
        chance = self._random.random()
        if slot in WORDS:
            words = WORDS[slot]
            return words[int(chance * len(words))]
        if slot in DIGITS:
            return f"{int(chance * 10 ** DIGITS[slot]):0{DIGITS[slot]}d}"
        match slot:
            case "year":
                return str(2005 + int(chance * 21))
            case "month_number":
                return f"{1 + int(chance * 12):02d}"
            case "hex":
                return f"{int(chance * 2**48):012x}"
            case "price":
                return f"{1 + int(chance * 90)}.99"
            case "number":
                return str(2 + int(chance**3 * 2000))
            case _:
                raise KeyError(slot)


def _likely(random: Generator, count: int, exponent: float) -> int:
    """A number below ``count``, the k-th with a chance in proportion to k ** -exponent."""
    return int(np.searchsorted(_law(count, exponent), random.random(), side="right"))


@cache
def _law(count: int, exponent: float) -> Float64[np.ndarray, " n"]:
    weights = np.arange(1, count + 1) ** -exponent
    sums = np.cumsum(weights)
    return np.minimum(sums / sums[-1], 1.0)[:-1]
