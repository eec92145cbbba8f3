"""Compressed streams: all that their formats allow is read, and lost data is an error that says why."""

from __future__ import annotations

import bz2
import gzip
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import SourceError
from tallyclip.io import streams
from tallyclip.io.streams import open_stream
from tallyclip.readers.content import read_lines

BODY = b"".join(b'{"caption":"a dog %d"}\n' % i for i in range(3000))


def lz4(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def skippable(size: int, kind: int = 0) -> bytes:
    """A frame that Zstandard and LZ4 skip."""
    return struct.pack("<II", 0x184D2A50 + kind, size) + b"x" * size


PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress, ".bz2": bz2.compress, ".lz4": lz4}


def content(path: Path, packed: bytes, size: int = 8 << 20) -> bytes:
    path.write_bytes(packed)
    with open_stream(str(path)) as stream:
        return b"".join(iter(lambda: stream.read(size), b""))


def refused(path: Path, packed: bytes, words: str) -> SourceError:
    path.write_bytes(packed)
    with pytest.raises(SourceError, match=words) as caught:
        list(read_lines(str(path)))
    assert str(path) in caught.value.what
    return caught.value


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("size", [1000, 8 << 20])
def test_all_members_of_a_compressed_file_are_read_empty_ones_too(tmp_path: Path, suffix: str, size: int) -> None:
    pack = PACK[suffix]
    parts = [BODY[:100], b"", b"", BODY[100:5000], BODY[5000:], b""]
    assert content(tmp_path / f"a{suffix}", b"".join(map(pack, parts)), size) == BODY
    with open_stream(str(tmp_path / f"a{suffix}")) as stream:
        assert stream.read() == BODY


