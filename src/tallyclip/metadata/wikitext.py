"""The prose of pages of wikitext, compiled: rule by rule what ``wikitext_reference.py`` says, at some 250 MB/s.

Each rule is one pass over a page, from one buffer to another, that looks for its own signs 64 bytes at a time and copies what is between
them. What is to go is taken back: a template is written like any text until it is seen to end. So nothing is looked at twice, and
nothing is recursive. A zero byte, which the first pass leaves nowhere else, stands behind every text, so that no look-ahead needs to ask
where the end is.

Over 300 lines, because the passes are read beside each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from tallyclip.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.machine import byte_mask, trailing_zeros
from tallyclip.metadata import wikitext_reference as rules
from tallyclip.strings import Strings

STEP = 64
PAD = 2 * STEP
DROPPED, BREAKING, NOWIKI = u64(1), u64(2), u64(3)
NAME_BYTES = 16  # of a tag; no known one is longer
ENTITY_BITS = 10
SPREAD = u64(0x9E3779B97F4A7C15)
NO_PROSE = {6: ("File", "Image"), 14: ("Category",), -2: ("Media",)}  # namespaces by number, with names that every wiki knows
GAP, JOIN, BREAK = u64(rules.GAP[0]), u64(rules.JOIN[0]), u64(rules.BREAK[0])
TWO, THREE = u64(2), u64(3)
NEWLINE, BLANK, EXCLAMATION, HASH, AMPERSAND, APOSTROPHE = (u64(ord(sign)) for sign in "\n !#&'")
OPENING, CLOSING, STAR, COMMA, HYPHEN, STOP, SLASH = (u64(ord(sign)) for sign in "()*,-./")
COLON, SEMICOLON, LESS, EQUALS, MORE, QUESTION = (u64(ord(sign)) for sign in ":;<=>?")
BRACKET, BRACKET_END, UNDERSCORE, BRACE, PIPE, BRACE_END = (u64(ord(sign)) for sign in "[]_{|}")
MOST_BRACES, MOST_LINKS = u64(rules.OPEN_BRACES), u64(rules.OPEN_LINKS)
FRESH = ONE << u64(63)

tag_signs = byte_mask("<\0")
template_signs = byte_mask("{}|\0")
converter_signs = byte_mask("-\0")
link_signs = byte_mask("[\0")
signs_in_link = byte_mask("[]|\n\0")
line_ends = byte_mask("\n\3\0")
line_signs = byte_mask("\n\3'_{}[](&\0")


class Words(NamedTuple):
    """Words in lower case: word k is ``data[ends[k]:ends[k + 1]]``."""

    data: UInt8[np.ndarray, " B"]
    ends: Int64[np.ndarray, " W1"]


class Tables(NamedTuple):
    """What the passes look up."""

    first_pass: UInt8[np.ndarray, " 256"]  # each byte, controls as blanks
    literal: UInt8[np.ndarray, " 256"]  # each byte as it is in <nowiki>
    last_pass: UInt8[np.ndarray, " 256"]  # each byte, literals as markup again; 0 where a run may begin
    tags: UInt64[np.ndarray, "T 3"]  # names in two halves, and what they do
    names: Words  # of namespaces without prose
    media: Words  # how files end
    schemes: Words  # how addresses begin
    entities: UInt64[np.ndarray, "1024 2"]  # names and code points


class Scratch(NamedTuple):
    """Working memory for texts of up to B bytes."""

    one: UInt8[np.ndarray, " B"]
    other: UInt8[np.ndarray, " B"]
    missing: UInt8[np.ndarray, " T"]  # which tags have no end any more
    braces: UInt64[np.ndarray, "4096 2"]  # open templates and tables: where, how many braces (0: a table) and FRESH
    links: UInt64[np.ndarray, "8 5"]  # open links: where, at a line's beginning, first and last pipe, single brackets


class Stripper:
    """Takes the markup off pages of one wiki."""

    def __init__(self, namespaces: Mapping[int, str]) -> None:
        """
        Args:
            namespaces: the wiki's names for its namespaces, by number.
        """
        self.names = namespace_names(namespaces)
        self._tables = _make_tables(self.names)
        self._scratch = _make_scratch(1 << 20)

    def strip(self, texts: Strings) -> Strings:
        """The prose of each page."""
        longest = int(np.diff(texts.offsets).max(initial=0))
        if longest + PAD > len(self._scratch.one):
            self._scratch = _make_scratch(longest)
        out = np.empty(int(texts.offsets[-1] - texts.offsets[0]), np.uint8)
        offsets = np.zeros_like(texts.offsets)
        _strip(texts.data, texts.offsets, self._tables, self._scratch, out, offsets)
        return Strings(out[: offsets[-1]], offsets, texts.valid)


def namespace_names(namespaces: Mapping[int, str]) -> frozenset[bytes]:
    """The names of the namespaces whose links are no prose, as the rules compare them: a wiki's own in any case, and the common ones."""
    names = {name for number, known in NO_PROSE.items() for name in (*known, namespaces.get(number, ""))}
    forms = {form for name in names for form in (name, name.lower(), name.upper(), name.capitalize())}
    return frozenset(form.replace("_", " ").strip(" ").encode().lower() for form in forms) - {b""}


