"""Reads TOML files that people write, and says what is wrong with them; and writes values as TOML."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from tallyclip.errors import ArtifactError, OptionError

Table = TypeVar("Table", bound=msgspec.Struct)

LARGEST_FILE = 128 << 10  # bytes; Python's parser takes quadratic time for nested tables
# Types of values, as messages name them.
FORMS = {
    "str": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list[str]": 'a list of text in quotes, such as ["a", "b"]',
    "list[int]": "a list of whole numbers",
    "list[float]": "a list of numbers",
}


def read_toml(path: Path, what: str, hint: str) -> dict[str, Any]:
    """The content of a TOML file. ``what`` it is, such as "a recipe", and the ``hint`` are for the error if it cannot be read.

    Raises:
        ArtifactError: the file is missing, too large, or not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot read {what}: {error.strerror}", hint) from error
    if len(content) > LARGEST_FILE:
        raise ArtifactError(f"{path}: the file is larger than {LARGEST_FILE >> 10} KiB", "use patterns for many files, such as pages-*.bz2")
    return parsed(str(path), content, what)


def parsed(name: str, content: bytes, what: str) -> dict[str, Any]:
    """The content of a TOML file that is in memory.

    Raises:
        ArtifactError: it is not TOML.
    """
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{name}: not TOML, since it is not UTF-8: {error.reason}", f"if it is {what}, save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{name}: not TOML: {error}", "write text in quotes, and the names of tables in brackets") from error


def struct_of(name: str, what: str, value: dict[str, Any], kind: type[Table]) -> Table:
    """What was read of a TOML file as a struct, whose tables are structs too. ``what`` it is, such as "a recipe", is for the errors.

    Raises:
        ArtifactError: a key is unknown or missing, or a value has another type.
    """
    _check_table(name, "", what, value, kind)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, OptionError):  # of a struct that looks at its values itself
            raise ArtifactError(f"{name}: {error.__cause__.what}", error.__cause__.hint) from error
        raise


def _check_table(name: str, place: str, what: str, value: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """Refuse unknown keys, missing ones, and values of other types, here and in tables below."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in value:
        if key not in fields:
            raise ArtifactError(f"{name}: {what} has no key '{key}'", f"{meant(key, list(fields))}the known keys are {', '.join(fields)}")
    kinds = get_type_hints(kind)
    for key, field in fields.items():
        if key in value:
            _check_value(name, f"{place}.{key}" if place else key, value[key], kinds[key])
        elif field.required:
            raise ArtifactError(f"{name}: {what} needs {key}", f"give {_form(key, kinds[key])}")


def _check_value(name: str, place: str, value: Any, kind: Any) -> None:
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    table = next((each for each in options if isinstance(each, type) and issubclass(each, msgspec.Struct)), None)
    tables = next((each for each in options if get_origin(each) is dict), None)
    if isinstance(value, dict) and table is not None:
        _check_table(name, place, f"[{place}]", value, table)
    elif isinstance(value, dict) and tables is not None:
        for key, each in value.items():
            _check_value(name, f"{place}.{key}", each, get_args(tables)[1])
    else:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            raise ArtifactError(f"{name}: {place} cannot be {value!r:.60}", f"give {_form(place, kind)}") from None


def _form(place: str, kind: Any) -> str:
    """What a value of a type looks like, in words."""
    options = [each for each in get_args(kind) if each is not NoneType]
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, options)).replace("'", '"')
    if NoneType in get_args(kind) and len(options) == 1:
        return _form(place, options[0])
    return FORMS.get(
        kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind), f"a table, with [{place}] above its keys"
    )


def meant(word: str, known: Sequence[str]) -> str:
    """The question whether another word was meant, if one of those known is near; with a space behind it."""
    near = difflib.get_close_matches(word.lower(), known, 1)
    return f"did you mean {near[0]}? " if near else ""


def as_toml(value: Any) -> str:
    """A value of a key: text, a number, true or false, or a list of these. Text is safe to print, and means the same when it is read.

    >>> as_toml(["a\\x7fb", 0.5, True])
    '["a\\\\u007fb", 0.5, true]'
    """
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return repr(value)
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" if ord(c) > 0xFFFF else f"\\u{ord(c):04x}" for c in quoted)
