from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyclip.errors import SourceError, TallyclipError
from tallyclip.escaping import printable, printable_json

from .nasties import NASTIES, acts

texts = st.text(st.characters() | st.sampled_from("\x00\x1b\x7f\x9b\n\r\t\u202e\u2028\ud800\\"))


@given(texts)
def test_nothing_that_acts_is_left_and_plain_text_stays(text: str) -> None:
    shown = printable(text)
    assert not acts(shown)
    assert "\n" not in shown
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize("text", NASTIES, ids=ascii)
def test_no_message_has_anything_that_acts(text: str) -> None:
    for error in (
        TallyclipError(text),
        SourceError("what", text),
        SourceError("what", details=[text, text]),
        SourceError(f"{text}: {SourceError(text).what}", SourceError("", text).hint),
    ):
        assert not acts(str(error))
        assert str(error).count("\n") == (2 if error.hint is not None else 0) + len(error.details)


@given(st.recursive(texts | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=5), st.booleans())
def test_json_stays_the_same_value(value: object, ascii_only: bool) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only, indent=1)
    shown = printable_json(written)
    assert json.loads(shown) == json.loads(written)
    assert not acts(shown)
