"""Entry lists and matcher tables on disk: what the core itself is made from.

An entry list is a JSON list of strings (the form the authors of the paper publish), a text file with one entry a line, or a Parquet
file with the columns ``entry`` and, if known, ``source``, ``score`` and ``rank``; ``.gz`` and ``.zst`` are unpacked. A matcher's tables are
plain ``.npy`` files beside a ``header.json``, so that processes can map them and share one copy.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tallyclip.errors import ArtifactError, TallyclipError
from tallyclip.io.mirror import fetched
from tallyclip.io.streams import is_url, open_stream, without_compression

NOT_UTF8 = "repair the entry, or write the list again as UTF-8"
SAVE_AGAIN = "save it again with Matcher.save; for a matcher in a run folder, repeat the command that made the run"
CHECKSUM = "checksum"  # of the header
LARGEST_START = 1 << 10  # bytes of a .npy file before its data; ours are 128
ACCESS = "check the URL and your access to it, or copy the file to this machine first"
_ESCAPED = re.compile("[\udc80-\udcff]")  # bytes that are not UTF-8, as Python's "surrogateescape" writes them


class EntryColumns(NamedTuple):
    """An entry list as read, before any checks: position i of each column is entry i."""

    entries: list[str]
    sources: list[str | None] | None = None
    scores: list[float | None] | None = None
    ranks: list[int] | None = None


def read_entries(path: str) -> EntryColumns:
    """Read an entry list from a local path or an fsspec URL.

    Raises:
        ArtifactError: the file is missing, of another kind, or not a list of strings.
    """
    kind = _kind(path)
    try:
        with open_stream(path) as file:
            if kind == "parquet":
                return _from_parquet(path, pq.read_table(file))
            content = file.read()
    except FileNotFoundError:
        raise ArtifactError(f"no entry list at {path}", "give a .json, .txt or .parquet file, or 'wordnet'") from None
    except TallyclipError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: not readable as an entry list: {error}", ACCESS if is_url(path) else None) from error
    except Exception as error:
        # Libraries for URLs and decompression raise errors of their own, which are not OSErrors.
        what = f"{path}: not readable as an entry list: {type(error).__name__}: {error}"
        raise ArtifactError(what, ACCESS if is_url(path) else None) from error
    return EntryColumns(_from_json(path, content) if kind == "json" else _from_lines(path, content))


def write_entries(path: str, columns: EntryColumns) -> None:
    """Write an entry list; the suffix chooses the form, and JSON and text keep the entries alone.

    Raises:
        ArtifactError: the suffix is unknown, or an entry has a line break and the form is text.
    """
    kind = _kind(path)
    if kind == "txt" and any("\n" in entry or "\r" in entry for entry in columns.entries):
        raise ArtifactError(f"{path}: an entry contains a line break, which a text file cannot hold", "write .json or .parquet")
    if kind != "json":
        check_unicode(path, columns.entries)
    target: Any = fsspec.open(path, "wb", compression="infer")
    with target as file:
        if kind == "json":
            file.write(json.dumps(columns.entries).encode())
        elif kind == "txt":
            file.write("".join(f"{entry}\n" for entry in columns.entries).encode("utf-8"))
        else:
            data: dict[str, list[Any]] = {"entry": columns.entries}
            if columns.sources is not None:
                data["source"] = columns.sources
            if columns.scores is not None:
                data["score"] = columns.scores
            if columns.ranks is not None:
                data["rank"] = columns.ranks
            pq.write_table(pa.table(data), pa.PythonFile(file))


def _kind(path: str) -> str:
    name = without_compression(path.lower())
    for kind in ("json", "txt", "parquet"):
        if name.endswith(f".{kind}"):
            return kind
    raise ArtifactError(
        f"{path}: not the suffix of an entry list",
        "name it .json, .txt or .parquet (.gz and .zst may follow)",
    )


def _from_json(path: str, content: bytes) -> list[str]:
    try:
        value = json.loads(content)
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: {_place_in_json(content)}byte {error.start} is not UTF-8", NOT_UTF8) from error
    except ValueError as error:
        raise ArtifactError(f"{path}: not JSON: {error}") from error
    except RecursionError:
        raise ArtifactError(f"{path}: not a JSON list of strings: it is nested too deeply") from None
    if not isinstance(value, list):
        hint = "this looks like entry counts; its keys are the entries" if isinstance(value, dict) else None
        raise ArtifactError(f"{path}: expected a JSON list of strings, found {_json_name(value)}", hint)
    for position, entry in enumerate(value):
        if not isinstance(entry, str):
            raise ArtifactError(f"{path}: entry {position} is {_json_name(entry)}, not a string")
    return value


def _place_in_json(content: bytes) -> str:
    """Which entry of a list has bytes that are not UTF-8, if the rest is JSON."""
    try:
        value = json.loads(content.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return ""
    return next((f"entry {position}: " for position, entry in enumerate(value) if _ESCAPED.search(str(entry))), "")


def check_unicode(where: str, entries: Sequence[str]) -> None:
    """Refuse lone surrogates: JSON can hold them, other files cannot.

    Raises:
        ArtifactError: an entry has one.
    """
    for position, entry in enumerate(entries):
        if not entry.isascii() and any("\ud800" <= character <= "\udfff" for character in entry):
            raise ArtifactError(f"{where}: entry {position} is not Unicode text: {entry!r:.60}", "it has a lone surrogate: repair it")


def _from_lines(path: str, content: bytes) -> list[str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        position = content.count(b"\n", 0, error.start)
        raise ArtifactError(f"{path}: entry {position}: byte {error.start} is not UTF-8", "convert the file to UTF-8") from error
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _from_parquet(path: str, table: pa.Table) -> EntryColumns:
    names = table.column_names
    name = "entry" if "entry" in names else names[0] if len(names) == 1 else None
    if name is None:
        raise ArtifactError(f"{path}: no column 'entry' among {', '.join(names)}")
    entries = _values(path, table, name)
    for position, entry in enumerate(entries):
        if not isinstance(entry, str):
            raise ArtifactError(f"{path}: entry {position} is {_json_name(entry)}, not a string")
    sources, scores, ranks = (_values(path, table, other) if other in names else None for other in ("source", "score", "rank"))
    return EntryColumns(entries, sources, scores, ranks)


def _values(path: str, table: pa.Table, name: str) -> list[Any]:
    """A column as Python values; Arrow does not check the bytes of strings.

    Raises:
        ArtifactError: a value cannot be decoded; the message gives its position.
    """
    column = table[name]
    try:
        return column.to_pylist()
    except Exception:  # of a library: UnicodeDecodeError, OverflowError of a date, and others
        called = f"the {name} of entry" if name in ("source", "score", "rank") else "entry"
        for position, value in enumerate(column):
            try:
                value.as_py()
            except UnicodeDecodeError as error:
                raise ArtifactError(f"{path}: {called} {position} is not UTF-8: {error.object!r:.60}", NOT_UTF8) from error
            except Exception as error:
                raise ArtifactError(f"{path}: {called} {position} cannot be read: {error}") from error
        raise


def _json_name(value: object) -> str:
    names = {"dict": "an object", "list": "a list", "str": "a string", "bool": "a boolean", "NoneType": "null", "bytes": "binary"}
    return names.get(type(value).__name__, "a number" if isinstance(value, int | float) else f"a {type(value).__name__}")


def save_arrays(folder: Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write arrays as ``.npy`` files and, last, the header that makes the folder complete.

    Compiled code follows the indices in the arrays without checks, so the header has a checksum of every file and of itself.
    Existing files are replaced, not overwritten: another process, or the caller, may have them mapped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "header.json").unlink(missing_ok=True)
    checksums: dict[str, str] = {}
    for name, array in arrays.items():
        part = folder / f".{name}.npy.part"
        with part.open("w+b") as file:
            np.save(file, array, allow_pickle=False)
            file.seek(0)
            checksums[name] = hashlib.file_digest(file, "sha256").hexdigest()
        part.replace(folder / f"{name}.npy")
    whole = {**header, "arrays": dict(sorted(checksums.items()))}
    (folder / "header.json").write_text(json.dumps({**whole, CHECKSUM: _checksum(whole)}, indent=1) + "\n")


def read_header(folder: Path) -> dict[str, Any]:
    """Read the header that ``save_arrays`` wrote, without checking it: another version may have written it.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    try:
        header = json.loads(fetched(folder / "header.json").read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{folder}: not a saved matcher: header.json is missing", "Matcher.save writes one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{folder}: damaged matcher: header.json: {error}", SAVE_AGAIN) from error
    if not isinstance(header, dict):
        raise ArtifactError(f"{folder}: damaged matcher: header.json is {_json_name(header)}", SAVE_AGAIN)
    return header


def open_arrays(folder: Path, header: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Map the arrays of a header, and check every byte: 0.03 s for 500,000 entries, and the pages are then in memory for matching.

    Raises:
        ArtifactError: an array is missing, or it or the header does not match its checksum.
    """
    whole = {name: value for name, value in header.items() if name != CHECKSUM}
    if CHECKSUM not in header:
        raise ArtifactError(f"{folder}: this matcher was saved by an earlier version, which wrote no checksums", SAVE_AGAIN)
    if header[CHECKSUM] != _checksum(whole):
        raise ArtifactError(f"{folder}: damaged matcher: header.json does not match its checksum", SAVE_AGAIN)
    return {name: _map_array(folder / f"{name}.npy", checksum) for name, checksum in whole["arrays"].items()}


def _checksum(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def _map_array(path: Path, checksum: str) -> np.ndarray[Any, Any]:
    try:
        content = np.memmap(fetched(path), np.uint8, "r")
    except FileNotFoundError:
        raise ArtifactError(f"{path.parent}: not a saved matcher: {path.name} is missing", "Matcher.save writes one") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path.parent}: damaged matcher: {path.name}: {error}", SAVE_AGAIN) from error
    if hashlib.sha256(content.data).hexdigest() != checksum:
        raise ArtifactError(f"{path.parent}: damaged matcher: {path.name} does not match its checksum", SAVE_AGAIN)
    start = io.BytesIO(content[:LARGEST_START].tobytes())
    np.lib.format.read_magic(start)
    shape, _, kind = np.lib.format.read_array_header_1_0(start)
    return content[start.tell() :].view(kind).reshape(shape)
