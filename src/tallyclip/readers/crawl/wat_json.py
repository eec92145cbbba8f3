"""What a WAT record says of a page and its images, found in the bytes of its JSON: no object is made of the million links of a file.

Only plain JSON is read, as Common Crawl's extractor writes it: no blanks between tokens, each link an object of strings, no wanted name
twice, no escapes in names. Anything else is odd, valid or not, and ``wat.py`` has the record decoded by a library: that is the rule, and
this follows it.

Over 300 lines, because the record and its links are read by the same few steps.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int8, Int64, UInt8, UInt64

from tallyclip.core.compiled import ONE, ZERO, compiled, inlined, u64
from tallyclip.core.machine import byte_mask, load_u64, mask_from, trailing_zeros
from tallyclip.core.utf8 import is_utf8, put_character


def _word(text: str) -> np.uint64:
    """Up to eight ASCII characters as the number that ``load_u64`` gives for them and zeros."""
    return u64(int.from_bytes(text.encode(), "little"))


QUOTE, BACKSLASH, COMMA, COLON, MINUS, LETTER_U = map(_word, '"\\,:-u')
OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT = map(_word, "[]{}")
TWO, THREE, FOUR, EIGHT, BLOCK = map(u64, (2, 3, 4, 8, 64))
LITERALS = tuple((_word(literal), u64(len(literal))) for literal in ("null", "true", "false"))
ESCAPED = tuple(zip(map(_word, '"\\/bfnrt'), map(_word, '"\\/\b\f\n\r\t'), strict=True))  # in escapes of one letter
NO_CHARACTER = u64(1 << 32)
HAS_ESCAPE, IS_WIDE, IS_BROKEN = map(u64, (1, 2, 4))  # what a string may be

# The values of a record that are looked at: each stands in another, under a name.
TOP, ENVELOPE, PAYLOAD, RESPONSE, HTML, LINKS, HEAD, BASE, CONTAINER, FILENAME, OFFSET, NOWHERE = map(u64, range(12))
PLACES = {
    ENVELOPE: (TOP, "Envelope"),
    PAYLOAD: (ENVELOPE, "Payload-Metadata"),
    RESPONSE: (PAYLOAD, "HTTP-Response-Metadata"),
    HTML: (RESPONSE, "HTML-Metadata"),
    LINKS: (HTML, "Links"),
    HEAD: (HTML, "Head"),
    BASE: (HEAD, "Base"),
    CONTAINER: (TOP, "Container"),
    FILENAME: (CONTAINER, "Filename"),
    OFFSET: (CONTAINER, "Offset"),
}
OUTER = tuple(outer for outer, _ in PLACES.values())
NAMES = np.frombuffer("".join(name for _, name in PLACES.values()).encode(), np.uint8)
NAME_OFFSETS = np.cumsum([0, *(len(name) for _, name in PLACES.values())]).astype(np.uint64)
DEEPEST = 32

# The values of a link: those that are wanted, of which the last three are texts in the order of ``FIELDS``, others, and what is odd.
PATH, URL, ALT, TITLE, LONG_TITLE, OTHER, ODD = map(u64, range(7))
WANTED = int(OTHER)
# Frequent names with the signs that follow them: as a word, the bits of that, its bytes, and which value it names.
COMMON_NAMES = tuple(
    (_word(f'{name}":"'), u64((1 << 8 * len(f'{name}":"')) - 1), u64(len(f'{name}":"')), value)
    for name, value in [("path", PATH), ("url", URL), ("text", OTHER), ("alt", ALT), ("title", TITLE), ("rel", OTHER)]
)
LONG_NAME = _word("data-ima"), _word("ge-title")
IMAGE = "IMG@/src"  # the one kind of link with an image's address and texts that Common Crawl's extractor writes
IMAGE_WORD = _word(IMAGE)
LEAST = len('"alt":"x"')  # bytes that a text takes in JSON

# What has been found. After these, two numbers for each value of PLACES: where its text begins and ends, if it is one.
ROWS, CHARACTERS, IMAGES, IS_PAGE, SPANS = range(5)
FOUND = SPANS + 2 * int(NOWHERE)

quote_mask = byte_mask('"')
backslash_mask = byte_mask("\\")
wide_mask = mask_from(0x80)
text_mask = mask_from(0x20)


@compiled
def read_page(
    data: UInt8[np.ndarray, " B"],
    scratch: UInt64[np.ndarray, " S"],
    addresses: UInt8[np.ndarray, " A"],
    address_offsets: Int64[np.ndarray, " R1"],
    texts: UInt8[np.ndarray, " T"],
    text_offsets: Int64[np.ndarray, " R1"],
    fields: Int8[np.ndarray, " R"],
    found: Int64[np.ndarray, " FOUND"],
) -> bool | np.bool_:
    """Read a record, and append the texts of its page's images to columns; False if it is odd.

    Eight arguments: two columns of strings are two arrays each.

    Args:
        data: any bytes.
        scratch: DEEPEST numbers and more.
        addresses: of the image of each text; with room for 3 B bytes more. That of an image without one is empty.
        texts: with room for B bytes more. Empty texts are left out.
        fields: the place of each text in ``FIELDS``; with room for B / LEAST more, as the offsets.
        found: how many texts there are, the characters of these and of their addresses, how many images the page has, whether there is a
            page, and where values are. If the record is odd only the first two of these can be relied on, and they have not changed.
    """
    size = u64(len(data))
    found[IMAGES] = found[IS_PAGE] = 0
    found[SPANS:] = 0
    rows, characters = found[ROWS], found[CHARACTERS]
    place, depth, kinds, seen, node = ZERO, ZERO, ZERO, ZERO, TOP
    while place < size:
        sign, is_opened = u64(data[place]), False
        if node == LINKS:
            place = _read_links(data, place, scratch, addresses, address_offsets, texts, text_offsets, fields, found)
            if place == ZERO:
                break
        elif sign == QUOTE:
            start = place + ONE
            place, signs = _end_of_string(data, start)
            if place >= size or signs & IS_BROKEN:
                break
            if node != NOWHERE:
                if node not in (BASE, FILENAME, OFFSET) or signs & HAS_ESCAPE or (signs & IS_WIDE and not is_utf8(data, start, place)):
                    break
                found[u64(SPANS) + TWO * node], found[u64(SPANS) + TWO * node + ONE] = np.int64(start), np.int64(place)
            place += ONE
        elif sign in (OPEN_OBJECT, OPEN_LIST):
            if depth == u64(DEEPEST) or (node != NOWHERE and (sign == OPEN_LIST or node in (BASE, FILENAME, OFFSET))):
                break
            if node == HTML:
                found[IS_PAGE] = 1
            scratch[depth] = node
            depth += ONE
            kinds = (kinds << ONE) | u64(sign == OPEN_OBJECT)
            place += ONE
            is_opened = place < size and u64(data[place]) not in (CLOSE_OBJECT, CLOSE_LIST)
        else:
            place = _skip_word(data, place) if node == NOWHERE else ZERO
            if place == ZERO:
                break
        if not is_opened:
            while depth > ZERO and place < size and u64(data[place]) == (CLOSE_OBJECT if kinds & ONE else CLOSE_LIST):
                depth -= ONE
                kinds >>= ONE
                place += ONE
            if depth == ZERO:
                if place == size:
                    return True
                break
            if place >= size or u64(data[place]) != COMMA:
                break
            place += ONE
        node = NOWHERE
        if kinds & ONE:
            if place >= size or u64(data[place]) != QUOTE:
                break
            start = place + ONE
            place, signs = _end_of_string(data, start)
            if place + ONE >= size or signs & (HAS_ESCAPE | IS_BROKEN) or u64(data[place + ONE]) != COLON:
                break
            if scratch[depth - ONE] != NOWHERE:
                node = _node(data, start, place, scratch[depth - ONE])
                if node != NOWHERE:
                    if (seen >> node) & ONE:
                        break
                    seen |= ONE << node
            place += TWO
    found[ROWS], found[CHARACTERS] = rows, characters
    return False


@compiled
def _node(data: UInt8[np.ndarray, " B"], start: np.uint64, end: np.uint64, outer: np.uint64) -> np.uint64:
    """Which of PLACES has a name in another."""
    for i in range(u64(len(OUTER))):
        if OUTER[i] == outer and NAME_OFFSETS[i + ONE] - NAME_OFFSETS[i] == end - start:
            same = True
            for k in range(end - start):
                same &= data[start + k] == NAMES[NAME_OFFSETS[i] + k]
            if same:
                return i + ONE
    return NOWHERE


@compiled
def _skip_word(data: UInt8[np.ndarray, " B"], place: np.uint64) -> np.uint64:
    """The place after a literal or a whole number of at most 18 digits; 0 for all else, and near the end of the data."""
    if place + u64(24) > u64(len(data)):
        return ZERO
    word = load_u64(data, place)
    for literal, size in LITERALS:
        if word & ((ONE << (EIGHT * size)) - ONE) == literal:
            return place + size
    place += u64(u64(data[place]) == MINUS)
    start = place
    while place - start < u64(19) and u64(data[place]) - u64(ord("0")) < u64(10):
        place += ONE
    digits = place - start
    is_odd = digits == ZERO or digits == u64(19) or (digits > ONE and u64(data[start]) == u64(ord("0")))
    return ZERO if is_odd or u64(data[place]) not in (COMMA, CLOSE_OBJECT, CLOSE_LIST) else place


@compiled
def _read_links(
    data: UInt8[np.ndarray, " B"],
    place: np.uint64,
    scratch: UInt64[np.ndarray, " S"],
    addresses: UInt8[np.ndarray, " A"],
    address_offsets: Int64[np.ndarray, " R1"],
    texts: UInt8[np.ndarray, " T"],
    text_offsets: Int64[np.ndarray, " R1"],
    fields: Int8[np.ndarray, " R"],
    found: Int64[np.ndarray, " FOUND"],
) -> np.uint64:
    """Append the texts of the images among the links at a place; returns where these end, or 0 if they are odd."""
    size, rows, characters, images = u64(len(data)), u64(found[ROWS]), u64(found[CHARACTERS]), ZERO
    spans = scratch[DEEPEST:]
    if place + ONE >= size or u64(data[place]) != OPEN_LIST:
        return ZERO
    if u64(data[place + ONE]) == CLOSE_LIST:
        return place + TWO
    while True:
        place = _read_link(data, place + ONE, spans)
        if place == ZERO:
            return ZERO
        if spans[1] - spans[0] == EIGHT and load_u64(data, spans[0]) == IMAGE_WORD:
            images += ONE
            for value in range(ALT, OTHER):
                start, end = spans[TWO * value], spans[TWO * value + ONE]
                if start == end:
                    continue
                address_end, more = _unescape(data, spans[TWO * URL], spans[TWO * URL + ONE], addresses, u64(address_offsets[rows]))
                text_end, yet_more = _unescape(data, start, end, texts, u64(text_offsets[rows]))
                fields[rows] = np.int8(value - ALT)
                rows += ONE
                address_offsets[rows], text_offsets[rows] = np.int64(address_end), np.int64(text_end)
                characters += more + yet_more
        if u64(data[place]) == CLOSE_LIST:
            found[ROWS], found[CHARACTERS], found[IMAGES] = np.int64(rows), np.int64(characters), np.int64(images)
            return place + ONE
        if u64(data[place]) != COMMA:
            return ZERO


@inlined
def _read_link(data: UInt8[np.ndarray, " B"], place: np.uint64, spans: UInt64[np.ndarray, " S"]) -> np.uint64:
    """Find the wanted values of the link at a place; returns where it ends, before the end of the data, or 0 if it is odd."""
    size = u64(len(data))
    for i in range(u64(2 * WANTED)):
        spans[i] = ZERO
    if place >= size or u64(data[place]) != OPEN_OBJECT:
        return ZERO
    while True:
        place += ONE
        if place + ONE + EIGHT > size or u64(data[place]) != QUOTE:
            return ZERO
        value, start = _read_name(data, place + ONE)
        if value == ODD:
            return ZERO
        place, signs = _end_of_string(data, start)
        if place + TWO >= size or signs & IS_BROKEN:
            return ZERO
        if value != OTHER:
            if signs != ZERO and ((value == PATH and signs & HAS_ESCAPE) or (signs & IS_WIDE and not is_utf8(data, start, place))):
                return ZERO
            spans[TWO * value], spans[TWO * value + ONE] = start, place
        place += ONE
        if u64(data[place]) != COMMA:
            return place + ONE if u64(data[place]) == CLOSE_OBJECT else ZERO


@inlined
def _read_name(data: UInt8[np.ndarray, " B"], start: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Which value of a link has the name at a place, from which on there are eight bytes, and where the text of that value begins."""
    word = load_u64(data, start)
    for name, bits, length, value in COMMON_NAMES:
        if word & bits == name:
            return value, start + length
    end, signs = _end_of_string(data, start)
    if end + TWO >= u64(len(data)) or signs & (HAS_ESCAPE | IS_BROKEN):
        return ODD, end
    if u64(data[end + ONE]) != COLON or u64(data[end + TWO]) != QUOTE:
        return ODD, end
    is_long = end - start == TWO * EIGHT and word == LONG_NAME[0] and load_u64(data, start + EIGHT) == LONG_NAME[1]
    return LONG_TITLE if is_long else OTHER, end + THREE


