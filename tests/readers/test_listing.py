"""Listing files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tallyclip.errors import OptionError
from tallyclip.readers.listing import kind_of, list_files, suffix_of


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def listed(name: object, folder: Path) -> list[str]:
    return sorted(str(Path(file).relative_to(folder)) for file in list_files(str(name)).files)


@pytest.mark.parametrize(
    ("path", "kind", "suffix"),
    [
        ("a.parquet", "parquet", ".parquet"),
        ("a.PARQUET", "parquet", ".PARQUET"),
        ("a.jsonl.gz", "json", ".jsonl.gz"),
        ("a.json.zst", "json", ".json.zst"),
        ("a.ndjson", "json", ".ndjson"),
        ("a.b.csv.BZ2", "csv", ".csv.BZ2"),
        ("a.tsv", "tsv", ".tsv"),
        ("a.txt", "text", ".txt"),
        ("a.tar", "tar", ".tar"),
        ("a.tar.gz", "tar", ".tar.gz"),
        ("a.tgz", "tar", ".tar"),
        ("a.parquet.gz", None, ".parquet.gz"),
        ("a.npz", None, ".npz"),
        ("README", None, ""),
        ("https://a.example/b.parquet?download=true", "parquet", ".parquet"),
        ("https://a.example/b.jsonl.gz?key=a.b#c", "json", ".jsonl.gz"),
        ("s3://bucket/what?.csv", "csv", ".csv"),
    ],
)
def test_the_suffix_says_which_kind_a_file_is_of(path: str, kind: str | None, suffix: str) -> None:
    assert kind_of(path) == kind
    assert suffix_of(path) == suffix


def test_a_folder_is_gone_through_to_its_depths(tmp_path: Path) -> None:
    touch(tmp_path, "a.parquet", "en/b.parquet", "en/deep/c.tar", "notes.md")
    assert listed(tmp_path, tmp_path) == ["a.parquet", "en/b.parquet", "en/deep/c.tar", "notes.md"]


def test_files_and_folders_with_a_dot_or_an_underscore_are_hidden(tmp_path: Path) -> None:
    touch(tmp_path, ".a.parquet", "_SUCCESS", "_temporary/0/b.parquet", ".git/c.json", "d.parquet")
    listing = list_files(str(tmp_path))
    assert listing.files == {str(tmp_path / "d.parquet")}
    assert len(listing.hidden) == 4


def test_a_hidden_file_or_folder_is_read_where_it_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "_en/a.parquet", "_b.csv")
    assert listed(tmp_path / "_en", tmp_path) == ["_en/a.parquet"]
    assert listed(tmp_path / "_b.csv", tmp_path) == ["_b.csv"]


def test_a_glob_leads_to_files_and_to_those_in_folders(tmp_path: Path) -> None:
    touch(tmp_path, "part-0/a.parquet", "part-1/b.parquet", "part-2.parquet", "other.parquet")
    assert listed(tmp_path / "part-*", tmp_path) == ["part-0/a.parquet", "part-1/b.parquet", "part-2.parquet"]
    assert listed(tmp_path / "**" / "*.parquet", tmp_path) == ["other.parquet", "part-0/a.parquet", "part-1/b.parquet", "part-2.parquet"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    touch(tmp_path, "data[1].parquet", "data1.parquet")
    assert listed(tmp_path / "data[1].parquet", tmp_path) == ["data[1].parquet"]


def test_a_relative_path_and_a_file_url_lead_to_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.parquet")
    monkeypatch.chdir(tmp_path)
    assert list_files("a.parquet") == list_files(f"file://{tmp_path}/a.parquet") == list_files(str(tmp_path / "a.parquet"))


def test_links_to_files_and_folders_are_followed_but_no_folder_is_visited_twice(tmp_path: Path) -> None:
    touch(tmp_path, "pool/a.parquet", "elsewhere/b.parquet", "blobs/0123abcd")
    (tmp_path / "pool" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "pool" / "round").symlink_to(tmp_path / "pool")
    (tmp_path / "pool" / "c.parquet").symlink_to(tmp_path / "blobs" / "0123abcd")  # as in the cache of Hugging Face's hub
    assert listed(tmp_path / "pool", tmp_path) == ["pool/a.parquet", "pool/c.parquet", "pool/more/b.parquet"]


def test_entries_that_are_not_regular_files_are_listed_separately(tmp_path: Path) -> None:
    touch(tmp_path, "a.parquet")
    os.mkfifo(tmp_path / "b.parquet")
    (tmp_path / "c.parquet").symlink_to(tmp_path / "gone")
    listing = list_files(str(tmp_path))
    assert listing.files == {str(tmp_path / "a.parquet")}
    assert listing.strange == {str(tmp_path / "b.parquet"), str(tmp_path / "c.parquet")}


def test_a_file_whose_name_is_not_utf8_is_refused_if_it_would_be_read(tmp_path: Path) -> None:
    """The results of a run name its files, in JSON and in Parquet, which cannot hold such a name."""
    (tmp_path / os.fsdecode(b"\xff.txt.bak")).touch()
    (tmp_path / os.fsdecode(b"_\xff.txt")).touch()
    assert len(list_files(str(tmp_path)).hidden) == 1
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).touch()
    for name in (tmp_path, tmp_path / "c*.txt", tmp_path / os.fsdecode(b"caf\xe9.txt")):
        with pytest.raises(OptionError, match=r"/caf\\udce9\.txt': the name of this file is not UTF-8"):
            list_files(str(name))


def test_a_folder_that_cannot_be_read_is_refused_rather_than_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "a.parquet")
    inner = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # deeper than a path can be, which stops root too
        os.mkdir("x" * 250, dir_fd=inner)
        outer, inner = inner, os.open("x" * 250, os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    os.close(inner)
    with pytest.raises(OptionError, match="File name too long"):
        list_files(str(tmp_path))
