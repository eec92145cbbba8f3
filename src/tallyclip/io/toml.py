"""Reads TOML files that people write, and says what is wrong with them; and writes values as TOML."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallyclip.errors import ArtifactError

LARGEST_FILE = 128 << 10  # bytes; Python's parser takes quadratic time for nested tables
# Types of values, as messages name them.
FORMS = {
    "str": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list[str]": 'a list of text in quotes, such as ["a", "b"]',
    "list[int]": "a list of whole numbers",
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
