"""A page of a MediaWiki dump, from its XML."""

from __future__ import annotations

import re
from typing import NamedTuple

from tallyclip.readers.content import is_utf8

CHARACTER = re.compile(rb"&#(?:0*([0-9]{1,7})|x0*([0-9a-fA-F]{1,6}));")
REDIRECT = re.compile(rb"\s*#redirect\b", re.IGNORECASE)


class Page(NamedTuple):
    """A page of a wiki; an article is a page in namespace 0 that is not a redirect."""

    title: str
    namespace: int
    redirect: bool
    text: bytes


def read_page(content: bytes, numbers: dict[str, int]) -> Page | str:
    """A page, or the reason to drop it.

    Args:
        content: from ``<page>`` to ``</page>``.
        numbers: of the namespaces, by name.
    """
    head = content.partition(b"<revision>")[0]
    title = _inner(head, b"title")
    if title is None:
        return "page without title"
    text = _text(content)
    if text is None:
        return "page without text"
    text = unescaped(text)
    if not is_utf8(title) or not is_utf8(text):
        return "not UTF-8"
    name = unescaped(title).decode()
    number = _inner(head, b"ns")
    if number is not None and re.fullmatch(rb"-?\d{1,9}", number):
        namespace = int(number)
    else:  # in dumps before 2010
        namespace = numbers.get(name.partition(":")[0].strip().replace("_", " ").casefold(), 0) if ":" in name else 0
    if namespace == 0 and _inner(content[len(head) :], b"model") not in (None, b"wikitext"):
        return "page that is not wikitext"
    redirect = b"<redirect" in head or REDIRECT.match(text) is not None
    return Page(name, namespace, redirect, text)


def _inner(content: bytes, name: bytes) -> bytes | None:
    start = content.find(b"<" + name + b">")
    end = content.find(b"</" + name + b">", start)
    return content[start + len(name) + 2 : end] if 0 <= start < end else None


def _text(content: bytes) -> bytes | None:
    """The first text of the last revision: further texts of a revision are other slots than the article."""
    start = content.find(b"<text", max(0, content.rfind(b"<revision>")))
    inner = content.find(b">", start) + 1
    if start < 0 or not inner:
        return None
    if content[inner - 2 : inner] == b"/>":
        return b""
    end = content.find(b"</text>", inner)
    return content[inner:end] if end >= 0 else None


def unescaped(text: bytes) -> bytes:
    """Text without XML escapes."""
    if b"\r" in text:  # XML normalizes line ends
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"&#" in text:
        text = CHARACTER.sub(_character, text)
    for entity, sign in ((b"&lt;", b"<"), (b"&gt;", b">"), (b"&quot;", b'"'), (b"&apos;", b"'"), (b"&amp;", b"&")):
        text = text.replace(entity, sign)
    return text


def _character(match: re.Match[bytes]) -> bytes:
    code = int(match[1]) if match[1] else int(match[2], 16)
    return chr(code).encode("utf-8", "surrogatepass") if code <= 0x10FFFF else match[0]
