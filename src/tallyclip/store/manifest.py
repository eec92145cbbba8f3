"""What a stage says of itself, and the fingerprints by which stages know their inputs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tallyclip.errors import ArtefactError
from tallyclip.store.files import write_json
from tallyclip.store.layout import MANIFEST, StageFolder

Kind = TypeVar("Kind")


class Manifest(msgspec.Struct):
    """The record of a stage that is whole.

    Attributes:
        stage: its name.
        fingerprint: of all that its result depends on.
        inputs: fingerprints of what it was made from.
        options: what was asked for.
        result: counts in and out, drops by reason.
        outputs: its files and their sizes in bytes, relative to the folder it was built in.
        command: the arguments of the command that made it.
        versions: of tallyclip and what it computes with.
        finished: when, in UTC.
        seconds: of work, over all processes.
    """

    stage: str
    fingerprint: str
    inputs: dict[str, str]
    options: dict[str, Any]
    result: dict[str, Any]
    outputs: dict[str, int]
    command: list[str]
    versions: dict[str, str]
    finished: str
    seconds: float


def fingerprint_of(**parts: Any) -> str:
    """64 hex digits that change with any part; parts are what JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def write_manifest(folder: StageFolder, manifest: Manifest) -> None:
    """Write a stage's manifest, which makes the stage whole."""
    write_json(folder.manifest, msgspec.to_builtins(manifest))


def read_manifest(folder: StageFolder) -> Manifest | None:
    """A stage's manifest, or None if the stage is not whole.

    Raises:
        ArtefactError: there is one, but not in the form of this version.
    """
    return read_struct(folder.manifest, Manifest)


def read_struct(path: Path, kind: type[Kind]) -> Kind | None:
    """Read one of our own JSON files, or None if it is not there.

    Raises:
        ArtefactError: there is one, but not whole or not in the form of this version.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ArtefactError(f"{path}: not readable: {error.strerror}") from error
    try:
        return msgspec.convert(json.loads(content), kind, strict=False)  # so that the text of ``with_infinity`` is a number again
    except ValueError as error:  # msgspec's errors are ValueErrors too
        hint = f"delete {path.parent if path.name == MANIFEST else path} and run the same command again, or give a new --out"
        raise ArtefactError(f"{path}: broken, or not of this version: {error}", hint) from error
