"""Local copies of folders on object stores: programs read and write files, which come from the store, and go to it, by name.

A copy has its place from the URL alone (``places.place_of``), so every process on every machine knows from a path which object it is. A
file comes when it is first asked for (``fetched``), once for each machine, and from then on processes map the same pages of memory. A note
beside it says which object it is a copy of; so it comes again when that has been replaced. A file without a note was written here, and has
not gone to the store yet (``send``).

A worker asks the store for the state of each file that a task reads. The process that gives out the tasks knows all objects from one list
(``Mirror.know``), which it takes anew where others have written.

For a folder on this machine all of this is the file system's own business, and the functions here do nothing else.

Longer than others: what a file here may be to its object is read as one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from tallyclip.io.files import PART, replacing
from tallyclip.io.locks import waiting_for
from tallyclip.places import root_of, url_of

if TYPE_CHECKING:
    from tallyclip.io.stores import Store, Stored

Given = TypeVar("Given")

NOTES = "+notes"
AT_ONCE = 32  # requests


class Note(msgspec.Struct, frozen=True):
    """Which object a file is a copy of, and the file's size and time by which it is seen that nobody has written it since."""

    tag: str
    size: int
    time: int


_MIRRORS: dict[str, Mirror] = {}  # of this process, by their roots


class _LatestTask:
    """What this process did last, or is doing."""

    inputs: str | None = None


def mirror_of(path: Path) -> Mirror | None:
    """The local copy that a path is in, or None where it is in none."""
    root = root_of(str(path))
    if root is None:
        return None
    if root not in _MIRRORS:
        _MIRRORS[root] = Mirror(Path(root))
    return _MIRRORS[root]


