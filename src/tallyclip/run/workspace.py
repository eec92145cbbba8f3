"""The folder that stages are made in: who may work in it, and how a stage gets into its place.

    FOLDER/
    ├── <record>              what was asked for last, with which versions, and the layout of the folder
    ├── log.txt               what commands did in it, and when; for programs, events.jsonl
    ├── <stage>/              a stage that is whole; its _manifest.json is written before it gets there
    ├── <results>             what stages publish beside their folders
    └── .work/                stages under way, each under its fingerprint; gone when they are done

Names with an underscore are skipped by readers of Parquet folders. Only this module puts things into place. It does so by renaming; where
nothing can be renamed, writing the manifest last has to do, so nothing but a manifest says that a stage is whole.

Longer than others: what may be interrupted between any two of its steps is read as one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tallyclip.errors import ArtifactError, IncompleteError, InUseError, OptionError, OutputError, StaleError
from tallyclip.io.files import PART, clear_parts, remove, write_json
from tallyclip.io.leases import Lease, Turn
from tallyclip.io.locks import ALONE, LOCK, is_last, lock_folder, share_again, unlock, waiting_for
from tallyclip.io.mirror import Mirror, fetched, is_there, look_at, mirror_of, read_again, send, size_of
from tallyclip.places import shown
from tallyclip.run.items import DONE, StageFolder
from tallyclip.run.log import EVENTS, LOG, Logged, merged
from tallyclip.run.manifest import Manifest, read_manifest, write_manifest
from tallyclip.run.presence import Seat, is_taken, take_seat
from tallyclip.run.progress import Progress, Silent
from tallyclip.run.ranks import SAME_COMMAND, Alone, PartDone, Role
from tallyclip.run.record import LAYOUT, FolderKind, Outline, Record, attempts, check_folder, check_layout, command_in, read_record
from tallyclip.run.runners.base import Nowhere, Runner
from tallyclip.run.sharing import Sharing
from tallyclip.run.stage import Stage, Stages
from tallyclip.run.versions import versions

Value = TypeVar("Value")


class Kind(FolderKind, frozen=True, kw_only=True):
    """What is made in a folder.

    Attributes:
        stages: that it has.
        others: names in the folder besides those of stages and results.
    """

    stages: Stages
    others: tuple[str, ...] = ()

    @property
    def outline(self) -> Outline:
        """What there is to say of it without making anything."""
        return Outline(noun=self.noun, record=self.record, start=self.start, stages=tuple(stage.outline for stage in self.stages))

    @property
    def names(self) -> set[str]:
        """Everything that may be in such a folder."""
        ours = {name for stage in self.stages for name in (stage.name, *stage.results)}
        return ours | {self.record, LOG, EVENTS, LOCK, ALONE, ".work", *self.others}


class Workspace:
    """A folder in which stages are made, held by one process at a time, or shared by several, each of which has its part (``role``)."""

    def __init__(
        self,
        kind: Kind,
        root: str | Path,
        runner: Runner,
        progress: Progress | None = None,
        command: Sequence[str] = (),
        role: Role | None = None,
    ) -> None:
        self.kind = kind
        self.stages = kind.stages
        self.root = Path(root).resolve()
        self._mirror = mirror_of(self.root)
        self._lease: Lease | None = None  # of a folder on a store
        self._turn: Turn | None = None  # likewise, while this process is alone there
        self.record_file = self.root / kind.record
        self.downloads = self.root / ".work" / "downloads"
        self.footers = self.root / ".work" / "footers"  # of files that were listed, until the end of the command
        self.seats = self.root / ".work" / "ranks"  # a file for each rank, held as long as its process lives
        self.runner = runner
        self.role = role or Alone()
        self.progress = Logged(progress or Silent())
        self.command = list(command)
        self._work = self.root / ".work"
        self._trash = self._work / "trash"
        self._lock: int | None = None
        self._seat: int | None = None
        self._alone = False
        self.since = 0.0  # when this process took up the folder, in seconds since 1970 by the clock of its file system or store
        self._cache: dict[str, tuple[str, Any]] = {}

    @property
    def place(self) -> str:
        """The folder as people know it: a path, or a URL."""
        return shown(str(self.root))

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._lock is None:
            return
        is_done = error is None or isinstance(error, PartDone)
        self.progress.end(None if is_done else error)
        try:
            self._leave_store()
        finally:
            if self._seat is not None:
                unlock(self._seat)
                self._seat = None
            if not self.role.shares or is_last(self._lock):  # else what is there may be another's, who is at work
                self._clear(is_done=is_done)
            unlock(self._lock)
            self._lock = None

    def _clear(self, *, is_done: bool) -> None:
        """Take away what is only needed while somebody works in the folder."""
        (self.root / ALONE).unlink(missing_ok=True)
        for folder in (self._trash, self.footers, self.seats):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.downloads, self._work):
            with suppress(OSError):  # something is under way
                folder.rmdir()
        if self._mirror is not None and is_done:  # else the copies are needed again soon
            self._mirror.clear()

    # Who may work in it

    def create(self, sources: Sequence[str], files: int) -> None:
        """Make the folder, or take up one that is there.

        Raises:
            OptionError: the folder cannot be made or written, holds something else, or has another layout.
            StaleError: another process is working in it, or is the same rank.
        """
        with self._permitted():
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                there = [name for name in (os.listdir(self.root) if self._mirror is None else self._listed()) if PART not in name]
            except OSError as error:
                raise OptionError(f"{self.root}: cannot be a {self.kind.noun} folder: {error.strerror}", "give another --out") from error
            self._refuse_strangers(there)
            with suppress(ArtifactError):  # a broken record is written anew
                check_layout(self.kind, self.root)
            self._take()
            if not is_there(self.record_file):
                self.record(sources, files)
            self._take_seat()  # now that there is a record: without one, a folder with more than locks in it is refused
            self.progress.begin(self.root, self.command)

    def open(self) -> None:
        """Take up a folder that is there.

        Raises:
            ArtifactError: there is none.
            OptionError: it cannot be written, or has another layout.
            StaleError: another process is working in it, or is the same rank.
        """
        with self._permitted():
            check_folder(self.kind, self.root)
            self._take()
            self._take_seat()
            self.progress.begin(self.root, self.command)

    def _refuse_strangers(self, there: Sequence[str]) -> None:
        """A folder that holds something else is none for this."""
        strangers = sorted(name for name in there if name not in (LOCK, ALONE))
        if strangers and not is_there(self.record_file):
            if LOCK in there and self.kind.names.issuperset(strangers):
                what = f"{self.root}: a {self.kind.noun} folder without its {self.kind.record}: an earlier version of tallyclip made it,"
                raise OptionError(f"{what} or the file was deleted", "give a new or empty --out; what is there stays as it is")
            what = f"{self.root} holds files but no {self.kind.noun} ({', '.join(strangers[:3])})"
            raise OptionError(what, "give a new or empty --out")

    @contextmanager
    def _permitted(self) -> Generator[None]:
        """Nothing has begun yet: if a store does not allow something, it is the folder that was given that cannot be used."""
        try:
            yield
        except OutputError as error:
            if self._mirror is None or not isinstance(error.__cause__, PermissionError):
                raise
            what = f"{self.place}: cannot be a {self.kind.noun} folder: {error.what.removeprefix(self.place).lstrip('/: ')}"
            raise OptionError(what, f"{error.hint}, or give another folder") from error

    def _take(self) -> None:
        if self._mirror is None or not self.role.shares:
            self._lock = lock_folder(self.root, self.kind.noun, shared=self.role.shares)
        else:
            self._lock = self._lock_copy(self._mirror)
        os.utime(self.root / LOCK)
        self.since = (self.root / LOCK).stat().st_mtime
        if self._mirror is not None:
            self._take_on(self._mirror)
        if not self.role.shares:
            shutil.rmtree(self._trash, ignore_errors=True)
            clear_parts(self.root)

    def _lock_copy(self, mirror: Mirror) -> int:
        """Share the local copy of a folder on a store. The first who does on this machine takes away what killed processes left."""
        mirror.know()
        try:
            lock = lock_folder(self.root, self.kind.noun, shared=False)
        except InUseError:
            return lock_folder(self.root, self.kind.noun, shared=True)
        mirror.tidy()
        share_again(lock)
        return lock

    def _take_on(self, mirror: Mirror) -> None:
        """Hold a folder on a store, or share it, and begin with its state."""
        mirror.is_shared = self.role.shares
        if self.role.shares:
            sharing = Sharing(mirror.store, self.role.seat, self.kind.noun, self.progress.note)
            self._lease, self.since = sharing, sharing.written
            return
        self._lease = Lease(mirror.store, self.kind.noun, self.progress.note)
        mirror.take_up()
        for name in (LOG, EVENTS):
            fetched(self.root / name)

    def _take_seat(self) -> None:
        if self.role.seat is not None and self._mirror is None:
            self._seat = take_seat(self.seats, self.role.seat, self.root)

    def is_at_work(self, seat: Seat) -> bool:
        """Is a rank at work, as far as can be seen from here?"""
        return self._lease.sees(seat) if isinstance(self._lease, Sharing) else is_taken(self.seats, seat)

    @contextmanager
    def alone(self) -> Generator[None]:
        """For what only one of those may do who share the folder: they wait for each other."""
        if not self.role.shares or self._alone:
            yield
            return
        with waiting_for(self.root / ALONE) if self._mirror is None else self._having_the_turn(self._mirror):
            self._alone = True
            try:
                yield
            finally:
                self._alone = False

    @contextmanager
    def _having_the_turn(self, mirror: Mirror) -> Generator[None]:
        """Be alone in a folder on a store, and know what others have done in it."""
        self._turn = Turn(mirror.store, self.kind.noun, self.progress.note)
        try:
            mirror.know()
            yield
        finally:
            self._turn.release()
            self._turn = None

    def has(self, folder: Path) -> bool:
        """Is there something for all who share the run in a folder in it, as far as is known?"""
        if self._mirror is None or not self.role.shares:
            return folder.exists()
        return any(True for _ in self._mirror.stored_below(folder))

    def still_has(self, folder: Path) -> bool:
        """The same, where what others have done is read again."""
        read_again(folder)
        return self.has(folder)

    def record(self, sources: Sequence[str], files: int) -> None:
        """Write down what was asked for."""
        record = Record(LAYOUT, self.command, versions(), list(sources), files, os.getcwd())
        write_json(self.record_file, msgspec.to_builtins(record))
        send([self.record_file])

    def _listed(self) -> list[str]:
        """What there is in the folder on the store; nothing is asked if it is a run's."""
        assert self._mirror is not None
        if is_there(self.record_file):
            return []
        self._mirror.know()
        return sorted({path.relative_to(self.root).parts[0] for path in self._mirror.below(self.root)})

    def _leave_store(self) -> None:
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        try:
            if lease.is_held:
                with self.alone():
                    self._send_own()
        finally:
            lease.release()

    def _send_own(self) -> None:
        """Have the files that no stage has made, such as the log, on the store."""
        assert self._mirror is not None
        unsent = self._mirror.unsent(self.root, below=False)
        logs = [path for path in unsent if path.name in (LOG, EVENTS)] if self.role.shares else []
        for path in logs:  # they are only of what was done on this machine
            self._mirror.store.write(path.name, merged(self._mirror.store.read(path.name) or b"", path.read_bytes()))
        self._mirror.send(path for path in unsent if path not in logs)

    # What is in it

    def is_own(self, path: Path) -> bool:
        """Is a file one that is made here?"""
        return path.is_relative_to(self.root) and path.relative_to(self.root).parts[0] in self.kind.names

    def folder(self, stage: Stage) -> Any:
        """The files of a stage in place."""
        return stage.folder(self.root / stage.name)

    def whole(self, stage: Stage) -> Manifest | None:
        """The manifest of a stage in place, or None if the stage is not whole."""
        manifest = read_manifest(self.folder(stage))
        return manifest if manifest is not None and self._is_whole(stage, manifest, self.root / stage.name) else None

    def required(self, stage: Stage) -> Manifest:
        """The manifest of a stage in place.

        Raises:
            IncompleteError: the stage is not whole.
            StaleError: another version of the stage made it.
        """
        manifest = self.whole(stage)
        if manifest is None:
            first = next(other for name in self.stages.needed(stage.name) if self.whole(other := self.stages[name]) is None)
            what, hint = f"{self.root}: the stage '{stage.name}' is not whole", f"run '{command_in(first.command, self.root)}' first"
            raise IncompleteError(what, hint)
        if manifest.version != stage.version:
            what = f"{self.root}: another version of tallyclip made the stage '{stage.name}'"
            raise StaleError(what, f"make it again: run '{command_in(stage.command, self.root)}'")
        return manifest

    def reports(self, stage: Stage, section: int = -1) -> dict[str, Any]:
        """The reports of a stage in place, of the pieces of a section, by key, in order.

        Raises:
            IncompleteError: the stage is not whole, or a report is gone.
        """
        manifest = self.required(stage)
        reports = self.folder(stage).reports(manifest.pieces, stage.sections[section].report)
        gone = [key for key in manifest.pieces if key not in reports]
        if gone:
            what = f"{self.root / stage.name}: the marks of {', '.join(gone[:3])} are gone or not whole"
            raise IncompleteError(what, f"delete {self.root / stage.name} and run '{command_in(stage.command, self.root)}' again")
        return reports

    def remember(self, stage: Stage, load: Callable[[], Value]) -> Value:
        """What was read of a stage in place, read once as long as that stays."""
        fingerprint = self.required(stage).fingerprint
        known = self._cache.get(stage.name)
        if known is None or known[0] != fingerprint:
            known = self._cache[stage.name] = (fingerprint, load())
        return known[1]

    def _is_whole(self, stage: Stage, manifest: Manifest, folder: Path) -> bool:
        """Are a stage's files all there, its results beside its folder? On a store, to look where a file is not takes a request."""
        results = (self.root,) if folder.parent == self.root else (folder, self.root)
        places = {name: results if name.split("/")[0] in stage.results else (folder,) for name in manifest.outputs}
        return all(any(size_of(place / name) == size for place in places[name]) for name, size in manifest.outputs.items())

    # Stages under way

    def under_way(self, stage: Stage, fingerprint: str) -> Path:
        """Where a stage is made."""
        return self._work / f"{stage.name}-{fingerprint[:16]}"

    def attempts(self, stage: Stage) -> list[Path]:
        """The folders in which a stage is, or was, under way."""
        return attempts(self.root, stage.name)

    def refuse_others(self, stage: Stage, but: Path | None = None) -> None:
        """See that none who share the folder work on a stage with other options.

        Raises:
            OptionError: some do, or did.
        """
        others = [path.name for path in self.attempts(stage) if path != but] if self.role.shares else []
        if others:
            what = f"{self.root}: the stage '{stage.name}' is under way with other options, another pool or another version"
            raise OptionError(what, f"{SAME_COMMAND}, or delete {self.root}/.work/{others[0]} if nothing works on it")

    def begin(self, stage: Stage, fingerprint: str) -> Path:
        """The folder to make a stage in, with what earlier attempts finished in it."""
        path = self.under_way(stage, fingerprint)
        path.mkdir(parents=True, exist_ok=True)
        if not self.role.shares:  # else they may be another's, who is at work
            clear_parts(path, below=True)
        return path

    def in_place(self, stage: Stage, fingerprint: str) -> Manifest | None:
        """The manifest of a stage that is in place and whole; attempts at it with other options are given up."""
        manifest = self.whole(stage)
        if manifest is None or manifest.fingerprint != fingerprint:
            return None
        self._clear_attempts(stage)
        self._clear_scratch(stage, manifest)
        return manifest

    def in_place_or_whole(self, stage: Stage, fingerprint: str) -> Manifest | None:
        """The manifest of a stage that needs no more work: it is in place, or was interrupted on its way there and now is."""
        manifest = self.in_place(stage, fingerprint)
        if manifest is not None:
            return manifest
        under_way = stage.folder(self.under_way(stage, fingerprint))
        manifest = read_manifest(under_way)
        if manifest is None or not self._is_whole(stage, manifest, under_way.path):
            return None
        self.put_in_place(stage, under_way, manifest)
        return manifest

    def copy_of(self, stage: Stage, fingerprint: str) -> None:
        """Begin from a copy of the stage in place, which stays there until the changed one is whole.

        Its files are links to those in place, which are never written to, only replaced.
        """
        path = self.under_way(stage, fingerprint)
        if path not in self.attempts(stage):
            if self._mirror is not None:
                self._mirror.copy(self.root / stage.name, path, last=(DONE,), but=(stage.folder(path).manifest.name,))
                return
            fresh = self._trash / path.name
            shutil.rmtree(fresh, ignore_errors=True)
            ignored = shutil.ignore_patterns(stage.folder(path).manifest.name)
            shutil.copytree(self.root / stage.name, fresh, copy_function=_link, ignore=ignored)
            fresh.rename(path)

    def withdraw(self, stage: Stage, fingerprint: str) -> Path:
        """Take a stage in place back under way, because what it was made from turns out to be broken; what was built on it goes."""
        for later in reversed(self.stages.built_on(stage.name)):
            self._remove(self.stages[later])
        path = self.under_way(stage, fingerprint)
        self._gone(path)
        if self._mirror is not None:
            place = stage.folder(self.root / stage.name)
            self._mirror.copy(place.path, path, last=(DONE,), but=(place.manifest.name,))
            self._gone(place.path)  # not before all is copied: what is left under way without its place would be done again
            return path
        self._work.mkdir(exist_ok=True)
        (self.root / stage.name).rename(path)
        return path

    def discard(self, stage: Stage) -> None:
        """Remove a stage, and what was made from it, because the run does without it now.

        Raises:
            OptionError: others who share the folder work on it, or on what is made from it.
        """
        with self.alone():
            if self.whole(stage) is None and not self.attempts(stage):
                return
            affected = [stage.name, *self.stages.built_on(stage.name)]
            for name in affected:
                self.refuse_others(self.stages[name])
            for later in reversed(affected):
                self._clear_attempts(self.stages[later])
                self._remove(self.stages[later])

    def publish(self, stage: Stage, under_way: StageFolder, manifest: Manifest) -> Manifest:
        """Write the manifest of a stage that is done, and put the stage into place."""
        manifest.command, manifest.versions = self.command, versions()
        manifest.finished = datetime.now(UTC).isoformat(timespec="seconds")
        if self._mirror is not None:
            self._mirror.send(self._mirror.unsent(under_way.path))
            self._send_own()
        write_manifest(under_way, manifest)
        send([under_way.manifest])
        self.put_in_place(stage, under_way, manifest)
        return manifest

    def put_in_place(self, stage: Stage, under_way: StageFolder, manifest: Manifest) -> None:
        """Rename a whole stage into place, together with its results outside its folder.

        First everything goes that was built on another state of this stage, the last of it first, so that results never stand beside
        inputs they were not made from. Then the stage that was in place goes, its folder first and its most telling result next, which
        comes back last but one: as long as RUN/curated is there, it is whole and belongs to what is beside it. An interruption between
        two renames is taken up here; so other attempts, whose results may be half in place, go before any of that.

        No worker writes any more, so a part that is still there is of one that was killed: its task was done again by another.
        """
        clear_parts(under_way.path, below=True)
        self._clear_attempts(stage, but=under_way.path)
        before = read_manifest(self.folder(stage))
        for later in reversed(self.stages.built_on(stage.name)):
            if before is not None and before.fingerprint != manifest.fingerprint:
                self._clear_attempts(self.stages[later])
            known = read_manifest(self.folder(self.stages[later]))
            if known is None or known.inputs.get(stage.name) != manifest.fingerprint:
                self._remove(self.stages[later])
        folder = self.root / stage.name
        if self._mirror is not None:
            self._put_in_place_on(self._mirror, stage, under_way, manifest)
            return
        fresh = [(source, self.root / name) for name in stage.results if (source := under_way.path / name).exists()]
        remove(folder, self._trash)
        for _, place in reversed(fresh):
            remove(place, self._trash)
        for source, place in fresh:
            source.rename(place)
        under_way.path.rename(folder)
        self._clear_scratch(stage, manifest)

    def _put_in_place_on(self, mirror: Mirror, stage: Stage, under_way: StageFolder, manifest: Manifest) -> None:
        """The same where nothing can be renamed: by copies within the store, of which the manifest is the last."""
        folder, name = self.root / stage.name, under_way.manifest.name
        scratch = () if manifest.failed else stage.scratch
        mirror.know(under_way.path)  # workers have written since
        mirror.settle(under_way.path)
        self._remove(stage)
        for result in stage.results:
            mirror.copy(under_way.path / result, self.root / result)
        mirror.copy(under_way.path, folder, last=(name,), but=(*stage.results, *scratch))
        for result in stage.results:
            if (under_way.path / result).exists():
                (under_way.path / result).rename(self.root / result)
                mirror.adopt(self.root / result)
        if under_way.path.exists():
            for other in scratch:
                remove(under_way.path / other, self._trash)
            under_way.path.rename(folder)
            mirror.adopt(folder)
        stored = map(mirror.stored, self._places(stage, manifest))
        if any(one is None or one.size != size for one, size in zip(stored, manifest.outputs.values(), strict=True)):
            raise StaleError(f"{shown(str(folder))}: files went while they were put into place", "run the same command again")
        mirror.delete(under_way.path, first=(name,))

    def _remove(self, stage: Stage) -> None:
        self._expect(stage)
        for name in (stage.name, *reversed(stage.results)):
            self._gone(self.root / name)

    def _gone(self, path: Path) -> None:
        """Take a file or folder away, in one step; on a store what says that a stage is whole goes first."""
        if self._mirror is not None:
            for lease in (self._lease, self._turn):
                if lease is not None:
                    lease.check()
            self._mirror.delete(path, first=(StageFolder(path).manifest.name,))
        remove(path, self._trash)

    def _expect(self, stage: Stage) -> None:
        """Know of all files of a stage in place, before they are taken away: one that was left would be read as a result."""
        manifest = None if self._mirror is None else read_manifest(self.folder(stage))
        if self._mirror is not None and manifest is not None:
            self._mirror.expect(self._places(stage, manifest))

    def _places(self, stage: Stage, manifest: Manifest) -> list[Path]:
        """Where the files of a stage in place are."""
        return [(self.root if name.split("/")[0] in stage.results else self.root / stage.name) / name for name in manifest.outputs]

    def _clear_attempts(self, stage: Stage, but: Path | None = None) -> None:
        for attempt in self.attempts(stage):
            if attempt != but:
                self._gone(attempt)

    def _clear_scratch(self, stage: Stage, manifest: Manifest) -> None:
        """Delete what only the making needed; where pieces failed it is kept, since the others are not to be done again."""
        for name in () if manifest.failed else stage.scratch:
            self._gone(self.root / stage.name / name)


def only_read(kind: Kind, root: str | Path) -> Workspace:
    """A folder that is there, to read what is in it, also while another process works on it.

    Raises:
        ArtifactError: there is no such folder, or its record is broken.
        OptionError: it has another layout.
    """
    folder = Workspace(kind, root, Nowhere())
    look_at(folder.root)
    read_record(kind, folder.root)
    return folder


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)
