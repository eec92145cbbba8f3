"""From the bytes of a page to its text, as browsers decide, and a guess where neither the server nor the page says.

What comes out is UTF-8, which the parser takes; most pages are that already and pass as they are.
"""

from __future__ import annotations

import codecs
import re

from tallyclip.extras import load

PRESCAN = 8_192  # bytes in which <meta> is looked for; the standard asks for 1,024, but browsers start again when they find a later one
SAMPLE = 16 << 10  # bytes that a guess is made from
FEWEST = 20  # bytes beyond ASCII without which there is nothing to guess from
FALLBACK = "cp1252"  # what browsers take in most countries
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# What pages that do not say it are in, as far as bytes can tell, the likelier of equals first; of more, many would be found in noise.
GUESSES = ["cp1252", "cp1251", "gb18030", "big5", "cp949", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"]
# What labels mean on the web beyond what they say, in Python's names.
SUPERSETS = {"gbk": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949", "big5": "big5hkscs"}

_CHARSET = re.compile(r"""charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;,"']+))""", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"""<meta[\s/]((?:[^>"']|"[^"]*"|'[^']*')*)""", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"""([^\s/>=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?""")
_XML = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([\w.:-]+)["']""")
_INNER = re.compile(rb"\A[^\s>]{0,1000}[\s>]")  # a piece may begin within a letter
_KANA = re.compile("[\u3041-\u30fe]")
_NOT_ASCII = bytes(range(128, 256))


def to_utf8(page: bytes, content_type: str = "") -> bytes:
    """A page in UTF-8, without a byte order mark. What cannot be decoded becomes U+FFFD; or if the page is UTF-8 already, it stays.

    Args:
        page: its bytes.
        content_type: what its server said of it.
    """
    mark = next(filter(page.startswith, BYTE_ORDER_MARKS), b"")
    codec = BYTE_ORDER_MARKS.get(mark) or _declared(content_type) or _declared_inside(page) or _guessed(page)
    page = page.removeprefix(mark)
    return page if codec == "utf-8" else page.decode(codec, "replace").encode("utf-8", "replace")


def codec_of(label: str) -> str | None:
    """Python's name of the encoding that a label means on the web; None if it means none."""
    encoding = load("webencodings", "webencodings", "crawl").lookup(label)
    if encoding is None or encoding.name in ("replacement", "x-user-defined"):
        return None
    return SUPERSETS.get(encoding.name) or encoding.codec_info.name


def _declared(content_type: str) -> str | None:
    label = _CHARSET.search(content_type)
    return None if label is None else codec_of((label[1] or label[2] or label[3] or "").strip())


def _declared_inside(page: bytes) -> str | None:
    start = _COMMENT.sub(b"", page[:PRESCAN])
    codec = None
    for meta in _META.finditer(start):
        attributes: dict[bytes, bytes] = {}
        for name, *values in _ATTRIBUTE.findall(meta[1]):
            attributes.setdefault(name.lower(), b"".join(values))
        if b"charset" in attributes:
            codec = codec_of(attributes[b"charset"].decode("latin-1"))
        elif attributes.get(b"http-equiv", b"").lower() == b"content-type":
            codec = _declared(attributes.get(b"content", b"").decode("latin-1"))
        if codec is not None:
            break
    else:
        label = _XML.match(start)
        codec = None if label is None else codec_of(label[1].decode("latin-1"))
    # The declaration could be read, so it is wrong.
    return "utf-8" if codec in ("utf-16-le", "utf-16-be") else codec


def _guessed(page: bytes) -> str:
    """UTF-8 if it can be, else what the page's densest part looks like."""
    if _is(page, "utf-8"):
        return "utf-8"
    pieces = [page[i : i + SAMPLE] for i in range(0, len(page), SAMPLE)]
    sample = _INNER.sub(b"", max(pieces, key=_beyond_ascii))
    if _beyond_ascii(sample) < FEWEST:
        return FALLBACK
    for codec in ("utf-8", "euc_jp", "cp932"):
        if _is(sample, codec) and (codec == "utf-8" or _is_japanese(sample.decode(codec, "replace"))):
            return codec
    matches = load("charset_normalizer", "charset-normalizer", "crawl").from_bytes(sample, cp_isolation=GUESSES, enable_fallback=False)
    best = min(matches, key=lambda match: (match.chaos, -match.coherence, GUESSES.index(match.encoding)), default=None)
    return FALLBACK if best is None else str(best.encoding)


def _beyond_ascii(content: bytes) -> int:
    return len(content) - len(content.translate(None, _NOT_ASCII))


def _is(content: bytes, codec: str) -> bool:
    """Can it be text in this encoding, which may be cut within a letter?"""
    try:
        codecs.getincrementaldecoder(codec)().decode(content)
    except UnicodeDecodeError:
        return False
    return True


def _is_japanese(text: str) -> bool:
    """Nothing but Japanese has many kana, which the detector does not look for."""
    return 4 * len(_KANA.findall(text)) > sum(not letter.isascii() for letter in text)