class Mirror:
    """The local copy of one folder; see ``mirror_of``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = url_of(str(root))
        self._notes = root.with_name(NOTES)
        self._known: dict[str, Stored] | None = None
        self._trusted: set[str] = set()
        self.is_shared = False  # do others write and delete there, too, while this process works in the folder?

    @cached_property
    def store(self) -> Store:
        """The folder on the store."""
        from tallyclip.io.stores import Store  # with packages that take a while to load, and most folders are on no store

        return Store(self.url)

    # What the store has

    def know(self, below: Path | None = None) -> None:
        """Take the list of all objects, or of those in one folder, and from now on go by it."""
        name = "" if below is None else self._name(below)
        found, before = self.store.list(name), self._objects
        start = f"{name}/" if name else ""
        gone = {other for other in before.keys() - found.keys() if other.startswith(start)} if self.is_shared else set[str]()
        for other in gone:  # where nobody else deletes, the list is late
            self._forget(other, before[other])
        self._known = {other: there for other, there in (before if name else {}).items() if other not in gone} | found
        self._trusted.clear()

    def _forget(self, name: str, there: Stored) -> None:
        """Delete the copy of an object that is gone."""
        path = self.root / name
        note = self._note(path)
        if note is not None and note.tag == there.tag:
            path.unlink(missing_ok=True)
            self._note_file(name).unlink(missing_ok=True)

    def take_up(self) -> None:
        """Begin with the store's state: take its list, and delete what is here and not there, left by a process that was killed."""
        self.know()
        self.tidy()

    def tidy(self) -> None:
        """Delete what is here and not there, or is another there, as far as is known."""
        for path in self._files(self.root):
            name, note = self._name(path), self._note(path)
            if note is None or name not in self._objects or self._objects[name].tag != note.tag:
                path.unlink(missing_ok=True)
                self._note_file(name).unlink(missing_ok=True)

    @property
    def _objects(self) -> dict[str, Stored]:
        return self._known or {}

    def stored(self, path: Path) -> Stored | None:
        """The object of a path, or None if there is none."""
        name = self._name(path)
        there = self._objects.get(name) or self.store.look(name)  # a list may be late
        if there is not None and self._known is not None:
            self._known[name] = there
        return there

    def expect(self, paths: Iterable[Path]) -> None:
        """Know of files that are there, even if the list that was taken had them not yet."""
        at_once(self.stored, [path for path in paths if self._name(path) not in self._objects])

    def size_of(self, path: Path) -> int | None:
        """The size of a file, written here or on the store; None if there is none."""
        if path.exists() and self._note(path) is None:
            return path.stat().st_size
        there = self.stored(path)
        return None if there is None else there.size

    def forget_states(self) -> None:
        """Ask the store again for the state of each file."""
        self._trusted.clear()

    # What is here

    def fetched(self, path: Path) -> Path:
        """The path, once its file is here, in its present state; there is none if the store has none either."""
        name = self._name(path)
        if name in self._trusted and path.exists():
            return path
        note, is_there = self._note(path), path.exists()
        if is_there and note is None and (self._known is not None or self.store.look(name) is None):
            return path  # written here
        there = self.stored(path)
        if there is not None and (note is None or note.tag != there.tag):
            self._get(path, name, there)
        if there is not None:
            self._trusted.add(name)
        elif note is not None:  # a copy of what has been deleted
            path.unlink(missing_ok=True)
        return path

    def is_current(self, path: Path) -> bool:
        """Is a file here, in its present state?"""
        note = self._note(path)
        if note is None:
            return path.exists()
        there = self.stored(path)
        return there is not None and there.tag == note.tag

    def url_of(self, path: Path) -> str:
        """The URL of a file."""
        return f"{self.url}/{self._name(path)}"

    def read_range(self, path: Path, start: int, stop: int) -> bytes:
        """Bytes of a file: from the store, unless all of it is here, which is then brought into its present state.

        Raises:
            FileNotFoundError: there is none.
        """
        if path.exists():
            return _read_range(self.fetched(path), start, stop)
        return self.store.read_range(self._name(path), start, stop)

    def _get(self, path: Path, name: str, there: Stored) -> None:
        note_file = self._note_file(name)
        note_file.parent.mkdir(parents=True, exist_ok=True)
        with waiting_for(note_file.with_name(f"{note_file.name}.lock")):
            note = self._note(path)
            if note is not None and note.tag == there.tag:  # another process has just got it
                return
            with suppress(FileNotFoundError):  # it has just been deleted
                self.store.get(name, path, there.size)
                self._write_note(path, there)

    def send(self, paths: Iterable[Path]) -> None:
        """Write files to the store."""
        at_once(self._send, paths)

    def _send(self, path: Path) -> None:
        name = self._name(path)
        there = self.store.put(name, path)
        self._write_note(path, there)
        if self._known is not None:
            self._known[name] = there
        self._trusted.add(name)

    def unsent(self, folder: Path, *, below: bool = True) -> list[Path]:
        """The files in a folder, and in those in it if ``below``, that were written here and have not gone to the store."""
        return [path for path in self._files(folder, below=below) if self._note(path) is None]

    # Folders and files that go

    def times(self, folder: Path) -> dict[str, float]:
        """The files that are directly in a folder, and when they were written, in seconds since 1970."""
        start = f"{self._name(folder)}/"
        objects = self._objects if self._known is not None else self.store.list(start.rstrip("/"))
        found = {name[len(start) :]: one.written for name, one in objects.items() if name.startswith(start)}
        for path in self._files(folder, below=False):
            if not self.is_shared or self._note(path) is not None:  # what another left that was killed is not there for all
                with suppress(FileNotFoundError):  # it has just been taken away
                    found[path.name] = path.stat().st_mtime
        return {name: written for name, written in found.items() if "/" not in name}

    def below(self, folder: Path) -> list[Path]:
        """All files in a folder and in those in it, on the store or here."""
        return sorted({*self.stored_below(folder), *self._files(folder)})

    def stored_below(self, folder: Path) -> Iterator[Path]:
        """Those that are on the store, as far as is known, in any order."""
        start = f"{self._name(folder)}/".lstrip("/")
        return (self.root / name for name in self._objects if name.startswith(start))

    def copy(self, folder: Path, to: Path, last: tuple[str, ...] = (), but: tuple[str, ...] = ()) -> None:
        """Copy a file, or the objects of a folder, within the store.

        Args:
            folder: the objects in it and in folders in it.
            to: the folder for the copies.
            last: names in the folder that are copied when all others are there, in this order.
            but: names in the folder that are not copied.
        """
        start, target = f"{self._name(folder)}/", self._name(to)
        if start[:-1] in self._objects:  # a file
            self.store.copy(start[:-1], target, self._objects[start[:-1]].size)
            self.know(to)
            return
        names = [name.removeprefix(start) for name in self._objects if name.startswith(start)]
        names = [name for name in names if name.split("/")[0] not in but]
        for part in (None, *last):
            some = [name for name in names if (name.split("/")[0] == part if part else name.split("/")[0] not in last)]
            at_once(lambda name: self.store.copy(start + name, f"{target}/{name}", self._objects[start + name].size), some)
        self.know(to)

    def delete(self, path: Path, first: tuple[str, ...] = ()) -> None:
        """Delete a file or folder from the store, of what is known to be there.

        Args:
            path: of the file or folder.
            first: names in the folder that go before all others.
        """
        name = self._name(path)
        names = [other for other in self._objects if other == name or other.startswith(f"{name}/")]
        before = [other for other in names if other.removeprefix(f"{name}/") in first]
        self._delete(before)
        self._delete([other for other in names if other not in before])

    def delete_file(self, path: Path) -> None:
        """Delete a file from the store, if it is there."""
        self._delete([self._name(path)])

    def _delete(self, names: Sequence[str]) -> None:
        self.store.delete(names)
        for other in names:
            self._objects.pop(other, None)
            self._trusted.discard(other)
            self._note_file(other).unlink(missing_ok=True)

    def settle(self, folder: Path) -> None:
        """Delete what is here of a folder and is no copy of what the store has now."""
        for path in self._files(folder):
            note, there = self._note(path), self._objects.get(self._name(path))
            if note is None or there is None or note.tag != there.tag:
                path.unlink(missing_ok=True)

    def adopt(self, path: Path) -> None:
        """Know what is here of a file or folder as copies of the objects of the same names, made of the same content just now."""
        for file in [path] if path.is_file() else self._files(path):
            there = self._objects.get(self._name(file))
            if there is not None and there.size == file.stat().st_size:
                self._write_note(file, there)

    # Notes

    def _name(self, path: Path) -> str:
        name = path.relative_to(self.root).as_posix()
        return "" if name == "." else name

    def _note_file(self, name: str) -> Path:
        return self._notes / f"{name}.note"

    def _note(self, path: Path) -> Note | None:
        """What a file is a copy of; None if it is not there, or was written here."""
        try:
            note = msgspec.json.decode(self._note_file(self._name(path)).read_bytes(), type=Note)
            status = path.stat()
        except (OSError, ValueError):
            return None
        return note if (status.st_size, status.st_mtime_ns) == (note.size, note.time) else None

    def _write_note(self, path: Path, there: Stored) -> None:
        """Note which object a file is, and give it the object's time: a file that is written later has another."""
        time = int(there.written) * 10**9 + 1
        os.utime(path, ns=(time, time))
        note_file = self._note_file(self._name(path))
        with replacing(note_file) as part:
            part.write_bytes(msgspec.json.encode(Note(there.tag, there.size, time)))

    def _files(self, folder: Path, *, below: bool = True) -> Iterator[Path]:
        for place, folders, names in os.walk(folder):
            if not below:
                folders.clear()
            yield from (Path(place) / name for name in names if PART not in name and not name.startswith(".lock"))

    def clear(self) -> None:
        """Delete everything that is here; all of it is on the store."""
        self._known = None
        self._trusted.clear()
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self._notes, ignore_errors=True)


