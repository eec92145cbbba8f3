"""Rules 5 and 6: links within the wiki, and to other sites."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8, UInt64

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.lists.wikitext import reference
from tallyclip.lists.wikitext.signs import (
    BLANK,
    BRACKET,
    BRACKET_END,
    BREAK,
    COLON,
    GAP,
    NEWLINE,
    PIPE,
    TWO,
    UNDERSCORE,
    copier,
    copy,
    end_text,
    is_fresh,
    is_narrow,
    put,
)
from tallyclip.lists.wikitext.tables import MarkupTables, is_word_at

MOST = u64(reference.OPEN_LINKS)
# The columns of the stack: FIRST and LAST are those of the pipes in the link, 0 if there is none.
PLACE, FRESH, FIRST, LAST, SINGLE = (u64(column) for column in range(5))

copy_to_bracket, copy_to_sign_in_link = copier("["), copier("[]|\n")


@compiled
def without_links(
    source: UInt8[np.ndarray, " B"],
    size: np.uint64,
    tables: MarkupTables,
    stack: UInt64[np.ndarray, "8 5"],
    target: UInt8[np.ndarray, " B"],
) -> np.uint64:
    """Rule 5. Open links are in the stack, a ring, from ``bottom`` to ``top``."""
    i = o = known = bottom = top = ZERO
    fresh = True
    while True:
        if top > bottom:
            i, o = copy_to_sign_in_link(source, i, target, o)
        else:
            i, o = copy_to_bracket(source, i, target, o)
        if i >= size:
            return end_text(target, o)
        sign, following = u64(source[i]), u64(source[i + ONE])
        last = (top - ONE) % MOST
        if sign == BRACKET_END and following == BRACKET_END and not (stack[last, SINGLE] > ZERO and u64(source[i + TWO]) == BRACKET_END):
            top -= ONE
            i += TWO
            known, fresh = stack[last, PLACE], stack[last, FRESH] > ZERO
            first = stack[last, FIRST]
            target_end = first if first > ZERO else o
            if _is_url_at(target, known + TWO, o, tables):
                if top > bottom:
                    parent = (top - ONE) % MOST
                    if stack[parent, FIRST] == ZERO:
                        stack[parent, FIRST] = first
                    stack[parent, LAST] = max(stack[parent, LAST], stack[last, LAST])
                o = put(target, put(target, o, BRACKET_END), BRACKET_END)
                continue
            if _is_without_prose(target, known + TWO, target_end, tables, fresh and _is_alone(source, i)):
                o = put(target, known, GAP)
                continue
            start, end = stack[last, LAST] + ONE, o
            label = start
            while label < o and is_narrow(u64(target[label])):
                label += ONE
            if first == ZERO or label == o:
                start, end = known + TWO, target_end
                while start < end and u64(target[start]) == BLANK:
                    start += ONE
                if start < end and u64(target[start]) == COLON:
                    start += ONE
            o = copy(target, start, end, target, known)
            continue
        if sign == BRACKET and following == BRACKET:
            fresh = is_fresh(target, known, o, fresh, False)
            known = o
            if top - bottom == MOST:
                bottom += ONE
            last = top % MOST
            stack[last, PLACE], stack[last, FRESH] = o, u64(fresh)
            stack[last, FIRST] = stack[last, LAST] = stack[last, SINGLE] = ZERO
            top += ONE
            o = put(target, o, BRACKET)
            i += ONE
        elif top > bottom:
            if sign == PIPE:
                if stack[last, FIRST] == ZERO:
                    stack[last, FIRST] = o
                stack[last, LAST] = o
            elif sign == BRACKET:
                stack[last, SINGLE] += ONE
            elif sign == BRACKET_END:
                stack[last, SINGLE] -= u64(stack[last, SINGLE] > ZERO)
            elif following == NEWLINE:
                bottom = top
        o = put(target, o, sign)
        i += ONE


@inlined
def _is_alone(source: UInt8[np.ndarray, " B"], i: np.uint64) -> bool:
    """Whether the rest of the line is empty, or begins with another link."""
    while is_narrow(u64(source[i])):
        i += ONE
    byte = u64(source[i])
    return byte in (ZERO, NEWLINE, BREAK) or (byte == BRACKET and u64(source[i + ONE]) == BRACKET)


@compiled
def _is_url_at(text: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: MarkupTables) -> bool:
    """Whether there is a URL in the brackets instead of the title of a page."""
    while start < end and u64(text[start]) == BLANK:
        start += ONE
    for word in range(u64(len(tables.schemes.ends)) - ONE):
        more = start + u64(tables.schemes.ends[word + ONE] - tables.schemes.ends[word])
        if more < end and u64(text[more]) not in (BLANK, NEWLINE) and is_word_at(text, start, tables.schemes, u64(word)):
            return True
    return False


@compiled
def _is_without_prose(text: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, tables: MarkupTables, alone: bool) -> bool:
    """Whether the target of a link is a file, a category or another page that is not an article."""
    while start < end and u64(text[start]) in (BLANK, UNDERSCORE):
        start += ONE
    colon = start
    while colon < end and u64(text[colon]) != COLON:
        colon += ONE
    if colon in (start, end):
        return False
    if alone and colon + ONE < end and u64(text[colon + ONE]) != BLANK:
        return True
    name_end = colon
    while u64(text[name_end - ONE]) in (BLANK, UNDERSCORE):
        name_end -= ONE
    names, media = tables.names, tables.media
    for word in range(u64(len(names.ends)) - ONE):
        length = u64(names.ends[word + ONE] - names.ends[word])
        if length == name_end - start and is_word_at(text, start, names, u64(word)):
            return True
    while u64(text[end - ONE]) == BLANK:
        end -= ONE
    for word in range(u64(len(media.ends)) - ONE):
        length = u64(media.ends[word + ONE] - media.ends[word])
        if length < end - colon and is_word_at(text, end - length, media, u64(word)):
            return True
    return False


@compiled
def without_urls(source: UInt8[np.ndarray, " B"], size: np.uint64, tables: MarkupTables, target: UInt8[np.ndarray, " B"]) -> np.uint64:
    """Rule 6. Up to ``unclosed`` it is known that the line has no closing bracket."""
    i = o = unclosed = ZERO
    while True:
        i, o = copy_to_bracket(source, i, target, o)
        if i >= size:
            return end_text(target, o)
        end = i
        if i >= unclosed and _is_scheme_at(source, i + ONE, tables):
            while u64(source[end]) not in (ZERO, NEWLINE, BRACKET_END):
                end += ONE
            if u64(source[end]) != BRACKET_END:
                unclosed = end
        if u64(source[end]) != BRACKET_END:
            o = put(target, o, BRACKET)
            i += ONE
            continue
        start, i = i, end + ONE
        while start < end and u64(source[start]) != BLANK:
            start += ONE
        while start < end and is_narrow(u64(source[start])):
            start += ONE
        while start < end and is_narrow(u64(source[end - ONE])):
            end -= ONE
        o = put(target, o, GAP) if start == end else copy(source, start, end, target, o)


@compiled
def _is_scheme_at(source: UInt8[np.ndarray, " B"], i: np.uint64, tables: MarkupTables) -> bool:
    found = False
    for word in range(u64(len(tables.schemes.ends)) - ONE):
        found |= is_word_at(source, i, tables.schemes, u64(word))
    return found
