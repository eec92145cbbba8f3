"""The bytes of images by their places: from local tars and URLs, compressed or not, and what is said of tars that have changed."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFile
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import SourceError, StaleError
from tallyclip.train import tars
from tallyclip.train.tars import HEADER, read_images
from tests.train.tools import PACK


def write_tar(path: Path, sizes: list[int], pack: Callable[[bytes], bytes] = bytes, kind: int = tarfile.PAX_FORMAT) -> list[bytes]:
    draw = np.random.default_rng(len(sizes))
    contents = [draw.bytes(size) for size in sizes]
    plain = path.with_suffix(".plain")
    with tarfile.open(plain, "w", format=kind) as tar:
        for i, content in enumerate(contents):
            for suffix, data in (("jpg", content), ("txt", b"a text")):
                (path.parent / "member").write_bytes(data)
                tar.add(path.parent / "member", f"{'long' * 40 if i % 3 == 0 else ''}{i}.{suffix}")
    path.write_bytes(pack(plain.read_bytes()))
    return contents


def places(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with tarfile.open(path.with_suffix(".plain")) as tar:
        images = [member for member in tar if member.name.endswith(".jpg")]
    return np.array([image.offset_data for image in images]), np.array([image.size for image in images])


SIZES = [1, 511, 512, 513, 0, 70_000, 9, 3_000_000, 10]


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_any_of_the_images_of_a_tar_are_read(tmp_path: Path, suffix: str, kind: int) -> None:
    path = tmp_path / f"a.tar{suffix}"
    contents = write_tar(path, SIZES, PACK[suffix], kind)
    at, size = places(path)
    for chosen in ([], range(9), [0, 8], [4], [1, 5, 7]):
        assert list(read_images(str(path), at[list(chosen)], size[list(chosen)])) == [contents[i] for i in chosen]


def test_of_a_local_tar_nothing_else_is_read(tmp_path: Path) -> None:
    """Of a tar of a terabyte, nearly all of it a hole, reading all would take hours."""
    path = tmp_path / "a.tar"
    write_tar(path, [5, 7])
    at, size = places(path)
    far = 1 << 40
    with path.open("r+b") as file:
        content = file.read()
        file.truncate(far)
        file.seek(far)
        file.write(content)
    images = list(read_images(str(path), np.concatenate([at, at + far]), np.concatenate([size, size])))
    assert images[:2] == images[2:]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what is asked for behind URLs; each read of a file without a cache is a request."""
    asked: list[int] = []
    read = MemoryFile.read

    def watched(self: MemoryFile, size: int) -> bytes:
        asked.append(size)
        return read(self, size)

    monkeypatch.setattr(MemoryFile, "read", watched)
    return asked


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_images_behind_a_url_are_read_with_few_requests(tmp_path: Path, suffix: str, requests: list[int]) -> None:
    path = tmp_path / f"a.tar{suffix}"
    contents = write_tar(path, [10_000] * 20 + [3_000_000] + [10_000] * 20 + [9_000_000] + [3_000_000] * 5, PACK[suffix])
    url = f"memory://tars/a.tar{suffix}"
    fsspec.filesystem("memory").pipe(f"/tars/a.tar{suffix}", path.read_bytes())
    at, size = places(path)
    assert list(read_images(url, at, size)) == contents
    if not suffix:
        requests.clear()
        small = np.flatnonzero(size == 10_000)
        assert list(read_images(url, at[small], size[small])) == [contents[i] for i in small]
        assert len(requests) == 2  # the large images between them are left out
        assert sum(requests) < 40 * 14_000


@given(st.lists(st.tuples(st.integers(0, 3 << 20), st.integers(1, 9 << 20)), min_size=1, max_size=30))
def test_a_request_has_images_that_are_close_and_is_not_long(images: list[tuple[int, int]]) -> None:
    gaps, sizes = np.array(images).T
    at = np.cumsum(gaps + np.concatenate([[0], sizes[:-1]]))
    requests = list(tars.requests_for(at, sizes))
    assert [i for first, last in requests for i in range(first, last)] == list(range(len(at)))
    for first, last in requests:
        assert last - first == 1 or at[last - 1] + sizes[last - 1] - at[first] <= tars.REQUEST
        assert (gaps[first + 1 : last] <= tars.GAP).all()
    for (first, last), _ in zip(requests[1:], requests, strict=False):
        assert gaps[first] > tars.GAP or at[first] + sizes[first] - at[requests[requests.index((first, last)) - 1][0]] > tars.REQUEST


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_tar_that_was_changed_or_cut_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.tar{suffix}"
    write_tar(path, SIZES, PACK[suffix])
    at, size = places(path)
    plain = path.with_suffix(".plain").read_bytes()
    others = [plain[: at[-1] + 3], plain[: at[-1] - HEADER], plain[:1000], b"x" * len(plain), b""]
    (tmp_path / "b").mkdir()
    write_tar(tmp_path / "b" / "b.tar", [*SIZES[:-1], 11])
    others.append((tmp_path / "b" / "b.tar").read_bytes())
    for other in others:
        path.write_bytes(PACK[suffix](other))
        with pytest.raises((StaleError, SourceError), match=rf"a\.tar{suffix}: ") as caught:
            list(read_images(str(path), at, size))
        if isinstance(caught.value, StaleError):
            assert "make the index again" in str(caught.value)


def test_a_tar_that_is_missing_or_whose_compression_is_broken_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    write_tar(path, SIZES, gzip.compress)
    at, size = places(path)
    path.write_bytes(path.read_bytes()[:2_000_000])
    with pytest.raises(SourceError, match=r"a\.tar\.gz: .*cut short"):
        list(read_images(str(path), at, size))
    path.unlink()
    with pytest.raises(SourceError, match=r"a\.tar\.gz"):
        list(read_images(str(path), at, size))
    with pytest.raises(SourceError, match="memory://nowhere"):
        list(read_images("memory://nowhere/a.tar", at, size))