def at_once(work: Callable[[Given], Any], items: Iterable[Given]) -> None:
    """Do small things that wait for the network, many at a time; the first error is raised."""
    items = list(items)
    if len(items) == 1:
        work(items[0])
        return
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in threads.map(work, items):
            pass


# For paths in any folder


def begin_task(inputs: str | None = None) -> None:
    """A task begins: what it reads may have changed since the one before, unless that had the same ``inputs``."""
    if inputs is None or inputs != _LatestTask.inputs:
        for mirror in _MIRRORS.values():
            mirror.forget_states()
    _LatestTask.inputs = inputs


def look_at(folder: Path) -> None:
    """Take the list of what a folder on a store holds, to read it."""
    mirror = mirror_of(folder)
    if mirror is not None:
        mirror.know()


def fetched(path: Path) -> Path:
    """The path of a file that is to be read, once it is on this machine."""
    mirror = mirror_of(path)
    return path if mirror is None else mirror.fetched(path)


def best_place(path: str) -> str:
    """Where a file is read in parts: its path where it is on this machine, else its URL."""
    mirror = mirror_of(Path(path))
    return path if mirror is None or mirror.is_current(Path(path)) else mirror.url_of(Path(path))


def state_on_store(path: str) -> tuple[int, str] | None:
    """The size in bytes and the tag of a file on a store; None for others."""
    mirror = mirror_of(Path(path))
    there = None if mirror is None else mirror.stored(Path(path))
    return None if there is None else (there.size, there.tag)


