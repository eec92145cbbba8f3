"""The uid of a pair: 128 bits that identify its image and its caption, in whatever file the pair is.

A uid is MurmurHash3_x64_128 of the image's URL and the caption, each as its length in eight bytes (little-endian; 2^64 - 1 for a null)
and then its bytes, unchanged. The hash's seed depends on what identifies the image, and a later version of the rule would use new seeds, so
that two uids are equal only if they mean the same. The same number is the key of deduplication and the random number of the draw.

The two halves of the hash, as unsigned 64-bit numbers, are the two columns of an array of uids, and the first and the last 16 of the 32
hex digits of a printed uid: DataComp's form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64, Integer, UInt8, UInt64

from tallyclip.core.arguments import is_array, wrong_type
from tallyclip.core.compiled import ONE, ZERO, as_compiled_takes, compiled, inlined, u64
from tallyclip.core.machine import load_u64
from tallyclip.core.strings import StringArray, Strings, concatenated
from tallyclip.errors import OptionError
from tallyclip.wording import plural

ImageKind = Literal["url", "key", "uid"]
SEEDS: dict[ImageKind, int] = {"url": 1, "key": 2, "uid": 3}

UID = pa.binary(16)  # the type of a column of uids
SUBSET = np.dtype("u8,u8")  # DataComp's form
HEX_DIGITS = 32
_C1 = u64(0x87C37B91114253D5)
_C2 = u64(0x4CF5AD432745937F)
_NULL = u64(0xFFFF_FFFF_FFFF_FFFF)


def make_uids(
    images: StringArray | None,
    captions: StringArray,
    *,
    image_kind: ImageKind = "url",
    image_of: Integer[np.ndarray, " N"] | Sequence[int] | None = None,
) -> UInt64[np.ndarray, "N 2"]:
    """The uids of N pairs, from their content alone.

    Args:
        images: what identifies each image, or None if only the captions do.
        captions: the captions. Images and captions are hashed as the bytes they are: URLs and Unicode are not normalized.
        image_kind: "url"; "key", the sample's key in a tar without URLs; or "uid", the image's own uid where it has several captions.
        image_of: for each caption the position of its image in ``images``, where images have several. An image is hashed once for captions
            of it that are adjacent.

    Returns:
        uint64[N, 2]; the first column is the first 16 of a uid's 32 hex digits.

    Raises:
        OptionError: the numbers of images and captions differ, the kind is unknown, or a position is out of range.

    >>> uid_strings(make_uids(["http://a.example/1.jpg"], ["a dog"])).to_pylist()
    ['9b144afbde52182ff7d4381eb7c2af41']
    """
    if image_kind not in get_args(ImageKind):
        raise OptionError(f"unknown image kind {image_kind!r}", f"the kinds are {', '.join(get_args(ImageKind))}")
    caption_strings = concatenated(captions)
    rows = len(caption_strings.offsets) - 1
    if images is None:
        image_names, image_of = Strings(np.zeros(0, np.uint8), np.zeros(2, np.int64), np.zeros(1, np.bool_)), np.zeros(rows, np.int64)
    else:
        image_names = concatenated(images)
    count = len(image_names.offsets) - 1
    places = np.arange(count) if image_of is None else as_compiled_takes(np.asarray(image_of), np.int64)
    if len(places) != rows:
        raise OptionError(f"{plural(len(places), 'image')} but {plural(rows, 'caption')}")
    if rows and not 0 <= places.min() <= places.max() < count:
        raise OptionError(f"images {places.min()} to {places.max()} of {count:,}", "image_of holds positions in images")
    longest = np.diff(image_names.offsets).max(initial=0) + np.diff(caption_strings.offsets).max(initial=0)
    uids = np.empty((rows, 2), np.uint64)
    scratch = np.zeros(longest + 64, np.uint8)
    seed = u64(SEEDS[image_kind])
    _hash_pairs(
        image_names.data,
        image_names.offsets,
        _valid(image_names),
        places,
        caption_strings.data,
        caption_strings.offsets,
        _valid(caption_strings),
        seed,
        scratch,
        uids,
    )
    return uids


def as_columns(uids: np.ndarray) -> UInt64[np.ndarray, "N 2"]:
    """Uids as two columns, also those of dtype ``u8,u8``, as in a file ``uids.npy``.

    Raises:
        ArgumentTypeError: they are not an array, or it has another dtype or shape.
    """
    if is_array(uids, SUBSET):
        return np.ascontiguousarray(uids).view(np.uint64).reshape(-1, 2)
    if not is_array(uids, np.uint64, 2) or uids.shape[1] != 2:
        raise wrong_type("uids are uint64[N, 2] or u8,u8[N]", uids, "make_uids makes them, parse_uids reads strings of 32 hex digits")
    return as_compiled_takes(uids, np.uint64)


def uid_strings(uids: np.ndarray) -> pa.StringArray:
    """Uids as strings of 32 hex digits, in lower case.

    Args:
        uids: as ``make_uids`` gives, or DataComp's ``u8,u8``.

    Raises:
        ArgumentTypeError: ``uids`` does not hold uids.
        OptionError: there are more than 67 million, the most that one array of strings can hold.
    """
    uids = as_columns(uids)
    if len(uids) * HEX_DIGITS > np.iinfo(np.int32).max:
        raise OptionError(f"{plural(len(uids), 'uid')} are too many for one array of strings", "take them in parts")
    digits = np.empty(len(uids) * HEX_DIGITS, np.uint8)
    _write_hex(uids, digits)
    offsets = np.arange(0, len(digits) + 1, HEX_DIGITS, dtype=np.int32)
    return pa.StringArray.from_buffers(len(uids), pa.py_buffer(offsets), pa.py_buffer(digits))


def parse_uids(texts: StringArray) -> tuple[UInt64[np.ndarray, "N 2"], Bool[np.ndarray, " N"]]:
    """Read strings of 32 hex digits; returns the uids, and which strings are valid. The uids of the others are 0."""
    strings = concatenated(texts)
    uids = np.zeros((len(strings.offsets) - 1, 2), np.uint64)
    good = np.zeros(len(uids), np.bool_)
    _read_hex(strings.data, strings.offsets, uids, good)
    return uids, good


def uid_column(uids: UInt64[np.ndarray, "N 2"]) -> pa.FixedSizeBinaryArray:
    """Uids as a column of 16 bytes each, the first half first, as their 32 hex digits are written."""
    content = pa.py_buffer(np.ascontiguousarray(uids).astype(">u8"))
    return pa.FixedSizeBinaryArray.from_buffers(UID, len(uids), [None, content])


def column_uids(column: pa.FixedSizeBinaryArray) -> UInt64[np.ndarray, "N 2"]:
    """The uids of a column that ``uid_column`` made."""
    words = np.frombuffer(column.buffers()[1] or b"", ">u8")[2 * column.offset :][: 2 * len(column)]
    return words.astype(np.uint64).reshape(-1, 2)


def _valid(strings: Strings) -> Bool[np.ndarray, " N"]:
    return np.ones(len(strings.offsets) - 1, np.bool_) if strings.valid is None else strings.valid


@inlined
def _rotate(x: np.uint64, by: np.uint64) -> np.uint64:
    return (x << by) | (x >> (u64(64) - by))


@inlined
def _finish(x: np.uint64) -> np.uint64:
    x = (x ^ (x >> u64(33))) * u64(0xFF51AFD7ED558CCD)
    x = (x ^ (x >> u64(33))) * u64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> u64(33))


@inlined
def _put_u64(out: UInt8[np.ndarray, " S"], at: np.uint64, value: np.uint64) -> None:
    for i in range(u64(8)):
        out[at + i] = np.uint8((value >> (i << u64(3))) & u64(0xFF))


@inlined
def _put_string(
    out: UInt8[np.ndarray, " S"],
    at: np.uint64,
    data: UInt8[np.ndarray, " B"],
    start: np.uint64,
    end: np.uint64,
    valid: np.bool_,
) -> np.uint64:
    """Write a length and a string; returns where they end."""
    _put_u64(out, at, end - start if valid else _NULL)
    for i in range(end - start):
        out[at + u64(8) + i] = data[start + i]
    return at + u64(8) + (end - start)


@compiled
def _hash_pairs(
    image_data: UInt8[np.ndarray, " B"],
    image_offsets: Int64[np.ndarray, " K1"],
    image_valid: Bool[np.ndarray, " K"],
    image_of: Int64[np.ndarray, " N"],
    caption_data: UInt8[np.ndarray, " C"],
    caption_offsets: Int64[np.ndarray, " N1"],
    caption_valid: Bool[np.ndarray, " N"],
    seed: np.uint64,
    scratch: UInt8[np.ndarray, " S"],
    uids: UInt64[np.ndarray, "N 2"],
) -> None:
    """Ten arguments: two columns of strings are three arrays each.

    The image's part is written, and its whole blocks are hashed, once for all adjacent captions of the image.
    """
    before = head = whole = ZERO
    first1 = first2 = seed
    for row in range(u64(len(uids))):
        image = u64(image_of[row])
        if row == ZERO or image != before:
            start, end = u64(image_offsets[image]), u64(image_offsets[image + ONE])
            head = _put_string(scratch, ZERO, image_data, start, end, image_valid[image])
            before, whole = image, ZERO
            first1 = first2 = seed
            while whole + u64(16) <= head:
                first1 ^= _rotate(load_u64(scratch, whole) * _C1, u64(31)) * _C2
                first1 = (_rotate(first1, u64(27)) + first2) * u64(5) + u64(0x52DCE729)
                first2 ^= _rotate(load_u64(scratch, whole + u64(8)) * _C2, u64(33)) * _C1
                first2 = (_rotate(first2, u64(31)) + first1) * u64(5) + u64(0x38495AB5)
                whole += u64(16)
        start, end = u64(caption_offsets[row]), u64(caption_offsets[row + ONE])
        size = _put_string(scratch, head, caption_data, start, end, caption_valid[row])
        _put_u64(scratch, size, ZERO)
        _put_u64(scratch, size + u64(8), ZERO)  # the last block is padded with zeros, which change nothing
        h1, h2, place = first1, first2, whole
        while place < size:
            k1 = _rotate(load_u64(scratch, place) * _C1, u64(31)) * _C2
            k2 = _rotate(load_u64(scratch, place + u64(8)) * _C2, u64(33)) * _C1
            h1 ^= k1
            if place + u64(16) <= size:
                h1 = (_rotate(h1, u64(27)) + h2) * u64(5) + u64(0x52DCE729)
            h2 ^= k2
            if place + u64(16) <= size:
                h2 = (_rotate(h2, u64(31)) + h1) * u64(5) + u64(0x38495AB5)
            place += u64(16)
        h1 ^= size
        h2 ^= size
        h1 += h2
        h2 += h1
        h1, h2 = _finish(h1), _finish(h2)
        h1 += h2
        uids[row, ZERO] = h1
        uids[row, ONE] = h2 + h1


@compiled
def _write_hex(uids: UInt64[np.ndarray, "N 2"], digits: UInt8[np.ndarray, " 32*N"]) -> None:
    at = ZERO
    for row in range(u64(len(uids))):
        for half in range(u64(2)):
            for place in range(u64(16)):
                nibble = np.uint8((uids[row, half] >> (u64(60) - (place << u64(2)))) & u64(15))
                digits[at] = nibble + (np.uint8(48) if nibble < 10 else np.uint8(87))
                at += ONE


@compiled
def _read_hex(
    data: UInt8[np.ndarray, " B"],
    offsets: Int64[np.ndarray, " N1"],
    uids: UInt64[np.ndarray, "N 2"],
    good: Bool[np.ndarray, " N"],
) -> None:
    for row in range(u64(len(uids))):
        start = u64(offsets[row])
        right = u64(offsets[row + ONE]) - start == u64(HEX_DIGITS)
        high = low = ZERO
        for place in range(u64(HEX_DIGITS) if right else ZERO):
            byte = data[start + place]
            digit = byte - np.uint8(48)
            if digit > 9:
                digit = (byte | np.uint8(32)) - np.uint8(87)
                right = right and 10 <= digit <= 15
            high = (high << u64(4)) | (low >> u64(60))
            low = (low << u64(4)) | u64(digit & np.uint8(15))
        good[row] = right
        uids[row, ZERO] = high if right else ZERO
        uids[row, ONE] = low if right else ZERO
