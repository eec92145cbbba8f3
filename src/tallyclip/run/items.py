"""Pieces of work, and the marks they leave: everything that a stage knows of its work is in files of its folder.

A section's ``_work/<section>.json`` is a snapshot of all its pieces, written before any is done, and ``_work/<section>.job.json`` what they
have in common. Whoever does a piece gets it with the task and reads only the latter, writes the piece's files, and then its mark,
``_done/<key>.json``: with that the piece is done. A piece that failed has a mark in ``_failed/``. So a process knows from the folder alone
what is left to do, and a piece may be done anywhere, or twice. While it is done it has one in ``_running/``, for ``status`` alone.

Longer than others: what is written of a piece, and who writes and reads it, is read as one.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from tallyclip.errors import ArtifactError
from tallyclip.io.files import replacing, with_infinity, write_json
from tallyclip.io.mirror import discard, discard_folder, fetch_all, fetched, names_in, send, size_of, times_in
from tallyclip.io.structs import read_struct
from tallyclip.places import root_of

DONE = "_done"
FAILED = "_failed"
RUNNING = "_running"
WORK = "_work"
MARK = ".json"
Kind = TypeVar("Kind")


class Source(msgspec.Struct, frozen=True):
    """A file from outside that a piece of work reads, and its state at the time of the snapshot."""

    path: str
    fingerprint: str


class Report(msgspec.Struct, kw_only=True):
    """What is said of a finished piece; stages add to it. ``rows`` counts what the progress counts."""

    rows: int = 0


class Mark(msgspec.Struct, frozen=True):
    """A piece is done: which files it left, in bytes, relative to the stage's folder; what it read, and how long it took.

    ``barrier`` is the fingerprint of the sections before, whose results it was made from.
    """

    outputs: dict[str, int]
    seconds: float
    source: Source | None
    barrier: str
    report: Any


class Failure(msgspec.Struct, frozen=True):
    """Why a piece failed, and what it read in which state.

    ``late``: its file could be read for one stage, and turned out to be broken when another read all of it.
    """

    what: str
    hint: str | None = None
    source: Source | None = None
    late: bool = False


class Running(msgspec.Struct, frozen=True):
    """A piece is being done: on which host, by which process, since when by the host's clock, in seconds since 1970."""

    host: str
    pid: int
    started: float


@dataclass(frozen=True)
class Work:
    """The pieces of a section by their keys, and ``job``, what they have in common; each a struct. A key serves as a file name.

    An item that reads a file from outside has a property ``source``. One whose key tells people nothing has a property ``name``.
    """

    items: Mapping[str, Any]
    job: Any = None

    @property
    def sources(self) -> dict[str, Source]:
        """What pieces read from outside."""
        return {key: item.source for key, item in self.items.items() if hasattr(item, "source")}

    def name_of(self, key: str) -> str:
        """What people know a piece by."""
        return getattr(self.items[key], "name", key)


