from __future__ import annotations

import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import UInt8, UInt64

from tallyclip.core.compiled import ONE, ZERO, compiled, u64
from tallyclip.core.machine import mask_from
from tallyclip.core.utf8 import checked_code_point, code_point, is_utf8, put_character, size_of


@compiled
def read_all(data: UInt8[np.ndarray, " B"], codes: UInt64[np.ndarray, " B"], checked: UInt64[np.ndarray, " B"]) -> np.uint64:
    """Code points of valid UTF-8, read in both ways; returns how many there are."""
    place = count = ZERO
    while place < u64(len(data)):
        checked[count], size = checked_code_point(data, place, u64(len(data)))
        lead = u64(data[place])
        codes[count] = lead if lead < u64(0x80) else code_point(data, place, size_of(lead))
        count += ONE
        place += size
    return count


@compiled
def check_all(data: UInt8[np.ndarray, " B"], codes: UInt64[np.ndarray, " B"], sizes: UInt64[np.ndarray, " B"]) -> np.uint64:
    place = count = ZERO
    while place < u64(len(data)):
        codes[count], sizes[count] = checked_code_point(data, place, u64(len(data)))
        place += sizes[count]
        count += ONE
    return count


def characters(data: bytes) -> list[tuple[int, int]]:
    """Code points and sizes by Python's decoder, surrogates included; (0, 1) for each byte that begins no character."""
    found, place = [], 0
    while place < len(data):
        for size in range(1, 5):
            try:
                character = data[place : place + size].decode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                continue
            if len(character) == 1:
                found.append((ord(character), len(data[place : place + size])))
                break
        else:
            found.append((0, 1))
        place += found[-1][1]
    return found


def test_every_code_point_is_read_as_python_writes_it() -> None:
    data = np.frombuffer("".join(map(chr, range(sys.maxunicode + 1))).encode("utf-8", "surrogatepass"), np.uint8)
    codes, checked = np.zeros(len(data), np.uint64), np.zeros(len(data), np.uint64)
    assert read_all(data, codes, checked) == sys.maxunicode + 1
    np.testing.assert_array_equal(codes[: sys.maxunicode + 1], np.arange(sys.maxunicode + 1))
    np.testing.assert_array_equal(checked[: sys.maxunicode + 1], np.arange(sys.maxunicode + 1))


LEADS = [0x00, 0x41, 0x7F, 0x80, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF, 0x9F, 0xA0, 0x8F, 0x90]


@given(st.lists(st.sampled_from(LEADS), min_size=1, max_size=12).map(bytes) | st.binary(min_size=1, max_size=8))
def test_bytes_that_begin_no_character_are_code_point_0_of_one_byte(data: bytes) -> None:
    codes, sizes = np.zeros(len(data), np.uint64), np.zeros(len(data), np.uint64)
    count = int(check_all(np.frombuffer(data, np.uint8), codes, sizes))
    assert list(zip(codes[:count].tolist(), sizes[:count].tolist(), strict=True)) == characters(data)


@given(
    st.one_of(
        st.binary(max_size=20),
        st.lists(st.sampled_from([b"12345678", b"\0", "é".encode(), "😀".encode(), b"\xed\xa0\x80", b"\xc0\x80"])).map(b"".join),
    )
)
def test_what_is_utf8_is_what_python_decodes(data: bytes) -> None:
    around = np.frombuffer(b"\x80" + data + b"\xff", np.uint8)
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not is_utf8(around, ONE, u64(1 + len(data)))
    else:
        assert is_utf8(around, ONE, u64(1 + len(data)))


@compiled
def write_all(codes: UInt64[np.ndarray, " N"], target: UInt8[np.ndarray, " B"]) -> np.uint64:
    end = ZERO
    for i in range(u64(len(codes))):
        end += put_character(codes[i], target, end)
    return end


def test_every_code_point_is_written_as_python_writes_it() -> None:
    target = np.zeros(4 * sys.maxunicode, np.uint8)
    end = write_all(np.arange(sys.maxunicode + 1, dtype=np.uint64), target)
    assert target[:end].tobytes() == "".join(map(chr, range(sys.maxunicode + 1))).encode("utf-8", "surrogatepass")


wide_mask = mask_from(0x80)


@compiled
def wide_bytes(data: UInt8[np.ndarray, " B"]) -> np.uint64:
    return wide_mask(data, ONE)


@given(st.binary(min_size=65, max_size=65))
def test_a_mask_has_a_bit_for_each_byte_that_is_large_enough(data: bytes) -> None:
    assert int(wide_bytes(np.frombuffer(data, np.uint8))) == sum(1 << place for place, byte in enumerate(data[1:]) if byte >= 0x80)
