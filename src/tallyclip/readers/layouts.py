"""Layouts that hold the same caption in several files, of which one is read: img2dataset's, and folders of samples as files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.streams import file_name, without_compression
from tallyclip.io.suffixes import IMAGES
from tallyclip.readers.columns import ColumnChoice, find_columns
from tallyclip.readers.json_lines import json_names
from tallyclip.readers.listing import kind_of, last_suffix

# A .txt or .json beside a file of the same name with one of these suffixes belongs to the same sample.
MEDIA = {
    *(f".{suffix}" for suffix in IMAGES),
    *(".mp4", ".webm", ".mkv", ".mov", ".avi", ".wav", ".mp3", ".flac", ".ogg", ".m4a"),
}
CAPTION_SUFFIXES = (".txt", ".json")  # of the files in which a sample has its caption
SAMPLES_LOOKED_AT = 3  # of a folder, to see if their JSON has captions
CACHE = re.compile(r"cache-[0-9a-f]+(_\d+_of_\d+)?\.arrow")  # of results of `datasets`, beside its data
OF_DATASETS = ("dataset_info.json", "state.json")
CARDS = ("readme.md", "dataset_infos.json")  # in the top folder of a data set


def repeats(paths: set[str], files: set[str], named: set[str], choice: ColumnChoice) -> dict[str, str]:
    """The files to skip, each with what a message calls it.

    A Parquet file replaces the tar of the same name beside it, and either replaces the folder of samples of the same name. In other folders
    a sample's .json is read in place of its .txt, unless it has no caption. A text file in the top folder of a data set whose tables are in
    subfolders holds no captions. What `datasets` caches beside a data set it saved holds the same rows, changed.

    Args:
        paths: what can be read.
        files: all files that were found.
        named: those that the user named by their own paths; of these only tars are skipped.
        choice: the user's choices for columns.
    """
    skipped: dict[str, str] = {}
    stems = {kind: {_stem(path) for path in paths if kind_of(path) == kind} for kind in ("parquet", "tar")}
    for path in paths:
        if kind_of(path) == "tar" and _stem(path) in stems["parquet"]:
            skipped[path] = ".tar with a .parquet of the same samples"
    of_datasets = {_folder(path) for path in files if os.path.basename(file_name(path)) in OF_DATASETS}
    cached = {path for path in paths - named if _folder(path) in of_datasets and CACHE.fullmatch(os.path.basename(file_name(path)))}
    skipped |= dict.fromkeys(cached, ".arrow that caches results of datasets")
    samples = {path for path in paths - named if last_suffix(path) in CAPTION_SUFFIXES} if paths != named else set[str]()
    media = {_stem(path) for path in files if last_suffix(path) in MEDIA} if samples else set[str]()
    of_media = {path for path in samples if _stem(path) in media}
    folders: dict[str, list[str]] = {}
    for path in of_media:
        folders.setdefault(_folder(path), []).append(path)
    for folder, members in folders.items():
        whole = next((kind for kind, names in stems.items() if folder in names), None)
        if whole is None:
            skipped |= _one_each(members, choice)
        else:
            skipped |= {path: f"{last_suffix(path)} with a .{whole} of the same samples" for path in members}
    documents = _above_tables(paths, files)
    return skipped | dict.fromkeys(documents & samples - of_media, ".txt beside a README, above the tables")


def _one_each(members: list[str], choice: ColumnChoice) -> dict[str, str]:
    """The files to skip among the samples of a folder."""
    by_suffix = {suffix: {_stem(path): path for path in members if last_suffix(path) == suffix} for suffix in CAPTION_SUFFIXES}
    texts, jsons = by_suffix[".txt"], by_suffix[".json"]
    if not texts or not jsons:
        return {}
    if _have_captions(jsons.values(), choice):
        return {path: ".txt with a .json of the same sample" for stem, path in texts.items() if stem in jsons}
    return dict.fromkeys(jsons.values(), ".json without a caption, of samples with .txt")


def _have_captions(paths: Iterable[str], choice: ColumnChoice) -> bool:
    for path in sorted(paths)[:SAMPLES_LOOKED_AT]:
        try:
            find_columns(json_names(path, choice).names, ColumnChoice(caption=choice.caption))
        except (OptionError, SourceError):
            continue
        return True
    return False


def _above_tables(paths: set[str], files: set[str]) -> set[str]:
    """Text files in a folder that has the card of a data set, and tables only in its subfolders."""
    tops = {_folder(path) for path in files if os.path.basename(file_name(path)).lower() in CARDS}
    if not tops:
        return set()
    texts = {path for path in paths if last_suffix(path) == ".txt" and _folder(path) in tops}
    with_tables = {_folder(path) for path in paths if kind_of(path) != "text"}
    above: set[str] = set()
    for folder in with_tables:
        while (folder := folder.rpartition("/")[0]) and folder not in above:
            above.add(folder)
    return {path for path in texts if _folder(path) in above and _folder(path) not in with_tables}


def _stem(path: str) -> str:
    return os.path.splitext(without_compression(path))[0]


def _folder(path: str) -> str:
    return file_name(path).rpartition("/")[0]