@cache
def _make_tables(names: frozenset[bytes]) -> Tables:
    first_pass, literal, last_pass = (np.arange(256, dtype=np.uint8) for _ in range(3))
    first_pass[[*range(10), *range(11, 32), 127]] = BLANK
    for i, sign in enumerate(rules.MARKUP, rules.FIRST_LITERAL):
        literal[sign], last_pass[i] = i, sign
    last_pass[[BLANK, NEWLINE, GAP, JOIN, ZERO]] = 0
    kinds = dict.fromkeys(rules.DROPPED, DROPPED) | dict.fromkeys(rules.BREAKS, BREAKING) | {"nowiki": NOWIKI}
    packed = [(int.from_bytes(name.encode(), "little"), kind) for name, kind in kinds.items()]
    tags = np.array([(name & (1 << 64) - 1, name >> 64, kind) for name, kind in packed], np.uint64)
    entities = np.zeros((1 << ENTITY_BITS, 2), np.uint64)
    for name, code in rules.ENTITIES.items():
        key = int.from_bytes(name, "little")
        slot = (key * int(SPREAD) & (1 << 64) - 1) >> (64 - ENTITY_BITS)
        while entities[slot, 0]:
            slot = (slot + 1) % len(entities)
        entities[slot] = key, code
    known = _words(sorted(names)), _words(rules.MEDIA), _words(rules.EXTERNAL)
    return Tables(first_pass, literal, last_pass, tags, *known, entities)


def _words(words: Sequence[bytes]) -> Words:
    return Words(np.frombuffer(b"".join(words), np.uint8).copy(), np.cumsum([0, *map(len, words)], dtype=np.int64))


def _make_scratch(longest: int) -> Scratch:
    one, other = np.zeros(longest + PAD, np.uint8), np.zeros(longest + PAD, np.uint8)
    tags = len(rules.DROPPED) + len(rules.BREAKS) + 1
    return Scratch(
        one,
        other,
        np.zeros(tags, np.uint8),
        np.zeros((rules.OPEN_BRACES, 2), np.uint64),
        np.zeros((rules.OPEN_LINKS, 5), np.uint64),
    )


@compiled
def _strip(
    data: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    tables: Tables,
    scratch: Scratch,
    out: UInt8[np.ndarray, " C"],
    out_offsets: Int64[np.ndarray, " N1"],
) -> None:
    at = ZERO
    one, other = scratch.one, scratch.other
    for text in range(u64(len(offsets)) - ONE):
        size = _without_controls(data, u64(offsets[text]), u64(offsets[text + ONE]), tables, one)
        size = _without_tags(one, size, tables, scratch.missing, other)
        size = _without_templates(other, size, scratch.braces, one)
        size = _converted(one, size, other)
        size = _without_links(other, size, tables, scratch.links, one)
        size = _without_addresses(one, size, tables, other)
        size = _without_line_markup(other, size, tables, one)
        at = _spaced(one, size, tables, out, at)
        out_offsets[text + ONE] = np.int64(at)


@inlined
def _copy_step(source: UInt8[np.ndarray, " B"], i: np.uint64, target: UInt8[np.ndarray, " B"], o: np.uint64) -> None:
    """Copy 64 bytes, of which the first that are no signs are wanted; the others will be written over."""
    for k in range(u64(STEP)):
        target[o + k] = source[i + k]


@inlined
def _copy(source: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, target: UInt8[np.ndarray, " B"], o: np.uint64) -> np.uint64:
    """Copy from ``start`` to ``end``; returns where to write next."""
    for k in range(end - start):
        target[o + k] = source[start + k]
    return o + end - start


@inlined
def _end(target: UInt8[np.ndarray, " B"], o: np.uint64) -> np.uint64:
    """Put the zeros that every pass ends at behind its text."""
    for k in range(u64(STEP)):
        target[o + k] = np.uint8(0)
    return o


@inlined
def _lower(byte: np.uint64) -> np.uint64:
    return byte | u64(0x20) if u64(0x41) <= byte <= u64(0x5A) else byte