class StageFolder:
    """The files of one stage, under way or done. Stages say what else is in theirs, and which files a piece of work writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = path / "_manifest.json"

    def outputs_of(self, key: str) -> Iterable[Path]:  # noqa: ARG002 - for stages with pieces
        """The files that a piece may write."""
        return ()

    def done(self, key: str) -> Path:
        return self.path / DONE / f"{key}.json"

    def failed(self, key: str) -> Path:
        return self.path / FAILED / f"{key}.json"

    def running(self, key: str) -> Path:
        return self.path / RUNNING / f"{key}.json"

    def work(self, section: str) -> Path:
        return self.path / WORK / f"{section}.json"

    def job(self, section: str) -> Path:
        return self.path / WORK / f"{section}.job.json"

    def mark(self, key: str) -> Mark | None:
        """The mark of a piece, if it can be read."""
        try:
            return read_struct(self.done(key), Mark)
        except ArtifactError:
            return None

    def is_done(self, key: str, source: Source | None = None, barrier: str = "") -> bool:
        """Is a piece done, of what it reads in its present state, and are its files whole?"""
        mark = self.mark(key)
        if mark is None or mark.barrier != barrier or (source and source.fingerprint) != (mark.source and mark.source.fingerprint):
            return False
        return all(size_of(self.path / name) == size for name, size in mark.outputs.items())

    def marked(self) -> list[str]:
        """The pieces with a mark that they are done."""
        return sorted(_keys(self.path / DONE))

    def marked_at(self) -> dict[str, float]:
        """The same, and when the mark was made, in seconds since 1970, by the clock of the file system or store; in any order."""
        return _times(self.path / DONE)

    def left(self, keys: Iterable[str], sources: Mapping[str, Source], barrier: str) -> list[str]:
        """Those of some pieces that are not done; see ``is_done``. A mark is read only where one is there: on a file system that is far
        away, to look for each takes longer than the list of all."""
        keys, marked = list(keys), {*_keys(self.path / DONE)}
        fetch_all(self.done(key) for key in keys if key in marked)
        return [key for key in keys if key not in marked or not self.is_done(key, sources.get(key), barrier)]

    def tried(self) -> Container[str]:
        """The pieces with a mark that they are done, or failed."""
        return {*_keys(self.path / DONE), *_keys(self.path / FAILED)}

    def at_work(self) -> dict[str, Running]:
        """The pieces that are being done, or were when their process was killed."""
        found: dict[str, Running] = {}
        for key in list(_keys(self.path / RUNNING)):
            try:
                running = read_struct(self.running(key), Running)
            except ArtifactError:
                continue
            if running is not None:
                found[key] = running
        return found

    def began_at(self) -> dict[str, float]:
        """When they began, in seconds since 1970, by the clock of the file system or store; in any order."""
        return _times(self.path / RUNNING)

    def failed_at(self) -> dict[str, float]:
        """The pieces that failed last time, and when, in seconds since 1970, by the clock of the file system or store; in any order."""
        return _times(self.path / FAILED)

    def rest(self) -> None:
        """All pieces are done, or failed: take away what is said of those being done."""
        discard_folder(self.path / RUNNING)

    def failures(self) -> dict[str, Failure]:
        """The pieces that failed last time. A mark that cannot be read is skipped: its piece is not done, whatever the reason."""
        failures: dict[str, Failure] = {}
        keys = sorted(_keys(self.path / FAILED))
        fetch_all(map(self.failed, keys))
        for key in keys:
            try:
                failure = read_struct(self.failed(key), Failure)
            except ArtifactError:
                continue
            if failure is not None:
                failures[key] = failure
        return failures

    def forget(self, key: str, *, outputs: bool = False) -> None:
        """Take away the marks of a piece, and its files if so asked."""
        discard(self.done(key))
        discard(self.failed(key))
        for path in self.outputs_of(key) if outputs else ():
            discard(path)

    def reports(self, keys: Sequence[str], kind: type[Kind]) -> dict[str, Kind]:
        """The reports of pieces, those whose marks are there, in the order of the keys.

        Raises:
            ArtifactError: a report is not in the form of this version.
        """
        fetch_all(map(self.done, keys))
        marks = ((key, mark) for key in keys if (mark := self.mark(key)) is not None)
        try:
            return {key: msgspec.convert(mark.report, kind, strict=False) for key, mark in marks}
        except msgspec.ValidationError as error:
            hint = f"delete {self.path} and run the same command again"
            raise ArtifactError(f"{self.path / DONE}: not of this version: {error}", hint) from error

    def snapshot(self, section: str) -> list[str] | None:
        """The keys of a section's pieces, if they are known."""
        try:
            return list(msgspec.json.decode(fetched(self.work(section)).read_bytes(), type=_Snapshot).items)
        except (OSError, ValueError):
            return None

    def unit(self, section: str) -> str:
        """What is counted in a section's pieces, if that is known."""
        try:
            job = read_struct(self.job(section), _Job)
        except ArtifactError:
            job = None
        return "rows" if job is None else job.unit


def _keys(folder: Path) -> Iterator[str]:
    """The keys of the marks in a folder."""
    return (name.removesuffix(MARK) for name in names_in(folder) if name.endswith(MARK))


def _times(folder: Path) -> dict[str, float]:
    """The same, and when the marks were made."""
    return {name.removesuffix(MARK): time for name, time in times_in(folder).items() if name.endswith(MARK)}


class _Snapshot(msgspec.Struct):
    items: dict[str, msgspec.Raw]


class _Job(msgspec.Struct):
    """``copy`` is where the run's files were for who wrote it, if the run is on a store."""

    barrier: str
    unit: str
    job: Any
    copy: str | None = None