@inlined
def _end_of_string(data: UInt8[np.ndarray, " B"], place: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Where the quote is that ends a string, or a place after the data; and what the string is. A broken one may have no such place."""
    size, found = u64(len(data)), ZERO
    while place < size:
        if place + BLOCK <= size:
            signs = quote_mask(data, place) | backslash_mask(data, place) | ~text_mask(data, place)
            if wide_mask(data, place) & ~signs & (signs - ONE) != ZERO:  # before the first of the signs
                found |= IS_WIDE
            place += trailing_zeros(signs)
            if signs == ZERO:
                continue
        byte = u64(data[place])
        if byte == QUOTE:
            return place, found
        if byte < u64(0x20):
            return place, found | IS_BROKEN
        if byte == BACKSLASH:
            code, length = _read_escape(data, place)
            found |= HAS_ESCAPE if code != NO_CHARACTER else IS_BROKEN
            place += length
        else:
            found |= IS_WIDE if byte >= u64(0x80) else ZERO
            place += ONE
    return place, found


@compiled
def _unescape(
    data: UInt8[np.ndarray, " B"], place: np.uint64, end: np.uint64, target: UInt8[np.ndarray, " T"], o: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Write what a string that is not broken stands for; returns where that ends, and how many characters it has."""
    characters = ZERO
    while place < end:
        byte = u64(data[place])
        if byte == BACKSLASH:
            code, length = _read_escape(data, place)
            o += put_character(code, target, o)
            characters += ONE
            place += length
        else:
            target[o] = np.uint8(byte)
            o += ONE
            place += ONE
            characters += u64((byte & u64(0xC0)) != u64(0x80))
    return o, characters


@compiled
def _read_escape(data: UInt8[np.ndarray, " B"], place: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The code point of the escape at a place, and its bytes; no character if it is none, or a surrogate."""
    size = u64(len(data))
    if place + ONE >= size:
        return NO_CHARACTER, ONE
    letter = u64(data[place + ONE])
    for one, code in ESCAPED:
        if letter == one:
            return code, TWO
    if letter != LETTER_U or place + u64(6) > size:
        return NO_CHARACTER, ONE
    code = ZERO
    for i in range(TWO, u64(6)):
        digit = u64(data[place + i]) - u64(ord("0"))
        if digit >= u64(10):
            digit = (u64(data[place + i]) | u64(0x20)) - u64(ord("a")) + u64(10)
            if digit < u64(10) or digit >= u64(16):
                return NO_CHARACTER, ONE
        code = (code << FOUR) | digit
    return NO_CHARACTER if u64(0xD800) <= code < u64(0xE000) else code, u64(6)
