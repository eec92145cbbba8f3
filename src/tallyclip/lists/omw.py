"""Words of languages other than English: the tab files of the Open Multilingual WordNet (``wn-data-fra.tab`` and the like).

The first line describes the file: ``# name<TAB>language<TAB>url<TAB>license``. The others are ``synset<TAB>kind<TAB>form``; those of the
kind ``fra:lemma``, or only ``lemma``, give the words. The format is that of Bond and Foster (2013), as on omwn.org.

An entry that no caption has is of no use, so some forms are replaced by what captions have:

- Arabic words lose their vowel signs and tatweels. The Arabic file has them on most words, Arabic text on 2 in 100: on real pages, 458 of
  its words with vowel signs occur without them, and 3 with them.
- Chinese words have ``+的`` or ``+地`` at the end if they can occur with or without it: both forms are entries, first the one without.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tallyclip.errors import ArtifactError
from tallyclip.readers.content import read_lines, shown

SYNSET = re.compile(r"[0-9]{8}-[nvars]")  # its offset in WordNet 3.0, and part of speech
LEMMA = "lemma"
OTHER_KINDS = frozenset({"lemma:root", "lemma:brokenplural", "def", "exe", "pron", "count"})
GAPS = frozenset({"GAP!", "PSEUDOGAP!"})  # in the Italian and Hebrew files
SIGNS = re.compile(r"[\[\]{}|<>]|''|#\w|&#?\w+;")  # wiki markup, or an editor's
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
    """The header of a file; ``language`` is a code of ISO 639-3."""

    name: str
    language: str
    url: str
    license: str


def read_header(path: str) -> OmwHeader:
    """The first line of a file, which may be compressed.

    Raises:
        ArtifactError: it is not a header.
        SourceError: the file cannot be read.
    """
    return _header(path, next(read_lines(path), b""))


def lemmas(path: str, drops: Counter[str]) -> Iterator[str]:
    """The words of a file, in its order, with repeats; a row without a word is counted in ``drops`` by reason.

    Raises:
        ArtifactError: the file has no header.
        SourceError: it cannot be read, or is truncated.
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
    hint = "give a tab file of the Open Multilingual WordNet, which begins with '# name<TAB>language<TAB>url<TAB>license', in UTF-8"
    if not line.startswith(b"#"):
        raise ArtifactError(f"{path}: its first line is not a header: {shown(line)}", hint)
    try:
        fields = [field.strip() for field in line.decode().removeprefix("#").split("\t")]
    except UnicodeDecodeError:
        raise ArtifactError(f"{path}: its header is not in UTF-8: {shown(line)}", hint) from None
    if len(fields) != len(OmwHeader._fields):
        raise ArtifactError(f"{path}: its header has {len(fields)} fields, not 4: {shown(line)}", hint)
    if not fields[1]:
        raise ArtifactError(f"{path}: its header has no language: {shown(line)}", hint)
    return OmwHeader(*fields)


def _form(line: bytes, language: str) -> tuple[str, str | None]:
    """The form of a row, or else the reason to drop it."""
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
    """Why a row of this kind is dropped; None for a lemma."""
    if kind in (LEMMA, f"{language}:{LEMMA}"):
        return None
    rest = kind.removeprefix(f"{language}:")
    if rest in OTHER_KINDS:
        return f"kind: {rest}"
    return OTHER_LANGUAGE if kind.endswith(f":{LEMMA}") else UNKNOWN_KIND
