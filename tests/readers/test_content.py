"""Reading the content of files, and the errors when that fails."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from tallyclip.errors import MissingExtraError, OptionError, SourceError
from tallyclip.extras import install_line
from tallyclip.io.streams import compression_of, file_name, filesystem, open_file, without_compression
from tallyclip.readers import content as content_module
from tallyclip.readers.content import read_chunks, read_lines


@pytest.mark.parametrize(
    ("path", "compression", "without"),
    [
        ("a.jsonl", None, "a.jsonl"),
        ("a.jsonl.gz", "gzip", "a.jsonl"),
        ("a.JSONL.ZST", "zstd", "a.JSONL"),
        ("d.gz/a.txt", None, "d.gz/a.txt"),
        ("a.txt.bz2.gz", "gzip", "a.txt.bz2"),
        ("https://a.example/a.csv.gz?x=y.zst", "gzip", "https://a.example/a.csv"),
        ("s3://bucket/a.csv?.gz", "gzip", "s3://bucket/a.csv?"),
    ],
)
def test_the_name_says_how_a_file_is_compressed(path: str, compression: str | None, without: str) -> None:
    assert compression_of(path) == compression
    assert without_compression(path) == without


def test_only_web_urls_have_a_query() -> None:
    assert file_name("https://a.example/b.csv?c#d") == "https://a.example/b.csv"
    assert file_name("/pool/what?.csv") == "/pool/what?.csv"


@pytest.mark.parametrize("content", [b"a\nb", b"a\nb\n", b"\n", b"\n\na", b"\xef\xbb\xbfa\n", b"a\r\nb", b"a" * 100])
@pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
def test_lines_are_the_same_wherever_chunks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, chunk: int) -> None:
    monkeypatch.setattr(content_module, "CHUNK", chunk)
    (tmp_path / "a.txt").write_bytes(content)
    expected = content.removesuffix(b"\n").split(b"\n")
    if chunk >= len(content_module.BOM):
        expected[0] = expected[0].removeprefix(content_module.BOM)
    assert list(read_lines(str(tmp_path / "a.txt"))) == expected


def test_chunks_of_a_file_that_is_gone_are_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.txt: .*No such file"):
        next(read_chunks(str(tmp_path / "gone.txt")))


def test_an_error_of_a_package_behind_a_url_becomes_one_of_ours() -> None:
    with pytest.raises(SourceError, match=r"s3://bucket/a\.txt: KeyError: 'x'") as caught, content_module.reading("s3://bucket/a.txt"):
        raise KeyError("x")
    assert "copy it to this machine" in str(caught.value.hint)


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("too deep"), ZeroDivisionError(), MemoryError()])
def test_an_error_that_nobody_foresaw_fails_its_file_and_is_shown_as_it_is_if_so_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = str(tmp_path / "a.txt")
    with pytest.raises(SourceError) as caught, content_module.reading(path):
        raise error
    assert caught.value.what.startswith(f"{path}: ")
    assert caught.value.__cause__ is error
    assert ("out of memory" if isinstance(error, MemoryError) else type(error).__name__) in caught.value.what
    if not isinstance(error, MemoryError):
        assert "TALLYCLIP_TRACEBACK=1" in str(caught.value.hint)
        monkeypatch.setenv("TALLYCLIP_TRACEBACK", "1")
        with pytest.raises(type(error)), content_module.reading(path):
            raise error


def test_a_url_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(OptionError, match=r"nosuch://a/b: Protocol not known: nosuch"):
        filesystem("nosuch://a/b")


@pytest.mark.parametrize(("package", "url", "hint"), [("s3fs", "s3://a/b.csv", install_line("s3")), ("gcsfs", "gs://a/b.csv", "install")])
def test_a_url_whose_package_is_not_installed_is_refused_with_what_installs_it(package: str, url: str, hint: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None\nfrom tallyclip.io.streams import filesystem\nfilesystem({url!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f"{MissingExtraError.__name__}: {url}: " in done.stderr
    assert f"Hint: {hint}" in done.stderr


def test_a_url_can_be_read_with_nothing_fetched_ahead(memory: str) -> None:
    import fsspec

    with fsspec.open(f"{memory}/a.bin", "wb") as file:
        file.write(b"0123456789")
    with open_file(f"{memory}/a.bin", ahead=False) as opened:
        assert opened.read_at(3, 4) == b"456"


@pytest.mark.parametrize(
    ("start", "kind", "suffix"),
    [
        (b"\x1f\x8b\x08\x00", "gzip", ".gz"),
        (b"\x28\xb5\x2f\xfd", "Zstandard", ".zst"),
        (b"\x50\x2a\x4d\x18\x01\x00\x00\x00x", "Zstandard or LZ4", ".zst or .lz4"),
        (b"\x5f\x2a\x4d\x18\x01\x00\x00\x00x", "Zstandard or LZ4", ".zst or .lz4"),
        (b"\x04\x22\x4d\x18", "LZ4", ".lz4"),
        (b"BZh91AY&SY", "bzip2", ".bz2"),
    ],
)
def test_a_compressed_file_with_another_name_is_refused_with_what_will_be_read(
    tmp_path: Path, start: bytes, kind: str, suffix: str
) -> None:
    def hint(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError) as caught:
            next(read_chunks(str(tmp_path / name)))
        return str(caught.value.hint)

    assert hint("a.jsonl", start).endswith(f"a{'n' if kind == 'LZ4' else ''} {kind} file: give it a suffix with {suffix}")
    # A file compressed twice, or of a kind that is never compressed as a whole, would be refused by that name too.
    assert hint("a.jsonl.gz", gzip.compress(start)).endswith(f"{kind} file: unpack it")


@pytest.mark.parametrize("name", ["a.tgz", "A.TGZ", "a.tar.gz", "a.txt.gz"])
def test_a_damaged_file_whose_name_says_how_it_is_compressed_is_damaged(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"a dog")[:-4])
    with pytest.raises(SourceError) as caught:
        list(read_chunks(str(tmp_path / name)))
    assert caught.value.hint == content_module.DAMAGED


def test_a_compressed_table_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(gzip.compress(b"a dog"))
    with pytest.raises(SourceError) as caught, content_module.reading(str(tmp_path / "a.parquet")):
        raise OSError("no table")
    assert str(caught.value.hint).endswith("a gzip file: unpack it")


@pytest.mark.parametrize(("start", "kind"), [(b"\xfd7zXZ\x00", "xz"), (b"\x02\x21\x4c\x18", "legacy LZ4 file")])
def test_what_cannot_be_read_compressed_is_to_be_unpacked(tmp_path: Path, start: bytes, kind: str) -> None:
    (tmp_path / "a.txt").write_bytes(start)
    with pytest.raises(SourceError) as caught:
        next(read_chunks(str(tmp_path / "a.txt")))
    assert kind in str(caught.value.hint)
    assert str(caught.value.hint).endswith("unpack it")
