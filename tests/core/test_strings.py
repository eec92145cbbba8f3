from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.core.strings import Strings, concatenated, from_arrow, from_python, to_strings

TEXTS = st.lists(st.none() | st.text(max_size=8), max_size=12)


def rows(strings: Strings) -> list[bytes | None]:
    data, offsets = strings.data.tobytes(), strings.offsets
    valid = strings.valid if strings.valid is not None else [True] * (len(offsets) - 1)
    return [data[offsets[i] : offsets[i + 1]] if ok else None for i, ok in enumerate(valid)]


@given(TEXTS, st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]), st.integers(0, 4))
def test_arrow_and_python_strings_are_the_same_bytes(texts: list[str | None], kind: pa.DataType, skip: int) -> None:
    array = pa.array(texts, pa.string()).cast(kind)[skip:]
    assert rows(from_arrow(array)) == rows(from_python(texts[skip:]))


@given(TEXTS, st.integers(0, 12))
def test_chunks_join_to_the_whole(texts: list[str | None], cut: int) -> None:
    array = pa.array(texts, pa.string())
    chunked = pa.chunked_array([array[:cut], array[cut:]])
    assert rows(concatenated(chunked)) == rows(from_python(texts))
    assert [row for chunk in to_strings(chunked) for row in rows(chunk)] == rows(from_python(texts))


def test_arrow_text_is_not_copied() -> None:
    array = pa.array(["a dog", "a cat"])
    pointer = np.frombuffer(array.buffers()[2], np.uint8).ctypes.data
    assert from_arrow(array).data.ctypes.data == pointer


def test_lone_surrogates_have_bytes_of_their_own() -> None:
    pair, lone = from_python(["\U0001f600"]), from_python(["\ud83d\ude00"])
    assert rows(pair) != rows(lone)
    assert rows(lone) == [b"\xed\xa0\xbd\xed\xb8\x80"]


@pytest.mark.parametrize("array", [pa.array([1]), pa.array([[b"a"]]), pa.array([1.5])], ids=str)
def test_other_arrays_are_refused(array: pa.Array) -> None:
    with pytest.raises(TypeError, match="expected an array of strings"):
        from_arrow(array)