def files_below(folder: str) -> list[str] | None:
    """All files in a folder on a store and in those in it; None for other folders."""
    mirror = mirror_of(Path(folder))
    return None if mirror is None else list(map(str, mirror.below(Path(folder))))


def fetch_all(paths: Iterable[Path]) -> None:
    """Have files here before they are read one after the other, many at a time."""
    at_once(fetched, [path for path in paths if mirror_of(path) is not None])


def read_range(path: Path, start: int, stop: int) -> bytes:
    """The bytes of a file from one place to another; see ``Mirror.read_range``.

    Raises:
        OSError: it has none there.
    """
    mirror = mirror_of(path)
    return _read_range(path, start, stop) if mirror is None else mirror.read_range(path, start, stop)


def _read_range(path: Path, start: int, stop: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        found = file.read(stop - start)
    if len(found) != stop - start:
        raise OSError(f"it ends before byte {stop:,}")
    return found


def send(paths: Iterable[Path]) -> None:
    """Have files where others find them."""
    paths = list(paths)
    mirror = mirror_of(paths[0]) if paths else None
    if mirror is not None:
        mirror.send(paths)


def send_folder(folder: Path) -> None:
    """Have everything in a folder that was written here where others find it."""
    mirror = mirror_of(folder)
    if mirror is not None:
        mirror.send(mirror.unsent(folder))


def read_again(folder: Path) -> None:
    """Know what others have written in a folder."""
    mirror = mirror_of(folder)
    if mirror is not None:
        mirror.know(folder)


def size_of(path: Path) -> int | None:
    """The size of a file in bytes, or None if there is none."""
    mirror = mirror_of(path)
    if mirror is not None:
        return mirror.size_of(path)
    try:
        return path.stat().st_size
    except OSError:
        return None


def is_there(path: Path) -> bool:
    """Is there a file?"""
    return size_of(path) is not None


def names_in(folder: Path) -> list[str]:
    """The names of the files directly in a folder, in any order."""
    mirror = mirror_of(folder)
    if mirror is not None:
        return [*mirror.times(folder)]
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def times_in(folder: Path) -> dict[str, float]:
    """The same, and when the files were written, in seconds since 1970."""
    mirror = mirror_of(folder)
    if mirror is not None:
        return mirror.times(folder)
    times: dict[str, float] = {}
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
        for entry in found:
            with suppress(FileNotFoundError):  # it has just been taken away
                times[entry.name] = entry.stat().st_mtime
    return times


def discard_folder(folder: Path) -> None:
    """Delete a folder, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)
    mirror = mirror_of(folder)
    if mirror is not None:
        mirror.delete(folder)


def is_there_at_all(path: Path) -> bool:
    """Is there a file or a folder?"""
    mirror = mirror_of(path)
    return path.exists() or (mirror is not None and (bool(mirror.below(path)) or mirror.size_of(path) is not None))


def discard(path: Path) -> None:
    """Delete a file, if it is there."""
    path.unlink(missing_ok=True)
    mirror = mirror_of(path)
    if mirror is not None:
        mirror.delete_file(path)
