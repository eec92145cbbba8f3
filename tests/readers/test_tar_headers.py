"""The members of tars: those of sound ones are what Python's tarfile finds, and hostile ones fail in bounded time and memory."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import tarfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.readers import tar_headers
from tallyclip.readers.tar_headers import BLOCK, BrokenTarError, TarReader

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
ZEROS = bytes(2 * BLOCK)


class Found(NamedTuple):
    name: str
    size: int
    content: bytes | None  # of files


class Unseekable(io.RawIOBase):
    """A stream without seeking that counts how often and how much is read."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)
        self.reads = self.bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.reads += 1
        read = self._content.readinto(buffer)
        self.bytes += read
        return read


def found(file: BinaryIO) -> list[Found]:
    tar = TarReader(file)
    return [
        Found(member.name, member.size, tar.content(member)) if member.is_file else Found(member.name.rstrip("/"), member.size, None)
        for member in tar
    ]


def by_tarfile(content: bytes) -> list[Found]:
    members: list[Found] = []
    with tarfile.open(fileobj=io.BytesIO(content), ignore_zeros=True, encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            members.append(Found(member.name, member.size, file.read() if file else None))
    return members


def assert_as_tarfile(content: bytes) -> list[Found]:
    """Check that a tar is read as by Python's tarfile, whether it is seekable or not."""
    expected = by_tarfile(content)
    assert found(io.BytesIO(content)) == expected
    assert found(io.BufferedReader(Unseekable(content))) == expected
    return expected


def assert_broken(content: bytes, *words: str) -> None:
    for file in (io.BytesIO(content), io.BufferedReader(Unseekable(content))):
        with pytest.raises(BrokenTarError, match=r"at byte [0-9,]+") as caught:
            found(file)
        assert all(word in str(caught.value) for word in words), str(caught.value)


def made(members: Sequence[tarfile.TarInfo], form: int, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8", errors="surrogateescape", **options) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    return buffer.getvalue()


def member(name: str, size: int = 5, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


# sound archives


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("length", [1, 99, 100, 101, 154, 155, 156, 200, 255, 256, 257, 511, 512, 513, 5000])
@pytest.mark.parametrize("letter", ["a", "\u00e9", "\U0001f600", "\udcff"])
def test_names_of_every_length_are_read(form: int, length: int, letter: str) -> None:
    flat = letter * max(1, length // len(letter.encode("utf-8", "surrogateescape")))
    deep = "/".join(flat[i : i + 20] for i in range(0, len(flat), 20))
    for name in (flat, deep):
        try:
            content = made([member(name), member(f"{name}.txt", 700), member("last")], form)
        except ValueError:
            assert form == tarfile.USTAR_FORMAT  # which has no room for it
            continue
        assert len(assert_as_tarfile(content)) == 3


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 100_000])
def test_contents_of_every_length_are_read(form: int, size: int) -> None:
    assert_as_tarfile(made([member("a", size), member("b", size), member("c", 1)], form))


@pytest.mark.parametrize("form", FORMATS)
def test_folders_links_and_devices_are_not_files_and_members_after_them_are_found(form: int) -> None:
    kinds = [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
    others = [member("d" * 120 if form != tarfile.USTAR_FORMAT else "d", 0, kind, linkname="l" * 90) for kind in kinds]
    long_link = [] if form == tarfile.USTAR_FORMAT else [member("link", 0, tarfile.SYMTYPE, linkname="l/" * 200)]
    contiguous = member("contiguous", 5, tarfile.CONTTYPE)
    content = made([*others, *long_link, member("d/", 0, tarfile.AREGTYPE), contiguous, member("a.txt")], form)
    expected = assert_as_tarfile(content)
    assert [one.name for one in expected if one.content is not None] == ["contiguous", "a.txt"]


@pytest.mark.parametrize("kind", [b"D", b"V", b"N", b"Z", b"!"])
def test_members_of_unknown_kinds_are_not_files_and_their_data_is_skipped(kind: bytes) -> None:
    content = bytearray(made([member("strange", 700), member("a.txt")], tarfile.USTAR_FORMAT))
    content[156:157] = kind
    with_checksum(content)
    assert [one.content for one in assert_as_tarfile(bytes(content))] == [None, b"xxxxx"]


def test_headers_with_signed_checksums_are_read() -> None:
    """Some old programs added the bytes as signed numbers."""
    content = bytearray(made([member("\u00e9\u00e9\u00e9.txt")], tarfile.USTAR_FORMAT))
    with_checksum(content, signed=True)
    assert len(assert_as_tarfile(bytes(content))) == 1


@pytest.mark.parametrize("size", [b"000000000005", b"5\0", b"    5 \0", b"\x80" + bytes(10) + b"\x05", b"00000000005 "])
def test_sizes_are_read_in_every_way_that_they_are_written(size: bytes) -> None:
    content = bytearray(made([member("a.txt"), member("b.txt")], tarfile.USTAR_FORMAT))
    content[124:136] = size.ljust(12, b"\0")
    with_checksum(content)
    assert len(assert_as_tarfile(bytes(content))) == 2


def test_pax_headers_may_say_more_than_is_asked_for_and_come_for_all_members() -> None:
    own = {"comment": "\u00e9 = \n 12 path=no\n", "SCHILY.xattr.user.x": "\0\n=" * 50, "mtime": "1.5", "size": "5"}
    content = made(
        [member("a", pax_headers=own), member("b" * 300, pax_headers=own), member("c")],
        tarfile.PAX_FORMAT,
        pax_headers={"comment": "of all", "uname": "somebody"},
    )
    assert [one.size for one in assert_as_tarfile(content)] == [5, 5, 5]


def test_tars_written_one_after_another_are_read_as_one() -> None:
    tars = [made([member(f"{i}.txt", i * 300)], tarfile.GNU_FORMAT) for i in range(4)]
    expected = assert_as_tarfile(b"".join(tars))
    assert [one.name for one in expected] == [f"{i}.txt" for i in range(4)]
    for zeros in (1, 2, 50):  # blocks between them
        content = b"".join(tar[: -(-len(tar.rstrip(b"\0")) // BLOCK) * BLOCK] + bytes(zeros * BLOCK) for tar in tars)
        assert assert_as_tarfile(content) == expected


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300).map(
                lambda s: s.strip("/")
            ),
            st.integers(0, 2000),
            st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE]),
        ).filter(lambda one: bool(one[0])),
        max_size=8,
    ),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_any_members_are_read_as_by_tarfile(members: list[tuple[str, int, bytes]], form: int) -> None:
    content = made([member(name, size if kind == tarfile.REGTYPE else 0, kind) for name, size, kind in members], form)
    assert len(assert_as_tarfile(content)) == len(members)


needs_tar = pytest.mark.skipif(
    not shutil.which("tar") or b"GNU" not in subprocess.run(["tar", "--version"], capture_output=True, check=False).stdout,
    reason="no GNU tar on this machine",
)


def packed_by_tar(folder: Path, *options: str) -> bytes:
    return subprocess.run(["tar", *options, "-cf", "-", "-C", str(folder), "."], capture_output=True, check=True).stdout


@needs_tar
@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
@pytest.mark.parametrize("more", [(), ("--sparse",), ("--blocking-factor=1",), ("--sort=name", "--numeric-owner")])
def test_what_gnu_tar_packs_is_read(tmp_path: Path, form: str, more: tuple[str, ...]) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/0.jpg", "a/0.txt", "1.txt", "\u00e9.txt", "x" * 90 + ".json"):
        (tmp_path / name).write_bytes(name.encode() * 200)
    if form != "v7":
        (tmp_path / ("f" * 80)).mkdir()
        (tmp_path / ("f" * 80) / ("g" * 90)).write_bytes(b"x" * 513)
    (tmp_path / "link").symlink_to("1.txt")
    if "--sparse" in more and form in ("v7", "ustar"):
        return  # which have no form for it
    expected = assert_as_tarfile(packed_by_tar(tmp_path, f"--format={form}", *more))
    assert len(expected) >= 8


@needs_tar
@pytest.mark.parametrize(
    "form",
    [
        ("--format=gnu",),
        ("--format=oldgnu",),
        *(("--format=posix", f"--sparse-version={version}") for version in ("0.0", "0.1", "1.0")),
    ],
)
@pytest.mark.parametrize("pieces", [0, 1, 3, 10, 60])
def test_sparse_files_are_read_with_their_holes(tmp_path: Path, form: tuple[str, ...], pieces: int) -> None:
    for name in ("a.jpg", "a.txt"):
        with (tmp_path / name).open("wb") as file:
            for i in range(pieces):
                file.seek((2 * i + 1) << 16)
                file.write(f"piece {i}".encode() * 300)
            file.truncate((2 * pieces + 2) << 16)
    (tmp_path / "b.txt").write_bytes(b"no holes")
    content = packed_by_tar(tmp_path, "--sparse", *form)
    assert len(content) < 40_000 + pieces * 12_000
    expected = {one.name: one.content for one in assert_as_tarfile(content)}
    assert expected["./a.txt"] == (tmp_path / "a.txt").read_bytes()


@needs_tar
@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_a_sparse_file_with_a_long_name_has_its_own_name(tmp_path: Path, version: str) -> None:
    """Here tarfile loses the name in the map of holes; GNU tar lists the right one."""
    name = "n" * 150 + ".jpg"
    with (tmp_path / name).open("wb") as file:
        file.truncate(1 << 20)
    content = packed_by_tar(tmp_path, "--sparse", "--format=posix", f"--sparse-version={version}")
    assert [one.name for one in found(io.BytesIO(content)) if one.content is not None] == [f"./{name}"]


@needs_tar
def test_the_times_in_a_header_of_an_incremental_backup_are_not_part_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.txt").write_bytes(b"a dog")
    content = packed_by_tar(tmp_path / "in", "--format=gnu", f"--listed-incremental={tmp_path / 'snapshot'}")
    assert [(one.name, one.content) for one in found(io.BytesIO(content)) if one.content is not None] == [("./0.txt", b"a dog")]


# hostile ones


def with_checksum(header: bytearray, signed: bool = False) -> bytearray:
    """Put the right checksum in a header."""
    header[148:156] = b" " * 8
    total = sum(byte - 256 * (signed and byte > 127) for byte in header[:BLOCK])
    header[148:156] = b"%06o\0 " % total
    return header


def header(name: bytes = b"a.txt", size: bytes = b"5", kind: bytes = b"0", **fields: tuple[int, bytes]) -> bytes:
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    for place, value in fields.values():
        block[place : place + len(value)] = value
    return bytes(with_checksum(block))


def data(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def pax(content: bytes, kind: bytes = b"x") -> bytes:
    return header(b"pax", b"%o" % len(content), kind) + data(content)


GOOD = header() + data(b"a dog")


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(line := b"%d %s=%s\n" % (length, key, value)) != length:
        length = len(line)
    return line


@pytest.mark.parametrize(
    "size",
    [b"-1000", b"-0000000512", b"\xff" * 12, b"\xff" * 10 + b"\xfe\0", b"\x80" + b"\xff" * 11, b"9", b"1_0", b"0o7", b"+7", b"x", b"\x81"],
)
@pytest.mark.parametrize("kind", [b"0", b"x", b"g", b"L", b"K", b"Z"])
def test_implausible_sizes_fail(size: bytes, kind: bytes) -> None:
    assert_broken(GOOD + header(b"b", size, kind) + GOOD + ZEROS, "at byte 1,024", "size")


@pytest.mark.parametrize("digits", [b"-512", b"1" * 21, b"9" * 1_000_000, b"5_0", b"\xd9\xa5", b"", b" 5"])
def test_implausible_sizes_in_pax_headers_fail(digits: bytes) -> None:
    assert_broken(pax(record(b"size", digits)) + GOOD + ZEROS)


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"5",
        b"999999 path=a\n",
        b"3 path=a\n",
        b"0 path=a\n",
        b"-5 path=a\n",
        b"11 path a/b\n",
        b"10 path=a/bc",
        b"1" * 40_000,
        b"1 " * 9,
        b"1" * 900_000 + b" path=a\n",
    ],
)
def test_broken_pax_headers_fail(content: bytes) -> None:
    assert_broken(pax(content) + GOOD + ZEROS)


