"""Decodes pages as browsers do, with a guess where neither the server nor the page names a charset.

The result is UTF-8, which the parser takes; most pages are UTF-8 already and pass unchanged.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping

from tallyclip.extras import load
from tallyclip.readers.language_model import default_identifier

PRESCAN = 8_192  # bytes in which <meta> is looked for; the standard asks for 1,024, but browsers start again when they find a later one
SAMPLE = 16 << 10  # bytes that a guess is made from
FEWEST = 20  # non-ASCII bytes below which there is too little to guess from
FALLBACK = "cp1252"  # what browsers use in most countries
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# Charsets of pages that name none, as far as bytes can show, likelier ones first; more candidates would match noise.
GUESSES = ["cp1252", "cp1251", "gb18030", "big5", "cp949", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_u"]
# Charsets of Latin letters, with the languages (as the language model labels them) of the pages in each. The same bytes are other letters
# in each, so bytes cannot decide: the right charset is the one in which the text reads as one of its languages.
LATIN = {
    "cp1252": "af an ast br ca co cy da de en es et eu fi fr fy ga gd gl ia id io is it lb ms nds nl nn no oc pt sc sq sv sw tl wa war",
    "cp1250": "bs cs dsb hr hsb hu pl ro sh sk sl sq sr",
    "iso8859_2": "bs cs dsb hr hsb hu pl ro sh sk sl sq sr",
    "cp1254": "az ku tr",
    "cp1257": "et lt lv",
    "cp1258": "vi",
}
EASTERN = {"gb18030": "wuu yue zh", "big5": "wuu yue zh", "cp949": "ko", "cp874": "th"}  # for bytes that look like Thai
SURE = 0.3  # lower scores of languages are ignored
# Labels that on the web mean a larger charset, in Python's names.
SUPERSETS = {"gbk": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949", "big5": "big5hkscs"}

_CHARSET = re.compile(r"""charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;,"']+))""", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"""<meta[\s/]((?:[^>"']|"[^"]*"|'[^']*')*)""", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"""([^\s/>=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?""")
_XML = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([\w.:-]+)["']""")
_INNER = re.compile(rb"\A[^\s>]{0,1000}[\s>]")  # a piece may begin inside a character
_MARKUP = re.compile(rb"[<>\"'=\r\n]+")  # between texts and attributes
_NO_LETTERS = re.compile(rb"[^A-Za-z\x80-\xff]+")
_CONTROL = re.compile("[\x80-\x9f]")
_THAI_MARK = re.compile("[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")
_THAI_MARKED = re.compile("(?<=[\u0e01-\u0e2e\u0e31\u0e34-\u0e3a\u0e47-\u0e4e])[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")
_HEBREW, _HEBREW_FINAL = re.compile("[\u0591-\u05f4]"), re.compile("[ךםןףץ]")
_HEBREW_END = re.compile("[ךםןףץ](?![א-ת])")
_KANA = re.compile("[\u3041-\u30fe]")
_NOT_ASCII = bytes(range(128, 256))


def to_utf8(page: bytes, content_type: str = "", guess: Callable[[], None] = lambda: None) -> bytes:
    """A page in UTF-8, without a byte order mark. What cannot be decoded becomes U+FFFD; a page in UTF-8 is not changed.

    Args:
        page: its bytes.
        content_type: of its HTTP header.
        guess: called if nothing names the page's charset and it is not UTF-8, so that the result is a guess.
    """
    mark = next(filter(page.startswith, BYTE_ORDER_MARKS), b"")
    codec = BYTE_ORDER_MARKS.get(mark) or _declared(content_type) or _declared_inside(page)
    if codec is None and not _is(page, "utf-8"):
        guess()
        codec = _guessed(page)
    page = page.removeprefix(mark)
    return page if codec in (None, "utf-8") else page.decode(codec, "replace").encode("utf-8", "replace")


def codec_of(label: str) -> str | None:
    """Python's name of the charset that a label means on the web; None for an unknown label."""
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
    # The declaration could be read as ASCII, so UTF-16 is wrong.
    return "utf-8" if codec in ("utf-16-le", "utf-16-be") else codec