@pytest.mark.parametrize("suffix", PACK)
def test_a_compressed_file_that_is_cut_short_anywhere_fails(tmp_path: Path, suffix: str) -> None:
    whole = PACK[suffix](BODY[:200]) * 2
    half = len(whole) // 2
    for length in [1, 2, half // 2, half - 1, *range(half + 1, half + 12), len(whole) - 5, len(whole) - 1]:
        error = refused(tmp_path / f"a.jsonl{suffix}", whole[:length], "the compressed data is cut short")
        assert "download or copy it again" in str(error.hint)


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
@pytest.mark.parametrize("zeros", [1, 7, 511, 1 << 20])
def test_zeros_behind_the_last_member_are_padding(tmp_path: Path, suffix: str, zeros: int) -> None:
    pack, path = PACK[suffix], tmp_path / f"a{suffix}"
    assert content(path, pack(BODY) + bytes(zeros)) == BODY
    assert content(path, pack(b"") + bytes(zeros)) == b""
    assert content(path, pack(BODY) + bytes(zeros) + pack(BODY) + bytes(zeros)) == BODY * 2


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
@pytest.mark.parametrize("more", [b"trailing", bytes(100) + b"trailing", b"\x1f\x8c", b"BZ", b"\x1f", BODY])
def test_other_data_behind_the_last_member_fails_the_file_and_the_place_is_shown(tmp_path: Path, suffix: str, more: bytes) -> None:
    packed = PACK[suffix](BODY)
    at = len(packed) + len(more) - len(more.lstrip(b"\0"))
    begun = streams.MAGIC[streams.COMPRESSIONS[suffix]].startswith(more)
    words = "cut short" if begun else f"other data follows the end of the compressed data, at byte {at:,}"
    error = refused(tmp_path / f"a.jsonl{suffix}", packed + more, words)
    if not begun:
        assert str(error.hint).startswith(f"if you do not need it, cut it off: head -c {at} FILE > NEW")
        assert content(tmp_path / f"b{suffix}", (packed + more)[:at]) == BODY


@pytest.mark.parametrize("suffix", [".zst", ".lz4"])
@pytest.mark.parametrize("more", [bytes(100), b"trailing" * 5])
def test_other_data_behind_the_end_of_other_streams_fails_the_file(tmp_path: Path, suffix: str, more: bytes) -> None:
    refused(tmp_path / f"a.jsonl{suffix}", PACK[suffix](BODY) + more, "other data follows the end of the compressed data")


@pytest.mark.parametrize("suffix", [".zst", ".lz4"])
def test_frames_to_skip_are_skipped_wherever_they_are(tmp_path: Path, suffix: str) -> None:
    frame, path = PACK[suffix](BODY), tmp_path / f"a.jsonl{suffix}"
    for packed, times in (
        (skippable(10) + frame, 1),
        (skippable(0, 15) + frame, 1),
        (skippable(1 << 20, 7) + frame, 1),
        (frame + skippable(4) + frame + skippable(1000), 2),  # as pzstd and seekable files have them
    ):
        assert content(path, packed) == BODY * times
        assert list(read_lines(str(path))) == (BODY * times).splitlines()
    refused(path, frame + skippable(100)[:50], "cut short")


def test_a_frame_that_needs_a_dictionary_fails_with_what_to_do(tmp_path: Path) -> None:
    words = zstandard.train_dictionary(2000, [b'{"caption":"a dog %d"}' % i for i in range(2000)])
    error = refused(tmp_path / "a.jsonl.zst", zstandard.ZstdCompressor(dict_data=words).compress(BODY), "with a dictionary")
    assert "without a dictionary" in str(error.hint)


@pytest.mark.parametrize("log", [27, 31])
def test_a_window_beyond_128_mib_fails_with_what_to_do(tmp_path: Path, log: int) -> None:
    long = zstandard.ZstdCompressionParameters.from_level(3, window_log=log, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=long).compressobj()
    packed, path = packer.compress(BODY) + packer.flush(), tmp_path / "a.jsonl.zst"
    if log == 27:
        assert content(path, packed) == BODY
    else:
        assert "--long=27" in str(refused(path, packed, "window is larger than 128 MiB").hint)


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])  # which have checksums
def test_a_compressed_file_that_is_broken_inside_fails(tmp_path: Path, suffix: str) -> None:
    packed = bytearray(PACK[suffix](BODY))
    packed[len(packed) // 2] ^= 255
    refused(tmp_path / f"a.jsonl{suffix}", bytes(packed), f"broken {streams.COMPRESSIONS[suffix]} data")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says what the most was")
@pytest.mark.parametrize("suffix", PACK)
def test_memory_is_bounded_however_much_a_file_unpacks_to(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(PACK[suffix](bytes(32 << 20)) * 32)
    assert path.stat().st_size < 6 << 20
    program = f"""
import re
from tallyclip.errors import SourceError
from tallyclip.readers.content import read_lines
most = lambda: int(re.search(r"VmHWM:\\s*(.*) kB", open("/proc/self/status").read())[1]) << 10
before = most()
try:
    list(read_lines({str(path)!r}))
except SourceError as error:
    print(error.what)
print(most() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    message, peak = done.stdout.splitlines()
    assert message.endswith("line 1 is larger than 64 MiB")
    assert int(peak) < 600 << 20


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
@given(parts=st.lists(st.binary(max_size=40), max_size=6), chunk=st.integers(1, 50), size=st.integers(1, 30), zeros=st.integers(0, 50))
def test_of_any_members_the_content_is_read_wherever_reads_end(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, parts: list[bytes], chunk: int, size: int, zeros: int
) -> None:
    path = tmp_path_factory.mktemp("members") / f"a{suffix}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "PACKED_CHUNK", chunk)
        patch.setattr(streams, "UNPACKED_CHUNK", size)
        assert content(path, b"".join(map(PACK[suffix], [*parts, b""])) + bytes(zeros), size) == b"".join(parts)


def test_padded_and_joined_files_of_people_are_read_or_refused(shared_data: Path) -> None:
    folder = shared_data / "cases" / "14-gzip-padding"
    assert len(list(read_lines(str(folder / "pad.jsonl.gz")))) == 2
    with pytest.raises(SourceError, match="other data follows the end of the compressed data, at byte 81"):
        list(read_lines(str(folder / "garbage.jsonl.gz")))
