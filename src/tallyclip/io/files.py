"""Writing files so that each is either complete or absent."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tallyclip.errors import ArtifactError, OutputError

PART = ".part-"  # in the name of a file that is being written


@contextmanager
def writing(path: Path, shown: Path | None = None) -> Generator[None]:
    """Turn errors in writing to a file or folder into an OutputError that names it; other errors pass through.

    Args:
        path: what is written to.
        shown: the path to show in the message, if not that.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        about = str(error.filename or path)
        if not (about.startswith(str(path)) or str(path).startswith(about)):
            raise  # the error is about another file, one that is read
        if error.errno is None:  # NumPy does not say why a write fell short
            error = OSError(errno.ENOSPC, str(error))
        raise OutputError.of(shown or path, error) from error


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary path to write to, renamed to ``path`` at the end of the block and deleted if the block fails.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.
    """
    part = path.with_name(f".{path.name}{PART}{os.getpid()}-{secrets.token_hex(4)}")
    with writing(part, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def clear_parts(folder: Path, *, below: bool = False) -> None:
    """Delete files that an interruption left half written in a folder, with ``below`` also in its subfolders."""
    pattern = f".*{PART}*"
    for part in folder.rglob(pattern) if below else folder.glob(pattern):
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, one key per line."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def with_infinity(value: Any) -> Any:
    """The value with infinity, which JSON has no number for, as the text ``"inf"``."""
    if isinstance(value, dict):
        return {key: with_infinity(part) for key, part in value.items()}
    if isinstance(value, list):
        return [with_infinity(part) for part in value]
    return "inf" if isinstance(value, float) and value == math.inf else value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArtifactError: the file is broken.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable: {error}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: not a JSON object")
    return value


def remove(path: Path, trash: Path) -> None:
    """Rename a file or folder into the trash in one step, then delete it there."""
    if not path.exists():
        return
    trash.mkdir(parents=True, exist_ok=True)
    gone = trash / f"{path.name}-{secrets.token_hex(8)}"
    path.rename(gone)
    if gone.is_dir():
        shutil.rmtree(gone, ignore_errors=True)
    else:
        gone.unlink()
