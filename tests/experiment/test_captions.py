"""Captions and pictures of the world, one by one."""

from __future__ import annotations

import re
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tallyclip.experiment.world.atlas import open_atlas
from tallyclip.experiment.world.captions import LANGUAGES, clean, english, foreign, junk, with_article
from tallyclip.experiment.world.pictures import COLOURS, Picture, draw
from tallyclip.experiment.world.things import ENGLISH, all_things

THINGS = {thing.name: thing for thing in all_things()}
PLAIN = Picture(b"", "orange background", None)
WITH_OTHER = Picture(b"", "red and white stripes", THINGS["owl"])


def many(number: int = 400) -> list[np.random.Generator]:
    return [np.random.default_rng([1, i]) for i in range(number)]


def test_every_language_of_the_names_is_drawn() -> None:
    assert sorted((*LANGUAGES, ENGLISH)) == sorted(THINGS["dog"].names)
    assert len(LANGUAGES) == 47


@pytest.mark.parametrize("picture", [None, PLAIN, WITH_OTHER])
def test_every_template_is_filled_and_names_the_thing(picture: Picture | None) -> None:
    dog = THINGS["dog"]
    found = {english(random, dog, picture) for random in many(3000)}
    assert len(found) > 200
    assert not any("{" in caption for caption in found)
    assert all(any(word in caption.lower() for word in ("dog", *(word.lower() for word in dog.synonyms))) for caption in found)


def test_a_synonym_stands_for_the_name_in_a_fifth_of_the_captions() -> None:
    cat = THINGS["cat"]
    assert "kitten" in cat.synonyms
    share = np.mean([any(word in english(random, cat).lower() for word in ("kitten", "cats", "kitty")) for random in many(2000)])
    assert 0.12 < share < 0.28


def test_a_synonym_is_the_name_of_no_other_thing() -> None:
    assert not {word for thing in THINGS.values() for word in thing.synonyms} & THINGS.keys()


def test_a_synonym_is_of_few_things() -> None:
    assert max(Counter(word for thing in THINGS.values() for word in thing.synonyms).values()) <= 3


def test_a_caption_names_another_thing_only_if_the_picture_shows_it() -> None:
    dog = THINGS["dog"]
    assert not any("owl" in english(random, dog, PLAIN) for random in many())
    share = np.mean([" owl" in f" {english(random, dog, WITH_OTHER)}" for random in many()])
    assert 0.35 < share < 0.65


def test_people_faces_and_places_are_not_for_sale() -> None:
    names = ("girl", "mosque", "ghost", "guitar")
    offered = [name for name in names if any("sale" in english(random, THINGS[name]) for random in many(2000))]
    assert offered == ["guitar"]


def test_a_clean_caption_says_the_name_and_what_else_is_to_be_seen() -> None:
    assert all("dog" in (said := clean(random, THINGS["dog"], PLAIN)) and "an orange background" in said for random in many(50))
    said = {clean(random, THINGS["dog"], WITH_OTHER) for random in many(50)}
    assert all("a dog" in caption and "an owl" in caption and "red and white stripes" in caption for caption in said)
    assert len(said) == 3


def test_foreign_names_are_bare_or_with_a_number() -> None:
    dog = THINGS["dog"]
    for random in many():
        caption = foreign(random, dog)
        rest = [caption.replace(dog.names[language], "") for language in LANGUAGES if dog.names[language] in caption]
        assert rest
        assert min(len(one.strip(" ()0123456789")) for one in rest) == 0


def test_junk_names_no_class() -> None:
    found = {junk(random) for random in many(3000)}
    assert len(found) > 500
    assert not any("{" in caption for caption in found)
    assert {"image", "photo", "logo"} <= found


def test_articles() -> None:
    names = ["umbrella", "unicorn", "hourglass", "bus", "eyes", "orange background", "green and red stripes", "Tokyo tower"]
    expected = ["an umbrella", "a unicorn", "a hourglass", "a bus", "eyes", "an orange background", "green and red stripes", "Tokyo tower"]
    assert [with_article(name) for name in names] == expected


def test_a_thing_stands_the_same_on_the_same_background_in_any_style() -> None:
    """What is drawn does not depend on the style, nor on what comes before or after."""
    others = [THINGS["owl"], THINGS["guitar"]]
    for number in range(60):
        one, other = (draw(np.random.default_rng(number), THINGS["dog"], others, [open_atlas(style)], 36) for style in ("noto", "twemoji"))
        assert one.background == other.background
        assert one.content != other.content
        again = draw(np.random.default_rng(number), THINGS["dog"], others, [open_atlas("noto")], 36)
        assert again == one


def test_backgrounds_are_what_captions_say() -> None:
    """Where the background is plain, the corner that is nearest to it has its colour."""
    right = met = 0
    for number in range(300):
        picture = draw(np.random.default_rng([5, number]), THINGS["baseball"], [], [open_atlas("noto")], 48)
        colour = picture.background.removesuffix(" background")
        if colour not in COLOURS:
            continue
        pixels = np.asarray(Image.open(BytesIO(picture.content)).convert("RGB"), np.float32)
        corners = np.stack([pixels[y, x] for y in (1, -2) for x in (1, -2)])
        found = {name: np.abs(corners - np.array(value)).sum(1).min() for name, value in COLOURS.items()}
        right += sorted(found, key=lambda name: found[name]).index(colour) < 3
        met += 1
    assert met > 80
    assert right / met > 0.9


def test_the_two_colours_of_a_background_differ() -> None:
    drawn = (draw(random, THINGS["dog"], [], [open_atlas("noto")], 36).background for random in many())
    pairs = [re.findall("light blue|" + "|".join(COLOURS), background) for background in drawn if " and " in background]
    assert len(pairs) > 100
    assert all(len(set(pair)) == 2 for pair in pairs)


def test_without_other_things_a_thing_stands_alone() -> None:
    assert all(draw(np.random.default_rng(number), THINGS["dog"], [], [open_atlas("noto")], 36).beside is None for number in range(50))
    shown = [draw(np.random.default_rng(number), THINGS["dog"], [THINGS["owl"]], [open_atlas("noto")], 36).beside for number in range(300)]
    assert 0.08 < np.mean([other is not None for other in shown]) < 0.3