@inlined
def _is_letter(byte: np.uint64) -> np.bool_:
    return u64(0x61) <= byte | u64(0x20) <= u64(0x7A)


@inlined
def _is_digit(byte: np.uint64) -> np.bool_:
    return u64(0x30) <= byte <= u64(0x39)


@inlined
def _is_narrow(byte: np.uint64) -> bool:
    return byte in (BLANK, GAP)


@inlined
def _run_end(source: UInt8[np.ndarray, " B"], i: np.uint64, sign: np.uint64) -> np.uint64:
    while u64(source[i]) == sign:
        i += ONE
    return i


@compiled
def _is_word_at(source: UInt8[np.ndarray, " B"], i: np.uint64, words: Words, word: np.uint64) -> bool:
    """Does the source go on with this word, ``_`` being a blank?"""
    start, k = u64(words.ends[word]), ZERO
    length = u64(words.ends[word + ONE]) - start
    while k < length:
        byte = _lower(u64(source[i + k]))
        if (BLANK if byte == UNDERSCORE else byte) != u64(words.data[start + k]):
            return False
        k += ONE
    return True


@compiled
def _without_controls(
    data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: Tables, target: UInt8[np.ndarray, " C"]
) -> np.uint64:
    table = tables.first_pass
    o, i = ZERO, start
    while i < end:
        byte = u64(data[i])
        if byte == u64(0xC2) and i + ONE < end and u64(data[i + ONE]) == u64(0xA0):
            byte = BLANK
            i += ONE
        target[o] = table[byte]
        o += ONE
        i += ONE
    return _end(target, o)


@compiled
def _without_tags(
    source: UInt8[np.ndarray, " B"], size: np.uint64, tables: Tables, missing: UInt8[np.ndarray, " T"], target: UInt8[np.ndarray, " B"]
) -> np.uint64:
    literal, tags = tables.literal, tables.tags
    for k in range(u64(len(missing))):
        missing[k] = np.uint8(0)
    i = o = ZERO
    while True:
        _copy_step(source, i, target, o)
        step = trailing_zeros(tag_signs(source, i))
        i += step
        o += step
        if step == u64(STEP):
            continue
        if i >= size:
            return _end(target, o)
        if u64(source[i + ONE]) == EXCLAMATION and u64(source[i + TWO]) == HYPHEN and u64(source[i + THREE]) == HYPHEN:
            i = _comment_end(source, i + u64(4), size)
            continue
        is_closing = u64(source[i + ONE]) == SLASH
        name = i + (TWO if is_closing else ONE)
        name_end = name
        if _is_letter(u64(source[name])):
            while _is_letter(u64(source[name_end])) or _is_digit(u64(source[name_end])):
                name_end += ONE
        byte = u64(source[name_end])
        tag_end = name_end
        if name_end > name and byte in (BLANK, NEWLINE, SLASH, MORE):
            while u64(source[tag_end]) != ZERO and u64(source[tag_end]) != LESS and u64(source[tag_end]) != MORE:
                tag_end += ONE
        if u64(source[tag_end]) != MORE or tag_end == name:
            target[o] = np.uint8(LESS)
            i += ONE
            o += ONE
            continue
        tag = _find_tag(source, name, name_end, tags)
        i = tag_end + ONE
        if tag == u64(len(tags)):
            continue
        kind = tags[tag, TWO]
        closing = size
        if kind != BREAKING and not is_closing and u64(source[tag_end - ONE]) != SLASH and missing[tag] == 0:
            closing = _find_closing(source, i, size, name, name_end)
            missing[tag] = np.uint8(closing == size)
        if kind == BREAKING:
            target[o] = np.uint8(BREAK)
        elif kind == DROPPED:
            target[o] = np.uint8(GAP)
        else:
            target[o] = np.uint8(JOIN)
        o += ONE
        if closing == size:
            continue
        if kind == NOWIKI:
            for k in range(i, closing):
                target[o] = literal[source[k]]
                o += ONE
            target[o] = np.uint8(JOIN)
            o += ONE
        i = closing
        while u64(source[i]) != MORE:
            i += ONE
        i += ONE


@compiled
def _comment_end(source: UInt8[np.ndarray, " B"], i: np.uint64, size: np.uint64) -> np.uint64:
    while i < size:
        if u64(source[i]) == HYPHEN and u64(source[i + ONE]) == HYPHEN and u64(source[i + TWO]) == MORE:
            return i + THREE
        i += ONE
    return size


