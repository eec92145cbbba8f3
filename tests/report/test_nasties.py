"""A card in which every text tries to break out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tallyclip.report.card import About, Card, CrawlPart, Facts, Part, draw_pictures
from tallyclip.run.runners.local import Workers
from tallyclip.run.workspace import Workspace
from tallyclip.stages.match import MatchPart
from tallyclip.stages.pool import PoolPart
from tallyclip.stages.runs import RUN
from tests.nasties import NASTIES, acts

from .test_card import Page

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PLAIN = "plain"


def with_text(value: Any, text: str) -> Any:
    """The same value with every text in it replaced, keys of mappings from data too."""
    match value:
        case str():
            return text
        case list():
            return [with_text(one, text) for one in value]
        case dict():
            return {key: with_text(one, text) for key, one in value.items()}
        case _:
            return value


class Parts(NamedTuple):
    """What a card is made of."""

    about: About
    parts: dict[str, Part]


def nasty_card(card: Parts, text: str) -> Card:
    """A card of these parts, and of those that only other runs have, in which every text is this one."""
    parts = {name: msgspec.convert(with_texts(msgspec.to_builtins(part), text), type(part)) for name, part in card.parts.items()}
    about = msgspec.convert(with_texts(msgspec.to_builtins(card.about), text) | {"fingerprints": {text: text}}, About)
    drops = next(part.drops for part in parts.values() if isinstance(part, MatchPart))
    parts["pool"] = PoolPart(crawl=CrawlPart(files=1, bytes=1, counts={}, pairs=1, duplicates=text, drops=drops))
    parts["facts"] = Facts(title=text, facts={text: text})
    return Card(about, parts)


def with_texts(value: dict[str, Any], text: str) -> dict[str, Any]:
    """The same fields of a part with every text in them replaced, where runs may have none too."""
    more = {"failed_shards": {text: text}, "languages": text}
    return with_text(value, text) | {name: one for name, one in more.items() if name in value}


def tokens(markdown: str) -> Iterator[Token]:
    for token in MARKDOWN.parse(markdown):
        yield token
        yield from token.children or []


def structure(markdown: str) -> list[str]:
    """What a reader would see but for the text itself: headings, tables, cells, links, tags."""
    return [token.type for token in tokens(markdown) if token.type not in ("text", "text_special", "softbreak")]


@pytest.fixture(scope="module")
def card(run_folder: Path) -> Parts:
    with Workers(1) as workers, Workspace(RUN, run_folder, workers) as run:
        parts = {stage.name: stage.card(run) for stage in RUN.stages if stage.card is not None and run.whole(stage) is not None}
    return Parts(msgspec.json.decode((run_folder / "card" / "card.json").read_bytes(), type=About), parts)


@pytest.mark.parametrize("text", NASTIES, ids=ascii)
def test_every_text_of_a_card_stays_text(card: Parts, text: str, run_folder: Path) -> None:
    nasty, plain = nasty_card(card, text), nasty_card(card, PLAIN)
    markdown = nasty.as_markdown()
    assert not acts(markdown)
    assert structure(markdown) == structure(plain.as_markdown())
    counts = np.load(run_folder / "counts" / "counts.npy")
    pictures = draw_pictures(nasty, counts, counts)
    html, plain_html = nasty.as_html(pictures), plain.as_html(pictures)
    assert not acts(html)
    assert len(re.findall("<", html)) == len(re.findall("<", plain_html))
    page, plain_page = Page(html), Page(plain_html)
    assert page.open == []
    assert (page.tags, page.loads) == (plain_page.tags, plain_page.loads)


@pytest.mark.parametrize("text", [text for text in NASTIES if "\ud800" not in text], ids=ascii)
def test_the_json_of_a_card_has_the_texts_as_they_are_and_nothing_that_acts(card: Parts, text: str) -> None:
    nasty = nasty_card(card, text)
    written = nasty.as_json()
    assert not acts(written.decode())
    value = json.loads(written)
    assert value["sources"] == [text] * len(nasty.fields.sources)
    assert value["facts"] == {"title": text, "facts": {text: text}}