@pytest.mark.parametrize("kind", [b"x", b"X", b"L"])
def test_an_extended_header_of_absurd_size_is_not_read(kind: bytes) -> None:
    tracemalloc.start()
    assert_broken(header(b"pax", b"%o" % (1 << 36), kind) + bytes(1 << 20), "larger than 1 MiB")
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_extended_headers_in_absurd_number_fail(kind: bytes) -> None:
    one = pax(record(b"comment", b"x"), kind)
    assert found(io.BytesIO(one * (tar_headers.MOST_HEADERS - 1) + GOOD + ZEROS))[0].content == b"a dog"
    assert_broken(one * 50_000 + GOOD + ZEROS, f"more than {tar_headers.MOST_HEADERS} headers before one member")


@pytest.mark.parametrize("lines", [b"4 =\n" * 250_000, record(b"GNU.sparse.offset", b"1") * 20_000, record(b"path", b"x" * 1_000_000)])
def test_a_pax_header_as_large_as_may_be_is_read_in_steps_of_its_size(lines: bytes) -> None:
    """Python's tarfile takes quadratic time over some of these."""
    assert [one.content for one in found(io.BytesIO(pax(lines) + GOOD + ZEROS))] == [b"a dog"]


def test_a_map_of_holes_without_end_fails() -> None:
    first = header(b"s.txt", b"5", b"S", more=(482, b"\1"), real=(483, b"5"))
    following = bytearray(BLOCK)
    following[504] = 1
    assert_broken(first + bytes(following) * 5000, "larger than 1 MiB")
    newest = record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.realsize", b"99")
    for numbers in (b"1\n", b"9999999999\n", b"1" * 3000, b"1\n0\n", b"-1\n", b"\n" * 600, b"1\n0\n-5\n"):
        assert_broken(pax(newest) + header(size=b"%o" % len(numbers)) + data(numbers) + ZEROS)