@compiled
def _find_tag(source: UInt8[np.ndarray, " B"], name: np.uint64, name_end: np.uint64, tags: UInt64[np.ndarray, "T 3"]) -> np.uint64:
    """The known tag of this name; the number of them if it is unknown."""
    if name_end - name > u64(NAME_BYTES):
        return u64(len(tags))
    low = high = ZERO
    for k in range(name_end - name):
        byte = _lower(u64(source[name + k]))
        if k < u64(8):
            low |= byte << (k * u64(8))
        else:
            high |= byte << ((k - u64(8)) * u64(8))
    for tag in range(u64(len(tags))):
        if tags[tag, ZERO] == low and tags[tag, ONE] == high:
            return u64(tag)
    return u64(len(tags))


@compiled
def _find_closing(source: UInt8[np.ndarray, " B"], i: np.uint64, size: np.uint64, name: np.uint64, name_end: np.uint64) -> np.uint64:
    """Where the next closing tag of this name begins; the size if there is none."""
    while True:
        step = trailing_zeros(tag_signs(source, i))
        i += step
        if step == u64(STEP):
            continue
        if i >= size:
            return size
        if u64(source[i + ONE]) == SLASH:
            k = ZERO
            while k < name_end - name and _lower(u64(source[i + TWO + k])) == _lower(u64(source[name + k])):
                k += ONE
            if k == name_end - name:
                k += i + TWO
                while u64(source[k]) == BLANK or u64(source[k]) == NEWLINE:
                    k += ONE
                if u64(source[k]) == MORE:
                    return i
        i += ONE


@inlined
def _is_fresh(target: UInt8[np.ndarray, " B"], known: np.uint64, o: np.uint64, fresh: bool, markers: bool) -> bool:
    """Are there only blanks and GAPs, or list markers too, in the line that ends at ``o``, if that is known up to ``known``?"""
    while o > known:
        o -= ONE
        byte = u64(target[o])
        if byte in (NEWLINE, BREAK):
            return True
        if not _is_narrow(byte) and not (markers and byte in (COLON, SEMICOLON, STAR, HASH)):
            return False
    return fresh


@compiled
def _without_templates(
    source: UInt8[np.ndarray, " B"], size: np.uint64, stack: UInt64[np.ndarray, "4096 2"], target: UInt8[np.ndarray, " B"]
) -> np.uint64:
    i = o = known = bottom = top = tables = ZERO  # the stack is a ring; ``tables`` of what is open are tables
    fresh = True
    while True:
        _copy_step(source, i, target, o)
        step = trailing_zeros(template_signs(source, i))
        i += step
        o += step
        if step == u64(STEP):
            continue
        if i >= size:
            return _end(target, o)
        sign = u64(source[i])
        if sign == PIPE and u64(source[i + ONE]) != BRACE_END:
            target[o] = np.uint8(sign)
            i += ONE
            o += ONE
            continue
        run = i + (ONE if sign == PIPE else ZERO)
        end = _run_end(source, run, u64(source[run]))
        count = end - run
        if sign == BRACE:
            is_table = count == ONE and u64(source[end]) == PIPE
            fresh = _is_fresh(target, known, o, fresh, True)
            known = o
            if count > ONE or (is_table and fresh):
                if top - bottom == MOST_BRACES:
                    tables -= u64(stack[bottom % MOST_BRACES, ONE] & ~FRESH == ZERO)
                    bottom += ONE
                stack[top % MOST_BRACES, ZERO] = o
                stack[top % MOST_BRACES, ONE] = (ZERO if is_table else count) | (FRESH if fresh else ZERO)
                top += ONE
                tables += u64(is_table)
            if is_table:
                end += ONE
            o = _copy(source, i, end, target, o)
            i = end
            continue
        i = end
        if sign == PIPE:
            fresh = _is_fresh(target, known, o, fresh, True)
            known = o
            if fresh and count & ONE and tables > ZERO:
                while stack[(top - ONE) % MOST_BRACES, ONE] & ~FRESH:
                    top -= ONE
                top -= ONE
                tables -= ONE
                o = known = stack[top % MOST_BRACES, ZERO]
                fresh = (stack[top % MOST_BRACES, ONE] & FRESH) != ZERO
                target[o] = np.uint8(GAP)
                o += ONE
                count -= ONE
            else:
                target[o] = np.uint8(PIPE)
                o += ONE
        while count > ONE and top - bottom > tables:
            while stack[(top - ONE) % MOST_BRACES, ONE] & ~FRESH == ZERO:
                top -= ONE
                tables -= ONE
            last = (top - ONE) % MOST_BRACES
            open_braces = stack[last, ONE] & ~FRESH
            closed = THREE if open_braces > TWO and count > TWO else TWO
            count -= closed
            open_braces -= closed
            stack[last, ONE] = (stack[last, ONE] & FRESH) | open_braces
            o = known = stack[last, ZERO] + open_braces
            fresh = open_braces == ZERO and (stack[last, ONE] & FRESH) != ZERO
            target[o] = np.uint8(GAP)
            o += ONE
            if open_braces < TWO:
                top -= ONE
        for _ in range(count):
            target[o] = np.uint8(BRACE_END)
            o += ONE


