"""Chained fsspec URLs: files in archives, and caches before stores."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from tallyclip.errors import OptionError, SourceError
from tallyclip.io.streams import chain_of, file_name
from tallyclip.readers.listing import kind_of, list_files
from tallyclip.readers.sources import described, find_files
from tests.readers.conftest import Site
from tests.readers.test_sources import CAPTIONS, refused
from tests.readers.tools import files_of, packed, read, tar_bytes, write_table


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A zip archive with Parquet, packed JSON lines, and files that are not part of a pool. Its own name begins with an underscore."""
    path = tmp_path / "_x.zip"
    write_zip(path, "a bird")
    return path


def write_zip(path: Path, caption: str) -> None:
    table = write_table(path.parent / "a.parquet", CAPTIONS)
    lines = packed(path.parent / "b.jsonl.gz", f'{{"caption": "{caption}"}}\n'.encode())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(table, "deep/a.parquet")
        file.write(lines, "b.jsonl.gz")
        file.writestr("notes.md", "")
        file.writestr("_hidden.txt", "a ghost\n")
    table.unlink()
    lines.unlink()


@pytest.mark.parametrize(
    ("before", "link", "behind", "name", "kind"),
    [
        ("", "zip://in/a.parquet", "::s3://b/x.zip", "s3://b/x.zip/in/a.parquet", "parquet"),
        ("", "zip://a.csv.gz", "::/b/x.zip", "/b/x.zip/a.csv.gz", "csv"),
        ("simplecache::", "s3://b/a.tar", "", "s3://b/a.tar", "tar"),
        ("filecache::", "https://b.example/a.txt?x=.y#z", "", "https://b.example/a.txt", "text"),
        ("", "zip://a.txt", "::simplecache::https://b.example/x.zip?y", "https://b.example/x.zip/a.txt", "text"),
        ("", "/pool/a::b.txt", "", "/pool/a::b.txt", "text"),
    ],
)
def test_a_chain_is_taken_apart(before: str, link: str, behind: str, name: str, kind: str) -> None:
    url = before + link + behind
    assert chain_of(url) == (before, link, behind)
    assert (file_name(url), kind_of(url)) == (name, kind)


@pytest.mark.parametrize("behind", ["file://{}", "{}", "simplecache::file://{}"])
def test_files_in_a_zip_archive_are_read_like_those_in_a_folder(archive: Path, behind: str) -> None:
    behind = behind.format(archive)
    files, skipped = find_files([f"zip://::{behind}"])
    assert [file.path for file in files] == [f"zip://b.jsonl.gz::{behind}", f"zip://deep/a.parquet::{behind}"]
    assert [(file.key, file.kind, file.rows) for file in files] == [("b", "json", None), ("a", "parquet", 2)]
    assert skipped == {".md": 1, "hidden .txt (name begins with . or _)": 1}
    assert read(f"zip://::{behind}").texts == ["a bird", "a dog", "a cat"]
    assert read(f"zip://*.jsonl.gz::{behind}").texts == ["a bird"]
    assert read(f"zip://**/*.parquet::{behind}").texts == read(f"zip://deep/a.parquet::{behind}").texts == ["a dog", "a cat"]
    assert list_files(f"zip://deep/a.parquet::{behind}").named == {f"zip://deep/a.parquet::{behind}"}


def test_equal_names_in_several_archives_are_told_apart_by_these(archive: Path, tmp_path: Path) -> None:
    write_zip(tmp_path / "y.zip", "a fish")
    files = files_of(*(f"zip://*.jsonl.gz::file://{tmp_path}/{name}.zip" for name in ("_x", "y")))
    assert [file.key for file in files] == ["x.zip-b", "y.zip-b"]
    assert read(*(file.path for file in files)).texts == ["a bird", "a fish"]


def test_a_change_in_an_archive_changes_the_fingerprints_of_its_files(archive: Path) -> None:
    (file,) = files_of(f"zip://*.jsonl.gz::file://{archive}")
    assert described(file.path)[0].fingerprint == file.fingerprint
    write_zip(archive, "a fish")
    os.utime(archive, (1, 1))
    assert described(file.path)[0].fingerprint != file.fingerprint
    assert read(file.path).texts == ["a fish"]


