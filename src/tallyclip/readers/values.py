"""The values in one JSON list, or in one JSON object, however long: of a file that is a single JSON value.

A value that is broken, or that is nested too deeply, is dropped, and what follows it is read: its end is where its brackets and strings are
closed. That is looked for in Python, one bracket after another, but only where Python's decoder, which is fast, meets something that it
cannot decode: a broken value, or one whose end is in the next chunk.
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

FORM = (
    "a pool's JSON is an object a line, or one list of objects; "
    "'jq -c . FILE' writes objects a line, and 'jq -c .NAME[] FILE' those in a list of an object"
)

BLANKS = re.compile(r"\s*")
STRING = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)  # the rest of one
NESTED = re.compile(r'[^"\[\]{}]*+')  # between brackets, outside of strings
ENCLOSED = '{["'  # with these a value shows its own end; another ends where one of the following signs comes
BEHIND_VALUES = " \t\r\n,:]}"


class Container(NamedTuple):
    """What holds the values: its name, what it begins and ends with, what stands between values, and what is no end of a value."""

    name: str
    start: str
    end: str
    between: re.Pattern[str]
    within: re.Pattern[str]


LIST = Container("list", "[", "]", re.compile(r"[\s,]*"), re.compile(r'[^"\[\]{},]*+'))
OBJECT = Container("object", "{", "}", re.compile(r"[\s,:]*"), re.compile(r'[^"\[\]{},:]*+'))


class Name(str):
    """A name in an object, to be told from a value that is text."""


def values_of(path: str, chunks: Iterator[bytes], form: Container) -> Iterator[tuple[Any, int]]:
    """The values of a list, or the names (``Name``) and values of an object, each with its size; ``Bad`` stands for one that cannot be
    decoded.

    Bytes that are not UTF-8 become lone surrogates, and so drop their record. An object may be followed by others, a list by nothing.

    Raises:
        SourceError: the list or object is cut short, or something else follows it.
    """
    source = _Source(path, chunks, form)
    sign = source.skip(BLANKS)
    while sign == form.start:
        source.place += 1
        yield from source.values()
        source.place += 1
        sign = source.skip(BLANKS)
        if form is LIST:
            break
    if sign:
        raise SourceError(f"{path}: there is something after the end of its {form.name}", FORM)


class _Source:
    """The text of a file that is not read yet, as far as it has come."""

    def __init__(self, path: str, chunks: Iterator[bytes], form: Container) -> None:
        self._path = path
        self._chunks = chunks
        self._form = form
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._ended = self._careful = False
        self._count = 0
        self._behind_colon = False
        self.place = 0

    def skip(self, between: re.Pattern[str]) -> str:
        """Go on behind what stands between values; the sign that comes then, none at the end of the file."""
        self._behind_colon = False
        while True:
            start, self.place = self.place, _behind(between, self._text, self.place)
            self._behind_colon |= self._text.find(":", start, self.place) >= 0
            if self.place < len(self._text):
                return self._text[self.place]
            if not self._fill():
                return ""

    def values(self) -> Iterator[tuple[Any, int]]:
        """The values up to the end of the list or object."""
        form, decode = self._form, self._decode
        while (sign := self.skip(form.between)) != form.end:
            if not sign:
                raise self._cut_short()
            self._count += 1
            if not self._careful:
                text, start = self._text, self.place
                try:
                    value, end = decode(text, start)
                    if end < len(text) and (sign in ENCLOSED or text[end] in BEHIND_VALUES):
                        self.place = end
                        yield self._named(value), end - start
                        continue
                except (ValueError, RecursionError):
                    pass
                # An error's place is counted in lines from the beginning of the text: often, that would take quadratic time.
                self._careful = True
            yield self._value_with_care()

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
        return Name(value) if self._form is OBJECT and not self._behind_colon and isinstance(value, str) else value

    def _cut_short(self) -> SourceError:
        done = f"{self._count:,} items" if self._form is LIST else f"{self._count // 2:,} names"
        return SourceError(f"{self._path}: the JSON {self._form.name} is cut short or broken after {done}", DAMAGED)

    def _end_of_value(self) -> int:
        """Where the value that begins here ends, be it broken: where its brackets are closed, or before what follows a value."""
        place, depth, in_string = self.place, 0, False
        while True:
            place = _behind(STRING if in_string else NESTED if depth else self._form.within, self._text, place)
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
            elif sign in ",:" or sign == self._form.end:
                return place
            place += 1

    def _fill(self) -> bool:
        """Put more of the file's text behind what there is, in place of what is read; is there more?"""
        if self._ended:
            return False
        chunk = next(self._chunks, b"")
        self._ended = not chunk
        self._text, self.place = self._text[self.place :] + self._utf8.decode(chunk, final=self._ended), 0
        self._careful = False
        return True


def _behind(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    return place if found is None else found.end()


def _shown(content: str) -> str:
    return shown(content[:LONGEST_SAMPLE].encode("utf-8", "surrogateescape"))
