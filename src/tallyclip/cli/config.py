"""``--config``: a TOML file with options of a run, by the keywords of the functions in ``api.py``.

A file may describe all of a run: with keys of ``curate``, ``match`` and ``pool``, of which each command takes those that it has.
Names of files are relative to the file's own folder, as in a recipe.
"""

from __future__ import annotations

import glob
import inspect
import os
import textwrap
from collections.abc import Mapping
from enum import EnumType
from pathlib import Path
from typing import Any, get_args

from tallyclip import api
from tallyclip.cli.options import OPTIONS, PATH
from tallyclip.errors import ArtifactError
from tallyclip.io.toml import FORMS, as_toml, meant, read_toml

THRESHOLD = ("t", "size", "tail_share")
WIDTH, WIDEST = 100, 60  # columns of the output, and before its comments; a longer line pushes its own
# What an option makes void: they choose the same, so one that is given on the command line replaces all of these of the file.
REPLACES = {
    "size": ("t", "tail_share"),
    "t": ("size", "exactly", "tail_share"),
    "tail_share": ("t", "size", "exactly"),
    "pool": ("crawl", "sample", "kind", "base_url"),
    "crawl": ("pool",),
}
# By the words of annotations: the types that TOML has for them, and what messages call these. Others are text; options that can be repeated
# may be a list of it.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), FORMS["int"]),
    "float": ((float, int), FORMS["float"]),
    "bool": ((bool,), FORMS["bool"]),
}
_TEXT = ((str,), FORMS["str"])
_TEXTS = ((str, list), f"{FORMS['str']}, or {FORMS['list[str]']}")


def keys() -> dict[str, str]:
    """The keys that a file may have, in the order of the options, and their annotations."""
    return {
        parameter.name: parameter.annotation
        for function in (api.curate, api.match_pool, api.make_pool)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name in OPTIONS
    }


def read_config(name: str) -> dict[str, Any]:
    """The options that a file gives, with paths from the current folder.

    Raises:
        ArtifactError: the file is missing or not TOML, a key is unknown, a value is of the wrong type, or several choose the threshold.
    """
    given, known = read_toml(Path(name), "options", "give a TOML file, such as 'tallyclip config show' prints"), keys()
    for key, value in given.items():
        if key not in known:
            raise ArtifactError(f"{name}: unknown key '{key}'", f"{meant(key, list(known))}the known keys are {', '.join(known)}")
        _check(name, key, value, known[key])
    several = [key for key in THRESHOLD if key in given]
    if len(several) > 1:
        raise ArtifactError(f"{name}: {' and '.join(several)} each choose the threshold", "give only one of t, size and tail_share")
    lists = {key: [value] if _is_repeated(key) and isinstance(value, str) else value for key, value in given.items()}
    return {key: placed(key, value, os.path.dirname(name)) for key, value in lists.items()}


def _check(name: str, key: str, value: Any, annotation: str) -> None:
    kinds = [_TEXTS] if _is_repeated(key) else [_KINDS.get(word, _TEXT) for word in annotation.split(" | ") if word != "None"]
    fits = any(type(value) in types for types, _ in kinds)  # not isinstance, for true is an int
    if isinstance(value, list):
        fits = fits and all(isinstance(one, str) for one in value)
    words = _words(key)
    if not fits or (words and value not in words):
        raise wrong_value(
            name, key, value, f"give {' or '.join(map(as_toml, words) if words else dict.fromkeys(form for _, form in kinds))}"
        )


def _is_repeated(key: str) -> bool:
    return list[str] in get_args(get_args(OPTIONS[key])[0])


def _words(key: str) -> list[str]:
    """The words of which an option is one; none, if it may be others."""
    kind = get_args(OPTIONS[key])[0]
    return [str(word) for kind in (kind, *get_args(kind)) if isinstance(kind, EnumType) for word in kind]


def wrong_value(name: str, key: str, value: Any, hint: str) -> ArtifactError:
    """The error for a value that a key cannot have."""
    return ArtifactError(f"{name}: {key} cannot be {as_toml(value):.60}", hint)


def placed(key: str, value: Any, folder: str) -> Any:
    """A value whose paths are relative to a folder, with paths from the current one; one that is no path as it is."""
    if PATH not in get_args(OPTIONS[key]) or value is None or (key == "metadata" and value == "wordnet"):
        return value
    if isinstance(value, list | tuple):
        return [placed(key, one, folder) for one in value]
    path = os.path.expanduser(value)
    if "://" in path or not path or not folder:
        return path
    whole = os.path.join(folder, path)
    if key == "pool" and not os.path.lexists(whole):  # a glob, in which the folder's own name is none
        return os.path.join(glob.escape(folder), path)
    return whole


def shown(given: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """Options as TOML, each with a comment on where it is from, and a comment on those that have no value."""
    lines = {key: f"{key} = {as_toml(value)}" for key, value in given.items() if value is not None}
    width = min(max(map(len, lines.values())), WIDEST)
    unset = textwrap.wrap(
        ", ".join(key for key in given if key not in lines), WIDTH, initial_indent="# not set: ", subsequent_indent="#   "
    )
    return "\n".join([*(f"{line:<{width}}  # {origins[key]}" for key, line in lines.items()), *unset])