@pytest.mark.parametrize("numbers", [b"0,6", b"5,1", b"0,5,0,5", b"1", b"0,-1", b"x,y", b",", b"99999999999999999999,1"])
def test_a_map_of_holes_that_does_not_fit_fails(numbers: bytes) -> None:
    extended = pax(record(b"GNU.sparse.size", b"5") + record(b"GNU.sparse.map", numbers))
    assert_broken(extended + GOOD + ZEROS)


@pytest.mark.parametrize("rest", [b"x", b"<html>" * 200, b"\0" * 100 + b"x", GOOD[:511], b"x" * 5000])
def test_data_after_the_end_that_is_not_a_tar_fails(rest: bytes) -> None:
    for zeros in (1, 2, 20):
        place = len(GOOD) + zeros * BLOCK
        assert_broken(GOOD + bytes(zeros * BLOCK) + rest, f"data that is not a tar follows the end of the tar at byte {place:,}")


@pytest.mark.parametrize("zeros", [512, 513, 1000, 1024, 10_240, 1_000_001])
def test_zeros_may_follow_the_end(zeros: int) -> None:
    assert [one.content for one in found(io.BytesIO(GOOD + bytes(zeros)))] == [b"a dog"]


def test_a_tar_cut_short_anywhere_fails() -> None:
    content = pax(record(b"path", b"p" * 700)) + GOOD + header(b"x", b"3000", b"L") + data(b"n" * 1536) + GOOD
    for length in range(len(content) + BLOCK):
        assert_broken((content + ZEROS)[:length], "at byte")
    assert len(found(io.BytesIO(content + ZEROS))) == 2