def write_work(folder: StageFolder, section: str, work: Work, barrier: str, unit: str = "rows") -> None:
    """Write down all pieces of a section, before any is done; one a line, and never all in memory."""
    job = {"barrier": barrier, "unit": unit, "job": msgspec.to_builtins(work.job), "copy": root_of(str(folder.path))}
    write_json(folder.job(section), with_infinity(job))
    with replacing(folder.work(section)) as part, part.open("wb") as file:
        file.write(b'{"items": {')
        for number, (key, item) in enumerate(work.items.items()):
            line = msgspec.json.encode(key) + b": " + msgspec.json.encode(with_infinity(msgspec.to_builtins(item)))
            file.write((b",\n" if number else b"\n") + line)
        file.write(b"\n}}\n")
    send([folder.job(section), folder.work(section)])


@dataclass(frozen=True)
class Piece:
    """A piece of work in builtins, where what it has in common with others is written down, and what does it: all that goes to a worker."""

    work: Callable[[Any, Any, Any, Callable[[int], None]], Report]
    folder: type[StageFolder]
    path: str
    section: str
    key: str
    item: Any

    @property
    def inputs(self) -> str:
        """Pieces with the same read the same state of what other stages and sections left: that stays while a section is done."""
        return f"{self.path} {self.section}"


def piece_of_work(work: Callable[..., Report], folder: StageFolder, section: str, key: str, item: Any) -> Piece:
    """A piece of a section whose work is written down."""
    return Piece(work, type(folder), str(folder.path), section, key, msgspec.to_builtins(item))


def do_piece(piece: Piece, tick: Callable[[int], None]) -> int:
    """Do a piece of work and mark it as done; returns its number of rows."""
    started = time.perf_counter()
    folder = piece.folder(Path(piece.path))
    barrier, job, item = _read_piece(folder, piece)
    running = folder.running(piece.key)
    write_json(running, msgspec.to_builtins(Running(socket.gethostname(), os.getpid(), round(time.time(), 3))))
    send([running])
    try:
        before = {path: _state(path) for path in folder.outputs_of(piece.key)}
        report = piece.work(job, item, folder, tick)
        written = [path for path in folder.outputs_of(piece.key) if _state(path) not in (None, before.get(path))]
        send(written)
        outputs = {str(path.relative_to(folder.path)): path.stat().st_size for path in written}
        mark = Mark(outputs, round(time.perf_counter() - started, 3), getattr(item, "source", None), barrier, report)
        write_json(folder.done(piece.key), with_infinity(msgspec.to_builtins(mark)))
        send([folder.done(piece.key)])  # the last that counts: it is the commit
    finally:
        discard(running)
    return report.rows


def _state(path: Path) -> tuple[int, int] | None:
    """Which file is there, if there is one. What an earlier try left on this machine is none of this try's, which writes its own anew."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read_piece(folder: StageFolder, piece: Piece) -> tuple[str, Any, Any]:
    """The barrier before a section, what its pieces have in common, and one of them, in the types that its work takes.

    Raises:
        ArtifactError: what they have in common is not written down, or not in the form of this version, or the piece is not.
    """
    path, kinds = folder.job(piece.section), list(get_type_hints(piece.work).values())
    try:
        common = _read_job(str(path), fetched(path).stat().st_mtime_ns)
        return common.barrier, _convert(common.job, kinds[0]), _convert(piece.item, kinds[1])
    except (OSError, TypeError, ValueError) as error:
        hint = "run the same command again"
        raise ArtifactError(f"{path}: the piece of work {piece.key!r} cannot be read: {error}", hint) from error


def _convert(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, strict=False)  # so that the text of ``with_infinity`` is a number again


@lru_cache(maxsize=2)
def _read_job(path: str, _: int) -> _Job:
    """What a section's pieces have in common; read once by each process, until it is written anew.

    Paths in it are of the copy of who wrote it, so on a store, where ranks have copies in places of their own, they are made to be here.
    """
    content = Path(path).read_bytes()
    job, here = msgspec.convert(json.loads(content), _Job), root_of(path)
    if job.copy is None or here is None or job.copy == here:
        return job
    theirs, ours = (json.dumps(each, ensure_ascii=False)[1:-1].encode() for each in (job.copy, here))
    return msgspec.convert(json.loads(content.replace(theirs, ours)), _Job)
