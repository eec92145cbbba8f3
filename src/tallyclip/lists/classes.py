"""Class names to look for in an entry list: those of benchmarks, and those of users.

``classes/README.md`` says where the bundled lists come from.
"""

from __future__ import annotations

import ast
import json
import warnings
from importlib import resources
from os import PathLike
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from tallyclip.errors import ArtifactError
from tallyclip.io.streams import open_stream, without_compression

BUNDLED = {"CIFAR-10": "cifar-10.txt", "CIFAR-100": "cifar-100.txt", "ImageNet-1k": "imagenet-1k.txt"}
FORMS = "give a .txt with one name per line, a .json with a list of strings or an object of such lists, or a .py that assigns them"


def class_lists() -> dict[str, list[str]]:
    """The class names of CIFAR-10 and CIFAR-100, and open_clip's for ImageNet-1k, in the order of their labels.

    >>> {name: len(names) for name, names in class_lists().items()}
    {'CIFAR-10': 10, 'CIFAR-100': 100, 'ImageNet-1k': 1000}
    """
    return {name: packaged_lines(f"classes/{file}") for name, file in BUNDLED.items()}


def packaged_lines(name: str) -> list[str]:
    """The lines of a text file of this package."""
    return (resources.files("tallyclip") / "lists" / name).read_text(encoding="utf-8").splitlines()


def read_classes(path: str | PathLike[str]) -> dict[str, list[str]]:
    """Read lists of class names, by the name of each list; empty names are skipped, as no entry is empty.

    A ``.txt`` has one name per line, and a ``.json`` a list of strings; the list is named after the file. A ``.json`` with an object of
    lists, as CLIP_benchmark's, has several, and so has a ``.py``: every list or tuple of strings, and every dict of them, that it assigns
    to a name at its top level. Python is parsed and never run, so computed lists are not found. ``path`` may be an fsspec URL, and may
    end in ``.gz`` or ``.zst``.

    Raises:
        ArtifactError: the file is missing, not of these kinds, or damaged, or it has no names.
    """
    path = str(path)
    name = PurePosixPath(without_compression(path))
    readers = {".txt": _from_lines, ".json": _from_json, ".py": _from_python}
    if name.suffix.lower() not in readers:
        raise ArtifactError(f"{path}: not a file of class names, by its suffix", FORMS)
    found = readers[name.suffix.lower()](path, name.stem, _read(path))
    lists = {title: [name for name in names if name] for title, names in found.items()}
    if not any(lists.values()):
        raise ArtifactError(f"{path}: no class names in it", FORMS)
    return {title: names for title, names in lists.items() if names}


def _read(path: str) -> str:
    try:
        with open_stream(path) as file:
            content = file.read()
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file", FORMS) from None
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: byte {error.start} is not UTF-8", "convert the file to UTF-8") from error
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: not readable as class names: {error}") from error


def _from_lines(_: str, title: str, text: str) -> dict[str, list[str]]:
    return {title: [line.strip() for line in text.splitlines()]}


def _from_json(path: str, title: str, text: str) -> dict[str, list[str]]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not JSON: {error}") from error
    lists: dict[str, Any] = value if isinstance(value, dict) else {title: value}
    for name, names in lists.items():
        if not _is_names(names):
            raise ArtifactError(f"{path}: {name!r:.60} is not a list of strings", FORMS)
    return lists


def _from_python(path: str, _: str, text: str) -> dict[str, list[str]]:
    try:
        with warnings.catch_warnings():  # about the user's code
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ArtifactError(f"{path}: not Python: {error}") from error
    lists: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            value = _literal(statement.value)
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    lists |= value if isinstance(value, dict) else {target.id: value}
    return {str(name): list(names) for name, names in lists.items() if _is_names(names)}


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
