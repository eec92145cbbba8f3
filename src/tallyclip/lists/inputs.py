"""The files that a recipe names: found, told apart by content, and remembered with their checksums."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tallyclip.errors import OptionError
from tallyclip.io.streams import is_url, without_compression
from tallyclip.lists.extracted import NAME as EXTRACTED
from tallyclip.lists.languages import Language
from tallyclip.lists.recipe import Recipe, filled
from tallyclip.lists.wordnet import PARTS
from tallyclip.readers.listing import list_files

CHECKSUMS = "inputs.json"  # in the folder of a list
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


def find_all(recipe: Recipe, language: Language, folder: Path, is_own: Callable[[Path], bool]) -> Inputs:
    """The files that a recipe names.

    Args:
        recipe: what names them.
        language: of the list.
        folder: what their names are relative to.
        is_own: is a file one of the folder where the list is made? Those are not inputs.

    Raises:
        OptionError: one is missing, or is none that can be read.
    """

    def find(key: str, names: list[str]) -> list[str]:
        return _find(names, language, folder, key, is_own) if names else []

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


def _find(patterns: Sequence[str], language: Language, folder: Path, key: str, is_own: Callable[[Path], bool]) -> list[str]:
    """The files that a key of a recipe names, in order of their paths."""
    found: set[str] = set()
    for pattern in patterns:
        name = filled(pattern, language)
        name = name if is_url(name) else str(folder / name)
        files = {path for path in list_files(name).files if is_url(path) or not is_own(Path(path))}
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
