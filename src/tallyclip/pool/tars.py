"""WebDataset tars: a sample is the run of members with one key; captions come from ``txt`` or from ``json``."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any, cast

import pyarrow as pa

from tallyclip.errors import SourceError
from tallyclip.pool.columns import ColumnChoice, Columns
from tallyclip.pool.names import Names, first_names, watched
from tallyclip.pool.reading import BOM, DAMAGED, LARGEST, reading
from tallyclip.pool.records import Bad, Records, decode_json, in_batches
from tallyclip.streams import open_file

BLOCK = 512


def tar_names(path: str) -> Names:
    """The column names of the first samples.

    Raises:
        SourceError: there is no sample in it.
    """
    names = first_names(path, _samples(path), "sample")
    if not names.names:
        what = f" that can be read; the first is {names.first.reason}" if isinstance(names.first, Bad) else ""
        hint = "a sample is members with one name and the suffixes .jpg, .txt, .json or the like"
        raise SourceError(f"{path}: no sample in it{what}", hint)
    return names


def read_records(path: str, columns: Columns, choice: ColumnChoice, schema: pa.Schema | None) -> Iterator[Records]:
    """Stream a tar's samples: the fields of their json, their key as ``key``, and their txt as ``caption``. Images are passed over.

    Raises:
        SourceError: the tar is cut short or broken; the message says at which byte. Or a name that decides on the columns comes too late.
    """
    return in_batches(watched(path, _samples(path), columns, choice, "sample"), columns, schema)


def member_key(name: str) -> tuple[str, str] | None:
    """The key of the sample that a member belongs to, and its suffix; None for what is no part of a sample, as in WebDataset."""
    folder, _, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".")
    return (f"{folder}/{stem}" if folder else stem, suffix.lower()) if stem and dot else None


def _samples(path: str) -> Iterator[tuple[dict[str, Any] | Bad, int]]:
    """Samples as objects, ``Bad`` those with a member that cannot be read, each with the size of its text."""
    sample: dict[str, Any] = {}
    problem: str | None = None
    size = 0
    with reading(path), open_file(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        while (member := tar.next()) is not None:
            cast(Any, tar).members.clear()  # tarfile would keep them all
            named = member_key(member.name) if member.isfile() else None
            if named is None:
                continue
            key, suffix = named
            if sample and sample["key"] != key:
                yield _finished(sample, problem), size
                sample, problem, size = {}, None, 0
            sample["key"] = key
            if suffix in ("txt", "json"):
                size += member.size
                problem = _add_member(sample, suffix, tar, member) or problem
        _check_end(path, file, tar)
    if sample:
        yield _finished(sample, problem), size


def _finished(sample: dict[str, Any], problem: str | None) -> dict[str, Any] | Bad:
    return sample if problem is None else Bad(problem, ascii(sample["key"]))


def _add_member(sample: dict[str, Any], suffix: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> str | None:
    """Read a txt or json member into the sample; returns the reason to drop the sample, if there is one."""
    if member.size > LARGEST:
        return f"{suffix} member too large"
    file = tar.extractfile(member)
    assert file is not None
    content = file.read().removeprefix(BOM)
    if suffix == "txt":
        try:
            sample["caption"] = content.decode("utf-8")
        except UnicodeDecodeError:
            return "not UTF-8"
        return None
    fields = decode_json(content)
    if isinstance(fields, Bad):
        return fields.reason
    if not isinstance(fields, dict):
        return "not a JSON object"
    for name, value in fields.items():
        sample.setdefault(name, value)
    return None


def _check_end(path: str, file: pa.NativeFile, tar: tarfile.TarFile) -> None:
    """Python's tarfile takes a broken header, and the end of the file, for the end of the archive; only a block of zeros is one."""
    file.seek(tar.offset)
    if file.read(BLOCK) != bytes(BLOCK):
        raise SourceError(f"{path}: the tar is cut short or broken at byte {tar.offset:,}", DAMAGED)
