"""The passes, one after the other: each applies one of the rules in ``reference.py``.

A pass reads a page from one buffer and writes it to another. It searches for its own signs 64 bytes at a time and copies what is between
them. What is to be removed is written first, and overwritten once it is complete: a template is written like any text until its end. So
nothing is read twice, and nothing is recursive. ``signs.py`` has what the passes share, and ``tables.py`` what they look up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from tallyclip.core.compiled import ONE, ZERO, compiled, u64
from tallyclip.core.strings import Strings
from tallyclip.lists.wikitext import reference
from tallyclip.lists.wikitext.braces import without_templates
from tallyclip.lists.wikitext.lines import without_line_markup
from tallyclip.lists.wikitext.links import without_links, without_urls
from tallyclip.lists.wikitext.signs import PAD
from tallyclip.lists.wikitext.spaces import spaced
from tallyclip.lists.wikitext.tables import MarkupTables, make_tables, namespace_names
from tallyclip.lists.wikitext.tags import without_controls, without_tags
from tallyclip.lists.wikitext.variants import without_variants


class MarkupScratch(NamedTuple):
    """Working memory for texts of up to B bytes."""

    one: UInt8[np.ndarray, " B"]
    other: UInt8[np.ndarray, " B"]
    missing: UInt8[np.ndarray, " T"]  # which tags have no closing tag in the rest of the page
    braces: UInt64[np.ndarray, "4096 3"]  # open templates and tables
    links: UInt64[np.ndarray, "8 5"]  # open links


class Stripper:
    """Strips the markup of pages of one wiki."""

    def __init__(self, namespaces: Mapping[int, str]) -> None:
        """
        Args:
            namespaces: the wiki's names for its namespaces, by number.
        """
        self.names = namespace_names(namespaces)
        self._tables = make_tables(self.names)
        self._scratch = self._make_scratch(1 << 20)

    def strip(self, texts: Strings) -> Strings:
        """The prose of each page."""
        longest = int(np.diff(texts.offsets).max(initial=0))
        if longest + PAD > len(self._scratch.one):
            self._scratch = self._make_scratch(longest)
        out = np.empty(int(texts.offsets[-1] - texts.offsets[0]), np.uint8)
        offsets = np.zeros_like(texts.offsets)
        _strip(texts.data, texts.offsets, self._tables, self._scratch, out, offsets)
        return Strings(out[: offsets[-1]], offsets, texts.valid)

    def _make_scratch(self, longest: int) -> MarkupScratch:
        one, other = np.zeros(longest + PAD, np.uint8), np.zeros(longest + PAD, np.uint8)
        missing = np.zeros(len(self._tables.tags), np.uint8)
        braces, links = np.zeros((reference.OPEN_BRACES, 3), np.uint64), np.zeros((reference.OPEN_LINKS, 5), np.uint64)
        return MarkupScratch(one, other, missing, braces, links)


@compiled
def _strip(
    data: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    tables: MarkupTables,
    scratch: MarkupScratch,
    out: UInt8[np.ndarray, " C"],
    out_offsets: Int64[np.ndarray, " N1"],
) -> None:
    at = ZERO
    one, other = scratch.one, scratch.other
    for text in range(u64(len(offsets)) - ONE):
        size = without_controls(data, u64(offsets[text]), u64(offsets[text + ONE]), tables, one)
        size = without_tags(one, size, tables, scratch.missing, other)
        size = without_templates(other, size, scratch.braces, one)
        size = without_variants(one, size, other)
        size = without_links(other, size, tables, scratch.links, one)
        size = without_urls(one, size, tables, other)
        size = without_line_markup(other, size, tables, one)
        at = spaced(one, size, tables, out, at)
        out_offsets[text + ONE] = np.int64(at)
