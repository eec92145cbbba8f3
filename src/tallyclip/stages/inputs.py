"""The files that a recipe names: found, told apart by content, and remembered with their checksums."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tallyclip.errors import ArtifactError, IncompleteError, OptionError
from tallyclip.io.files import write_json
from tallyclip.io.streams import is_url, without_compression
from tallyclip.io.structs import read_struct
from tallyclip.lists.extracted import NAME as EXTRACTED
from tallyclip.lists.languages import Language
from tallyclip.lists.recipe import Recipe, filled
from tallyclip.lists.wordnet import PARTS
from tallyclip.readers.listing import list_files
from tallyclip.readers.sources import state_of
from tallyclip.run.build_folder import Build
from tallyclip.run.build_layout import BuildLayout
from tallyclip.run.runners.local import Done, Failed, Progress, Task

BITE = 1 << 22
HOUR = re.compile(r"/pageviews-([0-9]{8}-[0-9]{6})(?:\.[^/]*)?$")
DATABASE = tuple(f"data.{part}" for part in PARTS)


class Input(msgspec.Struct, frozen=True):
    """A file that a list is made of.

    Attributes:
        path: local and absolute, or a URL.
        size: in bytes.
        checksum: "sha256:..." of its content; of a URL, which is not read for that, its size and ETag or time.
    """

    path: str
    size: int
    checksum: str


class Known(msgspec.Struct, frozen=True):
    """A checksum, and the state of the file it is of."""

    size: int
    modified: int
    checksum: str


class _Checksums(msgspec.Struct):
    files: dict[str, Known] = {}


class Inputs(msgspec.Struct, frozen=True):
    """The files of a recipe, in order of their paths."""

    wordnet: list[str]
    text: list[str]
    unigrams: list[str]
    bigrams: list[str]
    titles: list[str]

    def all(self) -> list[str]:
        return [*self.wordnet, *self.text, *self.unigrams, *self.bigrams, *self.titles]


# What of a folder's files a key reads; a file that is named by itself is read whatever its name.
TABLES = (".tsv", ".tab", ".txt")
READ: dict[str, Callable[[str], bool]] = {
    "wordnet.files": lambda name: name in DATABASE or ".tab" in name,
    "text.files": lambda name: (_suffix(name) in (".parquet", ".xml", ".txt") or _is_extracted(name)) and "-multistream-index" not in name,
    "unigrams.counts": lambda name: _suffix(name) in TABLES,
    "bigrams.counts": lambda name: _suffix(name) in TABLES,
    "titles.files": lambda name: name.startswith(("pageviews-", "pagecounts-")) or _suffix(name) in TABLES,
}


def find_all(recipe: Recipe, language: Language, folder: Path, layout: BuildLayout) -> Inputs:
    """The files that a recipe names.

    Args:
        recipe: what names them.
        language: of the list.
        folder: what their names are relative to.
        layout: of the folder where the list is made, whose own files are no inputs.

    Raises:
        OptionError: one is missing, or is none that can be read.
    """

    def find(key: str, names: list[str]) -> list[str]:
        return _find(names, language, folder, key, layout) if names else []

    wordnet = find("wordnet.files", recipe.wordnet.files if recipe.wordnet else [])
    remote = next((path for path in wordnet if is_url(path) and Path(path).name in DATABASE), None)
    if remote is not None:
        raise OptionError(f"{remote}: WordNet's database files must be on this machine", "copy its folder, or fetch it")
    other = next((path for path in wordnet if not READ["wordnet.files"](Path(path).name)), None)
    if other is not None:
        hint = f"a folder of WordNet has {', '.join(DATABASE)}; files of the Open Multilingual WordNet are named wn-data-CODE.tab"
        raise OptionError(f"{other}: no file of a WordNet", hint)
    return Inputs(
        wordnet,
        find("text.files", recipe.text.files if recipe.text else []),
        find("unigrams.counts", recipe.unigrams.counts if recipe.unigrams else []),
        find("bigrams.counts", recipe.bigrams.counts if recipe.bigrams else []),
        _hours(recipe, find("titles.files", recipe.titles.files if recipe.titles else [])),
    )


def _hours(recipe: Recipe, paths: list[str]) -> list[str]:
    """The files of titles; of hourly page views those alone that the recipe fetches, if it says which: a folder may hold others' too.

    Raises:
        OptionError: some of these are not there.
    """
    if recipe.fetch is None or not recipe.fetch.pageview_days:
        return paths
    hours = range(24) if recipe.fetch.pageview_hours is None else recipe.fetch.pageview_hours
    wanted = {f"{day.replace('-', '')}-{hour:02}0000" for day in recipe.fetch.pageview_days for hour in hours}
    found = {path: HOUR.search(path) for path in paths}
    lacking = sorted(wanted - {hour[1] for hour in found.values() if hour})
    if lacking and any(found.values()):
        what = f"titles.files: of the {len(wanted):,} hours of page views that the recipe fetches {len(lacking):,} are not there"
        raise OptionError(
            f"{what}, such as {lacking[0]}", "'tallyclip metadata fetch' gets them; or name fewer pageview_days in a recipe of your own"
        )
    return [path for path, hour in found.items() if hour is None or hour[1] in wanted]


def _find(patterns: Sequence[str], language: Language, folder: Path, key: str, layout: BuildLayout) -> list[str]:
    """The files that a key of a recipe names, in order of their paths."""
    found: set[str] = set()
    for pattern in patterns:
        name = filled(pattern, language)
        name = name if is_url(name) else str(folder / name)
        files = {path for path in list_files(name).files if is_url(path) or not layout.is_own(Path(path))}
        if not files:
            hint = "'tallyclip metadata fetch' gets the public ones; --inputs says where they are"
            raise OptionError(f"{key} = {pattern}: there is no file {name}", hint)
        if not any(sign in name for sign in "*?[") and files != {name}:  # a folder, which may hold a README
            usable = {path for path in files if READ[key](path.rpartition("/")[2])}
            if not usable:
                some = ", ".join(sorted(path.rpartition("/")[2] for path in files)[:3])
                raise OptionError(f"{key} = {pattern}: nothing that can be read in {name}: {some}", "name the files themselves")
            files = usable
        found |= files
    return sorted(found)


def _is_extracted(name: str) -> bool:
    return EXTRACTED.fullmatch(without_compression(name)) is not None


def _suffix(name: str) -> str:
    return os.path.splitext(without_compression(name))[1].lower()


def check_inputs(build: Build, paths: Sequence[str]) -> dict[str, Input]:
    """The files with their checksums; files are read for that once, until they change.

    Raises:
        IncompleteError: a file cannot be read.
        OptionError: two files are the same, so what they hold would count twice.
    """
    known = _known(build.layout.checksums)
    todo: list[str] = []
    inputs: dict[str, Input] = {}
    for path in paths:
        if is_url(path):
            inputs[path] = _remote(path)
        elif path in known and _state(path) == (known[path].size, known[path].modified):
            inputs[path] = Input(path, known[path].size, known[path].checksum)
        else:
            todo.append(path)
    sizes = {path: _state(path)[0] for path in todo}
    failures: list[Failed] = []
    if todo:
        build.progress.start("read", len(todo), 0, sum(sizes.values()), "bytes")
        for event in build.workers.map(checksum, [Task(path, path) for path in todo]):
            match event:
                case Progress(_, count):
                    build.progress.advance(count)
                case Done(path, digest):
                    size, modified = _state(path)
                    inputs[path] = Input(path, size, digest)
                    known[path] = Known(size, modified, digest)
                    build.progress.shard_done(path)
                case Failed() as failure:
                    failures.append(failure)
                    build.progress.shard_failed(failure.key, failure.what)
        write_json(build.layout.checksums, msgspec.to_builtins(_Checksums(known)))
        build.progress.finish(f"{len(todo):,} files")
    if failures:
        raise IncompleteError(f"{failures[0].key}: {failures[0].what}", failures[0].hint)
    _refuse_twice(inputs)
    return inputs


def checksum(path: str, tick: Callable[[int], None]) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while bite := file.read(BITE):
            digest.update(bite)
            tick(len(bite))
    return f"sha256:{digest.hexdigest()}"


def _known(path: Path) -> dict[str, Known]:
    try:
        checksums = read_struct(path, _Checksums)
    except ArtifactError:  # of another version: they are taken again
        return {}
    return checksums.files if checksums else {}


def _state(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise OptionError(f"{path}: {error.strerror}") from error
    return status.st_size, status.st_mtime_ns


def _remote(path: str) -> Input:
    size, stamp = state_of(path)
    return Input(path, size, f"state:{size}-{stamp or path}")


def _refuse_twice(inputs: dict[str, Input]) -> None:
    first: dict[str, str] = {}
    for path, input_ in sorted(inputs.items()):
        other = first.setdefault(input_.checksum, path)
        if other != path and input_.size:
            raise OptionError(f"{other} and {path} are the same file", "what they hold would count twice: name one of them")
