"""Filters that drop pairs by URL or caption before matching. All are off by default, as in the paper.

A pair is dropped for the first of these reasons, in this order:

    URL too long        more characters than ``max_url_length``
    domain blocked      the URL's host, or a parent domain of it, is on the list of ``blocked_domains``
    caption too short   fewer characters than ``min_text_length``, without white space at its ends
    caption too long    more than ``max_text_length``, likewise
    no letters          no character of it is a letter by ``str.isalpha``
    file name or id     ``is_name`` is true
    keyword blocked     a word or phrase of it is on the list of ``blocked_keywords``

Lists are files of UTF-8 text with one domain, word or phrase a line, at a path or fsspec URL; ``.gz``, ``.zst`` and ``.bz2`` are unpacked.
``#`` at the beginning of a line or after a space begins a comment. Longer than others: it has all filters and their patterns.
"""

from __future__ import annotations

import contextlib
import functools
import re
import string
import sys
import unicodedata
from collections.abc import Callable, Collection
from urllib.parse import unquote

import msgspec
import numpy as np
import pyarrow as pa

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.structs import fingerprint_of
from tallyclip.readers.content import read_lines
from tallyclip.readers.crawl.links import ascii_host
from tallyclip.readers.records import Drop
from tallyclip.steps.base import Verdict

URL_TOO_LONG = "URL too long"
DOMAIN_BLOCKED = "domain blocked"
CAPTION_TOO_SHORT = "caption too short"
CAPTION_TOO_LONG = "caption too long"
NO_LETTERS = "no letters"
FILE_NAME_OR_ID = "file name or id"
KEYWORD_BLOCKED = "keyword blocked"


class Filters(msgspec.Struct, frozen=True):
    """What to drop; nothing by default.

    Attributes:
        max_url_length, min_text_length, max_text_length: in characters.
        no_letters: drop captions without a letter.
        file_names: drop captions that are a file name, a URL, an id, a number or a date.
        blocked_domains, blocked_keywords: paths or URLs of lists.
    """

    max_url_length: int | None = None
    min_text_length: int | None = None
    max_text_length: int | None = None
    no_letters: bool = False
    file_names: bool = False
    blocked_domains: str | None = None
    blocked_keywords: str | None = None

    def check(self) -> None:
        """Check the values, and read the lists.

        Raises:
            OptionError: a length is negative, the minimum is above the maximum, or a list cannot be read, is empty or has an
                invalid line; the message has the line number.
        """
        Screen(self)


class Screen:
    """Filters with their lists loaded. It can be pickled.

    Attributes:
        active: whether any filter is on. If not, ``reason`` is always None.
        fingerprint: 64 hex digits that depend on the options and on the content of the lists, not on their paths.

    Raises:
        OptionError: as ``Filters.check``.
    """

    def __init__(self, filters: Filters) -> None:
        for name in ("max_url_length", "min_text_length", "max_text_length"):
            if (length := getattr(filters, name)) is not None and length < 0:
                raise OptionError(f"--{name.replace('_', '-')} {length}: a length cannot be negative")
        least, most = filters.min_text_length or 0, filters.max_text_length
        if most is not None and least > most:
            raise OptionError(f"--min-text-length {least} is above --max-text-length {most}", "swap them")
        self.active = filters != Filters()
        self._longest_url = sys.maxsize if filters.max_url_length is None else filters.max_url_length
        self._shortest, self._longest = least, sys.maxsize if most is None else most
        self._measured = least > 0 or most is not None
        self._no_letters, self._file_names = filters.no_letters, filters.file_names
        domains, keywords = filters.blocked_domains, filters.blocked_keywords
        self._domains = frozenset[str]() if domains is None else frozenset(_read_list(domains, "domain", _domain))
        self._phrases = Phrases(() if keywords is None else _read_list(keywords, "word or phrase", _phrase))
        options = {name: getattr(filters, name) for name in filters.__struct_fields__ if not name.startswith("blocked_")}
        self.fingerprint = fingerprint_of(**options, domains=sorted(self._domains), keywords=sorted(self._phrases.all))

    def judge(self, pairs: pa.Table) -> Verdict:
        """Decide which of N pairs are kept."""
        keep = np.ones(len(pairs), np.bool_)
        drops: list[Drop] = []
        if self.active:
            for i, (url, text) in enumerate(zip(pairs["url"].to_pylist(), pairs["text"].to_pylist(), strict=True)):
                reason = self.reason(url, text)
                if reason is not None:
                    keep[i] = False
                    drops.append(Drop(reason, i, text))
        return Verdict(keep, drops)

    def reason(self, url: str, text: str) -> str | None:
        """Why a pair with this URL and caption is dropped, or None if it is kept."""
        if len(url) > self._longest_url:
            return URL_TOO_LONG
        if self._domains and _is_in(host_of(url), self._domains):
            return DOMAIN_BLOCKED
        if self._measured:
            length = len(text.strip())
            if length < self._shortest:
                return CAPTION_TOO_SHORT
            if length > self._longest:
                return CAPTION_TOO_LONG
        if self._no_letters and not any(map(str.isalpha, text)):
            return NO_LETTERS
        if self._file_names and is_name(text):
            return FILE_NAME_OR_ID
        if self._phrases.all and self._phrases.are_in(text):
            return KEYWORD_BLOCKED
        return None


