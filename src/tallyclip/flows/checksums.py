"""Checksums of input files. They identify counts, whatever the names of the files; a file is read again only after a change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tallyclip.errors import ArtifactError, IncompleteError, OptionError
from tallyclip.io.files import write_json
from tallyclip.io.streams import is_url
from tallyclip.io.structs import read_struct
from tallyclip.lists.inputs import CHECKSUMS, Input
from tallyclip.readers.sources import state_of
from tallyclip.run.runners.base import Task, collect
from tallyclip.run.workspace import Workspace
from tallyclip.wording import plural

BITE = 1 << 22


class Known(msgspec.Struct, frozen=True):
    """A checksum, and the state of its file."""

    size: int
    modified: int
    checksum: str


class _Checksums(msgspec.Struct):
    files: dict[str, Known] = {}


def check_inputs(run: Workspace, paths: Sequence[str]) -> dict[str, Input]:
    """The files with their checksums. Files that did not change since the last time are not read.

    Raises:
        IncompleteError: a file cannot be read.
        OptionError: two files are the same, so their content would count twice.
    """
    known = _known(run.root / CHECKSUMS)
    todo: list[str] = []
    inputs: dict[str, Input] = {}
    for path in paths:
        if is_url(path):
            inputs[path] = _remote(path)
        elif path in known and _state(path) == (known[path].size, known[path].modified):
            inputs[path] = Input(path, known[path].size, known[path].checksum)
        else:
            todo.append(path)
    if todo:
        run.progress.start("read", len(todo), 0, sum(_state(path)[0] for path in todo), "bytes")
        found, failures = collect(run.runner, run.progress, checksum, [Task(path, path) for path in todo])
        for path, digest in found.items():
            size, modified = _state(path)
            inputs[path] = Input(path, size, digest)
            known[path] = Known(size, modified, digest)
        write_json(run.root / CHECKSUMS, msgspec.to_builtins(_Checksums(known)))
        run.progress.finish(plural(len(todo), "file"))
        if failures:
            raise IncompleteError(f"{failures[0].key}: {failures[0].what}", failures[0].hint)
    _refuse_twice(inputs)
    return inputs


def checksum(path: str, tick: Callable[[int], None]) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while bite := file.read(BITE):
            digest.update(bite)
            tick(len(bite))
    return f"sha256:{digest.hexdigest()}"


def _known(path: Path) -> dict[str, Known]:
    try:
        checksums = read_struct(path, _Checksums)
    except ArtifactError:  # of another version: compute them again
        return {}
    return checksums.files if checksums else {}


def _state(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise OptionError(f"{path}: {error.strerror}") from error
    return status.st_size, status.st_mtime_ns


def _remote(path: str) -> Input:
    size, stamp = state_of(path)
    return Input(path, size, f"state:{size}-{stamp or path}")


def _refuse_twice(inputs: dict[str, Input]) -> None:
    first: dict[str, str] = {}
    for path, input_ in sorted(inputs.items()):
        other = first.setdefault(input_.checksum, path)
        if other != path and input_.size:
            raise OptionError(f"{other} and {path} have the same content", "it would count twice: give only one of them")
