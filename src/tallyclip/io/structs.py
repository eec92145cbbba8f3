"""Reading our own small JSON files into structs, and fingerprints."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tallyclip.errors import ArtifactError
from tallyclip.io.mirror import fetched

Kind = TypeVar("Kind")


def fingerprint_of(**parts: Any) -> str:
    """64 hex digits that change with any part; parts are JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_struct(path: Path, kind: type[Kind], *, delete: Path | None = None) -> Kind | None:
    """Read one of our own JSON files; None if there is none.

    Args:
        path: of the file.
        kind: of struct.
        delete: what to delete if the file is broken, so that it is made again; by default the file.

    Raises:
        ArtifactError: it is broken, or another version wrote it.
    """
    try:
        content = fetched(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ArtifactError(f"{path}: not readable: {error.strerror}") from error
    try:
        return msgspec.json.decode(content, type=kind, strict=False)  # turns the text of ``with_infinity`` back into a number
    except ValueError as error:  # msgspec's errors are ValueErrors too
        hint = f"delete {delete or path} and run the same command again, or give a new --out"
        raise ArtifactError(f"{path}: broken, or written by another version: {error}", hint) from error