@compiled
def _converted(source: UInt8[np.ndarray, " B"], size: np.uint64, target: UInt8[np.ndarray, " B"]) -> np.uint64:
    i = o = ZERO
    while True:
        _copy_step(source, i, target, o)
        step = trailing_zeros(converter_signs(source, i))
        i += step
        o += step
        if step == u64(STEP):
            continue
        if i >= size:
            return _end(target, o)
        start = end = i + TWO
        if u64(source[i + ONE]) == BRACE:
            byte = u64(source[end])
            while byte != ZERO and byte != NEWLINE and byte != BRACE and byte != BRACE_END:
                end += ONE
                byte = u64(source[end])
        if u64(source[i + ONE]) != BRACE or u64(source[end]) != BRACE_END or u64(source[end + ONE]) != HYPHEN:
            target[o] = np.uint8(HYPHEN)
            i += ONE
            o += ONE
            continue
        i = end + TWO
        flags_end = start
        byte = u64(source[flags_end])
        is_hidden = False
        signs = hyphens = ZERO
        while _is_letter(byte) or byte in (SEMICOLON, BLANK, HYPHEN):
            is_hidden |= byte == u64(0x54) or byte == u64(0x48)
            signs += u64(byte != BLANK)
            hyphens += u64(byte == HYPHEN)
            flags_end += ONE
            byte = u64(source[flags_end])
        if byte == PIPE:
            if is_hidden or (signs == ONE and hyphens == ONE):
                target[o] = np.uint8(GAP)
                o += ONE
                continue
            start = flags_end + ONE
        variant = _variant(source, start)
        if variant > start:
            start = variant
            variant_end = start
            while variant_end < end and u64(source[variant_end]) != SEMICOLON:
                variant_end += ONE
            end = variant_end
            while start < end and u64(source[start]) == BLANK:
                start += ONE
            while start < end and u64(source[end - ONE]) == BLANK:
                end -= ONE
        o = _copy(source, start, end, target, o)


@compiled
def _variant(source: UInt8[np.ndarray, " B"], start: np.uint64) -> np.uint64:
    """What stands behind the code and colon that a variant begins with; ``start`` if it begins with none."""
    i = _run_end(source, start, BLANK)
    code = i
    while u64(0x61) <= u64(source[i]) <= u64(0x7A):
        i += ONE
    letters = i - code
    if u64(source[i]) == HYPHEN and letters in (TWO, THREE):
        more = i + ONE
        while u64(0x61) <= u64(source[more]) <= u64(0x7A) or u64(source[more]) == HYPHEN:
            more += ONE
        if more == i + ONE:
            return start
        i = more
    elif letters != TWO or u64(source[code]) != u64(0x7A) or u64(source[code + ONE]) != u64(0x68):
        return start
    i = _run_end(source, i, BLANK)
    return i + ONE if u64(source[i]) == COLON else start


