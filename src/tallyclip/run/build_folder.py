"""The folder in which a list is built: held by one process at a time, its stages renamed into place when they are whole."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tallyclip.errors import OptionError, StaleError
from tallyclip.io.files import PART, clear_parts, remove
from tallyclip.run.build_layout import BuildLayout, CountsFolder
from tallyclip.run.manifest import Manifest, read_manifest, write_manifest
from tallyclip.run.progress import Progress, Silent
from tallyclip.run.runners.local import Workers
from tallyclip.run.versions import versions


class Build:
    """A folder to build a list in, with workers and somebody who is told how far it is."""

    def __init__(self, root: Path, workers: Workers, progress: Progress | None = None, command: Sequence[str] = ()) -> None:
        self.layout = BuildLayout(root.resolve())
        self.workers = workers
        self.progress: Progress = progress or Silent()
        self.command = list(command)
        self._lock: int | None = None

    def __enter__(self) -> Build:
        return self

    def take(self) -> None:
        """Make the folder, or take up one that is there.

        Raises:
            OptionError: it cannot be written, or holds something else.
            StaleError: another process is building in it.
        """
        layout = self.layout
        try:
            layout.root.mkdir(parents=True, exist_ok=True)
            strangers = sorted(name for name in os.listdir(layout.root) if name not in layout.names and PART not in name)
            if strangers:
                raise OptionError(f"{layout.root} holds files of something else ({', '.join(strangers[:3])})", "give a new or empty --out")
            lock = os.open(layout.lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OptionError(f"{layout.root}: cannot be written: {error.strerror}", "give another --out") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StaleError(f"{layout.root}: another process is building here", "wait for it, or stop it") from None
        self._lock = lock
        clear_parts(layout.root)

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            shutil.rmtree(self._trash, ignore_errors=True)
            with suppress(OSError):  # something is under way
                self.layout.work.rmdir()
            os.close(self._lock)
            self._lock = None

    @property
    def _trash(self) -> Path:
        return self.layout.work / "trash"

    def in_place(self, name: str, fingerprint: str) -> Manifest | None:
        """The manifest of counts that are in place and whole, if they are of these inputs."""
        return self.whole(self.layout.counts(name), fingerprint)

    def whole(self, folder: CountsFolder, fingerprint: str) -> Manifest | None:
        """The manifest of counts, if they are whole and of these inputs."""
        manifest = read_manifest(folder)
        if manifest is None or manifest.fingerprint != fingerprint:
            return None
        whole = all((path := folder.path / file).is_file() and path.stat().st_size == size for file, size in manifest.outputs.items())
        return manifest if whole else None

    def begin(self, name: str) -> CountsFolder:
        """The folder to count in, with what an interrupted attempt has finished."""
        folder = self.layout.under_way(name)
        folder.path.mkdir(parents=True, exist_ok=True)
        clear_parts(folder.path, below=True)
        return folder

    def write_manifest(
        self, folder: CountsFolder, name: str, fingerprint: str, result: dict[str, Any], outputs: Sequence[Path], seconds: float
    ) -> None:
        """Make counts whole: with a manifest."""
        sizes = {str(path.relative_to(folder.path)): path.stat().st_size for path in outputs}
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        write_manifest(folder, Manifest(name, fingerprint, {}, {}, result, sizes, self.command, versions(), finished, round(seconds, 2)))

    def publish(self, name: str, folder: CountsFolder) -> CountsFolder:
        """Put counts that are whole into place. The runs they were merged from go last: without them there would be no going on.

        No worker writes any more, so a part that is still there is of one that was killed: its task was done again by another.
        """
        place = self.layout.counts(name)
        clear_parts(folder.path, below=True)
        remove(place.path, self._trash)
        folder.path.rename(place.path)
        remove(place.runs, self._trash)
        return place
