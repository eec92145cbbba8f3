from __future__ import annotations

import mmh3
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tallyclip as tc
from tallyclip.core.uids import SEEDS, column_uids, uid_column
from tallyclip.errors import OptionError

TEXT = st.none() | st.text(max_size=40)


def field(text: str | None) -> bytes:
    """A length in eight bytes and the text, as uids.py says."""
    if text is None:
        return b"\xff" * 8
    raw = text.encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "little") + raw


@given(st.lists(st.tuples(TEXT, TEXT), max_size=10), st.sampled_from(sorted(SEEDS)))
def test_a_uid_is_the_documented_hash(pairs: list[tuple[str | None, str | None]], kind: str) -> None:
    found = tc.make_uids([image for image, _ in pairs], [text for _, text in pairs], image_kind=kind)
    expected = [mmh3.hash64(field(image) + field(text), SEEDS[kind], x64arch=True, signed=False) for image, text in pairs]
    assert [tuple(row) for row in found.tolist()] == expected


def test_a_uid_never_changes() -> None:
    uids = tc.make_uids(["http://a.example/1.jpg", None], ["a dog", "a dog"])
    assert tc.uid_strings(uids).to_pylist() == ["9b144afbde52182ff7d4381eb7c2af41", "eb43c6de6c385464812362b1df466eb2"]


def test_nothing_else_is_the_same_as_a_null() -> None:
    variants = tc.make_uids([None, "", "a", "a", "ab"], ["a", "a", "", None, ""])
    assert len(np.unique(variants, axis=0)) == 5
    np.testing.assert_array_equal(tc.make_uids(None, ["a"]), tc.make_uids([None], ["a"]))


@pytest.mark.parametrize("kind", [list, tuple, np.int32, np.uint8, np.uint64])
def test_places_of_images_may_be_numbers_of_any_kind(kind: type) -> None:
    places = np.array([0, 0, 1], kind) if issubclass(kind, np.generic) else kind([0, 0, 1])
    expected = tc.make_uids(["a", "a", "b"], ["x", "y", "z"])
    np.testing.assert_array_equal(tc.make_uids(["a", "b"], ["x", "y", "z"], image_of=places), expected)
    with pytest.raises(OptionError, match="images 0 to 1 of 1"):
        tc.make_uids(["a"], ["x", "y", "z"], image_of=places)


def test_the_kind_of_image_is_part_of_the_uid() -> None:
    uids = [tc.make_uids(["x"], ["a dog"], image_kind=kind)[0].tobytes() for kind in SEEDS]
    assert len(set(uids)) == len(SEEDS)


def test_the_first_column_is_the_first_sixteen_digits() -> None:
    uids = tc.make_uids(None, ["a dog"])
    (text,) = tc.uid_strings(uids).to_pylist()
    assert (int(text[:16], 16), int(text[16:], 16)) == tuple(uids[0].tolist())


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=8))
def test_printed_uids_are_read_back(pairs: list[tuple[int, int]]) -> None:
    uids = np.array(pairs, dtype=np.uint64).reshape(-1, 2)
    found, good = tc.parse_uids(tc.uid_strings(uids))
    np.testing.assert_array_equal(found, uids)
    assert good.all()


@given(st.lists(st.none() | st.text("0123456789abcdefABCDEFgxé ", min_size=30, max_size=34) | st.text("0fA", min_size=32, max_size=32)))
def test_only_thirty_two_hex_digits_are_a_uid(texts: list[str | None]) -> None:
    found, good = tc.parse_uids(texts)
    for text, uid, ok in zip(texts, found.tolist(), good.tolist(), strict=True):
        is_uid = text is not None and len(text) == 32 and all(c in "0123456789abcdefABCDEF" for c in text)
        assert ok == is_uid
        assert uid == ([int(text[:16], 16), int(text[16:], 16)] if is_uid and text else [0, 0])


def test_arrays_and_lists_give_the_same() -> None:
    urls, texts = ["http://a", None, "http://b"], ["x", "y", None]
    expected = tc.make_uids(urls, texts)
    chunked = pa.chunked_array([pa.array(texts[:1]), pa.array(texts[1:], pa.string())])
    np.testing.assert_array_equal(tc.make_uids(pa.array(urls).dictionary_encode(), chunked), expected)


@pytest.mark.usefixtures("without_shape_checks")
def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(tc.OptionError, match="2 images but 1 caption"):
        tc.make_uids(["a", "b"], ["x"])
    with pytest.raises(tc.OptionError, match="unknown image kind 'sha'"):
        tc.make_uids(["a"], ["x"], image_kind="sha")  # type: ignore[arg-type]


@given(st.lists(st.none() | st.text(max_size=40), min_size=1, max_size=4), st.data())
def test_the_images_of_texts_may_be_given_by_their_places(images: list[str | None], data: st.DataObject) -> None:
    image_of = np.array(data.draw(st.lists(st.integers(0, len(images) - 1), max_size=12)), np.int64)
    texts = data.draw(st.lists(st.text(max_size=40), min_size=len(image_of), max_size=len(image_of)))
    repeated = pa.array([images[place] for place in image_of], pa.string())
    assert tc.make_uids(pa.array(images, pa.string()), texts, image_of=image_of).tolist() == tc.make_uids(repeated, texts).tolist()


def test_places_of_images_that_are_not_there_are_refused() -> None:
    for places in ([1], [-1], [0, 0]):
        with pytest.raises(OptionError):
            tc.make_uids(["a"], ["b"], image_of=np.array(places))


def test_any_slice_of_a_column_of_uids_gives_back_its_own() -> None:
    uids = tc.make_uids([None] * 5, ["a", "b", "c", "d", "e"])
    column = uid_column(uids)
    assert [value.hex() for value in column.to_pylist()] == tc.uid_strings(uids).to_pylist()
    for start, stop in ((0, 5), (1, 3), (0, 2), (4, 5), (2, 2)):
        np.testing.assert_array_equal(column_uids(column[start:stop]), uids[start:stop])
