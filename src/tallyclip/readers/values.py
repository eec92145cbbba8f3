"""The values of one JSON list or object, or of the lists in one object, however long, in a file that is a single JSON value.

A value that is broken or nested too deeply is dropped, and reading continues after it: its end is where its brackets and strings are
closed. This search goes bracket by bracket in Python, but only where Python's fast decoder meets something that it cannot decode: a broken
value, or one whose end is in the next chunk.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tallyclip.errors import SourceError
from tallyclip.readers.content import DAMAGED, LARGEST, LONGEST_SAMPLE, shown
from tallyclip.readers.records import NOT_JSON, TOO_DEEP, Bad
from tallyclip.wording import plural

FORM = (
    "a pool's JSON is one object per line, or one list of objects; "
    "'jq -c . FILE' writes one object per line, and 'jq -c .NAME[] FILE' those in the list NAME of an object"
)

BLANKS = re.compile(r"\s*")
STRING = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)  # the rest of a string
NESTED = re.compile(r'[^"\[\]{}]*+')  # between brackets, outside of strings
ENCLOSED = '{["'  # values that begin with these have a closing sign; others end before one of the following signs
AFTER_VALUES = " \t\r\n,:]}"


class Container(NamedTuple):
    """What holds the values: its name, its first and last sign, what separates values, and what does not end a value."""

    name: str
    start: str
    end: str
    between: re.Pattern[str]
    within: re.Pattern[str]


LIST = Container("list", "[", "]", re.compile(r"[\s,]*"), re.compile(r'[^"\[\]{},]*+'))
OBJECT = Container("object", "{", "}", re.compile(r"[\s,:]*"), re.compile(r'[^"\[\]{},:]*+'))


class Name(str):
    """A name in an object, as opposed to a string value."""


def values_of(path: str, chunks: Iterator[bytes], container: Container) -> Iterator[tuple[Any, int]]:
    """The values of a list, or the names (``Name``) and values of an object, each with its size; one that cannot be decoded is
    ``Bad``.

    Bytes that are not UTF-8 become lone surrogates, and so drop their record. An object may be followed by others, a list by nothing.

    Raises:
        SourceError: the list or object is cut short, or something else follows it.
    """
    source = _Source(path, chunks, container)
    sign = source.skip(BLANKS)
    while sign == container.start:
        source.place += 1
        yield from source.values()
        source.place += 1
        sign = source.skip(BLANKS)
        if container is LIST:
            break
    if sign:
        raise SourceError(f"{path}: data after the end of the JSON {container.name}", FORM)


def lists_of(path: str, chunks: Iterator[bytes]) -> Iterator[tuple[str, Any, int]]:
    """The items of all lists in the object that a file is, each with the list's name and its size; other members are skipped.

    Items are as those of ``values_of``. Only one item is held at a time, however long the lists.

    Raises:
        SourceError: the file is no object, is cut short, or something else follows the object.
    """
    source = _Source(path, chunks, OBJECT)
    if source.skip(BLANKS) != OBJECT.start:
        raise SourceError(f"{path}: it is not one JSON object", FORM)
    source.place += 1
    yield from source.lists()
    source.place += 1
    if source.skip(BLANKS):
        raise SourceError(f"{path}: data after the end of the JSON object", FORM)


class _Source:
    """The text of a file that is loaded and not parsed yet."""

    def __init__(self, path: str, chunks: Iterator[bytes], container: Container) -> None:
        self._path = path
        self._chunks = chunks
        self._container = container
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._ended = self._careful = False
        self._count = 0
        self._after_colon = False
        self.place = 0

    def skip(self, between: re.Pattern[str]) -> str:
        """Skip what is between values; returns the next sign, empty at the end of the file."""
        self._after_colon = False
        while True:
            start, self.place = self.place, _after(between, self._text, self.place)
            self._after_colon |= self._text.find(":", start, self.place) >= 0
            if self.place < len(self._text):
                return self._text[self.place]
            if not self._fill():
                return ""

    def values(self) -> Iterator[tuple[Any, int]]:
        """The values up to the end of the list or object."""
        while (sign := self.skip(self._container.between)) != self._container.end:
            yield self._value(sign)

    def lists(self) -> Iterator[tuple[str, Any, int]]:
        """The items of the lists up to the end of the object, each with its list's name."""
        name: str | None = None
        while (sign := self.skip(OBJECT.between)) != OBJECT.end:
            if name is not None and self._after_colon and sign == LIST.start:
                self._container, names, self._count = LIST, self._count, 0
                self.place += 1
                for value, size in self.values():
                    yield name, value, size
                self.place += 1
                self._container, self._count = OBJECT, names + 1
                name = None
            else:
                value, _ = self._value(sign)
                name = str(value) if isinstance(value, Name) else None

    def _value(self, sign: str) -> tuple[Any, int]:
        """The value that begins here, with this sign."""
        if not sign:
            raise self._cut_short()
        self._count += 1
        if not self._careful:
            text, start = self._text, self.place
            try:
                value, end = self._decode(text, start)
                if end < len(text) and (sign in ENCLOSED or text[end] in AFTER_VALUES):
                    self.place = end
                    return self._named(value), end - start
            except (ValueError, RecursionError):
                pass
            # An error counts lines from the beginning of the text: to do that often would take quadratic time.
            self._careful = True
        return self._value_with_care()

    def _value_with_care(self) -> tuple[Any, int]:
        end = self._end_of_value()
        content = self._text[self.place : end]
        try:
            value, size = self._decode(content)
        except RecursionError:
            value, size = Bad(TOO_DEEP, _shown(content)), len(content)
        except ValueError:
            value, size = Bad(NOT_JSON, _shown(content)), len(content)
        self.place += size
        return self._named(value), size

    def _named(self, value: Any) -> Any:
        return Name(value) if self._container is OBJECT and not self._after_colon and isinstance(value, str) else value

    def _cut_short(self) -> SourceError:
        done = plural(self._count, "item") if self._container is LIST else plural(self._count // 2, "name")
        return SourceError(f"{self._path}: the JSON {self._container.name} is cut short or broken after {done}", DAMAGED)

    def _end_of_value(self) -> int:
        """Where the value that begins here ends, broken or not: where its brackets are closed, or before a sign that follows values."""
        place, depth, in_string = self.place, 0, False
        while True:
            place = _after(STRING if in_string else NESTED if depth else self._container.within, self._text, place)
            if place >= len(self._text) or (in_string and self._text[place] == "\\"):
                read = self.place
                if len(self._text) - read > LARGEST or not self._fill():
                    self._count -= 1
                    raise self._cut_short()
                place -= read
                continue
            sign = self._text[place]
            if sign == '"':
                in_string = not in_string
            elif sign in "[{":
                depth += 1
            elif depth:
                depth -= 1
                if not depth:
                    return place + 1
            elif sign in ",:" or sign == self._container.end:
                return place
            place += 1

    def _fill(self) -> bool:
        """Load more of the file's text and drop what was parsed; returns whether there was more."""
        if self._ended:
            return False
        chunk = next(self._chunks, b"")
        self._ended = not chunk
        self._text, self.place = self._text[self.place :] + self._utf8.decode(chunk, final=self._ended), 0
        self._careful = False
        return True


def _after(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    return place if found is None else found.end()


def _shown(content: str) -> str:
    return shown(content[:LONGEST_SAMPLE].encode("utf-8", "surrogateescape"))
