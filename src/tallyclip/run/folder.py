"""A run folder: opening it, keeping others out, and putting finished stages into place."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tallyclip.core.data import Metadata
from tallyclip.errors import ArtifactError, IncompleteError, OptionError, StaleError
from tallyclip.io.files import PART, clear_parts, remove, write_json
from tallyclip.io.streams import is_url
from tallyclip.io.structs import read_struct
from tallyclip.readers.columns import ColumnChoice
from tallyclip.readers.sources import PoolFile
from tallyclip.run.layout import MANIFEST, RunLayout, StageFolder
from tallyclip.run.manifest import Manifest, read_manifest, write_manifest
from tallyclip.run.progress import Progress, Silent
from tallyclip.run.runners.local import Workers
from tallyclip.run.stages import BUILT_ON, COMMANDS
from tallyclip.run.versions import OF_STAGES, versions


class Frozen(msgspec.Struct, frozen=True):
    """What is read: the pool as it was named and found, and its columns.

    ``made_here``: the files are those of the stage "pool", made from crawl files.
    """

    pool: list[str]
    choice: ColumnChoice
    files: list[PoolFile]
    made_here: bool = False


class Record(msgspec.Struct, frozen=True):
    """What a run was last asked for."""

    command: list[str]
    versions: dict[str, str]
    pool: list[str]
    files: int


class Run:
    """One run folder, held by one process at a time."""

    def __init__(self, root: str | Path, workers: Workers, progress: Progress | None = None, command: Sequence[str] = ()) -> None:
        if is_url(str(root)):
            raise OptionError(f"{root}: a run folder must be on this machine", "give a local --out and copy the results from there")
        self.layout = RunLayout(Path(root).resolve())
        self.workers = workers
        self.progress: Progress = progress or Silent()
        self.command = list(command)
        self._lock: int | None = None
        self._metadata: Metadata | None = None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            shutil.rmtree(self.layout.trash, ignore_errors=True)
            for folder in (self.layout.downloads, self.layout.work):
                with suppress(OSError):  # something is under way
                    folder.rmdir()
            os.close(self._lock)
            self._lock = None

    def create(self, frozen: Frozen) -> None:
        """Make the folder, or take up one that is there.

        Raises:
            OptionError: the folder cannot be made or written, or holds something else.
            StaleError: another process is working on it.
        """
        root = self.layout.root
        try:
            root.mkdir(parents=True, exist_ok=True)
            strangers = [name for name in os.listdir(root) if name != self.layout.lock.name and PART not in name]
        except OSError as error:
            raise OptionError(f"{root}: cannot be a run folder: {error.strerror}", "give another --out") from error
        if strangers and not self.layout.record.exists():
            raise OptionError(f"{root} holds files but no run ({', '.join(sorted(strangers)[:3])})", "give a new or empty --out")
        self._take()
        if not self.layout.record.exists():
            self.record(frozen)

    def open(self) -> None:
        """Take up a run that is there.

        Raises:
            ArtifactError: there is none.
            OptionError: it cannot be written.
            StaleError: another process is working on it.
        """
        if not self.layout.record.exists():
            raise ArtifactError(f"{self.layout.root}: no run here", "start one with 'tallyclip match POOL... --out RUN'")
        self._take()

    def record(self, frozen: Frozen) -> None:
        """Write down what was asked for."""
        record = Record(self.command, versions(), frozen.pool, len(frozen.files))
        write_json(self.layout.record, msgspec.to_builtins(record))

    def frozen(self) -> Frozen:
        """What the matches in place were made from.

        Raises:
            IncompleteError: there are none.
        """
        frozen = read_struct(self.layout.match.pool, Frozen)
        if frozen is None:
            raise self._not_whole("match")
        return frozen

    def _take(self) -> None:
        try:
            lock = os.open(self.layout.lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OptionError(
                f"{self.layout.root}: cannot be written: {error.strerror}", "check its permissions, or give another --out"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StaleError(f"{self.layout.root}: another process is working on this run", "wait for it, or stop it") from None
        self._lock = lock
        shutil.rmtree(self.layout.trash, ignore_errors=True)
        clear_parts(self.layout.root)

    @property
    def metadata(self) -> Metadata:
        """The entry list in place; read once, if it was not given."""
        if self._metadata is None:
            self._metadata = Metadata.load(str(self.layout.metadata.entries))
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def required(self, stage: str) -> Manifest:
        """The manifest of a stage in place.

        Raises:
            IncompleteError: the stage is not whole.
            StaleError: another version made it, which read the pool's files in another way.
        """
        manifest = self.whole(stage)
        if manifest is None:
            raise self._not_whole(stage)
        version = OF_STAGES.get(stage)
        if version is not None and manifest.options.get("version", 1) != version:
            what = f"{self.layout.root}: another version of tallyclip made the stage '{stage}', and read the pool in another way"
            raise StaleError(what, f"read the pool again: run 'tallyclip curate POOL... --out RUN' or '{COMMANDS[stage]}'")
        return manifest

    def whole(self, stage: str) -> Manifest | None:
        """The manifest of a stage in place, or None if the stage is not whole."""
        manifest = read_manifest(StageFolder(self.layout.root / stage))
        return manifest if manifest is not None and self._is_whole(manifest) else None

    def _not_whole(self, stage: str) -> IncompleteError:
        return IncompleteError(f"{self.layout.root}: the stage '{stage}' is not whole", f"run '{COMMANDS[stage]}' first")

    def _is_whole(self, manifest: Manifest, folder: Path | None = None) -> bool:
        """Are a stage's files all there, in its folder (by default the one in place) or among the results of the run?"""
        places = (folder or self.layout.root / manifest.stage, self.layout.root)
        return all(any(_size(place / name) == size for place in places) for name, size in manifest.outputs.items())

    def begin(self, stage: str, fingerprint: str) -> Path:
        """The folder to build a stage in, with what earlier attempts finished in it."""
        path = self.layout.under_way(stage, fingerprint)
        path.mkdir(parents=True, exist_ok=True)
        clear_parts(path, below=True)
        return path

    def in_place(self, stage: str, fingerprint: str) -> Manifest | None:
        """The manifest of a stage that is in place and whole; attempts at it with other options are given up."""
        manifest = self.whole(stage)
        if manifest is None or manifest.fingerprint != fingerprint:
            return None
        self._clear_attempts(stage)
        return manifest

    def in_place_or_whole(self, stage: str, fingerprint: str) -> Manifest | None:
        """The manifest of a stage that needs no more work: it is in place, or was interrupted on its way there and now is."""
        manifest = self.in_place(stage, fingerprint)
        if manifest is not None:
            return manifest
        under_way = StageFolder(self.layout.under_way(stage, fingerprint))
        manifest = read_manifest(under_way)
        if manifest is None or not self._is_whole(manifest, under_way.path):
            return None
        self.put_in_place(stage, under_way, manifest)
        return manifest

    def copy_of(self, stage: str, fingerprint: str) -> Path:
        """The folder to change a stage in: what is in place stays there until the changed one is whole.

        Its files are links to those in place, which are never written to, only replaced.
        """
        path = self.layout.under_way(stage, fingerprint)
        if not path.exists():
            fresh = self.layout.trash / path.name
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(self.layout.root / stage, fresh, copy_function=_link, ignore=shutil.ignore_patterns(MANIFEST))
            fresh.rename(path)
        return path

    def withdraw(self, stage: str, fingerprint: str) -> Path:
        """Take a stage in place back under way, because what it was made from turns out to be broken; what was built on it goes."""
        trash = self.layout.trash
        for later in reversed(BUILT_ON[stage]):
            folder, results = self._places(later)
            for place in (folder, *reversed(results)):
                remove(place, trash)
        path = self.layout.under_way(stage, fingerprint)
        remove(path, trash)
        self.layout.work.mkdir(exist_ok=True)
        (self.layout.root / stage).rename(path)
        return path

    def publish(
        self,
        stage: str,
        under_way: StageFolder,
        fingerprint: str,
        *,
        inputs: dict[str, str],
        options: dict[str, Any],
        result: dict[str, Any],
        outputs: dict[str, int],
        seconds: float,
    ) -> Manifest:
        """Write the manifest of a stage that is done and put the stage into place."""
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(stage, fingerprint, inputs, options, result, outputs, self.command, versions(), finished, round(seconds, 2))
        write_manifest(under_way, manifest)
        self.put_in_place(stage, under_way, manifest)
        return manifest

    def put_in_place(self, stage: str, under_way: StageFolder, manifest: Manifest) -> None:
        """Rename a whole stage into place, together with its results outside its folder.

        First everything goes that was built on another state of this stage, the last of it first, so that results never stand beside
        inputs they were not made from. Then the stage that was in place goes, its folder first and its most telling result next, which
        comes back last but one: as long as RUN/curated is there, it is whole and belongs to what is beside it. An interruption between
        two renames is taken up here; so other attempts, whose results may be half in place, go before any of that.

        No worker writes any more, so a part that is still there is of one that was killed: its task was done again by another.
        """
        trash = self.layout.trash
        clear_parts(under_way.path, below=True)
        self._clear_attempts(stage, but=under_way.path)
        for later in reversed(BUILT_ON[stage]):
            folder, results = self._places(later)
            known = read_manifest(StageFolder(folder))
            if known is None or known.inputs.get(stage) != manifest.fingerprint:
                for place in (folder, *reversed(results)):
                    remove(place, trash)
        folder, results = self._places(stage)
        fresh = [(source, place) for place in results if (source := under_way.path / place.name).exists()]
        remove(folder, trash)
        for _, place in reversed(fresh):
            remove(place, trash)
        for source, place in fresh:
            source.rename(place)
        under_way.path.rename(folder)

    def _clear_attempts(self, stage: str, but: Path | None = None) -> None:
        for attempt in self.layout.attempts(stage):
            if attempt != but:
                remove(attempt, self.layout.trash)

    def _places(self, stage: str) -> tuple[Path, list[Path]]:
        """A stage's folder, and its results outside of it, the most telling last."""
        layout = self.layout
        outside = {
            "counts": [layout.entry_counts],
            "balance": [layout.entry_counts_curated, layout.uids, layout.probabilities, layout.curated],
        }
        return layout.root / stage, outside.get(stage, [])


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
