"""The images of a web page.

An image counts wherever it is, so no tree is built. A regular expression scans a page by the rules of the HTML standard's tokenizer and
stops at the few tags that matter; only these are given to Lexbor, which reads their attributes. So time is linear in the size of a page.
With a tree it is not: a few hundred kilobytes of tags that are never closed keep Lexbor, like other parsers, busy for minutes. The tests
show that both find the same images.

Images in ``<noscript>`` and ``<template>`` count: they are there for a browser without scripts, or for the scripts, and Common Crawl's
extractor takes them too. ``<image>`` is another way to write ``<img>``, except inside ``<svg>``, which ends at its end tag or at a tag
that cannot be in it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from tallyclip.extras import load
from tallyclip.readers.crawl.gather import Image
from tallyclip.readers.crawl.links import EDGES, IS_DATA

MOST_IMAGES = 100_000  # of a page; real pages have up to some thousands
MOST_ATTRIBUTES = 250  # of a tag; further ones are ignored
BYTES_AT_ONCE = 64 << 10  # Lexbor keeps the names of all attributes it meets in a table that is slow when full
LAZY = ("data-src", "data-lazy-src", "data-original")  # where scripts that load images late find their URLs
LAZY_SETS = ("data-srcset", "srcset")
LONGEST_SET = 64 << 10  # characters of a srcset; the rest is ignored

# No match needs backtracking, so quantifiers may be possessive, which is faster; before Python 3.11.5 those lose matches.
_ONCE = b"+" if sys.version_info >= (3, 11, 5) else b""
_NAME_END = rb"(?=[\t\n\f\r />])"
_NAME = rb"[a-z] [^\t\n\f\r /<>]*~ (?: [\t\n\f\r /] | <[^\t\n\f\r />]*~ )"
_ATTRIBUTES = rb"""
(?: [\t\n\f\r /]*~ [^\t\n\f\r />] [^\t\n\f\r />=]*~
    (?: [\t\n\f\r ]*~ = [\t\n\f\r ]*~ (?: "[^"]*~(?:"|\Z) | '[^']*~(?:'|\Z) | [^\t\n\f\r >"'][^\t\n\f\r >]*~ )?~ )?~
){0,%d}~ [\t\n\f\r /]*~""" % (MOST_ATTRIBUTES,)
_COMMENT, _CDATA = b"!--", b"![cdata["
# The ends of elements whose content is not tags, whatever it looks like. Scripts have a rule of their own.
_RAW = b"style title textarea xmp iframe noembed noframes".split()
_ENDS = {name: re.compile(b"</" + name + _NAME_END) for name in [b"script", *_RAW]} | {
    _COMMENT: re.compile(b"--!?>"),
    _CDATA: re.compile(rb"\]\]>"),
}
_SCRIPT_MARK = re.compile(rb"<!--(?:-?>)?|-->|</?script" + _NAME_END)
# Tags that cannot be in an SVG image, and so end it.
_NOT_SVG = b"""b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta nobr ol p
pre ruby s small span strong strike sub sup table tt u ul var foreignobject /br /p""".split()
# A candidate of a srcset: its URL, and then descriptors, which may have commas in parentheses.
_SET_URL = re.compile(r"[\s,]*(\S+)")
_DESCRIPTORS = re.compile(r"((?:[^,(]|\([^)]*\)?)*)")
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)[wx]")


class TooComplexError(Exception):
    """A page with more images than any real page."""


def _stops(tags: list[bytes], marks: list[bytes]) -> re.Pattern[bytes]:
    """A pattern of tags: those to stop at are in its first group, marks in its third."""
    alternatives = [
        rb"(" + b"|".join(tags) + rb")" + _NAME_END + _ATTRIBUTES + rb"(>)?",
        rb"(" + b"|".join(map(re.escape, marks)) + rb")",
        rb"/?" + _NAME + _ATTRIBUTES,
        rb"(?:[!?]|/(?![a-z]))[^>]*~",
    ]
    plain_end = b"" if b"/svg" in tags else b"(?!/[a-z0-9]+>)"  # these, half of all tags, need no match
    return re.compile(rb"<" + plain_end + rb"(?:" + b"|".join(alternatives).replace(b"~", _ONCE) + rb")", re.VERBOSE)


_IN_HTML = _stops([*b"img image base svg script plaintext".split(), *_RAW], [_COMMENT])
_IN_SVG = _stops([b"svg", b"/svg", *_NOT_SVG], [_COMMENT, _CDATA])


def images_of(html: str | bytes) -> tuple[str | None, list[Image]]:
    """The first ``<base href>`` of a page, and its images; all images without text are the same empty one.

    Args:
        html: text, or its UTF-8.

    Raises:
        TooComplexError: the page has too many images.
    """
    page = html.encode("utf-8", "replace") if isinstance(html, str) else html
    parse = load("selectolax.lexbor", "selectolax", "crawl").LexborHTMLParser
    base: str | None = None
    images: list[Image] = []
    for batch in _batches(_tags(page)):
        tree = parse(batch)
        images.extend(map(_image, tree.css("img")))
        if base is None and b"<base" in batch.lower():
            first = tree.css_first("base[href]")
            base = None if first is None else first.attributes["href"] or ""
        if len(images) > MOST_IMAGES:
            raise TooComplexError
    return base, images


def _batches(tags: Iterator[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for tag in tags:
        batch.append(tag)
        size += len(tag)
        if size >= BYTES_AT_ONCE:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


def _tags(page: bytes) -> Iterator[bytes]:
    """The ``<img>`` and ``<base>`` tags of a page, in their order."""
    text = page.lower()
    place = depth = 0
    while place >= 0:
        stops = _IN_SVG if depth else _IN_HTML
        for stop in stops.finditer(text, place):
            if stop.lastindex is None:
                continue
            place = stop.end()
            name: bytes = stop[1] or stop[3]
            if name in (b"img", b"image", b"base"):
                if stop[2] is None and place == len(page):
                    return  # the tag is not closed
                yield (b"<img" if name == b"image" else b"<" + name) + page[stop.end(1) : place] + (b"" if stop[2] else b">")
                if not depth:
                    continue
            if depth or name == b"svg":
                depth += (not text.endswith(b"/>", 0, place)) if name == b"svg" else -1 if name == b"/svg" else 0
                if name in _NOT_SVG:
                    depth = 0
                elif stop[3]:
                    place = _end(text, name, place)
            else:
                place = _end(text, name, place)
            break
        else:
            return


def _end(text: bytes, name: bytes, place: int) -> int:
    """Where tags begin again after this one; -1 if they never do."""
    if name == b"plaintext":
        return -1
    if name == b"script":
        return _script_end(text, place)
    if name == _COMMENT and text.startswith((b">", b"->"), place):
        return place
    end = _ENDS[name].search(text, place)
    return -1 if end is None else end.start()


def _script_end(text: bytes, place: int) -> int:
    """Where a script ends. It may write scripts itself: inside ``<!--`` each one that begins must end too."""
    end = _ENDS[b"script"].search(text, place)
    if end is None or text.find(b"<!--", place, end.start()) < 0:
        return -1 if end is None else end.start()
    commented = inner = False
    for mark in _SCRIPT_MARK.finditer(text, place):
        if mark[0] == b"-->":
            commented = inner = False
        elif mark[0] == b"<!--":
            commented = True
        elif mark[0] == b"</script":
            if not inner:
                return mark.start()
            inner = False
        elif mark[0] == b"<script":
            inner = commented
    return -1


_NOTHING = Image()


def _image(node: Any) -> Image:
    attributes: dict[str, str | None] = node.attributes
    alt, title, other = attributes.get("alt"), attributes.get("title"), attributes.get("data-image-title")
    if not any(text and not text.isspace() for text in (alt, title, other)):
        return _NOTHING
    return Image(url=_url(attributes), alt=alt, title=title, data_image_title=other)


def _url(attributes: dict[str, str | None]) -> str | None:
    """``src``; if it is missing or a placeholder, the URL that a script would load."""
    source = attributes.get("src")
    if _is_link(source):
        return source
    for name in LAZY:
        if _is_link(attributes.get(name)):
            return attributes[name]
    for name in LAZY_SETS:
        link = largest_of((attributes.get(name) or "")[:LONGEST_SET])
        if link is not None:
            return link
    return source


def _is_link(url: str | None) -> bool:
    return bool(url) and bool(url.strip(EDGES)) and not re.match(IS_DATA, url.lstrip(EDGES))


def largest_of(srcset: str) -> str | None:
    """The URL of the largest image of a ``srcset``, by width or by density; of equals the first, None if there is none."""
    best, largest, place = None, -1.0, 0
    while (found := _SET_URL.match(srcset, place)) is not None:
        url, place, size = found[1], found.end(), 1.0
        if url.endswith(","):
            url = url.rstrip(",")
        else:
            descriptors = _DESCRIPTORS.match(srcset, place)
            assert descriptors is not None
            place = descriptors.end()
            sizes = [_SIZE.fullmatch(word) for word in descriptors[1].split()]
            size = max((float(one[1]) for one in sizes if one), default=1.0)
        if size > largest and _is_link(url):
            best, largest = url, size
    return best