@compiled
def _without_links(
    source: UInt8[np.ndarray, " B"], size: np.uint64, tables: Tables, stack: UInt64[np.ndarray, "8 5"], target: UInt8[np.ndarray, " B"]
) -> np.uint64:
    i = o = known = bottom = top = ZERO
    fresh = True
    while True:
        _copy_step(source, i, target, o)
        step = trailing_zeros(signs_in_link(source, i) if top > bottom else link_signs(source, i))
        i += step
        o += step
        if step == u64(STEP):
            continue
        if i >= size:
            return _end(target, o)
        sign, following = u64(source[i]), u64(source[i + ONE])
        last = (top - ONE) % MOST_LINKS
        if sign == BRACKET_END and following == BRACKET_END and not (stack[last, u64(4)] > ZERO and u64(source[i + TWO]) == BRACKET_END):
            top -= ONE
            i += TWO
            place, first, pipe = stack[last, ZERO], stack[last, TWO], stack[last, THREE]
            known = place
            fresh = stack[last, ONE] > ZERO
            target_end = first if first > ZERO else o
            start, end = place + TWO, target_end
            if _is_no_prose(target, start, target_end, tables, fresh and _is_alone(source, i)):
                target[place] = np.uint8(GAP)
                o = place + ONE
                continue
            label = pipe + ONE
            while label < o and _is_narrow(u64(target[label])):
                label += ONE
            if first > ZERO and label < o:
                start, end = pipe + ONE, o
            else:
                while start < end and u64(target[start]) == BLANK:
                    start += ONE
                if start < end and u64(target[start]) == COLON:
                    start += ONE
            o = _copy(target, start, end, target, place)
            continue
        if sign == BRACKET and following == BRACKET:
            fresh = _is_fresh(target, known, o, fresh, False)
            known = o
            if top - bottom == MOST_LINKS:
                bottom += ONE
            last = top % MOST_LINKS
            stack[last, ZERO] = o
            stack[last, ONE] = u64(fresh)
            stack[last, TWO] = stack[last, THREE] = stack[last, u64(4)] = ZERO
            top += ONE
            target[o] = np.uint8(BRACKET)
            o += ONE
            i += ONE
        elif top > bottom:
            if sign == PIPE:
                if stack[last, TWO] == ZERO:
                    stack[last, TWO] = o
                stack[last, THREE] = o
            elif sign == BRACKET:
                stack[last, u64(4)] += ONE
            elif sign == BRACKET_END:
                stack[last, u64(4)] -= u64(stack[last, u64(4)] > ZERO)
            elif following == NEWLINE:
                bottom = top
        target[o] = np.uint8(sign)
        o += ONE
        i += ONE


@inlined
def _is_alone(source: UInt8[np.ndarray, " B"], i: np.uint64) -> bool:
    """Is there nothing more in the line than links that may be alone too?"""
    while _is_narrow(u64(source[i])):
        i += ONE
    byte = u64(source[i])
    return byte in (ZERO, NEWLINE, BREAK) or (byte == BRACKET and u64(source[i + ONE]) == BRACKET)


@compiled
def _is_no_prose(text: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: Tables, alone: bool) -> bool:
    """Is the target of a link a file, a category or the like?"""
    while start < end and (u64(text[start]) == BLANK or u64(text[start]) == UNDERSCORE):
        start += ONE
    colon = start
    while colon < end and u64(text[colon]) != COLON:
        colon += ONE
    if colon in (start, end):
        return False
    if alone and colon + ONE < end and u64(text[colon + ONE]) != BLANK:
        return True
    name_end = colon
    while u64(text[name_end - ONE]) == BLANK or u64(text[name_end - ONE]) == UNDERSCORE:
        name_end -= ONE
    names, media = tables.names, tables.media
    for word in range(u64(len(names.ends)) - ONE):
        length = u64(names.ends[word + ONE] - names.ends[word])
        if length == name_end - start and _is_word_at(text, start, names, u64(word)):
            return True
    while u64(text[end - ONE]) == BLANK:
        end -= ONE
    for word in range(u64(len(media.ends)) - ONE):
        length = u64(media.ends[word + ONE] - media.ends[word])
        if length < end - colon and _is_word_at(text, end - length, media, u64(word)):
            return True
    return False


@compiled
def _without_addresses(source: UInt8[np.ndarray, " B"], size: np.uint64, tables: Tables, target: UInt8[np.ndarray, " B"]) -> np.uint64:
    i = o = unclosed = ZERO  # ``unclosed``: up to there it is known that there is no bracket's end
    while True:
        _copy_step(source, i, target, o)
        step = trailing_zeros(link_signs(source, i))
        i += step
        o += step
        if step == u64(STEP):
            continue
        if i >= size:
            return _end(target, o)
        is_address = False
        for word in range(u64(len(tables.schemes.ends)) - ONE):
            is_address |= _is_word_at(source, i + ONE, tables.schemes, u64(word))
        end = i
        if is_address and i >= unclosed:
            while u64(source[end]) != BRACKET_END and u64(source[end]) != NEWLINE and end < size:
                end += ONE
            if u64(source[end]) != BRACKET_END:
                unclosed = end
        if u64(source[end]) != BRACKET_END:
            target[o] = np.uint8(BRACKET)
            i += ONE
            o += ONE
            continue
        start, i = i, end + ONE
        while start < end and u64(source[start]) != BLANK:
            start += ONE
        while start < end and _is_narrow(u64(source[start])):
            start += ONE
        while start < end and _is_narrow(u64(source[end - ONE])):
            end -= ONE
        if start == end:
            target[o] = np.uint8(GAP)
            o += ONE
        else:
            o = _copy(source, start, end, target, o)