# file names and ids

_EDGES = string.punctuation + "“”„‘’«»‹›–—…·•、。（）「」"
_CODE = re.compile(r"[\d_./\\:@=%]")
_FILES = r"jpe?g|jpe|jfif|png|gif|webp|bmp|tiff?|svg|ico|heic|avif|psd|eps|cr2|nef|pdf|docx?|pptx?|xlsx?|mp[34]|mov|avi|html?|php|aspx?"
_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
LONGEST_NAME = 1000  # characters; longer captions are not tested with the pattern
_DAY = r"\d{1,4}(?:st|nd|rd|th)?"
_NAME = re.compile(
    rf"""
      .*\S\.(?:{_FILES})                                                    # photo.jpg, my photo.jpg
    | (?:https?|ftp|file):/\S* | data:\S+ | www\.\S+ | \.{{0,2}}/\S+ | [a-z]:\\\S*  # https://a.example, /images/dog, C:\dog
    | [\w-]+(?:\.[\w-]+)*\.(?:com|org|info|biz|edu|gov|co\.uk)(?:[:/?]\S*)? # example.com, example.com/dog
    | (?:img|imgp|cimg|dsc[nfp]?|pict|pxl|mvi|gopr|dji|hpim|sdc|imag|screenshot)[ _-]?\d{{2}}[\w().-]*(?:[ ]\(\d+\))?  # IMG 0042 (2)
    | (?=\D*\d)[0-9a-f]{{8,}}                                               # 3fae2b1c
    | \{{?[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}\}}?           # a UUID
    | (?![@\#])(?=\S*?[^\W_]_+[^\W_])\S+                           # control_14ct
    | [a-z]+(?:-[a-z]+)*-(?:imgs?|btn|bg|ico|jpe?g|png|gif|thumbs?|thumbnail|placeholder|spacer) | (?:img|btn|bg|ico)(?:-[a-z0-9]+)+
    | (?=[a-z]\S*?(?!(?:19|20)\d\d(?!\d))\d{{4}})[a-z0-9.+()-]+      # dsc00023, MTE4018; not Euro2020
    | \d{{3,}}\s?[x×]\s?\d{{3,}}(?:\s?px)?                                  # 800x600
    | (?=\D*\d)(?:{_DAY}[\s,./-]{{1,3}}){{0,2}}(?:{_MONTHS})(?:[\s,./-]{{1,3}}{_DAY}){{0,2}}     # 2 May 2013
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def is_name(text: str) -> bool:
    """Whether a caption is only a file name, a path or URL, an id, a number or a date.

    A caption with two or more words of letters is never one. Words are separated by white space; a word of letters begins with a letter
    and has no digit and none of ``_ . / \\ : @ = %``, apart from punctuation at its ends. Among the others, these are:

    - a caption with digits and no letters: "1234", "2020-01-02", "$ 9.99";
    - a caption that ends with the suffix of a file: ".jpg", ".png", ".pdf", ".html", ...;
    - a URL or a path: "https://...", "www...", "/images/dog", "example.com/dog";
    - a camera's name: "IMG 0042", "DSC-0023 (2)", "Screenshot 2020-01-02";
    - 8 or more hex digits, one of them 0 to 9, and UUIDs;
    - a single word with an underscore inside, except handles and hashtags: "control_14ct", "product_img";
    - a single word whose last part is like in "product-img" and "dog-thumb", or its first like in "img-dog";
    - a single word of ASCII that begins with a letter and has four digits in a row that are not a year: "dsc00023", "MTE4018";
    - a size in pixels, "800x600", and a date with an English month, "2 May 2013", "Jan 2013".

    So "desk", "iPhone6", "GX390", "hot-dog", "Euro2020", "Lot 146", "東京タワー" and "A4omote" are not.
    """
    first = text.split(None, 2)
    if len(first) > 1 and first[0].isalpha() and first[1].isalpha():  # most captions: no need to split the rest
        return False
    words = 0
    for word in text.split():
        if word.isalpha() or ((bare := word.strip(_EDGES)) and bare[0].isalpha() and not _CODE.search(bare)):
            words += 1
            if words == 2:
                return False
    if len(text) <= LONGEST_NAME and _NAME.fullmatch(text.strip()):
        return True
    return any(map(str.isdigit, text)) and not any(map(str.isalpha, text))


# domains

_HOST = re.compile(r"\s*(?:(?:[a-z][a-z0-9+.-]*:)?[/\\]{2,})?(?:[^/?#\\]*@)?(\[[^\]/?#\\]*\]|[^/?#\\:]*)", re.IGNORECASE)


def host_of(url: str) -> str:
    """The host of a URL in normal form: ASCII (IDNA, "xn--..."), lower case, without user, port and final dot."""
    found = _HOST.match(url)
    host = unquote(found[1]) if found else ""
    with contextlib.suppress(ValueError):  # the host is invalid
        host = ascii_host(host)
    return host.strip().rstrip(".").lower()


def _is_in(host: str, domains: frozenset[str]) -> bool:
    while host not in domains:
        host = host.partition(".")[2]
        if not host:
            return False
    return True


def _domain(line: str) -> str | None:
    name = line.removeprefix("*").removeprefix(".")
    return None if re.search(r"[\s*/\\?@:]", name) else host_of(name) or None


# keywords


@functools.cache
def _word() -> re.Pattern[str]:
    """A word: a run of letters, digits and their combining marks. In scripts without spaces between words, each character is a word."""
    signs_and_marks = (chr(code) for code in range(0x300, 0x20000) if not 0xFE00 <= code <= 0xFE0F)  # variation selectors
    marks = "".join(sign for sign in signs_and_marks if unicodedata.category(sign) in ("Mn", "Mc"))
    signs = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    return re.compile(rf"[{signs}][{marks}]*|(?:(?![{signs}])[\w{marks}])+")


_ASCII_WORD = re.compile(r"\w+", re.ASCII)


def words_of(text: str) -> list[str]:
    """The words of a caption as they are compared: NFKC and case-folded."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _word().findall(unicodedata.normalize("NFKC", text).casefold())


class Phrases:
    """Words and phrases to search for.

    A caption contains a phrase if it has the words of the phrase one after another, with any characters between them that are not words:
    "hot dog" is in "Hot-dogs, hot dog!" once. In scripts without spaces between words (Han, kana, Thai, Lao, Burmese, Khmer) each
    character is a word, so a phrase is found within a sentence.

    Attributes:
        all: the phrases, their words joined by single spaces.
    """

    def __init__(self, phrases: Collection[str]) -> None:
        self.all = frozenset(phrases)
        lengths: dict[str, set[int]] = {}
        for phrase in self.all:
            words = phrase.split(" ")
            lengths.setdefault(words[0], set()).add(len(words))
        self._lengths = {first: tuple(sorted(found)) for first, found in lengths.items()}

    def are_in(self, text: str) -> bool:
        """Whether a caption contains one of them. Takes one look-up per word, and one per length of a phrase that begins with it."""
        words = words_of(text)
        if self._lengths.keys().isdisjoint(words):
            return False
        for place, word in enumerate(words):
            for length in self._lengths.get(word, ()):
                if " ".join(words[place : place + length]) in self.all:
                    return True
        return False


def _phrase(line: str) -> str | None:
    return " ".join(words_of(line)) or None


def _read_list(path: str, kind: str, parse: Callable[[str], str | None]) -> set[str]:
    """The items of a list, as they are compared."""
    found: set[str] = set()
    try:
        for number, content in enumerate(read_lines(path), 1):
            try:
                line = re.sub(r"(?:^|\s)#.*", "", content.decode("utf-8")).strip()
            except UnicodeDecodeError:
                raise OptionError(f"{path}, line {number:,}: not UTF-8", "convert the list to UTF-8") from None
            if not line:
                continue
            if (item := parse(line)) is None:
                raise OptionError(
                    f"{path}, line {number:,}: {line!r:.80} is not a {kind}", f"a list has one {kind} per line, and # for comments"
                )
            found.add(item)
    except SourceError as error:
        raise OptionError(error.what, error.hint) from error
    if not found:
        raise OptionError(f"{path}: the list has no {kind}", f"put one {kind} on each line, or remove the option")
    return found