def _guessed(page: bytes) -> str:
    """The charset that the part of a page with the most non-ASCII bytes looks like."""
    pieces = [page[i : i + SAMPLE] for i in range(0, len(page), SAMPLE)]
    sample = _INNER.sub(b"", max(pieces, key=_beyond_ascii))
    if _beyond_ascii(sample) < FEWEST:
        return FALLBACK
    if _is_mostly_utf8(sample):
        return "utf-8"
    for codec in ("euc_jp", "cp932"):
        if _is(sample, codec) and _is_japanese(sample.decode(codec, "replace")):
            return codec
    text = b" ".join(b"\n".join(_pieces_beyond_ascii(_MARKUP, sample)).split())
    if _is_latin(sample):
        codec = _by_language(text, LATIN)
        if codec is not None:
            return codec
    elif _is(sample, "cp1255") and _is_hebrew(sample.decode("cp1255", "replace")):
        return "cp1255"
    elif _is(sample, "cp874") and _is_thai(sample.decode("cp874", "replace")) and _by_language(text, EASTERN) == "cp874":
        return "cp874"
    matches = load("charset_normalizer", "charset-normalizer", "crawl").from_bytes(sample, cp_isolation=GUESSES, enable_fallback=False)
    best = min(matches, key=lambda match: (match.chaos, -match.coherence, GUESSES.index(match.encoding)), default=None)
    return FALLBACK if best is None else str(best.encoding)


def _is_latin(content: bytes) -> bool:
    """Are words with non-ASCII letters partly ASCII?"""
    words = b"".join(_pieces_beyond_ascii(_NO_LETTERS, content))
    return 3 * _beyond_ascii(words) <= 2 * len(words)


def _by_language(text: bytes, encodings: Mapping[str, str]) -> str | None:
    """The charset in which a text most likely reads as one of its languages; None if it does in none."""
    best, highest, seen = None, SURE, set[str]()
    for codec, languages in encodings.items():
        try:
            decoded = codecs.getincrementaldecoder(codec)().decode(text)  # which may end inside a character
        except UnicodeDecodeError:
            continue
        if decoded not in seen and not _CONTROL.search(decoded):
            seen.add(decoded)
            (language,), (score,) = default_identifier().identify([decoded])
            if language in languages.split() and score > highest:
                best, highest = codec, float(score)
    return best


def _pieces_beyond_ascii(separator: re.Pattern[bytes], content: bytes) -> list[bytes]:
    """The pieces between separators that contain non-ASCII bytes.

    A single pattern for such a piece would search an ASCII piece again from each of its bytes.
    """
    return [piece for piece in separator.split(content) if not piece.isascii()]


def _beyond_ascii(content: bytes) -> int:
    return len(content) - len(content.translate(None, _NOT_ASCII))


def _is(content: bytes, codec: str) -> bool:
    """Can this be text in this charset, which may end inside a character?"""
    try:
        codecs.getincrementaldecoder(codec)().decode(content)
    except UnicodeDecodeError:
        return False
    return True


def _is_mostly_utf8(sample: bytes) -> bool:
    """Are only a few bytes not valid UTF-8? Text in another charset has more of them."""
    decoded = sample.decode("utf-8", "replace")
    return 10 * decoded.count("\ufffd") <= sum(not letter.isascii() for letter in decoded)


def _is_thai(text: str) -> bool:
    """In Thai a fifth are vowels and tones above or below a consonant; in other bytes read as Thai they are above or below anything."""
    marks = len(_THAI_MARK.findall(text))
    return 10 * marks > sum(not letter.isascii() for letter in text) and 20 * len(_THAI_MARKED.findall(text)) >= 19 * marks


def _is_hebrew(text: str) -> bool:
    """Five letters of Hebrew have a form for the ends of words; in other bytes read as Hebrew these are anywhere."""
    letters, finals = len(_HEBREW.findall(text)), len(_HEBREW_FINAL.findall(text))
    only = 20 * letters >= 19 * sum(not letter.isascii() for letter in text)
    return only and 30 * finals >= letters and 20 * len(_HEBREW_END.findall(text)) >= 19 * finals


def _is_japanese(text: str) -> bool:
    """The detector ignores kana, although many kana mean Japanese."""
    return 4 * len(_KANA.findall(text)) > sum(not letter.isascii() for letter in text)
