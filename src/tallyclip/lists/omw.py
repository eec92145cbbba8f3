"""Words of languages other than English: the tab files of the Open Multilingual WordNet (``wn-data-fra.tab`` and the like).

The first line says what the file is: ``# name<TAB>language<TAB>url<TAB>license``. The others are ``synset<TAB>kind<TAB>form``, and those
of the kind ``fra:lemma``, or ``lemma`` alone, give the words. The format is that of Bond and Foster (2013), as on omwn.org.

An entry that no caption writes is of no use, so some forms are brought to what captions write, and none is kept beside that:

- Arabic loses its vowel signs and tatweels. The Arabic file puts them on most words and Arabic text on 2 in 100: on real pages 458 of its
  vowelled words are found without, and 3 with them.
- Chinese has ``+的`` and ``+地`` behind what can stand with or without them: both are given, first without.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tallyclip.errors import ArtifactError
from tallyclip.readers.reading import read_lines, shown

SYNSET = re.compile(r"[0-9]{8}-[nvars]")  # its place in WordNet 3.0, and part of speech
LEMMA = "lemma"
OTHER_KINDS = frozenset({"lemma:root", "lemma:brokenplural", "def", "exe", "pron", "count"})
GAPS = frozenset({"GAP!", "PSEUDOGAP!"})  # of the Italian and Hebrew files
SIGNS = re.compile(r"[\[\]{}|<>]|''|#\w|&#?\w+;")  # left of a wiki, or an editor's
VOWELS_AND_TATWEEL = re.compile("[\u064b-\u0652\u0670\u0640]")
OPTIONAL = re.compile(r"(.+?) ?\+([的地])")

COMMENT = "comment"
NOT_UTF8 = "not UTF-8"
MALFORMED = "not a row of synset, kind and form"
OTHER_LANGUAGE = "lemma of another language"
UNKNOWN_KIND = "kind: unknown"
NO_FORM = "no form"
GAP = "the language has no such word"
MARKUP = "markup in the form"


class OmwHeader(NamedTuple):
    """What a file says of itself; ``language`` is a code of ISO 639-3."""

    name: str
    language: str
    url: str
    license: str


def read_header(path: str) -> OmwHeader:
    """The first line of a file, which may be packed.

    Raises:
        ArtifactError: it is not a header.
        SourceError: the file cannot be read.
    """
    return _header(path, next(read_lines(path), b""))


def lemmas(path: str, drops: Counter[str]) -> Iterator[str]:
    """The words of a file, in its order, with their repeats; a row that gives none adds to ``drops`` under its reason.

    Raises:
        ArtifactError: the file has no header.
        SourceError: it cannot be read, or was cut short.
    """
    lines = read_lines(path)
    language = _header(path, next(lines, b"")).language
    for line in lines:
        form, reason = _form(line, language)
        if reason is not None:
            drops[reason] += 1
            continue
        optional = OPTIONAL.fullmatch(form)
        if optional is not None:
            yield optional[1]
            form = optional[1] + optional[2]
        yield form


def _header(path: str, line: bytes) -> OmwHeader:
    hint = "it begins '# name<TAB>language<TAB>url<TAB>license', in UTF-8: is this a tab file of the Open Multilingual WordNet?"
    if not line.startswith(b"#"):
        raise ArtifactError(f"{path}: its first line is no header: {shown(line)}", hint)
    try:
        fields = [field.strip() for field in line.decode().removeprefix("#").split("\t")]
    except UnicodeDecodeError:
        raise ArtifactError(f"{path}: its header is not in UTF-8: {shown(line)}", hint) from None
    if len(fields) != len(OmwHeader._fields):
        raise ArtifactError(f"{path}: its header has {len(fields)} fields, not 4: {shown(line)}", hint)
    if not fields[1]:
        raise ArtifactError(f"{path}: its header names no language: {shown(line)}", hint)
    return OmwHeader(*fields)


def _form(line: bytes, language: str) -> tuple[str, str | None]:
    """The form that a row gives, or else the reason why it gives none."""
    if line.startswith(b"#"):
        return "", COMMENT
    try:
        fields = line.decode().split("\t")
    except UnicodeDecodeError:
        return "", NOT_UTF8
    if len(fields) < 3 or not SYNSET.fullmatch(fields[0]):
        return "", MALFORMED
    reason = _kind(fields[1], language)
    if reason is not None:
        return "", reason
    if len(fields) != 3:
        return "", MALFORMED
    form = " ".join(VOWELS_AND_TATWEEL.sub("", fields[2].replace("_", " ")).split())
    if not form:
        return "", NO_FORM
    if form in GAPS:
        return "", GAP
    return form, MARKUP if SIGNS.search(form) else None


def _kind(kind: str, language: str) -> str | None:
    """Why a row of this kind is dropped; None if it gives a lemma."""
    if kind in (LEMMA, f"{language}:{LEMMA}"):
        return None
    rest = kind.removeprefix(f"{language}:")
    if rest in OTHER_KINDS:
        return f"kind: {rest}"
    return OTHER_LANGUAGE if kind.endswith(f":{LEMMA}") else UNKNOWN_KIND
