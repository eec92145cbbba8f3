"""Folders of samples as files, ``KEY.jpg`` beside ``KEY.txt`` and ``KEY.json``: what img2dataset writes with ``--output_format files``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator

from tallyclip.io.suffixes import IMAGES
from tallyclip.readers.tar_headers import Member

END = "/"  # of the path of a folder that is read as a tar is


def folders_of(files: Iterable[str]) -> list[str]:
    """The folders, each ending with a slash, that have images among these files, and no tar of the same name beside them."""
    names = set(files)
    folders = {os.path.dirname(name) for name in names if os.path.splitext(name)[1][1:].lower() in IMAGES}
    return sorted(f"{folder}{END}" for folder in folders if f"{folder}.tar" not in names)


def state_of_folder(folder: str) -> tuple[int, str]:
    """The size of all its files, and a fingerprint of their names, sizes and times."""
    entries = sorted((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in os.scandir(folder) if entry.is_file())
    return sum(size for _, size, _ in entries), hashlib.sha256(repr(entries).encode("utf-8", "surrogateescape")).hexdigest()[:32]


class FolderReader:
    """Iterates over the files of a folder as ``TarReader`` does over the members of a tar; a place is the number of a file."""

    def __init__(self, folder: str, first: int = 0) -> None:
        self._folder, self._first = folder, first

    def __iter__(self) -> Iterator[Member]:
        names = [entry.name for entry in os.scandir(self._folder) if entry.is_file() and not entry.name.startswith((".", "_"))]
        for place, name in enumerate(sorted(names, key=lambda name: name.partition("."))):
            if place >= self._first:
                size = os.path.getsize(os.path.join(self._folder, name))
                yield Member(name, size, True, place, place, size)

    def beginning(self, member: Member, size: int) -> bytes:
        """The first bytes of a file."""
        with open(os.path.join(self._folder, member.name), "rb") as file:
            return file.read(size)

    def content(self, member: Member) -> bytes:
        """The content of a file."""
        return self.beginning(member, -1)
