"""The record of a stage that is whole."""

from __future__ import annotations

from typing import Any

import msgspec

from tallyclip.io.files import write_json
from tallyclip.io.structs import read_struct
from tallyclip.run.items import StageFolder


class Manifest(msgspec.Struct):
    """What a stage says of itself once it is whole.

    Attributes:
        stage: its name.
        version: of the stage that made it.
        fingerprint: of all that its result depends on.
        inputs: fingerprints of the stages it was made from, and of those that these were made from.
        options: what was asked for.
        pieces: the keys of its finished pieces of work, in order.
        failed: pieces that failed and were accepted, and why.
        result: counts in and out, drops by reason.
        outputs: its files and their sizes in bytes, relative to the folder it was built in.
        command: the arguments of the command that made it.
        versions: of tallyclip and what it computes with.
        finished: when, in UTC.
        seconds: of work, over all processes.
    """

    stage: str
    version: int
    fingerprint: str
    inputs: dict[str, str]
    options: dict[str, Any]
    pieces: list[str]
    failed: dict[str, str]
    result: dict[str, Any]
    outputs: dict[str, int]
    command: list[str]
    versions: dict[str, str]
    finished: str
    seconds: float


def write_manifest(folder: StageFolder, manifest: Manifest) -> None:
    """Write a stage's manifest, which makes the stage whole."""
    write_json(folder.manifest, msgspec.to_builtins(manifest))


def read_manifest(folder: StageFolder) -> Manifest | None:
    """A stage's manifest, or None if the stage is not whole.

    Raises:
        ArtifactError: there is one, but not in the form of this version.
    """
    return read_struct(folder.manifest, Manifest, delete=folder.path)
