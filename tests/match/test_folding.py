from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallyclip.core.strings import Strings, from_python
from tallyclip.match.folding import build_fold_table, fold
from tests.core.test_utf8 import characters


def folded(raw: list[bytes]) -> list[bytes]:
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in raw])]).astype(np.int64)
    found = fold(Strings(np.frombuffer(b"".join(raw), np.uint8), offsets, None), build_fold_table())
    data = found.data.tobytes()
    return [data[found.offsets[i] : found.offsets[i + 1]] for i in range(len(raw))]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.text(st.characters(codec=None), max_size=20), max_size=5))
@example(["".join(chr(code) for code in range(0x250))])
@example([chr(0x3B0) * 50, "ẞ", "ﬃ"])
def test_folding_is_pythons_casefold(texts: list[str]) -> None:
    expected = [text.casefold().encode("utf-8", "surrogatepass") for text in texts]
    assert folded([from_python([text]).data.tobytes() for text in texts]) == expected


def test_every_code_point_folds_as_python_folds_it() -> None:
    everything = "".join(chr(code) for code in range(0x110000))
    assert folded([everything.encode("utf-8", "surrogatepass")]) == [everything.casefold().encode("utf-8", "surrogatepass")]


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=12))
@example(b"\xc1\x81")
@example(b"\xe0\x81\x81A")
@example(b"\xf8\x88\x80\x80\x80")
@example(b"\xc3")
def test_bytes_that_are_not_utf8_are_kept(raw: bytes) -> None:
    expected, place = b"", 0
    for code, size in characters(raw):
        character = raw[place : place + size]
        place += size
        expected += chr(code).casefold().encode("utf-8", "surrogatepass") if code else character
    assert folded([raw]) == [expected]
