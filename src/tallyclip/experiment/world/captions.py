"""Captions as alt texts of the web are: of things, in other languages, and of nothing."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float64
from numpy.random import Generator

from tallyclip.experiment.world.pictures import Picture
from tallyclip.experiment.world.things import Thing

SYNONYM = 0.2  # share of English captions of a thing with synonyms that have one in place of the name
NAMES_OTHER = 0.5  # share of those of a picture with another thing that name it too
OFFERS = 0.25  # share of those of wares that are OF_WARES
# {n}: the name; {a}: with its article; {N}: capitalised; {s}: plural; {other}: another thing. What is not said is drawn.
TEMPLATES = (
    "{n}",
    "{N}",
    "a photo of {a}",
    "{n} stock photo",
    "{adjective} {n}",
    "picture of {a}",
    "{N} | Free clipart",
    "{adjective} {n} on {background}",
    "{n} {number}",
    "{s}",
    "{N} isolated on {background}",
    "image of {a} in {place}",
    "{a} in the {where}",
    "{n} icon, vector illustration",
    "{a}, {place}, {year}",
    "how to draw {a}",
    "close up of {a}",
    "{a} with {background}",
    "{n} wallpaper {size}",
    "the {n} of {place}",
    "{n} drawing for kids, step {digit}",
    "What is {a}? Facts and pictures",
    "royalty free {n} image {number}",
    "{number} {N}",
    "{adjective} hand-drawn {n}",
    "{a} seen in {place}",
    "print of {a}, framed",
    "our {n} last {month}",
    "{digit} {adjective} {s}",
)
OF_WARES = (
    "cute {n} sticker - buy now",
    "vintage {n} on a wooden table",
    "{adjective} {n} for sale in {place}",
    "{N} by {maker}, {price} €",
    "{maker} {n}, {adjective}, free shipping",
    "{N} - {adjective} - {size}",
    "the best {s} of {year}",
    "{s} and more at {maker}",
    "{n} toy, {size}",
    "{N} T-shirt, {size}",
    "lot of {digit} {s}",
)
OF_TWO = (
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
CLEAN_OF_TWO = (
    "{a} and {a_other} on {background}",
    "a photo of {a} with {a_other} on {background}",
    "{a} next to {a_other}, {background}",
)
FOREIGN = ("{n}", "{n}", "{n}", "{n} {number}", "{n} ({digit})", "{number} {n}")
# Few, since each is an entry or has one in it, and selects pairs of its own: on the web such words are far above any threshold.
WORDS = {
    "adjective": ("cute", "vintage", "small", "beautiful", "new", "old", "simple", "modern"),
    "place": ("Paris", "London", "New York", "Tokyo", "Bali"),
    "where": ("garden", "street", "house", "snow", "city"),
    "maker": ("Lumo", "Hartwell", "Nordby", "Pixelhaus", "Okami", "Bluebarn", "Marlow & Sons", "Zeta"),
    "size": ("150x150", "300x200", "1024x768", "4k", "large", "A4"),
    "colour": ("white", "black", "red", "green", "blue", "yellow"),
    "month": ("January", "April", "August", "October"),
}
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
    "IMG_{four}.jpg", "DSC{five}.JPG", "IMG_{year}{month_number}{day}_{six}", "{hex}.png", "{hex}", "P{six}.JPG", "image{three}.jpeg",
    "product picture {digit} of {digit}", "{year}-{month_number}-{day}", "Screenshot {year}-{month_number}-{day} {six}", "SKU {six}",
    "item #{five}", "slide {three}", "photo {three}", "page {digit}", "img-{five}-{size}", "{five}", "untitled-{digit}", "scan{four}",
    "DCIM/{three}/{four}.jpg", "attachment {six}", "{digit} of {digit}", "WhatsApp Image {year}-{month_number}-{day}",
    "image_{size}",
)  # fmt: skip
GENERIC_SHARE = 0.55  # of junk; the others are JUNK
# Numbers of one digit, or of three and more: those of two are entries of the bundled list, and in a small pool each would be a rare one, by
# which all else is kept.
DIGITS = {"three": 3, "four": 4, "five": 5, "six": 6}
# The languages of names, as common on the web as their place says.
LANGUAGES = (
    "es", "de", "ja", "fr", "ru", "pt", "it", "zh", "nl", "pl", "tr", "fa", "vi", "id", "cs", "ko", "ar", "uk", "el", "hu", "sv",
    "ro", "zh-Hant", "da", "th", "fi", "he", "bg", "hr", "lt", "sr", "no", "ca", "et", "lv", "hi", "ms", "bn", "ka", "ta", "ur",
    "te", "fil", "sw", "my", "km", "lo",
)  # fmt: skip


def english(random: Generator, thing: Thing, picture: Picture | None = None) -> str:
    """A caption of a thing in English; of the picture, if that is given, it may say the background and another thing."""
    if picture is not None and picture.beside is not None and random.random() < NAMES_OTHER:
        templates = OF_TWO
    else:
        templates = OF_WARES if thing.is_ware and random.random() < OFFERS else TEMPLATES
    template = templates[_likely(random, len(templates), 0.5)]
    name = thing.name
    if thing.synonyms and random.random() < SYNONYM:
        name = thing.synonyms[int(random.random() * len(thing.synonyms))]
    return template.format_map(_Slots(random, _said(name, picture)))


def clean(random: Generator, thing: Thing, picture: Picture) -> str:
    """A caption that says the thing by its name, the background, and another thing if there is one."""
    templates = CLEAN if picture.beside is None else CLEAN_OF_TWO
    return templates[int(random.random() * len(templates))].format_map(_Slots(random, _said(thing.name, picture)))


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

    >>> [with_article(name) for name in ("owl", "unicorn", "fireworks", "dress", "Santa Claus")]
    ['an owl', 'a unicorn', 'fireworks', 'a dress', 'Santa Claus']
    """
    if name[0].isupper() or (name.endswith("s") and not name.endswith(("ss", "us", "is"))):
        return name
    return f"{'an' if name[0] in 'aeiou' and not name.startswith(('uni', 'one', 'euro')) else 'a'} {name}"


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


def _said(name: str, picture: Picture | None) -> dict[str, str]:
    said = {"n": name, "a": with_article(name), "N": name[0].upper() + name[1:], "s": plural(name)}
    if picture is not None:
        said["background"] = with_article(picture.background)
        if picture.beside is not None:
            said |= {"other": picture.beside.name, "a_other": with_article(picture.beside.name)}
    return said


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
            case "digit":
                return str(1 + int(chance * 9))
            case "year":
                return str(2005 + int(chance * 21))
            case "month_number":
                return f"{1 + int(chance * 12):02d}"
            case "day":
                return f"{1 + int(chance * 28):02d}"
            case "hex":
                return f"{int(chance * 2**48):012x}"
            case "price":
                return str(100 + int(chance * 900))
            case "background":  # of a picture that is not this one
                return with_article(f"{WORDS['colour'][int(chance * len(WORDS['colour']))]} background")
            case "number":
                return str(100 + int(chance * 9900))
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