def test_an_archive_is_opened_once_for_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for number in range(50):
            file.writestr(f"{number}.txt", f"caption {number}\n")
    opened: list[object] = []
    original = zipfile.ZipFile.__init__
    monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda self, *args, **kw: (opened.append(args), original(self, *args, **kw))[1])
    assert len(read(f"zip://*.txt::file://{tmp_path}/x.zip").texts) == 50
    assert len(opened) == 1


def test_files_in_a_tar_that_is_chained_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar_bytes([("in/a.txt", b"a dog\n"), ("in/b.txt", b"a cat\n")]))
    assert read(f"tar://in::file://{tmp_path}/x.tar").texts == ["a dog", "a cat"]


def test_caches_and_archives_before_a_bucket_are_read(bucket: str, archive: Path, tmp_path: Path) -> None:
    import s3fs

    fs = s3fs.S3FileSystem()
    write_table(tmp_path / "c.parquet", CAPTIONS)
    fs.put(str(tmp_path / "c.parquet"), f"{bucket}/pool/lang=en/c.parquet")
    fs.put(str(archive), f"{bucket}/pool/x.zip")
    for name in ("pool/lang=en/c.parquet", "pool/lang=en", "pool/**/*.parquet"):
        assert read(f"simplecache::{bucket}/{name}").texts == ["a dog", "a cat"], name
    (file,) = files_of(f"filecache::{bucket}/pool/lang=en")
    assert (file.path, file.key, file.rows) == (f"filecache::{bucket}/pool/lang=en/c.parquet", "c", 2)
    (plain,) = files_of(f"{bucket}/pool/lang=en")
    assert file.fingerprint == plain.fingerprint
    assert read(f"zip://deep/a.parquet::{bucket}/pool/x.zip").texts == ["a dog", "a cat"]
    assert read(f"zip://*.jsonl.gz::simplecache::{bucket}/pool/x.zip").texts == ["a bird"]


def test_a_cache_before_a_web_server_is_read(site: Site) -> None:
    (site.folder / "a.txt").write_text("a dog\n")
    write_table(site.folder / "b.parquet", CAPTIONS)
    assert read(f"simplecache::{site.url}/a.txt?download=true").texts == ["a dog"]
    assert read(f"simplecache::{site.url}/b.parquet").texts == ["a dog", "a cat"]
    write_zip(site.folder / "x.zip", "a bird")
    assert read(f"zip://::{site.url}/x.zip").texts == ["a bird", "a dog", "a cat"]


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("zip://nosuch.csv::file://{}", "no such file"),
        ("zip://nosuch/*.csv::file://{}", "no such file"),
        ("zip://a.csv::file://{}.nosuch", "no such file"),
        ("zip://a.csv::{}.nosuch", "no such file"),
        ("nosuch::file://{}", "nosuch"),
        ("zip://a.csv::nosuch://{}", "nosuch"),
    ],
)
def test_a_chain_that_leads_nowhere_is_refused(archive: Path, url: str, word: str) -> None:
    refused(url.format(archive), url.format(archive), word)


def test_a_chain_through_a_file_that_is_not_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("a dog\n")
    refused(f"zip://*::file://{tmp_path}/a.zip", "not a zip file")


def test_a_broken_file_in_an_archive_fails_with_its_name(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[60:90] = bytes(30)
    archive.write_bytes(content)
    with pytest.raises((SourceError, OptionError), match=r"zip://deep/a\.parquet::file://"):
        read(f"zip://deep/a.parquet::file://{archive}")


def test_an_object_whose_name_would_be_taken_for_a_chain_is_refused(bucket: str) -> None:
    import s3fs

    s3fs.S3FileSystem().pipe(f"{bucket}/pool/a::b.txt", b"a dog\n")
    refused(f"{bucket}/pool", "a::b.txt", "rename it")