@compiled
def _without_line_markup(source: UInt8[np.ndarray, " B"], size: np.uint64, tables: Tables, target: UInt8[np.ndarray, " B"]) -> np.uint64:
    i = o = ZERO
    while True:
        line_end = i
        step = u64(STEP)
        while step == u64(STEP):
            step = trailing_zeros(line_ends(source, line_end))
            line_end += step
        end = line_end
        byte = u64(source[i])
        while i < end and (_is_narrow(byte) or byte in (COLON, SEMICOLON, STAR, HASH)):
            i += ONE
            byte = u64(source[i])
        while i < end and _is_narrow(u64(source[end - ONE])):
            end -= ONE
        if i < end:
            following = u64(source[i + ONE]) if i + ONE < end else ZERO
            if (byte == BRACE and following == PIPE) or (byte == PIPE and following == HYPHEN):
                i = end
            elif byte == PIPE and following == BRACE_END:
                i += TWO
            elif byte == EQUALS and u64(source[end - ONE]) == EQUALS:
                while i < end and u64(source[i]) == EQUALS:
                    i += ONE
                while i < end and u64(source[end - ONE]) == EQUALS:
                    end -= ONE
            elif byte == HYPHEN:
                rule_end = min(end, _run_end(source, i, HYPHEN))
                if rule_end - i > THREE:
                    i = rule_end
        o = _line(source, i, end, tables, target, o)
        i = line_end + ONE
        if i > size:
            return _end(target, o)
        target[o] = np.uint8(NEWLINE)
        o += ONE


@compiled
def _line(
    source: UInt8[np.ndarray, " B"], i: np.uint64, end: np.uint64, tables: Tables, target: UInt8[np.ndarray, " B"], o: np.uint64
) -> np.uint64:
    """One line without the markup within it; returns where to write next."""
    while i < end:
        _copy_step(source, i, target, o)
        step = min(trailing_zeros(line_signs(source, i)), end - i)
        i += step
        o += step
        if step == u64(STEP) or i == end:
            continue
        sign = u64(source[i])
        written = ONE
        found = ZERO  # of the bytes from here on, this many become ``written`` others
        if sign == AMPERSAND:
            found, written = _entity(source, i, end, tables, target, o)
        elif sign == UNDERSCORE:
            found = _magic_word(source, i, end)
        elif sign == OPENING:
            found, sign = _emptied_parentheses(source, i, end)
        else:
            count = min(end, _run_end(source, i, sign)) - i
            if count > ONE:
                found = count
                if sign == APOSTROPHE:
                    written = ONE if count == u64(4) else count - u64(5) if count > u64(5) else ZERO
        if found == ZERO:
            target[o] = np.uint8(sign)
            found = written = ONE
        elif sign == APOSTROPHE:
            for k in range(written):
                target[o + k] = np.uint8(APOSTROPHE)
        elif sign != AMPERSAND:
            target[o] = np.uint8(OPENING if sign == OPENING else GAP)
        i += found
        o += written
    return o


@compiled
def _magic_word(source: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64) -> np.uint64:
    """The length of a word like __TOC__ that begins here, or 0."""
    if end - start < u64(5) or u64(source[start + ONE]) != UNDERSCORE:
        return ZERO
    i = start + TWO
    while True:
        part = i
        while i < end and (u64(0x41) <= u64(source[i]) <= u64(0x5A) or u64(source[i]) >= u64(0x80)):
            i += ONE
        if i == part or i >= end or u64(source[i]) != UNDERSCORE:
            return ZERO
        i += ONE
        if i < end and u64(source[i]) == UNDERSCORE:
            return i + ONE - start


@compiled
def _emptied_parentheses(source: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64) -> tuple[np.uint64, np.uint64]:
    """How much behind a parenthesis goes if a GAP is in it and no word, or 0; and what stays: the parenthesis, or a GAP."""
    i = start + ONE
    has_gap = False
    while i < end:
        byte = u64(source[i])
        if not (_is_narrow(byte) or byte in (COMMA, SEMICOLON, COLON, APOSTROPHE)):
            break
        has_gap |= byte == GAP
        i += ONE
    if not has_gap:
        return ZERO, OPENING
    if i < end and u64(source[i]) == CLOSING:
        return i + ONE - start, GAP
    return i - start, OPENING


