"""Our own small JSON files, read into the structs they are of, and fingerprints."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tallyclip.errors import ArtifactError

Kind = TypeVar("Kind")


def fingerprint_of(**parts: Any) -> str:
    """64 hex digits that change with any part; parts are what JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_struct(path: Path, kind: type[Kind]) -> Kind | None:
    """Read one of our own JSON files, or None if it is not there.

    Raises:
        ArtifactError: there is one, but not whole or not in the form of this version.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ArtifactError(f"{path}: not readable: {error.strerror}") from error
    try:
        return msgspec.convert(json.loads(content), kind, strict=False)  # so that the text of ``with_infinity`` is a number again
    except ValueError as error:  # msgspec's errors are ValueErrors too
        hint = f"delete {path.parent if path.name == '_manifest.json' else path} and run the same command again, or give a new --out"
        raise ArtifactError(f"{path}: broken, or not of this version: {error}", hint) from error
