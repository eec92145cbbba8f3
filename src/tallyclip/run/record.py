"""What a folder says of itself in one small file, and what stages there are: all that is read before there is anything to do.

It is apart from what makes stages, so that ``status`` and errors need no libraries that compute.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TypeVar

import msgspec

from tallyclip.errors import ArtifactError, OptionError
from tallyclip.io.mirror import is_there, mirror_of
from tallyclip.io.structs import read_struct
from tallyclip.places import shown

Value = TypeVar("Value")

LAYOUT = 2  # of the folder; raised with any change that an earlier version's folder does not follow


class FolderKind(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder is for.

    Attributes:
        noun: what the folder is called in messages.
        record: the name of the file that says what was asked for.
        start: the command that makes one.
    """

    noun: str
    record: str
    start: str


class StageOutline(msgspec.Struct, frozen=True):
    """What there is to say of a stage without making it; see ``Stage``."""

    name: str
    command: str
    sections: tuple[str, ...] = ()
    optional: bool = False


class Outline(FolderKind, frozen=True, kw_only=True):
    """A kind of folder and its stages, in their order."""

    stages: tuple[StageOutline, ...]


class Record(msgspec.Struct, frozen=True):
    """What was asked for last, of how many files under which names; ``folder`` is the current one, which names may be relative to."""

    layout: int
    command: list[str]
    versions: dict[str, str]
    sources: list[str]
    files: int
    folder: str = ""


class _AnyRecord(msgspec.Struct):
    versions: dict[str, str]
    layout: int = 1


def check_folder(kind: FolderKind, root: Path) -> None:
    """Refuse a folder in which nothing was begun.

    Raises:
        ArtifactError: there is none, or its record is broken.
        OptionError: it has another layout.
    """
    if not is_there(root / kind.record):
        raise ArtifactError(f"{root} is not a {kind.noun} folder", f"start one with '{kind.start}'")
    check_layout(kind, root)


def check_layout(kind: FolderKind, root: Path) -> None:
    """Refuse a folder of another layout.

    Raises:
        OptionError: it is one.
        ArtifactError: its record is broken.
    """
    record = _read_record(kind, root, _AnyRecord)
    if record is not None and record.layout != LAYOUT:
        version = record.versions.get("tallyclip", "?")
        what = f"{root}: made by another version of tallyclip ({version}), whose {kind.noun} folders have another layout"
        raise OptionError(
            what, f"give a new --out, or use the version that made it (pip install tallyclip=={version}); its results stay as they are"
        )


def read_record(kind: FolderKind, root: Path) -> Record:
    """What was asked for last in a folder.

    Raises:
        ArtifactError: there is no such folder, or its record is broken.
        OptionError: it has another layout.
    """
    check_layout(kind, root)
    record = _read_record(kind, root, Record)
    if record is None:
        raise ArtifactError(f"{root} is not a {kind.noun} folder", f"start one with '{kind.start}'")
    return record


def _read_record(kind: FolderKind, root: Path, form: type[Value]) -> Value | None:
    try:
        return read_struct(root / kind.record, form)
    except ArtifactError as error:
        raise ArtifactError(error.what, f"run '{kind.start}' as before: it writes the file anew and keeps the rest") from error


def command_in(command: str, root: Path) -> str:
    """A command of a stage, such as ``tallyclip count RUN``, for the folder that it is to work in."""
    return command.removesuffix(" RUN") + f" {shlex.quote(shown(str(root)))}" if command.endswith(" RUN") else command


def attempts(root: Path, stage: str) -> list[Path]:
    """The folders in which a stage of this name is, or was, under way."""
    mirror = mirror_of(root)
    if mirror is None:
        return sorted((root / ".work").glob(f"{stage}-*"))
    below = root / ".work"
    found = {below / path.relative_to(below).parts[0] for path in mirror.stored_below(below)}
    return sorted(path for path in found if path.name.startswith(f"{stage}-"))