def test_damage_anywhere_ends_in_an_error_or_in_members_after_reading_the_tar_once(tmp_path: Path) -> None:
    draw = random.Random(0)
    sparse = pax(record(b"GNU.sparse.size", b"5") + record(b"GNU.sparse.map", b"0,2,3,2")) + header(size=b"4") + data(b"abcd")
    old_sparse = header(b"s.txt", b"4", b"S", holes=(386, b"0".ljust(12, b"\0") + b"4".ljust(12, b"\0")), real=(483, b"4")) + data(b"abcd")
    content = pax(record(b"path", b"p" * 99)) + GOOD + sparse + old_sparse + header(b"x", b"500", b"L") + data(b"n" * 320) + GOOD + ZEROS
    headers = [place for place in range(0, len(content), BLOCK) if content[place + 257 : place + 262] == b"ustar"]
    assert len(found(io.BytesIO(content))) == 4
    broken = 0
    for _ in range(4000):
        damaged = bytearray(content)
        for _ in range(draw.randrange(1, 4)):
            place = draw.choice(headers) + draw.choice([draw.randrange(BLOCK), 124 + draw.randrange(12), 156, 482 + draw.randrange(13)])
            damaged[place] = draw.choice([0, 0x80, 0xFF, *b"0127SLKxg-9", draw.randrange(256)])
        for place in headers:
            with_checksum(block := damaged[place : place + BLOCK])
            damaged[place : place + BLOCK] = block
        stream = Unseekable(bytes(damaged))
        try:
            for member in (tar := TarReader(io.BufferedReader(stream, BLOCK))):
                if member.is_file and member.size < 1 << 20:
                    tar.content(member)
        except BrokenTarError:
            broken += 1
        assert stream.reads <= 2 * len(content) / BLOCK
    assert 400 < broken < 4000
