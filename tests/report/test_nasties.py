"""A card in which every text tries to break out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tallyclip.flows.curate import read_card
from tallyclip.report.card import Card, as_html, as_json, as_markdown, draw_pictures
from tallyclip.run.folder import Run
from tallyclip.run.runners.local import Workers
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


def nasty_card(card: Card, text: str) -> Card:
    value = with_text(msgspec.to_builtins(card), text)
    value["failed_shards"] = {text: text}
    value["fingerprints"] = {text: text}
    value["crawl"] = {"files": 1, "bytes": 1, "counts": {}, "pairs": 1, "duplicates": text, "drops": value["drops"]}
    value["languages"] = text
    return msgspec.convert(value, Card)


def tokens(markdown: str) -> Iterator[Token]:
    for token in MARKDOWN.parse(markdown):
        yield token
        yield from token.children or []


def structure(markdown: str) -> list[str]:
    """What a reader would see but for the text itself: headings, tables, cells, links, tags."""
    return [token.type for token in tokens(markdown) if token.type not in ("text", "text_special", "softbreak")]


@pytest.fixture(scope="module")
def card(run_folder: Path) -> Card:
    with Workers(1) as workers, Run(run_folder, workers) as run:
        return read_card(run)


@pytest.mark.parametrize("text", NASTIES, ids=ascii)
def test_every_text_of_a_card_stays_text(card: Card, text: str, run_folder: Path) -> None:
    nasty, plain = nasty_card(card, text), nasty_card(card, PLAIN)
    markdown = as_markdown(nasty)
    assert not acts(markdown)
    assert structure(markdown) == structure(as_markdown(plain))
    counts = np.load(run_folder / "counts" / "counts.npy")
    pictures = draw_pictures(nasty, counts, counts)
    html, plain_html = as_html(nasty, pictures), as_html(plain, pictures)
    assert not acts(html)
    assert len(re.findall("<", html)) == len(re.findall("<", plain_html))
    page, plain_page = Page(html), Page(plain_html)
    assert page.open == []
    assert (page.tags, page.loads) == (plain_page.tags, plain_page.loads)


@pytest.mark.parametrize("text", [text for text in NASTIES if "\ud800" not in text], ids=ascii)
def test_the_json_of_a_card_has_the_texts_as_they_are_and_nothing_that_acts(card: Card, text: str) -> None:
    nasty = nasty_card(card, text)
    written = as_json(nasty)
    assert not acts(written.decode())
    assert json.loads(written)["sources"] == [text] * len(card.sources)
