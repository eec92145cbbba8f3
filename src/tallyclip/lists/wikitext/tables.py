"""What the passes look up: bytes, tags, entities, and words such as the names of namespaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from tallyclip.core.compiled import ONE, ZERO, compiled, u64
from tallyclip.core.hashing import make_pair_table, put_pairs
from tallyclip.lists.wikitext import reference
from tallyclip.lists.wikitext.signs import BLANK, GAP, JOIN, NEWLINE, UNDERSCORE, lower

NO_PROSE = {6: ("File", "Image"), 14: ("Category",), -2: ("Media",)}  # namespaces by number, with the names that every wiki accepts
DROPPED, BREAKING, NOWIKI = u64(1), u64(2), u64(3)  # what tags do
LONGEST_TAG = 16  # bytes of a name; no known one is longer


class KnownWords(NamedTuple):
    """Words in lower case: word k is ``data[ends[k]:ends[k + 1]]``."""

    data: UInt8[np.ndarray, " B"]
    ends: Int64[np.ndarray, " W1"]


class MarkupTables(NamedTuple):
    """The tables that passes read."""

    first_pass: UInt8[np.ndarray, " 256"]  # each byte, controls as blanks
    literal: UInt8[np.ndarray, " 256"]  # each byte as it is written in <nowiki>
    last_pass: UInt8[np.ndarray, " 256"]  # each byte, with literals as markup again; 0 for bytes of which rule 8 replaces runs
    tags: UInt64[np.ndarray, "T 3"]  # names in two halves, and what they do
    names: KnownWords  # of namespaces without prose
    media: KnownWords  # how files end
    schemes: KnownWords  # how URLs begin
    entities: UInt64[np.ndarray, " E"]  # a pair table of the bytes of names and their code points


def namespace_names(namespaces: Mapping[int, str]) -> frozenset[bytes]:
    """The names of the namespaces whose links are not prose, as the rules compare them: the wiki's own in any case, and the common ones."""
    names = {name for number, known in NO_PROSE.items() for name in (*known, namespaces.get(number, ""))}
    forms = {form for name in names for form in (name, name.lower(), name.upper(), name.capitalize())}
    return frozenset(form.replace("_", " ").strip(" ").encode().lower() for form in forms) - {b""}


@cache
def make_tables(names: frozenset[bytes]) -> MarkupTables:
    """Tables for a wiki with these names of namespaces without prose."""
    first_pass, literal, last_pass = (np.arange(256, dtype=np.uint8) for _ in range(3))
    first_pass[[*range(10), *range(11, 32), 127]] = BLANK
    for i, sign in enumerate(reference.MARKUP, reference.FIRST_LITERAL):
        literal[sign], last_pass[i] = i, sign
    last_pass[[BLANK, NEWLINE, GAP, JOIN, ZERO]] = 0
    words = _words(sorted(names)), _words(reference.MEDIA), _words(reference.EXTERNAL)
    return MarkupTables(first_pass, literal, last_pass, _tags(), *words, _entities())


def _tags() -> UInt64[np.ndarray, "T 3"]:
    kinds = dict.fromkeys(reference.DROPPED, DROPPED) | dict.fromkeys(reference.BREAKS, BREAKING) | {"nowiki": NOWIKI}
    packed = [(int.from_bytes(name.encode(), "little"), kind) for name, kind in kinds.items()]
    return np.array([(name & (1 << 64) - 1, name >> 64, kind) for name, kind in packed], np.uint64)


def _words(words: Sequence[bytes]) -> KnownWords:
    return KnownWords(np.frombuffer(b"".join(words), np.uint8).copy(), np.cumsum([0, *map(len, words)], dtype=np.int64))


def _entities() -> UInt64[np.ndarray, " E"]:
    keys = np.array([int.from_bytes(name, "little") for name in reference.ENTITIES], np.uint64)
    entities = make_pair_table(len(keys))
    put_pairs(entities, keys, np.array(list(reference.ENTITIES.values()), np.uint64))
    return entities


@compiled
def find_tag(source: UInt8[np.ndarray, " B"], name: np.uint64, name_end: np.uint64, tags: UInt64[np.ndarray, "T 3"]) -> np.uint64:
    """The number of the known tag with this name; ``len(tags)`` if it is unknown."""
    if name_end - name > u64(LONGEST_TAG):
        return u64(len(tags))
    low = high = ZERO
    for k in range(name_end - name):
        byte = lower(u64(source[name + k]))
        if k < u64(8):
            low |= byte << (k * u64(8))
        else:
            high |= byte << ((k - u64(8)) * u64(8))
    for tag in range(u64(len(tags))):
        if tags[tag, ZERO] == low and tags[tag, ONE] == high:
            return u64(tag)
    return u64(len(tags))


@compiled
def is_word_at(source: UInt8[np.ndarray, " B"], i: np.uint64, words: KnownWords, word: np.uint64) -> bool:
    """Whether this word is at ``i`` in the source, where ``_`` counts as a blank."""
    start, k = u64(words.ends[word]), ZERO
    length = u64(words.ends[word + ONE]) - start
    while k < length:
        byte = lower(u64(source[i + k]))
        if (BLANK if byte == UNDERSCORE else byte) != u64(words.data[start + k]):
            return False
        k += ONE
    return True