@compiled
def _entity(
    source: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: Tables, target: UInt8[np.ndarray, " B"], o: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Write the character that an entity stands for; returns the lengths of both, or zeros if none begins here."""
    i = start + ONE
    code = ZERO
    if u64(source[i]) == HASH:
        i += ONE
        is_hex = _lower(u64(source[i])) == u64(0x78)
        i += u64(is_hex)
        first = i
        while i < end and i - first < u64(7):
            digit = _lower(u64(source[i]))
            if _is_digit(digit):
                digit -= u64(0x30)
            elif is_hex and u64(0x61) <= digit <= u64(0x66):
                digit -= u64(0x57)
            else:
                break
            code = code * (u64(16) if is_hex else u64(10)) + digit
            i += ONE
        if is_hex and i - first > u64(6):
            return ZERO, ZERO
    else:
        first = i
        key = ZERO
        while i < end and i - first < u64(8) and (_is_letter(u64(source[i])) or _is_digit(u64(source[i]))):
            key |= u64(source[i]) << ((i - first) * u64(8))
            i += ONE
        code = _entity_code(key, tables.entities)
    if i >= end or u64(source[i]) != SEMICOLON:
        return ZERO, ZERO
    length = i + ONE - start
    if code == u64(9) or code == u64(10) or code == u64(13) or code == u64(0xA0):
        target[o] = np.uint8(BLANK)
        return length, ONE
    if code < u64(0x20) or u64(0x7F) <= code < u64(0xA0) or u64(0xD800) <= code < u64(0xE000) or code > u64(0x10FFFF):
        return ZERO, ZERO
    if code == u64(0xFFFE) or code == u64(0xFFFF):
        return ZERO, ZERO
    if code < u64(0x80):
        target[o] = np.uint8(code)
        return length, ONE
    more = ONE if code < u64(0x800) else TWO if code < u64(0x10000) else THREE
    lead = u64(0xC0) if more == ONE else u64(0xE0) if more == TWO else u64(0xF0)
    target[o] = np.uint8(lead | (code >> (more * u64(6))))
    for k in range(more):
        target[o + ONE + k] = np.uint8(u64(0x80) | ((code >> ((more - ONE - k) * u64(6))) & u64(0x3F)))
    return length, more + ONE


@inlined
def _entity_code(key: np.uint64, entities: UInt64[np.ndarray, "1024 2"]) -> np.uint64:
    slot = (key * SPREAD) >> u64(64 - ENTITY_BITS)
    while entities[slot, ZERO] != ZERO:
        if entities[slot, ZERO] == key:
            return entities[slot, ONE]
        slot = (slot + ONE) % u64(1 << ENTITY_BITS)
    return ZERO


@compiled
def _spaced(source: UInt8[np.ndarray, " B"], size: np.uint64, tables: Tables, out: UInt8[np.ndarray, " C"], o: np.uint64) -> np.uint64:
    table = tables.last_pass
    start = o
    i = ZERO
    while i < size:
        byte = table[source[i]]
        if byte != 0:
            out[o] = byte
            o += ONE
            i += ONE
            continue
        breaks = blanks = gaps = ZERO
        while i < size and table[source[i]] == 0:
            byte = u64(source[i])
            breaks += u64(byte == NEWLINE)
            blanks += u64(byte == BLANK)
            gaps += u64(byte == GAP)
            i += ONE
        if i >= size or o == start:
            continue
        if breaks > ZERO:
            out[o] = np.uint8(NEWLINE)
            o += ONE
            if breaks > ONE:
                out[o] = np.uint8(NEWLINE)
                o += ONE
        elif gaps == ZERO:
            if blanks > ZERO:
                out[o] = np.uint8(BLANK)
                o += ONE
        elif _wants_blank(out, start, o, u64(table[source[i]]), u64(source[i + ONE]), blanks > ZERO):
            out[o] = np.uint8(BLANK)
            o += ONE
    return o


@inlined
def _wants_blank(
    out: UInt8[np.ndarray, " C"], start: np.uint64, o: np.uint64, right: np.uint64, following: np.uint64, has_blank: np.bool_
) -> bool | np.bool_:
    """Does a blank stand where something was removed?"""
    if right in (COMMA, STOP, COLON, SEMICOLON, EXCLAMATION, QUESTION, CLOSING):
        return False
    lead = o - ONE
    while lead > start and o - lead < u64(4) and u64(out[lead]) & u64(0xC0) == u64(0x80):
        lead -= ONE
    return has_blank or (_is_word(u64(out[lead]), u64(out[lead + ONE]) if lead + ONE < o else ZERO) and _is_word(right, following))


@inlined
def _is_word(lead: np.uint64, second: np.uint64) -> bool | np.bool_:
    """Does a character of words begin with these bytes? Not those from U+2000 to U+303F and from U+E000 to U+FFFF, mostly punctuation."""
    if lead < u64(0xC3):
        return _is_letter(lead) or _is_digit(lead)
    return not (lead == u64(0xE2) or (lead == u64(0xE3) and second == u64(0x80)) or lead == u64(0xEE) or lead == u64(0xEF))
