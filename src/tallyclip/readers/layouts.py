"""Layouts that hold one caption in several files, of which one is read: img2dataset's, and folders of samples as files."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.streams import file_name, without_compression
from tallyclip.readers.columns import ColumnChoice, find_columns
from tallyclip.readers.json_lines import json_names
from tallyclip.readers.listing import kind_of, last_suffix

# What a sample's caption is about: a .txt or .json beside a file of the same name with one of these suffixes is that sample's.
MEDIA = {
    *(".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jxl", ".heic"),
    *(".mp4", ".webm", ".mkv", ".mov", ".avi", ".wav", ".mp3", ".flac", ".ogg", ".m4a"),
}
SAMPLES = (".txt", ".json")  # in which a sample has its caption
SAMPLES_LOOKED_AT = 3  # of a folder, to see whether their JSON has captions
CARDS = ("readme.md", "dataset_infos.json")  # in the top folder of a data set


def repeats(paths: set[str], files: set[str], named: set[str], choice: ColumnChoice) -> dict[str, str]:
    """The files that are not to be read, each with what to call it.

    A Parquet file stands for the tar of the same name beside it, and each of them for the folder of samples of the same name. Of a sample's
    .json and .txt in other folders the .json is read, unless it holds no caption. A text file in the top folder of a data set whose tables
    are in folders below is none of captions.

    Args:
        paths: what can be read.
        files: all files that were found.
        named: those that the user named by their own paths; of these only tars are skipped.
        choice: what the user said of columns.
    """
    skipped: dict[str, str] = {}
    stems = {kind: {_stem(path) for path in paths if kind_of(path) == kind} for kind in ("parquet", "tar")}
    for path in paths:
        if kind_of(path) == "tar" and _stem(path) in stems["parquet"]:
            skipped[path] = ".tar with a .parquet of the same samples"
    samples = {path for path in paths - named if last_suffix(path) in SAMPLES} if paths != named else set[str]()
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
    """Of the samples of a folder, what is not to be read."""
    by_suffix = {suffix: {_stem(path): path for path in members if last_suffix(path) == suffix} for suffix in SAMPLES}
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
    """Text files in folders that have the card of a data set, and no table but in folders below."""
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
